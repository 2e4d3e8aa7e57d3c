"""Reads what a run logged while it trained: the terms of its loss, the gradient of each loss, and its scores."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from core.errors import UserError
from core.metrics.pseudo_truth.counts import PseudoCounts
from core.runs.results import read_lines, scores

ENDS_PART = 5  # the first and the last steps are a fifth of all: long enough to average over batches
UNTRAINED_AP = 0.05  # the shipped students exceed it within their first epoch
PLACES = ("features", "decoder")  # where the gradient of each loss is measured


@dataclass(frozen=True)
class Term:
    """A term of the loss: its means over the first and the last steps."""

    name: str  # loss/map
    first: float  # unweighted
    last: float  # unweighted
    share: float  # of the weighted loss, in the last steps; 0 to 1


@dataclass(frozen=True)
class LossShare:
    """How much a loss contributes at the end of training; shares are 0 to 1."""

    loss: str
    share: float  # of the loss
    features: float | None  # of the gradient at the student's neck; None: it was not logged
    decoder: float | None  # of the gradient in the student's decoder; None: it was not logged

    @property
    def gradient(self) -> float | None:
        """The larger of the two shares of the gradient: a loss may act on features or decoder alone. None if unknown."""
        known = [x for x in (self.features, self.decoder) if x is not None]
        return max(known, default=None)

    @property
    def text(self) -> str:
        """The share of the gradient, or of the loss if no gradient was logged, in words."""
        if self.gradient is None:
            return f"{percent(self.share)} of the loss"
        place = "at the features" if self.features == self.gradient else "in the decoder"
        return f"{percent(self.gradient)} of the gradient {place}"


@dataclass(frozen=True)
class Epoch:
    """An evaluation of the student."""

    epoch: int
    ap: float | None
    per_class: dict[str, float | None] = field(default_factory=dict)  # AP by class; None: it has no object


@dataclass(frozen=True)
class History:
    """The log of a run."""

    steps: list[dict]  # records of steps, without those that were skipped
    gradient_records: list[dict]  # norms of the gradient of each loss, logged every so many steps
    epochs: tuple[Epoch, ...]
    teacher_ap: float | None

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the last steps, in the order of the log. A loss that ended before, or was left out of them, has none."""
        first, last = (means(part, "terms") for part in (self.ends[0], self.ends[1]))
        weighted = means(self.ends[1], "weighted")
        total = sum(map(abs, weighted.values())) or 1.0
        return tuple(
            Term(name, first.get(name, last[name]), last[name], abs(weighted[name]) / total)
            for name in weighted
            if name in last
        )

    @cached_property
    def loss_shares(self) -> tuple[LossShare, ...]:
        """The share of each loss in the loss and in the gradient."""
        shares: dict[str, float] = defaultdict(float)
        for term in self.terms:
            shares[term.name.split("/")[0]] += term.share
        gradients = {place: self.gradient(place) for place in PLACES}
        return tuple(
            LossShare(loss, x, *(gradients[place].get(loss) for place in PLACES)) for loss, x in shares.items()
        )

    @cached_property
    def pseudo(self) -> PseudoCounts | None:
        """The counts of pseudo truth in the last half of training; None if all images had labels."""
        counts = [PseudoCounts(**step["pseudo"]) for step in self.steps[len(self.steps) // 2 :] if "pseudo" in step]
        return sum(counts, PseudoCounts()) if counts else None

    @property
    def ends(self) -> tuple[list[dict], list[dict]]:
        """The first and the last fifth of the steps, at least one step each."""
        n = max(1, len(self.steps) // ENDS_PART)
        return self.steps[:n], self.steps[-n:]

    @property
    def best_ap(self) -> float:
        """The student's highest AP; 0 if none was measured."""
        return max((e.ap or 0.0 for e in self.epochs), default=0.0)

    def gradient(self, place: str) -> dict[str, float]:
        """The mean share of each loss in the gradient at a place, over the second half of training; {} if not logged."""
        norms = [gradient_norms(record, place) for record in self.gradient_records[len(self.gradient_records) // 2 :]]
        shares = [{loss: x / sum(by.values()) for loss, x in by.items()} for by in norms if sum(by.values())]
        return {loss: mean([by.get(loss, 0.0) for by in shares]) for by in shares for loss in by}

    def loss_by_step(self, loss: str) -> Float[ndarray, " n"]:
        """The sum of a loss's weighted terms in each step."""
        sums = [sum(v for k, v in s["weighted"].items() if k.split("/")[0] == loss) for s in self.steps]
        return np.array(sums, dtype=np.float64)


def read_history(run: Path) -> History:
    """Reads the log of a run. UserError: it has no trained step."""
    records = read_lines(run / "metrics.jsonl")
    steps = [x for x in records if "terms" in x and "skipped" not in x]
    if not steps:
        raise UserError(f"{run} has no record of a step in metrics.jsonl; train it first: python -m train resume {run}")
    teacher_aps = [x["ap"] for x in records if x.get("eval") == "teacher"]
    epochs = tuple(Epoch(x["epoch"], x["ap"], x.get("per_class") or {}) for x in scores(run))
    gradient_records = [x for x in records if "gradients" in x]
    return History(steps, gradient_records, epochs, teacher_aps[0] if teacher_aps else None)


def gradient_norms(record: dict, place: str) -> dict[str, float]:
    """The norm of each loss's gradient at a place; a norm that was not finite, and so is logged as null, is 0."""
    return {loss: by[place] or 0.0 for loss, by in record["gradients"].items()}


def means(steps: list[dict], key: str) -> dict[str, float]:
    """The mean of each number in the record's object `key`, over the steps that have it."""
    values: dict[str, list[float]] = defaultdict(list)
    for step in steps:
        for name, value in step[key].items():
            values[name].append(value)
    return {name: mean(found) for name, found in values.items()}


def mean(values: list[float]) -> float:
    """The arithmetic mean; ZeroDivisionError for an empty list."""
    return sum(values) / len(values)


def percent(share: float) -> str:
    """A share as a percentage; one below 1% keeps its first digit that is not 0."""
    return f"{100 * share:.0f}%" if share >= 0.01 or not share else f"{100 * share:.1g}%"
