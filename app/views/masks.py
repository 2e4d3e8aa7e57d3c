"""The masks of the teacher's queries on one level of its features, computed by the functions of the loss `features` itself."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from analysis.catalogue import FIGURES, title
from analysis.inputs.one_image import ReplayedImage
from app import words
from app.arguments import within
from app.replay.display import Replay
from app.views.heat import heat
from app.worker.cache import Cache
from core.data.transforms import eval_transform
from core.errors import UserError
from core.losses import features
from core.metrics.query_masks import (
    inside_each_object,
    inside_objects,
    mass_inside,
    query_masks,
    rank_correlation,
    spatial_entropy,
)
from core.metrics.query_quality import QualityParts, quality_parts
from core.types import Targets, Trace

if TYPE_CHECKING:
    from analysis.figures import MadeFigure

Combine = Literal["naive", "each", "merged"]

# The paper's released code, which differs from its equations: the masks of the best 100 (query, class) pairs are summed
# first, weighted by score x best IoU, and a mask is a cosine.
RELEASED = features.Config(combine="merged", quality="product", top=100, mask="signed", scale="none", source="neck")


@dataclass(frozen=True)
class TeacherLevel:
    """One level of the teacher's features, and the decoder layer whose queries attend to it, on one image."""

    replay: Replay
    teacher: Trace
    level: int
    layer: int
    cache: Cache  # of masks, which are large and needed again for every gamma
    cache_key: tuple[Hashable, ...]  # of the image

    @property
    def targets(self) -> Targets:
        """The objects of the image."""
        return self.replay.trace.targets

    @property
    def loss(self) -> features.Model | None:
        """The run's feature loss; None where it has none."""
        loss = self.replay.losses.get("features")
        return loss if isinstance(loss, features.Model) else None

    @property
    def config(self) -> features.Config:
        """The options of the run's feature loss; the defaults where it has none."""
        return features.Config() if self.loss is None else self.loss.config

    @property
    def valid(self) -> Bool[Tensor, "1 h w"]:
        """The places that belong to the image, and not to its padding."""
        return ~self.teacher.memory.padding[self.level]

    @property
    def inside_objects(self) -> Bool[Tensor, "1 h w"]:
        """The places that lie in the box of any object."""
        return inside_objects(self.teacher.memory, self.targets, self.level)

    def psi(self, config: features.Config) -> Float[Tensor, "1 q h w"]:
        """The masks of all queries, for the features and the similarity that these options name."""
        memory, queries = self.teacher.memory.maps(config.source)[self.level], self.teacher.own.hidden[self.layer]
        return self.kept("masks", config, lambda: features.similarity_masks(memory, queries, config.mask))

    def spread(self) -> Float[Tensor, "2 q"]:
        """The share of each mask's mass inside objects' boxes, and the spatial entropy of each mask."""
        return self.kept("spread", self.config, lambda: mask_spread(self))

    def kept(self, name: str, config: features.Config, make: Callable[[], Tensor]) -> Tensor:
        """A tensor that `make` makes of the masks of these options, once as long as it is in the cache."""
        key = (*self.cache_key, self.level, self.layer, name, config.mask, config.source)
        value = self.cache.get(key)
        if value is None:
            value = make()
            self.cache.put(key, value)
        return value

    def weight(self, config: features.Config, gamma: float) -> Float[Tensor, "h w"]:
        """The weight W that the feature loss gives each place, with these options."""
        predictions = self.teacher.own
        query, score = features.top_queries(predictions.logits[self.layer], config.top)
        if config.quality == "assigned":
            q = features.assigned_quality(self.teacher, self.targets, gamma, self.layer).gather(1, query)
        else:
            q = score * features.best_iou(predictions.boxes[self.layer], self.targets).gather(1, query)
        psi = self.psi(config)
        psi = psi if config.top is None else psi[:, query[0]]
        return features.combine_masks(psi, q, self.valid, combine=config.combine, scale=config.scale)[0]

    def heat(self, values: Float[Tensor, "h w"]) -> dict:
        """Values of this level's places as the page takes them."""
        return heat(values, self.teacher.memory, self.level)


def teacher_level(
    replay: Replay, level: int, layer: int, cache: Cache, cache_key: tuple[Hashable, ...]
) -> TeacherLevel:
    """A level of the teacher's features; a layer of -1 is the last. UserError: no teacher, or no such level or layer."""
    teacher = replay.trace.teacher
    if teacher is None:
        raise UserError(words.NO_TEACHER)
    layers = len(teacher.own.logits)
    layer = layers - 1 if layer == -1 else layer
    within(level, len(teacher.memory.strides), "level")
    within(layer, layers, "stage")
    return TeacherLevel(replay, teacher, level, layer, cache, cache_key)


@torch.no_grad()
def overview(at: TeacherLevel, gamma: float) -> dict:
    """Every query with its quality and mask statistics, the combined weight three ways, and the map of the feature loss."""
    parts = quality_parts(at.teacher, at.targets)
    inside, entropy = at.spread()
    return {
        "level": at.level,
        "stage": at.layer,
        "gamma": gamma,
        "mask": at.config.mask,
        "truth": at.replay.truth,
        "queries": query_rows(at, parts, gamma, inside, entropy),
        "correlation": correlation(at, parts, gamma, inside),
        "most": most_of_masks(at),
        "area": (at.inside_objects & at.valid).sum().item() / at.valid.sum().item(),
        "weights": [combined_weight(at, name, gamma) for name in get_args(Combine)],
        "loss": loss_map(at),
        "panels": panels(at),
    }


@torch.no_grad()
def weighed(at: TeacherLevel, gamma: float) -> dict:
    """The part of `overview` that depends on gamma: the quality of the queries, its correlation, and the weight by quality."""
    parts = quality_parts(at.teacher, at.targets)
    return {
        "gamma": gamma,
        "quality": quality_values(at, parts.ranking(gamma)),
        "counts": [finite(x) for x in parts.assigned(gamma)[at.layer, 0].tolist()],
        "correlation": correlation(at, parts, gamma, at.spread()[0]),
        "heat": combined_weight(at, "each", gamma)["heat"],
    }


@torch.no_grad()
def query_heat(at: TeacherLevel, queries: Sequence[int]) -> list[dict]:
    """The mask of each of these queries, as the run's feature loss computes it. UserError: there is no such query."""
    psi = at.psi(at.config)[0]
    for query in queries:
        within(query, len(psi), "query")
    return [at.heat(psi[query] * at.valid[0]) for query in queries]


def query_rows(
    at: TeacherLevel, parts: QualityParts, gamma: float, inside: Float[Tensor, " q"], entropy: Float[Tensor, " q"]
) -> list[dict]:
    """All queries in their order, each with its class, score, best IoU, quality and mask statistics.

    On an image without objects there is no IoU, hence no quality: both are None.
    """
    labels = at.teacher.own.logits[at.layer, 0].argmax(-1).tolist()
    columns = {
        "score": parts.score[at.layer, 0],
        "overlap": parts.overlap[at.layer, 0],
        "quality": parts.ranking(gamma)[at.layer, 0],
        "counts": parts.assigned(gamma)[at.layer, 0],
        "inside": inside,
        "entropy": entropy,
    }
    rows = zip(*(column.tolist() for column in columns.values()))
    unknown = {} if len(at.targets) else {"overlap": None, "quality": None}
    return [
        {"index": k, "class": at.replay.classes[label]} | dict(zip(columns, map(finite, row))) | unknown
        for k, (label, row) in enumerate(zip(labels, rows))
    ]


def quality_values(at: TeacherLevel, ranking: Float[Tensor, "l b q"]) -> list[float | None]:
    """The quality of each query; None on an image without objects."""
    values = ranking[at.layer, 0].tolist()
    return [finite(x) if len(at.targets) else None for x in values]


def most_of_masks(at: TeacherLevel) -> float:
    """The largest value of all queries' masks on this image, the end of the one scale on which they are drawn."""
    return (at.psi(at.config) * at.valid[:, None]).max().item()


def mask_spread(at: TeacherLevel) -> Float[Tensor, "2 q"]:
    """The share of each mask's mass inside objects' boxes, and its spatial entropy, computed anew."""
    psi = at.psi(at.config).clamp(min=0) * at.valid[:, None]
    return torch.stack([mass_inside(psi, at.inside_objects)[0], spatial_entropy(psi, at.valid)[0]])


def correlation(at: TeacherLevel, parts: QualityParts, gamma: float, inside: Float[Tensor, " q"]) -> float | None:
    """Spearman's rank correlation of quality and mass inside boxes, over the queries whose mask is not 0 everywhere."""
    share, quality = inside.numpy(), parts.ranking(gamma)[at.layer, 0].numpy()
    keep = np.isfinite(share)
    value = rank_correlation(quality[None, keep], share[None, keep])[0] if keep.sum() > 1 else np.nan
    return finite(float(value))


def combined_weight(at: TeacherLevel, name: Combine, gamma: float) -> dict:
    """The weight of each place with masks combined in one way; "own" says whether the run's loss combines them so."""
    config = RELEASED if name == "merged" else replace(at.config, combine=name, quality="assigned", top=None)
    title, says, equation = words.WEIGHTS[name]
    own = at.loss is not None and at.config.combine == name
    return {"id": name, "title": title, "says": says, "equation": equation, "own": own} | {
        "heat": at.heat(at.weight(config, gamma))
    }


def loss_map(at: TeacherLevel) -> dict | None:
    """The map of the run's feature loss on this level and layer; None where the loss is not computed there."""
    outcome = at.replay.trace.outcomes.get("features")
    if at.loss is None or outcome is None or at.layer not in at.loss.layers:
        return None
    m = outcome.maps.get(f"stride{at.teacher.memory.strides[at.level]}")
    if m is None:
        return None
    values = m[list(at.loss.layers).index(at.layer), 0]
    return at.heat(values) | {"sum": values.sum().item()}


# Figure 4 -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImageOnLevel(ReplayedImage):
    """An image as figures take it, with masks on the level of features that the page shows."""

    level: int = 0

    def masks(self) -> tuple[Float[ndarray, "q h w"], Bool[ndarray, "t h w"]]:
        """The mask of each query in the last layer, and the places in each object's box, on this level."""
        trace = self.shown_trace
        mask: features.Mask = "cosine" if self.config.mask == "signed" else self.config.mask
        psi = query_masks(trace, source=self.config.source, mask=mask)[self.level]
        return psi[0].numpy(), inside_each_object(trace.memory, self.trace.targets, self.level)[0].numpy()

    @property
    def stride(self) -> int:
        """Stride of this level, in pixels."""
        return self.shown_trace.memory.strides[self.level]


def figure_image(at: TeacherLevel) -> ImageOnLevel:
    """The image, on this level, as figures take it."""
    replay = at.replay
    return ImageOnLevel(eval_transform(replay.sample, replay.run.augment), replay.trace, replay.run, at.level)


def panels(at: TeacherLevel) -> list[dict]:
    """The queries that the rules of Figure 4 choose, on this level and in the last layer."""
    from analysis.figures import figure4  # takes a second to import

    image = figure_image(at)
    psi, places = image.masks()
    chosen, reasons = figure4.choose(image, psi, places, image.quality().ranking()[-1, 0].numpy())
    return [{"letter": letter, "query": query, "why": reasons[letter]} for letter, query in chosen.items()]


def figure(at: TeacherLevel, pinned: Sequence[int]) -> "MadeFigure":
    """Figure 4 of this image, with the pinned queries in place of the first that its rules choose.

    UserError: the image has no object, or there is no such query.
    """
    for query in pinned:
        within(query, at.teacher.own.logits.shape[2], "query")
    from matplotlib import rc_context  # these take a second to import

    from analysis.drawing import style
    from analysis.figures import MadeFigure, figure4

    numbers = figure4.panels(figure_image(at), dict(zip(figure4.LETTERS, pinned)))
    with rc_context(style.RC):
        return MadeFigure("figure4", title(FIGURES, "figure4"), numbers, figure4.make(numbers))


def finite(value: float) -> float | None:
    """The value, or None for NaN and infinity, which JSON cannot write."""
    return value if np.isfinite(value) else None
