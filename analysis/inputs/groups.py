"""Rows of one setting over seeds, and the two settings that a figure compares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

from analysis.inputs.rows import Row, title


@dataclass(frozen=True)
class Group:
    """Rows of one setting over seeds."""

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        return self.rows[0]

    @property
    def usual(self) -> tuple[int, int]:
        """More is nearer to the defaults, then of more seeds."""
        return -len(self.first.options), len(self.rows)

    def values(self, key: str = "ap") -> list[float]:
        found = [row.scores(key) for row in self.rows]
        return [x for x in found if x is not None]

    def mean(self, key: str = "ap") -> float | None:
        return mean(self.values(key)) if self.values(key) else None

    def spread(self, key: str = "ap") -> float | None:
        """The sample's standard deviation over seeds; None of one."""
        return stdev(self.values(key)) if len(self.values(key)) > 1 else None


@dataclass(frozen=True)
class Stand:
    """What is to be compared: by kind, the student alone and distilled with all of DETRDistill, else the same."""

    groups: dict[str, Group]
    note: str = ""  # what sets it apart from others of its detector and data

    @property
    def first(self) -> Row:
        return next(iter(self.groups.values())).first

    @property
    def label(self) -> str:
        return f"{title(self.first.detector)}, {self.first.data}{self.note}"

    @property
    def schedule(self) -> str:
        limit = self.first.run["data"]["train_limit"] if self.first.run else None
        return f", {self.first.told.get('epochs')} epochs" + (f" of {limit} images" if limit else "")

    @property
    def whole(self) -> bool:
        return len(self.groups) == 2

    @property
    def teacher(self) -> dict | None:
        """COCO's numbers of the teacher."""
        return self.groups["distilled"].first.told.get("teacher_scores") if "distilled" in self.groups else None


def place(stand: Stand) -> tuple[str, str]:
    return stand.first.detector, stand.first.data


def apart(stands: Sequence[Stand]) -> list[Stand]:
    """With labels that differ: by their schedules, then by number."""
    for note in (lambda stand, k: stand.schedule, lambda stand, k: f"{stand.note} ({k})"):
        labels = [stand.label for stand in stands]
        seen = {label: labels.count(label) > 1 for label in labels}
        counts = [labels[:k].count(label) + 1 for k, label in enumerate(labels)]
        stands = [replace(s, note=note(s, k)) if seen[s.label] else s for s, k in zip(stands, counts)]
    return list(stands)
