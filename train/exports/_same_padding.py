"""Convolutions with TensorFlow's "same" padding, which timm's `tf_` networks have, as one operation of an ONNX graph.

timm computes the padding from the size of the image. With a size that is only known later the exporter would follow this
arithmetic through the whole network, for hours; ONNX's Conv has the padding as `auto_pad`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.library.custom_op("detrdistill::conv_same", mutates_args=())
def conv_same(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, groups: int) -> Tensor:
    """A convolution whose output has ceil(size / stride) places; of an odd padding the larger part is at the end."""
    before_after = []
    for size, kernel in zip(reversed(x.shape[-2:]), reversed(weight.shape[-2:])):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before_after += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, before_after), weight, bias, stride, groups=groups)


@conv_same.register_fake
def output_shape(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, groups: int) -> Tensor:
    """An empty tensor of the shape of the output."""
    height, width = ((size - 1) // stride + 1 for size in x.shape[-2:])  # of which the exporter sees that it is above 0
    return x.new_empty((x.shape[0], weight.shape[0], height, width))


def translated(x: Any, weight: Any, bias: Any, stride: int, groups: int) -> Any:
    """The operation in ONNX."""
    from onnxscript import opset18

    op: Any = opset18
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return op.Conv(*inputs, strides=[stride, stride], group=groups, auto_pad="SAME_UPPER")


TRANSLATION: dict[Callable, Callable] = {torch.ops.detrdistill.conv_same.default: translated}


@contextmanager
def as_one_operation(network: nn.Module) -> Iterator[None]:
    """While open, the network's convolutions with "same" padding are computed by `conv_same`."""
    replaced = [m for m in network.modules() if isinstance(m, nn.Conv2d) and has_same_padding(m)]
    for module in replaced:
        setattr(module, "forward", partial(forward, module))  # noqa: B010  # mypy forbids to assign a method
    try:
        yield
    finally:
        for module in replaced:
            delattr(module, "forward")


def has_same_padding(module: nn.Conv2d) -> bool:
    """Returns whether a module is timm's Conv2dSame, with one stride for both axes and without dilation."""
    return type(module).__name__ == "Conv2dSame" and module.dilation == (1, 1) and module.stride[0] == module.stride[1]


def forward(module: nn.Conv2d, x: Tensor) -> Tensor:
    """The forward pass of such a module."""
    return torch.ops.detrdistill.conv_same(x, module.weight, module.bias, module.stride[0], module.groups)
