"""What a detector must do. To add one, write a file here with a `Config` and a `Model(Detector)`."""

from abc import ABC, abstractmethod

from torch import nn

from core.matching.costs import Matching
from core.types import Images, Memory, Predictions, Queries


class Detector(nn.Module, ABC):
    """Images become memory, memory proposes queries, queries become boxes.

    A group of queries is decoded by a call of its own, so no group can see another.
    `config` is the frozen dataclass that built it; it has at least `classes`, `layers`, `queries`, `width`, `strides`
    and `matching`.
    """

    config: "object"

    @property
    def kind(self) -> str:
        """The name of the detector: that of its file."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @property
    def width(self) -> int:
        """Channels of memory and of queries."""
        return self.config.width

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the levels of memory."""
        return self.config.strides

    @property
    def proposes(self) -> bool:
        """Whether its queries are proposals of its encoder, which `Queries.proposals` holds."""
        return False

    @property
    def known(self) -> tuple[bool, ...]:
        """Of each class, whether the detector can tell it; only a teacher of other classes cannot tell all."""
        return (True,) * self.config.classes

    @property
    def samplers(self) -> tuple[nn.Module, ...]:
        """The part of each decoder layer that reads memory, if it tells where: `read(memory, *arguments of forward)`
        gives places (x, y) in pixels, "b q n 2", and their weights, "b q n", that sum to 1.
        """
        return ()

    @property
    def matching(self) -> Matching:
        return self.config.matching

    @abstractmethod
    def encode(self, images: Images) -> Memory: ...

    @abstractmethod
    def propose(self, memory: Memory) -> Queries: ...

    @abstractmethod
    def decode(self, memory: Memory, queries: Queries) -> Predictions: ...

    def forward(self, images: Images) -> Predictions:
        """Inference: what is exported."""
        memory = self.encode(images)
        return self.decode(memory, self.propose(memory))
