"""The pairs of queries and objects whose boxes a detection loss compares: each layer's own, or those of all layers together.

D-FINE (arXiv 2410.13842, "global optimal" in its name for self-distillation) matches every layer and the proposals, and compares
the boxes of each of them in the union of these matchings. A query that is matched with several objects keeps the one with
which it is matched most often. The release leaves ties to its sorting; here the first of the image's objects is taken. It also
adds up the pairs of all processes; here each batch has a mean over its own pairs, weighted by its share of the step's objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from core.matching.costs import first_objects
from core.types import Assignment, Targets


@dataclass(frozen=True)
class BoxPairs:
    """Pairs of queries and objects, layer after layer with the same number in each, and how often each pair is counted.

    A union lists the pairs of all its matchings, so that its length is known without waiting for the device: a pair that is in
    k of them is listed k times and counted 1/k times, and a pair that was not kept is counted 0 times.
    """

    pairs: Assignment
    counts: Float[Tensor, " m"] | None = None  # None: each pair once
    per_object: Float[Tensor, ""] | None = None  # pairs of a layer for each object of the batch; None: 1

    def at(self, part: slice) -> "BoxPairs":
        """Some of the pairs."""
        return BoxPairs(self.pairs.at(part), None if self.counts is None else self.counts[part], self.per_object)

    def counted(self, values: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
        """The values of the pairs, each as often as it is counted."""
        return values if self.counts is None else values * self.counts

    def averaged(self, values: Float[Tensor, " m"], targets: Targets) -> Float[Tensor, " m"]:
        """The values, as often as they are counted, divided by the pairs of an object, and weighted as the objects are.

        Divided by the number of objects, their sum is a mean over the pairs of a layer.
        """
        values = self.counted(values)
        if self.per_object is not None:
            values = values / self.per_object
        return values if targets.weights is None else values * targets.weights[self.pairs.target]


def union(matchings: Sequence[Assignment], targets: Targets, *, layers: int, queries: int) -> BoxPairs:
    """The union of the matchings of all their layers, for each of `layers` layers. All have the same `queries` an image."""
    image, query, target = (torch.cat([vars(a)[name] for a in matchings]) for name in ("image", "query", "target"))
    slot, row = target - first_objects(targets)[image], image * queries + query
    votes = torch.zeros(len(targets.counts) * queries, max(1, *targets.counts), device=row.device)
    votes = votes.index_put((row, slot), torch.ones_like(row, dtype=votes.dtype), accumulate=True)
    counts = (votes.argmax(-1)[row] == slot) / votes[row, slot]
    per_object = (counts.sum() / max(1, sum(targets.counts))).clamp(min=torch.finfo().tiny)
    layer = repeat(torch.arange(layers, device=row.device), "l -> (l m)", m=len(row))
    image, query, target, counts = (repeat(x, "m -> (l m)", l=layers) for x in (image, query, target, counts))
    return BoxPairs(Assignment(layer, image, query, target), counts, per_object)
