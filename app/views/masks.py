"""Where the teacher's queries look, by the functions of the loss `features` itself."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib import rc_context
from torch import Tensor

from analysis import figures
from analysis.catalogue import FIGURES, title
from analysis.drawing import style
from analysis.figures import figure4
from analysis.inputs.one_image import Seen
from app import words
from app.arguments import within
from app.replay.shown import Replay
from app.views.heat import heat
from app.worker.memory import Memory as Kept
from core.data.transforms import plain
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

# What the release does, PAPER's equations aside: masks merged first, score x best IoU, the best 100 pairs, cosine.
RELEASE = features.Config(combine="merged", quality="product", top=100, mask="signed", scale="none", source="neck")


@dataclass(frozen=True)
class Place:
    """A level of the teacher's features, and the decoder stage whose queries look at it."""

    replay: Replay
    level: int
    stage: int
    kept: Kept  # masks are large and asked for again at every step of gamma
    where: tuple  # what they are kept under

    @property
    def config(self) -> features.Config:
        """The run's own; the defaults where it has no such loss."""
        losses = self.replay.distiller.losses
        return losses["features"].config if "features" in losses else features.Config()

    @property
    def valid(self) -> Tensor:
        return ~self.replay.trace.teacher.memory.padding[self.level]

    def psi(self, config: features.Config) -> Tensor:
        """Of every query, "1 q h w"."""
        key = (*self.where, self.level, self.stage, config.mask, config.source)
        if (found := self.kept.get(key)) is None:
            teacher = self.replay.trace.teacher
            memory, queries = teacher.memory.maps(config.source)[self.level], teacher.own.hidden[self.stage]
            found = features.masks(memory, queries, config.mask)
            self.kept.put(key, found)
        return found

    def weight(self, config: features.Config, gamma: float) -> Tensor:
        """W of the loss with these options, "h w"."""
        teacher, targets = self.replay.trace.teacher, self.replay.trace.targets
        query, score = features.top_queries(teacher.own.logits[self.stage], config.top)
        if config.quality == "assigned":
            q = features.assigned_quality(teacher, targets, gamma, self.stage).gather(1, query)
        else:
            q = score * features.best_iou(teacher.own.boxes[self.stage], targets).gather(1, query)
        psi = self.psi(config)
        psi = psi if config.top is None else psi[:, query[0]]
        return features.combine_masks(psi, q, self.valid, combine=config.combine, scale=config.scale)[0]

    def heat(self, values: Tensor) -> dict:
        return heat(values, self.replay.trace.teacher.memory, self.level)


def place(replay: Replay, level: int, stage: int, kept: Kept, where: tuple) -> Place:
    """UserError: there is no teacher, or no such level or stage."""
    teacher = replay.trace.teacher
    if teacher is None:
        raise UserError(words.ALONE)
    within(level, len(teacher.memory.strides), "level")
    within(stage, len(teacher.own.logits), "stage")
    return Place(replay, level, stage, kept, where)


@torch.no_grad()
def overview(at: Place, gamma: float) -> dict:
    """Every query with what makes its quality; the combined weight three ways; and where the feature loss is."""
    found = quality_parts(at.replay.trace.teacher, at.replay.trace.targets)
    return {
        "level": at.level,
        "stage": at.stage,
        "gamma": gamma,
        "mask": at.config.mask,
        "truth": at.replay.truth,
        "queries": queries(at, found, gamma),
        "correlation": correlation(at, found, gamma),
        "area": (inside_objects(*seen(at)) & at.valid).sum().item() / at.valid.sum().item(),
        "weights": [way(at, name, gamma) for name in words.WEIGHTS],
        "loss": where_the_loss_is(at),
        "panels": panels(at),
    }


def queries(at: Place, found: QualityParts, gamma: float) -> list[dict]:
    """By their place in the teacher; the page sorts them by `quality`."""
    p = at.replay.trace.teacher.own
    label = p.logits[at.stage, 0].argmax(-1).tolist()
    mine = (found.score, found.overlap, found.ranking(gamma), found.assigned(gamma))
    columns = [x[at.stage, 0].tolist() for x in mine]
    inside, entropy = spread(at)
    rows = zip(label, *columns, inside.tolist(), entropy.tolist())
    names = ("score", "overlap", "quality", "counts", "inside", "entropy")
    return [
        {"index": k, "class": at.replay.classes[label]} | dict(zip(names, map(number, values)))
        for k, (label, *values) in enumerate(rows)
    ]


def spread(at: Place) -> tuple[Tensor, Tensor]:
    """Of each query's mask: the share of its mass that lies in true boxes, and how evenly it is spread."""
    psi = at.psi(at.config).clamp(min=0)
    psi = psi * at.valid[:, None]
    return mass_inside(psi, inside_objects(*seen(at)))[0], spatial_entropy(psi, at.valid)[0]


def seen(at: Place) -> tuple:
    return at.replay.trace.teacher.memory, at.replay.trace.targets, at.level


def correlation(at: Place, found: QualityParts, gamma: float) -> float | None:
    """Spearman's, of quality and mass inside boxes over the queries that have a mask."""
    inside, quality = spread(at)[0].numpy(), found.ranking(gamma)[at.stage, 0].numpy()
    keep = np.isfinite(inside)
    value = rank_correlation(quality[None, keep], inside[None, keep])[0] if keep.sum() > 1 else np.nan
    return number(float(value))


def way(at: Place, name: str, gamma: float) -> dict:
    """The combined weight: naive, by quality, or as the release has it."""
    config = RELEASE if name == "merged" else replace(at.config, combine=name, quality="assigned", top=None)
    title, says, equation = words.WEIGHTS[name]
    own = "features" in at.replay.distiller.losses and at.config.combine == name
    return {"id": name, "title": title, "says": says, "equation": equation, "own": own} | {
        "heat": at.heat(at.weight(config, gamma))
    }


@torch.no_grad()
def weighed(at: Place, gamma: float) -> dict:
    """What a step of gamma changes."""
    found = quality_parts(at.replay.trace.teacher, at.replay.trace.targets)
    return {
        "gamma": gamma,
        "quality": [number(x) for x in found.ranking(gamma)[at.stage, 0].tolist()],
        "counts": [number(x) for x in found.assigned(gamma)[at.stage, 0].tolist()],
        "correlation": correlation(at, found, gamma),
        "heat": way(at, "each", gamma)["heat"],
    }


def where_the_loss_is(at: Place) -> dict | None:
    """The map of the loss itself on this level, as it trains; None where the run has none there."""
    outcome = at.replay.trace.outcomes.get("features")
    stride = at.replay.trace.teacher.memory.strides[at.level]
    found = None if outcome is None else outcome.maps.get(f"stride{stride}")
    stages = at.replay.distiller.losses["features"].stages if outcome is not None else ()
    if found is None or at.stage not in stages:
        return None
    mine = found[list(stages).index(at.stage), 0]
    return at.heat(mine) | {"sum": mine.sum().item()}


@torch.no_grad()
def of_queries(at: Place, chosen: list[int]) -> list[dict]:
    """The mask of each query, as the loss of the run sees it."""
    psi = at.psi(at.config)[0]
    for query in chosen:
        within(query, len(psi), "query")
    return [at.heat(psi[query] * at.valid[0]) for query in chosen]


def panels(at: Place) -> list[dict]:
    """Figure 4's choice, by its own rules, on this level and of the last stage."""
    found = picture(at.replay, at.level)
    psi, places = found.masks()
    chosen, why = figure4.choose(found, psi, places, found.quality().ranking()[-1, 0].numpy())
    return [{"letter": letter, "query": query, "why": why[letter]} for letter, query in chosen.items()]


@dataclass(frozen=True)
class Level(Seen):
    """As figures see an image, on the level of features that the page shows."""

    level: int = 0

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        side, targets = self.looker[1], self.trace.targets
        mask = "cosine" if self.config.mask == "signed" else self.config.mask
        psi = query_masks(side, source=self.config.source, mask=mask)[self.level]
        return psi[0].numpy(), inside_each_object(side.memory, targets, self.level)[0].numpy()

    @property
    def stride(self) -> int:
        return self.looker[1].memory.strides[self.level]


def picture(replay: Replay, level: int) -> Level:
    return Level(plain(replay.sample, replay.run.augment), replay.trace, replay.run, level)


def paper(at: Place, pinned: list[int]) -> figures.Made:
    """Figure 4 of this image: the queries of the rules, or those that are pinned. UserError: there is no object."""
    if not len(at.replay.trace.targets):
        raise UserError("this image has no object, and Figure 4 is about objects; choose another image")
    queries = at.replay.trace.teacher.own.logits.shape[2]
    for query in pinned:
        within(query, queries, "query")
    numbers = figure4.panels(picture(at.replay, at.level), dict(zip(figure4.LETTERS, pinned)))
    with rc_context(style.RC):
        return figures.Made("figure4", title(FIGURES, "figure4"), numbers, figure4.make(numbers))


def number(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if np.isfinite(value) else None
