"""ONNX files of detectors of transformers: for one image of one size."""

import onnxruntime
import pytest
import torch

from core.runs.inference import Inference
from tests.helpers import hub, tiny
from train.exports import _onnx_file, onnx_raw
from train.exports._onnx_check import Runtime
from train.exports._onnx_graph import trace

FAST = "detr"
families = [pytest.param(name, marks=[] if name == FAST else pytest.mark.slow) for name in hub.NAMES]


@pytest.mark.parametrize("family", families)
def test_parity_of_onnx(family, tmp_path):
    """Scores and boxes are torch's, for images that fill the square and, where padding is not seen, for smaller ones."""
    detector = tiny.detector(family, noise=1.0)
    program = trace(
        Inference(detector), _onnx_file.example(onnx_raw.INPUTS, 128), None, onnx_raw.INPUTS, onnx_raw.OUTPUTS
    )
    program.save(tmp_path / "x.onnx")
    sizes = ((128, 128), (128, 128)) if detector.reads_padding else ((128, 96), (70, 128))
    runtime = Runtime(detector, tmp_path / "x.onnx", 128)
    for seed, size in enumerate(sizes):
        images, _ = tiny.batch((size,), (1,), seed=seed)
        with torch.no_grad():
            assert runtime(images).boxes.shape == (1, 1, 10, 4)
    assert 0 < runtime.difference < 1e-4
    shapes = {x.name: x.shape for x in onnxruntime.InferenceSession(tmp_path / "x.onnx").get_inputs()}
    assert shapes["pixels"] == [1, 3, 128, 128]
