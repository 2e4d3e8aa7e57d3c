"""Objects that one model finds and another does not, such as a student with and without distillation."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from core.metrics.detections import Detections
from core.metrics.hits import Objects, hits

Kind = Literal["kept", "gained", "lost", "missed"]
MIN_SCORE = 0.3  # score from which a detection counts; one below it would not be shown to anybody


@dataclass(frozen=True)
class Changes:
    """Scores with which two models found each object, crowd regions left out; 0 where none of its detections did."""

    object: Int[ndarray, " t"]  # row in `Objects`
    before: Float[ndarray, " t"]  # score of the first model's detection
    after: Float[ndarray, " t"]  # that of the second model's
    min_score: float  # score from which an object counts as found

    @property
    def kind(self) -> ndarray:
        """The `Kind` of each object: kept (found by both), gained, lost, or missed (by both)."""
        before, after = self.before >= self.min_score, self.after >= self.min_score
        return np.select([before & after, after, before], ["kept", "gained", "lost"], "missed")

    def count(self, kind: Kind) -> int:
        """Number of objects of a kind."""
        return int((self.kind == kind).sum())


def changes(before: Detections, after: Detections, truth: Objects, min_score: float = MIN_SCORE) -> Changes:
    """Compares two models on the same images.

    An object is found by a detection of its class with an IoU of 0.5 or more and a score of `min_score` or more.
    """
    rows = np.flatnonzero(~truth.crowd)
    return Changes(rows, finding_scores(before, truth)[rows], finding_scores(after, truth)[rows], min_score)


def finding_scores(detections: Detections, truth: Objects) -> Float[ndarray, " t"]:
    """Score of the detection that found each object, 0 where none did."""
    row = hits(detections, truth).detection
    scores = np.append(detections.scores.double().numpy(), 0.0)  # row -1, that of an object without a detection
    return scores[row]
