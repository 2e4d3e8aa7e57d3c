"""The dataclasses that modules pass to each other, from images to the trace of a distillation step.

Axes    b image    l decoder layer    q query    n memory token    d channel    c class    t true object    m matched pair
Boxes   (cx, cy, w, h) as fractions of the image without its padding; true boxes lie in [0, 1], predicted ones need not.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

SILENT = -100.0  # the logit of a class that a detector does not know: its score is 0


@dataclass(frozen=True)
class Images:
    """A batch of RGB images, padded at the bottom and on the right."""

    pixels: UInt8[Tensor, "b 3 H W"]
    padding: Bool[Tensor, "b H W"]  # True where a pixel is not part of the image
    sizes: Int[Tensor, "b 2"]  # (height, width) in pixels without padding, as the detector sees the image
    original: Int[Tensor, "b 2"]  # (height, width) of the source image, to which detections are scaled back
    ids: Int[Tensor, " b"]  # ids of the source images, for reports and COCO's evaluation
    # How each image shows its source: x = scale * x of the source + offset, in fractions of the two, as (x scale, y scale,
    # x offset, y offset). A mirrored image has a negative scale, a cropped one a scale above 1. None: all show the whole source.
    views: Float[Tensor, "b 4"] | None = None

    def to(self, device: torch.device | str) -> "Images":
        """The batch on a device, copied without waiting."""
        moved: dict[str, Any] = {
            k: x.to(device, non_blocking=True) for k, x in vars(self).items() if isinstance(x, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Targets:
    """The objects of the whole batch in one flat list, image after image."""

    boxes: Float[Tensor, "t 4"]
    labels: Int[Tensor, " t"]
    image: Int[Tensor, " t"]  # the image of each object, as an index into the batch
    counts: tuple[int, ...]  # number of objects of each image, known without waiting for the device
    # For a batch that is a part of an optimiser's step: the number of objects of every image of the step, over all
    # processes and passes (-1 for a place without an image); and the number of processes, whose gradients are averaged.
    step: Int[Tensor, " n"] | None = None
    processes: int = 1
    weights: Float[Tensor, " t"] | None = None  # what each object counts for, at most 1; None: every object counts 1
    unlabelled: tuple[bool, ...] = ()  # whether the objects of each image are a detector's, not labels; () for none
    # Whether the objects of the unlabelled images have yet to be made from the teacher's predictions.
    pending: bool = False
    # The true objects of unlabelled images, where they are known. No loss reads them: they measure the pseudo truth.
    withheld: "Withheld | None" = None

    def __len__(self) -> int:
        return sum(self.counts)

    def to(self, device: torch.device | str) -> "Targets":
        """The targets on a device, copied without waiting."""
        moved: dict[str, Any] = {
            k: x.to(device, non_blocking=True) for k, x in vars(self).items() if isinstance(x, Tensor)
        }
        return replace(self, **moved)

    def within(self, step: Int[Tensor, " n"], processes: int) -> "Targets":
        """The same targets as a part of an optimiser's step (see the fields `step` and `processes`)."""
        return replace(self, step=step, processes=processes)


@dataclass(frozen=True)
class Withheld:
    """True objects that are known but are not to be learnt from, in one flat list."""

    boxes: Float[Tensor, "t 4"]
    labels: Int[Tensor, " t"]
    image: Int[Tensor, " t"]  # the image of each object, as an index into the batch
    known: tuple[bool, ...]  # the images whose true objects are known


@dataclass(frozen=True)
class Memory:
    """The encoded images, as a decoder reads them."""

    neck: tuple[Float[Tensor, "b d _ _"], ...]  # projected maps of each level, before any encoder
    padding: tuple[Bool[Tensor, "b _ _"], ...]  # True where a place of the level is not part of the image
    strides: tuple[int, ...]  # of each level, in pixels
    sizes: Int[Tensor, "b 2"]  # as in Images
    tokens: Float[Tensor, "b n d"] | None = None  # after the encoder, levels one after another; None without an encoder
    position: Float[Tensor, "b n d"] | None = None  # position embeddings of the tokens, for detectors that use them

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level; their areas add up to n."""
        return tuple((x.shape[-2], x.shape[-1]) for x in self.neck)

    def maps(self, source: str) -> tuple[Tensor, ...]:
        """Feature maps of each level, b d h w, after the "neck" or the "encoder" (without an encoder, the neck's)."""
        if source not in ("neck", "encoder"):
            raise ValueError(f"no features {source!r}; there are encoder, neck")
        if source == "neck" or self.tokens is None:
            return self.neck
        parts = self.tokens.split([h * w for h, w in self.shapes], dim=1)
        return tuple(rearrange(x, "b (h w) d -> b d h w", h=h) for x, (h, _) in zip(parts, self.shapes))


@dataclass(frozen=True)
class Predictions:
    """Predictions of every decoder layer, the last one at the end; there are no separate auxiliary outputs."""

    logits: Float[Tensor, "l b q c"]
    boxes: Float[Tensor, "l b q 4"]
    hidden: Float[Tensor, "l b q d"]


@dataclass(frozen=True)
class BinnedPredictions(Predictions):
    """Predictions whose boxes come from a distribution over distances for each edge, as those of D-FINE.

    Of l layers the last k have bins. Edges are left, top, right and bottom; the distance of an edge is that from the middle of
    the layer's reference box, in units of the box's width or height.
    """

    bins: Float[Tensor, "k b q 4 n"]  # logits of the bins
    references: Float[Tensor, "k b q 4"]  # reference boxes
    distances: Float[Tensor, " n"]  # the distance that each bin stands for, ascending


@dataclass(frozen=True)
class Queries:
    """The input of a decoder. A field that a detector does not use, or makes in `decode`, is None."""

    content: Float[Tensor, "b q d"] | None = None
    position: Float[Tensor, "b q d"] | None = None
    anchors: Float[Tensor, "b q 4"] | None = None  # boxes
    # Predictions of the encoder for n tokens, as one layer: those from which a two-stage detector chose these queries, or the
    # chosen ones.
    proposals: Predictions | None = None
    # Further groups of the detector's own queries, with which it is only trained (Group DETR).
    others: tuple["Queries", ...] | None = None

    def detach(self) -> "Queries":
        """The queries without gradient, proposals and further groups, as another detector decodes them."""
        content, position, anchors = (
            x if x is None else x.detach() for x in (self.content, self.position, self.anchors)
        )
        return Queries(content, position, anchors)


@dataclass(frozen=True)
class Assignment:
    """Matched pairs as index vectors: `p.boxes[a.index]` is matched with `targets.boxes[a.target]`.

    `target` is an object of the batch; in an assignment between student and teacher it is a query of the teacher in
    decoder layer `target_layer`.
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
        """Index of the matched queries in tensors `l b q ...`."""
        return self.layer, self.image, self.query

    @property
    def other(self) -> tuple[Tensor, Tensor, Tensor]:
        """Index of the teacher's queries in the teacher's tensors `l b q ...`; only between student and teacher."""
        assert self.target_layer is not None, "the targets of this assignment are objects, not queries of a teacher"
        return self.target_layer, self.image, self.target

    def of_layer(self, layer: int, *, layers: int) -> "Assignment":
        """The pairs of one of `layers` decoder layers, cut out without waiting for the device.

        The assignment must be as `solve` returns it: layer after layer, with the same number of pairs in each.
        """
        each = len(self) // layers
        return self.at(slice(layer * each, (layer + 1) * each))

    def of(self, *, layer: int, image: int) -> "Assignment":
        """The pairs of one image in one decoder layer; waits for the device."""
        return self.at((self.layer == layer) & (self.image == image))

    def at(self, pairs: slice | Bool[Tensor, " m"] | Int[Tensor, " n"]) -> "Assignment":
        """Some of the pairs, chosen by a slice, a mask or indices."""
        return Assignment(
            self.layer[pairs],
            self.image[pairs],
            self.query[pairs],
            self.target[pairs],
            None if self.target_layer is None else self.target_layer[pairs],
        )


@dataclass(frozen=True)
class Problem:
    """An assignment problem for every layer and image: match each column with a row of its own at the least total cost.

    Where there are fewer rows than columns, each row is matched with a column of its own.
    """

    cost: Float[Tensor, "l b q t"]
    columns: Bool[Tensor, "l b t"]  # the columns that take part
    without: tuple[str, ...] = ()  # earlier problems of the same loss whose matched rows are not available
    rows: Bool[Tensor, "l b q"] | None = None  # the rows that take part; None: all
    names: Int[Tensor, "l b t"] | None = None  # the `target` of each column in the solution; None: the column's number

    def cost_of(self, a: Assignment) -> Float[Tensor, " m"]:
        """The cost of each pair of an assignment with the problem's own layers and the targets of its solution."""
        return self.cost[a.layer, a.image, a.query, self.column(a)]

    def column(self, a: Assignment) -> Int[Tensor, " m"]:
        """The column of each pair, found by its target's name."""
        if self.names is None or not len(a):  # argmax is not defined for a tensor without columns
            return a.target
        named = (self.names[a.layer, a.image] == a.target[:, None]) & self.columns[a.layer, a.image]
        return named.int().argmax(-1)


@dataclass(frozen=True)
class Decoded:
    """Everything that a detector computed for a batch before its queries are matched with objects."""

    memory: Memory
    queries: dict[str, Queries] = field(default_factory=dict)
    predictions: dict[str, Predictions] = field(default_factory=dict)
    valid: Bool[Tensor, "b q"] | None = None  # of its own queries, as in Trace

    @property
    def own(self) -> Predictions:
        """Predictions of the detector's own queries."""
        return self.predictions["own"]


@dataclass(frozen=True)
class Trace:
    """All that one detector computed for one batch, by group of queries; the detector's own queries are the group "own".

    Losses may ask both detectors for further groups.
    """

    memory: Memory
    queries: dict[str, Queries]
    predictions: dict[str, Predictions]
    assignment: Assignment  # of its own queries to the objects, solved once and shared by every loss
    valid: Bool[Tensor, "b q"] | None = None  # its own queries that take part; None: all. A crop may remove stored ones

    @property
    def own(self) -> Predictions:
        """Predictions of the detector's own queries."""
        return self.predictions["own"]


@dataclass(frozen=True)
class Outcome:
    """The result of a loss: its maps, each of which sums to one unweighted term, and the pairs that it compared."""

    maps: dict[str, Float[Tensor, "..."]]  # the first axes are (layer, image), then query or place
    pairs: dict[str, Assignment] = field(default_factory=dict)


@dataclass(frozen=True)
class DistillTrace:
    """One distillation step: training uses `total`; analysis and the app show the rest."""

    student: Trace
    teacher: Trace | None  # None for a student without a teacher
    targets: Targets
    outcomes: dict[str, Outcome]
    total: Float[Tensor, ""]  # the weighted sum of all terms, with gradient

    def parts(self) -> dict[str, Tensor]:
        """The terms: each map's sum under 'loss/map', unweighted and detached."""
        return {f"{name}/{key}": m.detach().sum() for name, o in self.outcomes.items() for key, m in o.maps.items()}
