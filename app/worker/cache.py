"""A cache of values with tensors, bounded by the memory that these take."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import is_dataclass
from threading import Lock
from typing import Any

from torch import Tensor


class Cache:
    """Drops the values used longest ago once all tensors exceed `budget` bytes; the newest value always stays."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.values: OrderedDict[Hashable, Any] = OrderedDict()
        self.sizes: dict[Hashable, int] = {}
        self.lock = Lock()

    def get(self, key: Hashable) -> Any:
        """The value under a key; None where there is none."""
        with self.lock:
            if key in self.values:
                self.values.move_to_end(key)
            return self.values.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Keeps a value, and drops others to stay within the budget."""
        with self.lock:
            self.values[key], self.sizes[key] = value, tensor_bytes(value)
            self.values.move_to_end(key)
            while len(self.values) > 1 and sum(self.sizes.values()) > self.budget:
                oldest, _ = self.values.popitem(last=False)
                del self.sizes[oldest]


def tensor_bytes(value: object) -> int:
    """Bytes of all tensors in a value, its fields and elements included."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if is_dataclass(value):
        return tensor_bytes(list(vars(value).values()))
    if isinstance(value, dict):
        return tensor_bytes(list(value.values()))
    return sum(map(tensor_bytes, value)) if isinstance(value, (list, tuple)) else 0
