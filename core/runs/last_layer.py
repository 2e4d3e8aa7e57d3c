"""Teachers of which only the last decoder layer teaches."""

from dataclasses import replace

from torch import nn

from core.detectors._wrapped import Wrapped
from core.detectors.base import Detector
from core.types import Memory, Predictions, Queries


class LastLayer(Wrapped):
    """A detector whose predictions are those of its last decoder layer, as one layer."""

    def __init__(self, detector: Detector):
        super().__init__(detector)
        self.config = replace(detector.config, layers=1)

    @property
    def samplers(self) -> tuple[nn.Module, ...]:
        """The module of the last decoder layer that reads memory; none if the wrapped detector has none."""
        return self.detector.samplers[-1:]

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        p = self.detector.decode(memory, queries)
        return Predictions(p.logits[-1:], p.boxes[-1:], p.hidden[-1:])
