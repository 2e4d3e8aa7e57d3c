"""Objects that one model finds and another does not."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from core.metrics.detections import Detections
from core.metrics.hits import Objects, hits

Kind = Literal["kept", "gained", "lost", "missed"]
MIN_SCORE = 0.3  # a detection of a lower score has found nothing that anybody would be shown


@dataclass(frozen=True)
class Changes:
    """Of each object that can be found; scores are of the detections that found it, 0 where none did."""

    object: Int[ndarray, " t"]  # row of the objects
    before: Float[ndarray, " t"]
    after: Float[ndarray, " t"]
    sure: float

    @property
    def kind(self) -> ndarray:
        """kept, gained, lost, or missed by both."""
        had, has = self.before >= self.sure, self.after >= self.sure
        return np.select([had & has, has, had], ["kept", "gained", "lost"], "missed")

    def count(self, kind: Kind) -> int:
        return int((self.kind == kind).sum())


def changes(before: Detections, after: Detections, truth: Objects, sure: float = MIN_SCORE) -> Changes:
    """Two models on the same images. An object is found by a detection of its class, at IoU 0.5, that scores `sure`."""
    rows = np.flatnonzero(~truth.crowd)
    return Changes(rows, *(finding_scores(found, truth)[rows] for found in (before, after)), sure)


def finding_scores(found: Detections, truth: Objects) -> Float[ndarray, " t"]:
    by = hits(found, truth).detection
    scores = np.append(found.scores.double().numpy(), 0.0)  # the last for what nobody found
    return scores[by]
