"""Calibration: whether the score of a detection is the probability that it is right."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

BINS = 10  # of equal width, over scores 0 .. 1


@dataclass(frozen=True)
class Calibration:
    """Means over the detections of each bin of scores; NaN in an empty bin."""

    low: Float[ndarray, " k"]  # lower end of the bin
    count: Int[ndarray, " k"]  # number of detections
    score: Float[ndarray, " k"]  # mean score
    right: Float[ndarray, " k"]  # share of detections that hit an object
    error: float  # expected calibration error: mean of |score - right| of the bins, weighted by count


def calibration(score: Float[ndarray, " n"], right: Bool[ndarray, " n"], bins: int = BINS) -> Calibration:
    """Calibration of detections with these scores (0 .. 1), `right` where a detection hits an object.

    Naeini et al., AAAI 2015; for detections as in Kueppers et al., CVPR-W 2020. A score of 1 falls into the last bin. The error
    is NaN if there are no detections.
    """
    index = np.minimum((score.astype(np.float64) * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    sums = [np.bincount(index, x.astype(np.float64), minlength=bins) for x in (score, right)]
    with np.errstate(invalid="ignore"):
        score_mean, right_share = (x / count for x in sums)
        error = np.abs(sums[0] - sums[1]).sum() / count.sum() if count.sum() else np.nan
    return Calibration(np.arange(bins) / bins, count, score_mean, right_share, float(error))
