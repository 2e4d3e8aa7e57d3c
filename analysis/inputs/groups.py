"""Rows of one setting over seeds, and comparisons of a student trained alone with the same student distilled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

from analysis.inputs.rows import Row, detector_title


@dataclass(frozen=True)
class Group:
    """The rows of one setting, which differ only in their seed; at least one."""

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """The first row; it stands for the group in all but the scores."""
        return self.rows[0]

    @property
    def preference(self) -> tuple[int, int]:
        """Sort key: larger for options nearer to the defaults, then for more seeds."""
        return -len(self.first.options), len(self.rows)

    def values(self, key: str = "ap") -> list[float]:
        """A COCO metric of each seed, 0 to 1, without seeds for which it is unknown."""
        scores = [row.score(key) for row in self.rows]
        return [x for x in scores if x is not None]

    def mean(self, key: str = "ap") -> float | None:
        """Mean of a COCO metric over seeds; None if it is unknown."""
        return mean(self.values(key)) if self.values(key) else None

    def spread(self, key: str = "ap") -> float | None:
        """Sample standard deviation of a COCO metric over seeds; None with fewer than two."""
        return stdev(self.values(key)) if len(self.values(key)) > 1 else None


@dataclass(frozen=True)
class Comparison:
    """One student on one dataset and schedule: trained alone ("student") and with DETRDistill ("distilled"), or one of these."""

    groups: dict[str, Group]  # by `Row.kind`
    note: str = ""  # added to the label to distinguish it from comparisons of the same detector and data

    @property
    def first(self) -> Row:
        """The first row of the first group."""
        return next(iter(self.groups.values())).first

    @property
    def label(self) -> str:
        """Title for panels and captions: detector, validation images and the note."""
        return f"{detector_title(self.first.detector)}, {self.first.data}{self.note}"

    @property
    def schedule(self) -> str:
        """Epochs and number of training images, as an addition to the label: ", 12 epochs of 500 images"."""
        limit = self.first.run["data"]["train_limit"] if self.first.run else None
        return f", {self.first.result.get('epochs')} epochs" + (f" of {limit} images" if limit else "")

    @property
    def complete(self) -> bool:
        """Returns whether it has both the student alone and the distilled student."""
        return len(self.groups) == 2

    @property
    def teacher_scores(self) -> dict | None:
        """COCO metrics of the teacher, 0 to 1; None without a distilled student, or if they are unknown."""
        return self.groups["distilled"].first.result.get("teacher_scores") if "distilled" in self.groups else None

    @property
    def detector_and_data(self) -> tuple[str, str]:
        """The student's detector and the name of the validation images."""
        return self.first.detector, self.first.data


def with_distinct_labels(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with notes that make their labels distinct: first the schedule, then a number."""
    for note in (lambda comparison, k: comparison.schedule, lambda comparison, k: f"{comparison.note} ({k})"):
        labels = [comparison.label for comparison in comparisons]
        repeated = {label: labels.count(label) > 1 for label in labels}
        counts = [labels[:k].count(label) + 1 for k, label in enumerate(labels)]
        comparisons = [replace(c, note=note(c, k)) if repeated[c.label] else c for c, k in zip(comparisons, counts)]
    return list(comparisons)


def ap_points(group: Group) -> list[dict]:
    """AP of each seed and evaluation that has one, as {"seed", "epoch", "minutes", "ap"}.

    Minutes are measured ones, so they include the load of the machine.
    """
    rows = []
    for row in group.rows:
        result = row.result
        after = result.get("measured_after", range(1, 1 + len(result["ap_by_epoch"])))
        minutes = result["seconds"] / result["epochs"] / 60
        rows += [
            {"seed": row.seed, "epoch": epoch, "minutes": epoch * minutes, "ap": 100 * ap}
            for epoch, ap in zip(after, result["ap_by_epoch"])
            if ap is not None
        ]
    return rows
