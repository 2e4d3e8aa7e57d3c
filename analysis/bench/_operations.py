"""Counts what a call computes, a number that, unlike its time, is the same on every machine; and times it, kind by kind."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Operations(TorchDispatchMode):
    """Counts, while it is entered, torch's operations, views included, and the floating-point operations of products.

    It also adds up the milliseconds that each kind of operation takes on a CPU.

    torch's own FlopCounterMode needs a gradient at every input of every module, which transformers' models do not have.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.flop = 0
        self.ms = defaultdict[OpOverload, float](float)

    def __torch_dispatch__(
        self, function: OpOverload, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        """Counts one operation and does it."""
        kwargs = kwargs or {}
        start = perf_counter()
        result = function(*args, **kwargs)
        self.ms[function] += 1e3 * (perf_counter() - start)
        self.operations += 1
        if (flop := flop_registry.get(function._overloadpacket)) is not None:
            self.flop += flop(*args, **kwargs, out_val=result)
        return result


def least_ms(calls: Mapping[str, Callable[[], object]], *, turns: int) -> dict[str, float]:
    """The milliseconds of each call's operations: for each kind of operation those of its fastest turn, added up.

    The calls take turns. This is steadier than the time of a whole call, of which another program may disturb some part in
    every turn. The time that Python needs between operations is left out.
    """
    least: dict[str, dict[OpOverload, float]] = {name: {} for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            with Operations() as timed:
                call()
            least[name] = {kind: min(ms, least[name].get(kind, ms)) for kind, ms in timed.ms.items()}
    return {name: sum(kinds.values()) for name, kinds in least.items()}


def counted(call: Callable[[], object]) -> dict[str, float]:
    """The operations of a call, under "operations", and those of its products in units of 1e9, under "gflop"."""
    with Operations() as counter:
        call()
    return {"operations": counter.operations, "gflop": round(counter.flop / 1e9, 3)}
