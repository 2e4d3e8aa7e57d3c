"""Which images make a step: a new order each epoch, every image once."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray


def batches(
    count: int,
    size: int,
    rng: np.random.Generator,
    sizes: Int[ndarray, "i 2"] | None = None,
    shapes: int = 0,
    *,
    least: int = 1,
) -> list[list[int]]:
    """Images in batches of `size`, the last one smaller.

    With `shapes` a batch is of one group of aspect ratios, as in torchvision's references, and what is left over of the
    groups makes the last batches. A last batch of fewer than `least` images joins the one before it.
    """
    order = rng.permutation(count)
    full, rest = grouped(order, size, aspect_group(sizes, shapes)) if shapes else ([], order.tolist())
    found = full + [rest[k : k + size] for k in range(0, len(rest), size)]
    if len(found) > 1 and len(found[-1]) < least:
        found[-2:] = [found[-2] + found[-1]]
    return found


def grouped(order: Int[ndarray, " i"], size: int, group: Int[ndarray, " i"]) -> tuple[list[list[int]], list[int]]:
    """Full batches, each of one group, in the order in which they fill; and the images left, group after group."""
    open_, full = {k: [] for k in np.unique(group).tolist()}, []
    for index, k in zip(order.tolist(), group[order].tolist()):
        open_[k].append(index)
        if len(open_[k]) == size:
            full.append(open_[k])
            open_[k] = []
    return full, [index for left in open_.values() for index in left]


def aspect_group(sizes: Int[ndarray, "i 2"], shapes: int) -> Int[ndarray, " i"]:
    """Of width / height, cut at the powers 2^(-1 .. 1) in 2 * shapes steps (torchvision, group_by_aspect_ratio.py)."""
    height, width = sizes.T
    return np.digitize(width / height, 2 ** np.linspace(-1, 1, 2 * shapes + 1))


def share(items: Sequence, k: int, parts: int) -> Sequence:
    """The k-th of so many even parts."""
    return items[k * len(items) // parts : (k + 1) * len(items) // parts]
