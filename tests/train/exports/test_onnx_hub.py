"""ONNX files of detectors of transformers: for one image of one size."""

import onnxruntime
import pytest
import torch

from tests.helpers import hub, tiny
from train.exports import onnx

FAST = "detr"
families = [pytest.param(name, marks=[] if name == FAST else pytest.mark.slow) for name in hub.NAMES]


@pytest.mark.parametrize("family", families)
def test_parity_of_onnx(family, tmp_path):
    """Scores and boxes are torch's, for images that fill the square and, where padding is not seen, for smaller ones."""
    detector = tiny.detector(family, noise=1.0)
    onnx.trace(detector, 128).save(tmp_path / "x.onnx")
    sizes = ((128, 128), (128, 128)) if detector.reads_padding else ((128, 96), (70, 128))
    images, _ = tiny.batch(sizes, (1, 1))
    runtime = onnx.Runtime(detector, tmp_path / "x.onnx", 128)
    with torch.no_grad():
        out = runtime(images)
    assert out.boxes.shape == (1, 2, 10, 4) and runtime.difference < 1e-4
    shapes = {x.name: x.shape for x in onnxruntime.InferenceSession(tmp_path / "x.onnx").get_inputs()}
    assert shapes["pixels"] == [1, 3, 128, 128]
