"""Convolutions with TensorFlow's "same" padding: beside timm's own, in torch and in ONNX Runtime."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from core.project import ROOT
from train.exports._same_padding import as_one_operation, has_same_padding

timm = pytest.importorskip("timm.layers")
EXPORT = """
import onnxruntime, torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from train.exports._onnx_graph import trace

torch.manual_seed(0)
layers = [Conv2dSame(3, 4, 3, stride=2), nn.ReLU(), Conv2dSame(4, 4, 5, stride=2, groups=4, bias=False)]
net = nn.Sequential(*layers, Conv2dSame(4, 2, (3, 5), stride=2)).eval()
axes = [{0: "batch", 2: "height", 3: "width"}]
trace(net, (torch.zeros(2, 3, 64, 80),), axes, ["x"], ["y"]).save(FILE)
session = onnxruntime.InferenceSession(FILE)
for size in ((64, 80), (63, 81), (1, 1), (7, 130), (33, 34)):
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), net(x), rtol=1e-4, atol=1e-5)
"""


@given(
    kernel=st.sampled_from([1, 2, 3, 5, 7]),
    stride=st.sampled_from([1, 2, 3]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    grouped=st.booleans(),
    bias=st.booleans(),
)
def test_it_is_timms_convolution(kernel, stride, size, grouped, bias):
    layer = timm.Conv2dSame(4, 8, kernel, stride=stride, groups=4 if grouped else 1, bias=bias)
    x = torch.randn(2, 4, *size)
    want = layer(x)
    with as_one_operation(nn.Sequential(layer)):
        assert layer.forward.__module__ != type(layer).__module__ if hasattr(layer.forward, "__module__") else True
        found = layer(x)
    torch.testing.assert_close(found, want)
    assert "forward" not in vars(layer) and torch.equal(layer(x), want)


def test_its_shape_is_known_without_computing():
    for size in (1, 2, 7, 8, 33):
        fake = torch.zeros(1, 3, size, 5, device="meta")
        weight = torch.zeros(6, 3, 3, 3, device="meta")
        made = torch.ops.detrdistill.conv_same(fake, weight, None, 2, 1)
        assert made.shape == (1, 6, -(-size // 2), 3)


def test_other_convolutions_stay():
    assert not has_same_padding(nn.Conv2d(3, 3, 3)) and not has_same_padding(timm.Conv2dSame(3, 3, 3, dilation=2))
    assert has_same_padding(timm.Conv2dSame(3, 3, 3, stride=2))


def test_onnx_runtime_computes_the_same(tmp_path):
    code = EXPORT.replace("FILE", repr(str(tmp_path / "x.onnx")))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_transformers_drops_the_activations_of_timms_efficientnet():
    """Why --to hf refuses these backbones. If this fails, transformers can take them, and the export should."""
    transformers = pytest.importorskip("transformers")
    modeling = pytest.importorskip("transformers.models.deformable_detr.modeling_deformable_detr")
    config = transformers.DeformableDetrConfig(
        use_timm_backbone=False,
        backbone_config=transformers.TimmBackboneConfig(backbone="tf_efficientnet_lite0", out_indices=(2, 3, 4)),
    )
    encoder = modeling.DeformableDetrConvEncoder(config)
    assert not [m for m in encoder.modules() if isinstance(m, nn.ReLU6)]
