"""An exported graph in ONNX Runtime with the provider of the device says what the detector says."""

import numpy as np
import pytest
import torch

from core.runs.inference import Inference
from tests.helpers import tiny
from tests.helpers.devices import distance

PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


@pytest.mark.parametrize("kind", ["conditional", "deformable"])
def test_the_graph_says_the_same(kind, device, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for needed in ("onnx", "onnxscript"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    if PROVIDERS[device.type] not in runtime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has no {PROVIDERS[device.type]}: pip install onnxruntime-gpu")
    from train.exports import _onnx_graph

    network = Inference(tiny.detector(kind, layers=1)).eval()
    images, _ = tiny.batch(((64, 64), (64, 64)))
    example = images.pixels, images.padding, images.sizes
    names = [f"input{k}" for k in range(3)]
    with torch.no_grad():
        right = network(*example)
    outputs = [f"output{k}" for k in range(len(right))]
    program = _onnx_graph.trace(network, example, None, names, outputs)
    program.save(tmp_path / "graph.onnx")
    session = runtime.InferenceSession(str(tmp_path / "graph.onnx"), providers=[PROVIDERS[device.type]])
    assert session.get_providers()[0] == PROVIDERS[device.type]
    made = session.run(None, {name: x.numpy() for name, x in zip(names, example)})
    for a, b in zip(made, right, strict=True):
        assert distance(torch.from_numpy(np.asarray(a)), b) < 1e-3
