"""Writes a network as an ONNX graph."""

import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import UserError
from train.exports import _same_padding

NEEDS, OPSET = ("onnx", "onnxscript", "onnxruntime"), 18
Axes = list[dict[int, str]]  # for each input, its axes of any size and their names


def refuse_missing_extra() -> None:
    """UserError: the extra `onnx` is not installed."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise UserError(f"ONNX needs {', '.join(missing)}: pip install 'detrdistill[onnx]'")


@torch.no_grad()
def trace(
    network: nn.Module, example: tuple[Tensor, ...], axes: Axes | None, inputs: Sequence[str], outputs: Sequence[str]
) -> Any:
    """The network as an ONNX program (torch.onnx.ONNXProgram), with these names of inputs and outputs.

    It is not optimised: of two clamps in a row the exporter's optimiser drops a bound. ONNX Runtime optimises it when it loads.
    """
    translations: dict[Callable, Callable] = {
        torch.ops.aten.embedding_bag.padding_idx: weighted_sums,
        torch.ops.aten._is_all_true.default: all_true,
        **_same_padding.TRANSLATION,
    }
    with warnings.catch_warnings(), _same_padding.as_one_operation(network):
        warnings.simplefilter("ignore")  # about axes that have the same name on purpose
        return torch.onnx.export(
            network,
            example,
            dynamo=True,
            verbose=False,
            optimize=False,
            opset_version=OPSET,
            dynamic_shapes=axes,
            input_names=inputs,
            output_names=outputs,
            custom_translation_table=translations,
        )


def weighted_sums(
    table: Any,
    index: Any,
    offsets: Any,
    scale: bool = False,
    mode: int = 0,
    sparse: bool = False,
    weight: Any = None,
    last: bool = False,
    padding: int | None = None,
) -> Any:
    """torch's embedding_bag for bags of equal size: matrix products, a quarter of each bag at a time.

    The exporter's own translation is a loop over the bags, which is slow.
    """
    from onnxscript import opset18

    op: Any = opset18
    one = op.Constant(value_ints=[1])
    shape = op.Concat(op.Shape(offsets), op.Constant(value_ints=[-1]), axis=0)
    indices, weights = (op.Split(op.Reshape(x, shape), axis=1, num_outputs=4) for x in (index, weight))
    parts = [op.MatMul(op.Unsqueeze(w, one), op.Gather(table, i)) for i, w in zip(indices, weights)]
    return op.Squeeze(op.Sum(*parts), one), offsets, offsets, offsets


def all_true(x: Any) -> Any:
    """torch's all, for which the exporter has no translation under this name."""
    from onnxscript import opset18

    op: Any = opset18
    return op.Cast(op.ReduceMin(op.Cast(x, to=7), keepdims=0), to=9)  # 7 is int64, 9 is bool
