"""FitNet: imitate the teacher's features everywhere alike.

Romero et al., ICLR 2015, arXiv 1412.6550, as a term beside the detection loss: the mean squared difference of the
feature maps, the student's through a 1x1 convolution. It is the target-aware loss with a mask of 1.
"""

from dataclasses import dataclass

import torch

from core.losses._imitation import Imitation, Source
from core.losses.base import Loss, normaliser, require_teacher
from core.types import Outcome


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    source: Source = "encoder"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("fitnet", teacher)
        self.imitation = Imitation(student, teacher, source=config.source)
        self.weights = dict.fromkeys(self.imitation.names, 1.0)
        self.notes = self.imitation.notes

    def forward(self, student, teacher, targets, pairs):
        levels = self.imitation(student.memory, teacher.memory)
        each = normaliser(targets, torch.ones_like) * len(levels)
        return Outcome({name: (x.gap / (x.places * each))[None] for name, x in zip(self.weights, levels)})
