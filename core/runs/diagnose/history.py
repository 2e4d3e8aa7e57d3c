"""What a run wrote down while it trained: its terms, what they pull at, and its scores."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.runs.results import read_lines, scores

PART = 5  # the first and the last steps are a fifth of all each: long enough to even out batches, and not the whole
PLACES = ("features", "decoder")


@dataclass(frozen=True)
class Term:
    """Means over the first and the last steps."""

    name: str  # loss/map
    first: float  # unweighted
    last: float
    share: float  # of the loss, weighted, in the last steps


@dataclass(frozen=True)
class LossShare:
    """How much a loss counts at the end of training."""

    loss: str
    share: float  # of the loss
    features: float | None  # of the gradient at the student's neck; None: it was not looked at
    decoder: float | None  # of the gradient in the student's decoder

    @property
    def gradient(self) -> float | None:
        """The larger of both: a loss may rightly act on one alone."""
        known = [x for x in (self.features, self.decoder) if x is not None]
        return max(known, default=None)

    @property
    def said(self) -> str:
        if self.gradient is None:
            return f"{percent(self.share)} of the loss"
        place = "at the features" if self.features == self.gradient else "in the decoder"
        return f"{percent(self.gradient)} of the gradient {place}"


@dataclass(frozen=True)
class Epoch:
    """The student, measured."""

    epoch: int
    ap: float | None


@dataclass(frozen=True)
class History:
    steps: list[dict]  # those that counted
    looks: list[dict]  # at the gradients
    epochs: tuple[Epoch, ...]
    teacher: float | None  # AP

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        first, last = (means(part, "terms") for part in (self.ends[0], self.ends[1]))
        counted = means(self.ends[1], "weighted")
        whole = sum(map(abs, counted.values())) or 1.0
        return tuple(Term(name, first[name], last[name], abs(counted[name]) / whole) for name in last)

    @cached_property
    def pulls(self) -> tuple[LossShare, ...]:
        shares = defaultdict(float)
        for term in self.terms:
            shares[term.name.split("/")[0]] += term.share
        pulled = {place: self.gradient(place) for place in PLACES}
        return tuple(LossShare(loss, x, *(pulled[place].get(loss) for place in PLACES)) for loss, x in shares.items())

    @property
    def ends(self) -> tuple[list[dict], list[dict]]:
        n = max(1, len(self.steps) // PART)
        return self.steps[:n], self.steps[-n:]

    @property
    def best(self) -> float:
        return max((e.ap or 0.0 for e in self.epochs), default=0.0)

    def gradient(self, place: str) -> dict[str, float]:
        """The mean share of each loss, over the looks of the second half of training; {} if nobody looked."""
        found = [sizes(look, place) for look in self.looks[len(self.looks) // 2 :]]
        found = [{loss: x / sum(by.values()) for loss, x in by.items()} for by in found if sum(by.values())]
        return {loss: mean([by[loss] for by in found]) for loss in found[0]} if found else {}

    def course(self, loss: str) -> np.ndarray:
        """The sum of a loss's terms, weighted, step by step."""
        return np.array([sum(v for k, v in s["weighted"].items() if k.split("/")[0] == loss) for s in self.steps])


def read_history(run: Path) -> History:
    """UserError: it has not trained a step."""
    found = read_lines(run / "metrics.jsonl")
    steps = [x for x in found if "terms" in x and "skipped" not in x]
    if not steps:
        raise UserError(f"{run} has no record of a step in metrics.jsonl; train it first: python -m train resume {run}")
    taught = [x["ap"] for x in found if x.get("eval") == "teacher"]
    epochs = tuple(Epoch(x["epoch"], x["ap"]) for x in scores(run))
    return History(steps, [x for x in found if "gradients" in x], epochs, taught[0] if taught else None)


def sizes(look: dict, place: str) -> dict[str, float]:
    """Of each loss's gradient; what was not finite counts nothing."""
    return {loss: by[place] or 0.0 for loss, by in look["gradients"].items()}


def means(steps: list[dict], key: str) -> dict[str, float]:
    return {name: mean([s[key][name] for s in steps]) for name in steps[-1][key]}


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def percent(share: float) -> str:
    """Small shares keep a digit that is not 0."""
    return f"{100 * share:.0f}%" if share >= 0.01 or not share else f"{100 * share:.1g}%"
