"""The scores of the detections that found each object, as a column that grows while the images are analysed."""

from collections.abc import Mapping
from threading import Lock

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from app.replay.facts import Facts
from app.worker.columns import Columns


class ObjectScores:
    """A column beside those of `Columns`: NaN until the object's image has been analysed, 0 where no detection found it."""

    def __init__(self, columns: Columns) -> None:
        self.first, self.counts = columns.first, columns.counts
        self.column = np.full(len(columns.image), np.nan)
        self.known: Mapping[int, Facts] = {}  # whose scores are in the column, but for those that came since
        self.taken, self.lock = 0, Lock()

    def upto(self, known: Mapping[int, Facts]) -> Float[ndarray, " t"]:
        """The column with what is known by now. Facts that came since the last time are added, so that each is read once."""
        with self.lock:
            if known is not self.known:
                self.known, self.taken = known, 0
                self.column = np.full(len(self.column), np.nan)
            elif len(known) == self.taken:
                return self.column
            column, facts = self.column.copy(), list(known.items())
            for index, fact in facts[self.taken :]:
                first = self.first[index]
                column[first : first + self.counts[index]] = fact.object_scores
            self.column, self.taken = column, len(facts)
            return column
