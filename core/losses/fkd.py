"""FKD: imitate the teacher's features where both detectors have high attention, its attention, and its relations between places.

Zhang and Ma, Improve Object Detection with Feature-based Knowledge Distillation, ICLR 2021 (OpenReview uKhGRvM8QNH);
release ArchipLab-LinfengZhang/Object-Detection-Knowledge-Distillation-ICLR2021, whose code is the supplement. Each term is
the norm (not its square) of a difference, over channels and places of a level:

    feature    sqrt(sum M_s M_c (F_T - f(F_S))^2), attention-guided; M is the mean of both detectors' attentions, of places
               and of channels (`core.losses._imitation`), and has no gradient
    spatial    of the maps' means over channels, the student's through a 3x3 convolution
    channel    of the maps' means over places, the student's through a linear layer
    relation   of r(F_T) and the student's f(r(F_S)), each detector with a non-local block r of its own, which trains

Weights and temperature are the release's for one-stage detectors; a DETR has no second stage. As there, r takes dot
products without a softmax and starts as the identity, and the means keep their signs.

The paper leaves open, and these are the choices here: norms are taken for each image, and averaged over images (the release
takes one norm of its batch of two, which gives 1.4 times as much); levels are added; r has no BatchNorm, which would read
padding, and its keys are places pooled to a stride of 32 pixels, at least two by two (the release pools 8, 4, 2 places at strides
4, 8, 16); the student's attention is that of f(F_S), where its channels are the teacher's; padding is never read; levels of
different strides are compared on the teacher's places. No objects are needed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.limits import Positive, Weight
from core.losses._imitation import (
    Imitation,
    Level,
    Source,
    channel_adapter,
    channel_attention,
    mean_of_places,
    spatial_attention,
)
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.types import Assignment, Outcome, Targets, Trace

KEY_STRIDE = 32  # pixels between the pooled places that are the keys of a non-local block
EPS = 1e-12  # added under the root, whose gradient is infinite at 0


@dataclass(frozen=True)
class Config:
    """Weights of the terms, and the temperature of the attentions."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    temperature: Positive = 0.1  # Temperature of the spatial and the channel attention (T).
    feature: Weight = 4.2e-4  # Weight of the difference of the features.
    attention: Weight = 2.4e-2  # Weight of the differences of the means over channels and over places.
    relation: Weight = 4.2e-4  # Weight of the difference of the non-local relations.
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    """The four terms on every level. Weights: `heads`, a `Head` for each level."""

    reads: tuple[str, ...] = ("memory",)

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("fkd", teacher)
        self.imitation = Imitation(student, teacher, source=config.source, adapter=False)
        self.notes, names = self.imitation.notes, self.imitation.names
        strides = [teacher.strides[t] for _, t in self.imitation.pairs]
        self.heads = nn.ModuleList(Head(student.width, teacher.width, stride, config.temperature) for stride in strides)
        parts = {"feature": config.feature, "spatial": config.attention, "relation": config.relation}
        self.weights = {f"{part}_{name}": w for name in names for part, w in parts.items()}
        self.weights["channel"] = config.attention

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        images = normaliser(targets, torch.ones_like)
        maps: dict[str, Tensor] = {}
        channels = []
        for name, head, level in zip(self.imitation.names, self.heads, self.imitation(student.memory, teacher.memory)):
            squares = head(level)
            channels.append(norm_shares(squares.pop("channel")).sum(1) / images)
            maps |= {f"{part}_{name}": norm_shares(x)[None] / images for part, x in squares.items()}
        return Outcome(maps | {"channel": torch.stack(channels, -1)[None]})


def norm_shares(squares: Float[Tensor, " b *n"]) -> Float[Tensor, " b *n"]:
    """Divides the squares of each image so that they add up to their norm, the root of their sum."""
    total = squares.flatten(1).sum(1)
    return squares / (total + EPS).sqrt().view(-1, *[1] * (squares.dim() - 1))


class Head(nn.Module):
    """The four differences of one level, squared.

    Weights: `feature` and `relation`, f of those two terms; `spatial` and `channel`, the layers of the student's means; `mine`
    and `theirs`, the blocks r of student and teacher. Every layer starts as the identity, those between two widths only where
    the widths agree.
    """

    def __init__(self, student_width: int, teacher_width: int, stride: int, temperature: float):
        super().__init__()
        self.temperature = temperature
        self.feature, self.relation, self.spatial = (
            channel_adapter(student_width, teacher_width),
            channel_adapter(student_width, teacher_width),
            nn.Conv2d(1, 1, 3, padding=1),
        )
        self.channel = nn.Linear(student_width, teacher_width)
        pool = max(2, KEY_STRIDE // stride)
        self.mine, self.theirs = (NonLocal(width, pool) for width in (student_width, teacher_width))
        nn.init.dirac_(self.spatial.weight)
        nn.init.zeros_(self.spatial.get_parameter("bias"))
        if student_width == teacher_width:
            nn.init.eye_(self.channel.weight)
            nn.init.zeros_(self.channel.bias)

    def forward(self, level: Level) -> dict[str, Float[Tensor, " b *_"]]:
        """Squared differences at each place, and of each channel for the term "channel"."""
        s, t, valid = level.student, level.teacher, level.valid
        adapted = self.feature(s)
        relation = self.theirs(t, valid) - self.relation(self.mine(s, valid))
        spatial = t.mean(1) - self.spatial(s.mean(1, keepdim=True) * valid[:, None])[:, 0]
        channel = mean_of_places(t, valid) - self.channel(mean_of_places(s, valid))
        return {
            "feature": self.guide((t - adapted).pow(2), adapted, level),
            "spatial": spatial.pow(2) * valid,
            "relation": relation.pow(2).sum(1) * valid,
            "channel": channel.pow(2),
        }

    def guide(
        self, squares: Float[Tensor, "b d h w"], adapted: Float[Tensor, "b d h w"], level: Level
    ) -> Float[Tensor, "b h w"]:
        """Weighs squared differences by M_s and M_c, the mean attentions of teacher and student; sums over channels."""
        with torch.no_grad():
            t, s = ((x, level.valid, self.temperature) for x in (level.teacher, adapted))
            place, channel = ((f(*t) + f(*s)) / 2 for f in (spatial_attention, channel_attention))
        return place * einsum(channel, squares, "b d, b d h w -> b h w")


class NonLocal(nn.Module):
    """Non-local block r (Wang et al., CVPR 2018) with dot products: adds to each place an attention over all pooled places.

    Without a softmax, keys and values are multiplied first, so that no matrix of places x places is needed. It starts as the
    identity.
    """

    def __init__(self, width: int, pool: int):
        super().__init__()
        self.pool, inner = pool, max(1, width // (4 if pool > 2 else 2))
        self.query, self.key, self.value = (nn.Conv2d(width, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.get_parameter("bias"))

    def forward(self, x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b d h w"]:
        keys = F.max_pool2d(valid.float(), self.pool, ceil_mode=True)  # 1 where a pooled place has a place of the image
        key, value = (self.max_pool(f(x), valid) * keys[:, None] for f in (self.key, self.value))
        count = keys.sum((-2, -1)).clamp(min=1)[:, None, None]
        mixed = einsum(key, value, "b k h w, b v h w -> b k v") / count
        return x + self.out(einsum(self.query(x), mixed, "b k h w, b k v -> b v h w"))

    def max_pool(self, x: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b k _ _"]:
        """Maximum of the valid places of each window."""
        x = x.masked_fill(~valid[:, None], torch.finfo(x.dtype).min)
        return F.max_pool2d(x, self.pool, ceil_mode=True)
