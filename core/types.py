"""The nouns that pass between modules.

Axes    b image    l decoder layer    q query    n memory token    d channel    c class    t true object    m matched pair
Boxes   (cx, cy, w, h), each in [0, 1] of the image without its padding; a model never clamps them.
"""

from dataclasses import dataclass, field, replace

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

SILENT = -100.0  # a logit whose probability is 0: of a class that a detector does not know


@dataclass(frozen=True)
class Images:
    """A batch of RGB images, padded at the bottom and on the right."""

    pixels: UInt8[Tensor, "b 3 H W"]
    padding: Bool[Tensor, "b H W"]  # True where a pixel is no part of the image
    sizes: Int[Tensor, "b 2"]  # (height, width) in pixels without padding, as the model sees it
    original: Int[Tensor, "b 2"]  # (height, width) of the source image: boxes go back to it
    ids: Int[Tensor, " b"]  # of the source image: reports name it

    def to(self, device) -> "Images":
        return Images(*(x.to(device, non_blocking=True) for x in vars(self).values()))


@dataclass(frozen=True)
class Targets:
    """The objects of the whole batch in one flat list, image after image; `counts` is known without asking the device."""

    boxes: Float[Tensor, "t 4"]
    labels: Int[Tensor, " t"]
    image: Int[Tensor, " t"]  # whose each is: an index into the batch
    counts: tuple[int, ...]  # objects of each image
    # Where the batch is a part of an optimiser's step: objects of every image of the step, of all processes and passes,
    # -1 for a place without an image; and the number of processes, whose gradients are averaged.
    step: Int[Tensor, " n"] | None = None
    processes: int = 1

    def __len__(self) -> int:
        return sum(self.counts)

    def to(self, device) -> "Targets":
        moved = {k: x.to(device, non_blocking=True) for k, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **moved)

    def within(self, step: Int[Tensor, " n"], processes: int) -> "Targets":
        """As a part of that step."""
        return replace(self, step=step, processes=processes)


@dataclass(frozen=True)
class Memory:
    """The encoded images, as a decoder reads them."""

    neck: tuple[Float[Tensor, "b d _ _"], ...]  # projected maps of each level, before any encoder
    padding: tuple[Bool[Tensor, "b _ _"], ...]  # of each level
    strides: tuple[int, ...]
    sizes: Int[Tensor, "b 2"]  # carried from Images
    tokens: Float[Tensor, "b n d"] | None = None  # after the encoder, levels one after another; None without an encoder
    position: Float[Tensor, "b n d"] | None = None

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each level; their areas add up to n."""
        return tuple((x.shape[-2], x.shape[-1]) for x in self.neck)

    def maps(self, source: str) -> tuple[Tensor, ...]:
        """Features of each level, b d h w: of the `neck`, or of the `encoder` (the neck's where there is none)."""
        if source not in ("neck", "encoder"):
            raise ValueError(f"no features {source!r}; there are encoder, neck")
        if source == "neck" or self.tokens is None:
            return self.neck
        parts = self.tokens.split([h * w for h, w in self.shapes], dim=1)
        return tuple(rearrange(x, "b (h w) d -> b d h w", h=h) for x, (h, _) in zip(parts, self.shapes))


@dataclass(frozen=True)
class Predictions:
    """What each decoder layer says; there is no 'aux'."""

    logits: Float[Tensor, "l b q c"]
    boxes: Float[Tensor, "l b q 4"]
    hidden: Float[Tensor, "l b q d"]


@dataclass(frozen=True)
class Queries:
    """Where a decoder starts. What a detector has no use for, or makes itself, is None."""

    content: Float[Tensor, "b q d"] | None = None
    position: Float[Tensor, "b q d"] | None = None
    anchors: Float[Tensor, "b q 4"] | None = None  # boxes
    proposals: Predictions | None = None  # what they were chosen from, as one layer of n queries: two-stage detectors

    def detach(self) -> "Queries":
        """As a start for another: without gradient, and without the proposals."""
        return Queries(*(x if x is None else x.detach() for x in (self.content, self.position, self.anchors)))


@dataclass(frozen=True)
class Assignment:
    """Matched pairs as index vectors: `p.boxes[a.index]` meets `targets.boxes[a.target]`.

    `target` is an object of the batch, or, where teacher and student meet, a query of the teacher in `target_layer`.
    """

    layer: Int[Tensor, " m"]
    image: Int[Tensor, " m"]
    query: Int[Tensor, " m"]
    target: Int[Tensor, " m"]
    target_layer: Int[Tensor, " m"] | None = None

    def __len__(self) -> int:
        return len(self.layer)

    @property
    def index(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.layer, self.image, self.query

    @property
    def other(self) -> tuple[Tensor, Tensor, Tensor]:
        """The index of the teacher's queries, in an assignment of teacher and student."""
        return self.target_layer, self.image, self.target

    def of_layer(self, layer: int, *, layers: int) -> "Assignment":
        """The pairs of one of `layers` layers, without asking the device: the solver lists layer after layer, each as long."""
        each = len(self) // layers
        return self.at(slice(layer * each, (layer + 1) * each))

    def of(self, *, layer: int, image: int) -> "Assignment":
        return self.at((self.layer == layer) & (self.image == image))

    def at(self, pairs) -> "Assignment":
        """Some of the pairs, by slice, mask or index."""
        return Assignment(*(x if x is None else x[pairs] for x in vars(self).values()))


@dataclass(frozen=True)
class Problem:
    """Columns that each want a row of their own at the least total cost, for every layer and image.

    Rows that an earlier problem of the same loss, named in `without`, has given away are not to be had.
    """

    cost: Float[Tensor, "l b q t"]
    columns: Bool[Tensor, "l b t"]  # which take part
    without: tuple[str, ...] = ()
    names: Int[Tensor, "l b t"] | None = None  # of the columns in the answer; None: their numbers

    def price(self, a: Assignment) -> Float[Tensor, " m"]:
        """Of pairs in the problem's own layers, whose targets are named as in the answer."""
        return self.cost[a.layer, a.image, a.query, self.column(a)]

    def column(self, a: Assignment) -> Int[Tensor, " m"]:
        if self.names is None or not len(a):  # of no columns there is no argmax
            return a.target
        named = (self.names[a.layer, a.image] == a.target[:, None]) & self.columns[a.layer, a.image]
        return named.int().argmax(-1)


@dataclass(frozen=True)
class Trace:
    """All that one detector did to one batch. Its own queries are the group "own"."""

    memory: Memory
    queries: dict[str, Queries]
    predictions: dict[str, Predictions]
    assignment: Assignment  # of its own queries to the targets, solved once, shared by every loss

    @property
    def own(self) -> Predictions:
        return self.predictions["own"]


@dataclass(frozen=True)
class Outcome:
    """What a loss found: each map sums to one unweighted part; its first axes are (layer, image), then query or place."""

    maps: dict[str, Float[Tensor, "..."]]
    pairs: dict[str, Assignment] = field(default_factory=dict)  # whom it compared with whom


@dataclass(frozen=True)
class DistillTrace:
    """One step, whole. Training takes `total`; analysis and the app take the rest."""

    student: Trace
    teacher: Trace | None
    targets: Targets
    outcomes: dict[str, Outcome]
    total: Float[Tensor, ""]

    def parts(self) -> dict[str, Tensor]:
        """Each map's sum under 'loss/map', unweighted and detached."""
        return {f"{name}/{key}": m.detach().sum() for name, o in self.outcomes.items() for key, m in o.maps.items()}


def no_targets(images: int, device: torch.device | str = "cpu") -> Targets:
    """The truth of images without objects."""
    empty = torch.zeros(0, dtype=torch.long, device=device)
    return Targets(torch.zeros(0, 4, device=device), empty, empty, (0,) * images)
