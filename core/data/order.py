"""The order of an epoch: which images make up each step. Every image comes once."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray


def batches(
    count: int,
    size: int,
    rng: np.random.Generator,
    sizes: Int[ndarray, "i 2"] | None = None,
    aspect_groups: int = 0,
    *,
    smallest: int = 1,
) -> list[list[int]]:
    """Indices 0 .. count - 1 in an order drawn from `rng`, cut into batches of `size`; the last batch may be smaller.

    With `aspect_groups` above 0, a batch holds images of one group of aspect ratios, as in torchvision's reference scripts; the
    images left over from the groups form the last batches. This needs `sizes`, the (height, width) of the images.
    A last batch of fewer than `smallest` images joins the one before it.
    """
    order = rng.permutation(count)
    full: list[list[int]] = []
    rest = order.tolist()
    if aspect_groups:
        assert sizes is not None
        full, rest = full_batches(order, size, aspect_group(sizes, aspect_groups))
    steps = full + [rest[k : k + size] for k in range(0, len(rest), size)]
    if len(steps) > 1 and len(steps[-1]) < smallest:
        steps[-2:] = [steps[-2] + steps[-1]]
    return steps


def mixed_batches(
    count: int, labelled: int, size: int, share: float, rng: np.random.Generator, *, smallest: int = 1
) -> list[list[int]]:
    """Batches of `size` of which a `share` has labels: the first `labelled` of 0 .. count - 1; the others come once each.

    Images with labels come as often as is needed, each as often as any other, in an order that is drawn anew for each round.
    Index i + k * count is the k-th repeat of image i, so that no repeat is augmented as the one before it.
    """
    each = min(max(1, round(size * share)), size - 1)
    others = (labelled + rng.permutation(count - labelled)).tolist()
    groups = [others[k : k + size - each] for k in range(0, len(others), size - each)]
    rounds = -(-each * len(groups) // labelled)
    stream = [i + k * count for k in range(rounds) for i in rng.permutation(labelled).tolist()]
    steps = [stream[k * each : (k + 1) * each] + group for k, group in enumerate(groups)]
    if len(steps) > 1 and len(steps[-1]) < smallest:
        steps[-2:] = [steps[-2] + steps[-1]]
    return steps


def full_batches(order: Int[ndarray, " i"], size: int, group: Int[ndarray, " i"]) -> tuple[list[list[int]], list[int]]:
    """Batches of `size` images of one group, in the order in which they fill up, and the images left, group by group."""
    filling: dict[int, list[int]] = {k: [] for k in np.unique(group).tolist()}
    full = []
    for index, k in zip(order.tolist(), group[order].tolist()):
        filling[k].append(index)
        if len(filling[k]) == size:
            full.append(filling[k])
            filling[k] = []
    return full, [index for left in filling.values() for index in left]


def aspect_group(sizes: Int[ndarray, "i 2"], aspect_groups: int) -> Int[ndarray, " i"]:
    """The group of each image, 0 .. 2k + 1 for k = `aspect_groups`: width / height is cut at 2k + 1 powers of 2, 1/2 to 2.

    torchvision, references/detection/group_by_aspect_ratio.py.
    """
    height, width = sizes.T
    return np.digitize(width / height, 2 ** np.linspace(-1, 1, 2 * aspect_groups + 1))


def even_share(items: Sequence, k: int, parts: int) -> Sequence:
    """The k-th of `parts` consecutive shares of `items`, whose lengths differ by one at most."""
    return items[k * len(items) // parts : (k + 1) * len(items) // parts]
