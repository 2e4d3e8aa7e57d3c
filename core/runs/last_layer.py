"""Teachers of which only the last decoder layer teaches."""

from dataclasses import replace

from core.detectors.base import Detector
from core.types import Images, Memory, Predictions, Queries


class LastLayer(Detector):
    """A detector whose predictions are those of its last decoder layer, as one layer."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector
        self.config = replace(detector.config, layers=1)

    @property
    def kind(self) -> str:
        """Name of the wrapped detector."""
        return self.detector.kind

    @property
    def proposes(self) -> bool:
        """Whether the queries of the wrapped detector are proposals of its encoder."""
        return self.detector.proposes

    @property
    def known(self) -> tuple[bool, ...]:
        """Whether the wrapped detector knows each class."""
        return self.detector.known

    def encode(self, images: Images) -> Memory:
        return self.detector.encode(images)

    def propose(self, memory: Memory) -> Queries:
        return self.detector.propose(memory)

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        predictions = self.detector.decode(memory, queries)
        return Predictions(*(x[-1:] for x in vars(predictions).values()))
