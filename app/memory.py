"""The latest values by key, held as long as they fit."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import is_dataclass
from threading import Lock

from torch import Tensor


class Memory:
    """Forgets what was used longest ago once its tensors exceed `budget` bytes; the newest always stays.

    Makes one value at a time, whatever the number of threads that ask: no two forward passes compete for the machine.
    """

    def __init__(self, budget: int):
        self.budget = budget
        self.values: OrderedDict[Hashable, object] = OrderedDict()
        self.lock = Lock()

    def get(self, key: Hashable, make: Callable):
        """The value under `key`, made where there is none. KeyError of `make` passes through."""
        with self.lock:
            if key not in self.values:
                self.values[key] = make()
                self.shrink()
            self.values.move_to_end(key)
            return self.values[key]

    def shrink(self) -> None:
        while len(self.values) > 1 and size(list(self.values.values())) > self.budget:
            self.values.popitem(last=False)


def size(value) -> int:
    """Bytes of all tensors in a value."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if is_dataclass(value):
        return size(list(vars(value).values()))
    if isinstance(value, dict):
        return size(list(value.values()))
    return sum(map(size, value)) if isinstance(value, (list, tuple)) else 0
