"""Counts what a call computes: a number that, unlike its time, is the same on every machine."""

from collections.abc import Callable, Mapping
from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Operations(TorchDispatchMode):
    """While it is entered: the number of torch's operations, views included, and the floating-point operations of products.

    torch's own FlopCounterMode needs a gradient at every input of every module, which transformers' models do not have.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.flop = 0

    def __torch_dispatch__(
        self, function: OpOverload, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        """Counts one operation and does it."""
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        self.operations += 1
        if (flop := flop_registry.get(function._overloadpacket)) is not None:
            self.flop += flop(*args, **kwargs, out_val=result)
        return result


def counted(call: Callable[[], object]) -> dict[str, float]:
    """The operations of a call, under "operations", and those of its products in units of 1e9, under "gflop"."""
    with Operations() as counter:
        call()
    return {"operations": counter.operations, "gflop": round(counter.flop / 1e9, 3)}
