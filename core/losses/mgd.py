"""MGD: generate the teacher's features from the student's, of which a random part is hidden.

Yang et al., Masked Generative Distillation, ECCV 2022, arXiv 2205.01529; release yzd-v/MGD, its detection part. Places of
the student's map are hidden at random (Eq. 2, a new draw each step), and a block G of two 3x3 convolutions, with ReLU
between, generates the teacher's full map from the rest:

    sum (F_T - G(f(F_S) M))^2        Eq. 4, over channels and places

times alpha = 2e-5 (Eq. 5), with 0.65 of the places hidden: the paper's values for one-stage detectors; a DETR has no
second stage. As in the release the sum is averaged over images, and f exists only where widths differ.

The paper leaves open, and these are the choices here: levels are added; padding is hidden from G and is no target; levels of
different strides are compared on the teacher's places; in eval mode the mask is always the same, and the same for all images, so
that a step can be replayed. No objects are needed. The loss is lowest, 0, where G generates the teacher's map exactly; a student
that equals the teacher does not reach that before G is trained.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.limits import Share, Weight
from core.losses._imitation import Imitation, Level, Source
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.types import Assignment, Outcome, Targets, Trace

ALPHA = 2e-5  # weight of the loss


@dataclass(frozen=True)
class Config:
    """The share of hidden places, and the features to imitate."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    hidden: Share = 0.65  # Share of places that are hidden from the generation block (lambda).
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    """Eq. 4. Weights: `imitation.adapters`, f of each level, and `blocks`, G of each level."""

    reads: tuple[str, ...] = ("memory",)
    least = "learnt"

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("mgd", teacher)
        self.hidden = config.hidden
        adapter = student.width != teacher.width
        self.imitation = Imitation(student, teacher, source=config.source, adapter=adapter)
        self.blocks = nn.ModuleList(Generation(teacher.width) for _ in self.imitation.names)
        self.weights, self.notes = dict.fromkeys(self.imitation.names, ALPHA), self.imitation.notes

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        levels = self.imitation(student.memory, teacher.memory)
        masks = self.draw_masks(levels)
        generated = [block(x.student, m & x.valid, x.valid) for block, x, m in zip(self.blocks, levels, masks)]
        losses = [(x.teacher - g).pow(2).sum(1) * x.valid for x, g in zip(levels, generated)]
        images = normaliser(targets, torch.ones_like)
        return Outcome({name: loss[None] / images for name, loss in zip(self.weights, losses)})

    def draw_masks(self, levels: list[Level]) -> list[Bool[Tensor, "b _ _"]]:
        """Eq. 2 for each level: True where G sees the student's map."""
        return [(self.uniform(x.valid) >= self.hidden).expand_as(x.valid) for x in levels]

    def uniform(self, valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "_ h w"]:
        """Random numbers in [0, 1): new ones for each image in training; in eval mode always the same, once for all images."""
        if self.training:
            return torch.rand(valid.shape, device=valid.device)
        return torch.rand(valid[:1].shape, device=valid.device, generator=torch.Generator(valid.device).manual_seed(0))


class Generation(nn.Module):
    """The generation block G of Eq. 3: two 3x3 convolutions, `first` and `second`. Both read zeros beyond the image."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(
        self, x: Float[Tensor, "b d h w"], mask: Bool[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, "b d h w"]:
        hidden = self.first(x * mask[:, None]).relu()
        return self.second(hidden * valid[:, None])
