"""FitNet: imitate the teacher's features with the same weight at every place.

Romero et al., ICLR 2015, arXiv 1412.6550, as a term beside the detection loss: the mean squared difference of the
feature maps, the student's through a 1x1 convolution. It equals the target-aware loss `features` with a mask of 1.
"""

from dataclasses import dataclass

import torch

from core.limits import Weight
from core.losses._imitation import Imitation, Source
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.types import Assignment, Outcome, Targets, Trace


@dataclass(frozen=True)
class Config:
    """The features to imitate."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    source: Source = "encoder"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    """Mean squared difference of the features. Weights: `imitation.adapters`, a 1x1 convolution for each level."""

    reads: tuple[str, ...] = ("memory",)

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("fitnet", teacher)
        self.imitation = Imitation(student, teacher, source=config.source)
        self.weights = dict.fromkeys(self.imitation.names, 1.0)
        self.notes = self.imitation.notes

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        levels = self.imitation(student.memory, teacher.memory)
        divisor = normaliser(targets, torch.ones_like) * len(levels)
        maps = [x.squared_error / (x.valid_places * divisor) for x in levels]
        return Outcome({name: x[None] for name, x in zip(self.weights, maps)})
