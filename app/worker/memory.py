"""The latest values by key, held as long as they fit."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import is_dataclass
from threading import Lock

from torch import Tensor


class Memory:
    """Forgets what was used longest ago once its tensors exceed `budget` bytes; the newest always stays."""

    def __init__(self, budget: int):
        self.budget = budget
        self.values: OrderedDict[Hashable, object] = OrderedDict()
        self.sizes: dict[Hashable, int] = {}
        self.lock = Lock()

    def get(self, key: Hashable):
        """The value under `key`, or None."""
        with self.lock:
            if key in self.values:
                self.values.move_to_end(key)
            return self.values.get(key)

    def put(self, key: Hashable, value) -> None:
        with self.lock:
            self.values[key], self.sizes[key] = value, size(value)
            self.values.move_to_end(key)
            while len(self.values) > 1 and sum(self.sizes.values()) > self.budget:
                oldest, _ = self.values.popitem(last=False)
                del self.sizes[oldest]


def size(value) -> int:
    """Bytes of all tensors in a value."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if is_dataclass(value):
        return size(list(vars(value).values()))
    if isinstance(value, dict):
        return size(list(value.values()))
    return sum(map(size, value)) if isinstance(value, (list, tuple)) else 0
