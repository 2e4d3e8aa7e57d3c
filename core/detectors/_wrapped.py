"""A detector that changes what another one predicts, and is that detector in everything else."""

from torch import nn

from core.detectors.base import Detector
from core.types import Images, Memory, Queries


class Wrapped(Detector):
    """The base of such detectors. A subclass sets `config` and defines `decode`."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    @property
    def kind(self) -> str:
        """Name of the wrapped detector."""
        return self.detector.kind

    @property
    def proposes(self) -> bool:
        """Returns whether the queries of the wrapped detector are proposals of its encoder."""
        return self.detector.proposes

    @property
    def proposes_classes(self) -> bool:
        """Returns whether the proposals of the wrapped detector have a logit for each of its own classes."""
        return self.detector.proposes_classes

    @property
    def reads_padding(self) -> bool:
        """Returns whether the predictions of the wrapped detector depend on padding."""
        return self.detector.reads_padding

    @property
    def known(self) -> tuple[bool, ...]:
        """Returns whether the wrapped detector knows each class."""
        return self.detector.known

    @property
    def samplers(self) -> tuple[nn.Module, ...]:
        """The modules of the wrapped detector's decoder layers that read memory."""
        return self.detector.samplers

    def encode(self, images: Images) -> Memory:
        return self.detector.encode(images)

    def propose(self, memory: Memory) -> Queries:
        return self.detector.propose(memory)
