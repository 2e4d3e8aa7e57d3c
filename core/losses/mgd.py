"""MGD: make the teacher's features from a part of the student's.

Yang et al., Masked Generative Distillation, ECCV 2022, arXiv 2205.01529; release yzd-v/MGD, its detection part. Places of
the student's map are hidden at random (Eq. 2, a new draw each step), and a block G of two 3x3 convolutions, with ReLU
between, makes the teacher's whole map of the rest:

    sum (F_T - G(f(F_S) M))^2        Eq. 4, over channels and places

times alpha = 2e-5 (Eq. 5), with 0.65 of the places hidden: the paper's values for one-stage detectors; a DETR has no
second stage. As in the release the sum is averaged over images, and f is there only where widths differ.

Left open, and chosen here: levels add up; padding is hidden from G and no target; a pair of other strides meets on the
teacher's places; in eval mode the draw is always the same, for all images, so that a step can be replayed. No objects are
needed. The loss is at its least, 0, where G makes the teacher's map, which no student does before G has learnt.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.losses._imitation import Imitation, Level, Source
from core.losses.base import Loss, normaliser, require_teacher
from core.types import Outcome

ALPHA = 2e-5


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    hidden: float = 0.65  # Share of places that are hidden from the generation block (lambda).
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    least = "learnt"

    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("mgd", teacher)
        self.hidden = config.hidden
        adapter = student.width != teacher.width
        self.imitation = Imitation(student, teacher, source=config.source, adapter=adapter)
        self.blocks = nn.ModuleList(Generation(teacher.width) for _ in self.imitation.names)
        self.weights, self.notes = dict.fromkeys(self.imitation.names, ALPHA), self.imitation.notes

    def forward(self, student, teacher, targets, pairs):
        levels = self.imitation(student.memory, teacher.memory)
        seen = self.draw(levels)
        made = [block(x.student, m & x.valid, x.valid) for block, x, m in zip(self.blocks, levels, seen)]
        gaps = [(x.teacher - m).pow(2).sum(1) * x.valid for x, m in zip(levels, made)]
        images = normaliser(targets, torch.ones_like)
        return Outcome({name: gap[None] / images for name, gap in zip(self.weights, gaps)})

    def draw(self, levels: list[Level]) -> list[Bool[Tensor, "b _ _"]]:
        """Eq. 2, level by level: True where G sees the student's map."""
        return [(self.uniform(x.valid) >= self.hidden).expand_as(x.valid) for x in levels]

    def uniform(self, valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "_ h w"]:
        """For each image its own; in eval mode one for all, always the same."""
        if self.training:
            return torch.rand(valid.shape, device=valid.device)
        return torch.rand(valid[:1].shape, device=valid.device, generator=torch.Generator(valid.device).manual_seed(0))


class Generation(nn.Module):
    """G of Eq. 3. Beyond the image both convolutions read zeros."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(
        self, x: Float[Tensor, "b d h w"], seen: Bool[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, "b d h w"]:
        hidden = self.first(x * seen[:, None]).relu()
        return self.second(hidden * valid[:, None])
