"""Whether a score is the chance of being right."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Of detections whose scores fall into bins of equal width; NaN where a bin is empty."""

    low: Float[ndarray, " k"]  # the lower end of each bin
    count: Int[ndarray, " k"]
    score: Float[ndarray, " k"]  # mean
    right: Float[ndarray, " k"]  # share that found an object
    error: float  # mean of |score - right| over detections: the expected calibration error


def calibration(score: Float[ndarray, " n"], right: Bool[ndarray, " n"], bins: int = BINS) -> Calibration:
    """Naeini et al., AAAI 2015, for detections as in Kueppers et al., CVPR-W 2020: right is what found an object.

    Scores are 0 .. 1; a score of 1 falls into the last bin. NaN of no detections at all.
    """
    place = np.minimum((score.astype(np.float64) * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, x.astype(np.float64), minlength=bins) for x in (score, right)]
    with np.errstate(invalid="ignore"):
        mean, share = (x / count for x in sums)
        error = np.abs(sums[0] - sums[1]).sum() / count.sum() if count.sum() else np.nan
    return Calibration(np.arange(bins) / bins, count, mean, share, float(error))
