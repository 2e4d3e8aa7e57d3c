"""FKD: imitate the teacher's features where both detectors are strong, that attention itself, and how places relate.

Zhang and Ma, Improve Object Detection with Feature-based Knowledge Distillation, ICLR 2021 (OpenReview uKhGRvM8QNH);
release ArchipLab-LinfengZhang/Object-Detection-Knowledge-Distillation-ICLR2021, whose code is the supplement. Each term is
the length (not its square) of a difference, over channels and places of a level:

    feature    sqrt(sum M_s M_c (F_T - f(F_S))^2), attention-guided; M is the mean of both detectors' attentions, of places
               and of channels (`core.losses._imitation`), and has no gradient
    spatial    of the maps' means over channels, the student's through a 3x3 convolution
    channel    of the maps' means over places, the student's through a linear layer
    relation   of r(F_T) and the student's f(r(F_S)), each detector with a non-local block r of its own, which trains

Weights and temperature are the release's for one-stage detectors; a DETR has no second stage. As there, r takes dot
products without a softmax and starts as the identity, and the means keep their signs.

Left open, and chosen here: lengths are of an image, and images are averaged (the release measures its batch of two as
one, which gives 1.4 times as much); levels add up; r has no BatchNorm, which would read padding, and looks at places
pooled to a stride of 32 pixels, at least two by two (the release's 8, 4, 2 for strides 4, 8, 16); the student's attention
is that of f(F_S), where its channels are the teacher's; padding is never read; a pair of other strides meets on the
teacher's places. No objects are needed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.losses._imitation import (
    Imitation,
    Level,
    Source,
    channel_adapter,
    channel_attention,
    mean_of_places,
    spatial_attention,
)
from core.losses.base import Loss, normaliser, require_teacher
from core.types import Outcome

KEYS = 32  # pixels between the places that a non-local block looks at
EPS = 1e-12  # under a root, which has no slope at 0


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    temperature: float = 0.1  # Temperature of the spatial and the channel attention (T).
    feature: float = 4.2e-4  # Weight of the difference of the features.
    attention: float = 2.4e-2  # Weight of the differences of the means over channels and over places.
    relation: float = 4.2e-4  # Weight of the difference of the non-local relations.
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("fkd", teacher)
        self.imitation = Imitation(student, teacher, source=config.source, adapter=False)
        self.notes, names = self.imitation.notes, self.imitation.names
        strides = [teacher.strides[t] for _, t in self.imitation.pairs]
        self.heads = nn.ModuleList(Head(student.width, teacher.width, stride, config.temperature) for stride in strides)
        parts = {"feature": config.feature, "spatial": config.attention, "relation": config.relation}
        self.weights = {f"{part}_{name}": w for name in names for part, w in parts.items()}
        self.weights["channel"] = config.attention

    def forward(self, student, teacher, targets, pairs):
        maps, channels, images = {}, [], normaliser(targets, torch.ones_like)
        for name, head, level in zip(self.imitation.names, self.heads, self.imitation(student.memory, teacher.memory)):
            squares = head(level)
            channels.append(length(squares.pop("channel")).sum(1) / images)
            maps |= {f"{part}_{name}": length(x)[None] / images for part, x in squares.items()}
        return Outcome(maps | {"channel": torch.stack(channels, -1)[None]})


def length(squares: Float[Tensor, " b *n"]) -> Float[Tensor, " b *n"]:
    """Shares that add up to the root of an image's sum."""
    whole = squares.flatten(1).sum(1)
    return squares / (whole + EPS).sqrt().view(-1, *[1] * (squares.dim() - 1))


class Head(nn.Module):
    """What is compared on one level, and the layers that this takes. They are the identity at first where widths agree."""

    def __init__(self, mine: int, theirs: int, stride: int, temperature: float):
        super().__init__()
        self.temperature = temperature
        self.feature, self.relation, self.spatial = (
            channel_adapter(mine, theirs),
            channel_adapter(mine, theirs),
            nn.Conv2d(1, 1, 3, padding=1),
        )
        self.channel = nn.Linear(mine, theirs)
        self.mine, self.theirs = (NonLocal(width, max(2, KEYS // stride)) for width in (mine, theirs))
        nn.init.dirac_(self.spatial.weight)
        nn.init.zeros_(self.spatial.bias)
        if mine == theirs:
            nn.init.eye_(self.channel.weight)
            nn.init.zeros_(self.channel.bias)

    def forward(self, level: Level) -> dict[str, Float[Tensor, " b *_"]]:
        """Squared differences by place, and by channel."""
        theirs, mine, valid = level.teacher, level.student, level.valid
        adapted = self.feature(mine)
        relation = self.theirs(theirs, valid) - self.relation(self.mine(mine, valid))
        spatial = theirs.mean(1) - self.spatial(mine.mean(1, keepdim=True) * valid[:, None])[:, 0]
        channel = mean_of_places(theirs, valid) - self.channel(mean_of_places(mine, valid))
        return {
            "feature": self.attend((theirs - adapted).pow(2), adapted, level),
            "spatial": spatial.pow(2) * valid,
            "relation": relation.pow(2).sum(1) * valid,
            "channel": channel.pow(2),
        }

    def attend(
        self, gap: Float[Tensor, "b d h w"], adapted: Float[Tensor, "b d h w"], level: Level
    ) -> Float[Tensor, "b h w"]:
        with torch.no_grad():
            both = [(x, level.valid, self.temperature) for x in (level.teacher, adapted)]
            place, channel = (sum(f(*x) for x in both) / 2 for f in (spatial_attention, channel_attention))
        return place * einsum(channel, gap, "b d, b d h w -> b h w")


class NonLocal(nn.Module):
    """Wang et al., CVPR 2018, with dot products: each place gains what it finds at all pooled places.

    Without a softmax the sum over places comes first, so no table of places x places is made.
    """

    def __init__(self, width: int, pool: int):
        super().__init__()
        self.pool, inner = pool, max(1, width // (4 if pool > 2 else 2))
        self.query, self.key, self.value = (nn.Conv2d(width, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b d h w"]:
        seen = F.max_pool2d(valid.float(), self.pool, ceil_mode=True)
        key, value = (self.pooled(f(x), valid) * seen[:, None] for f in (self.key, self.value))
        count = seen.sum((-2, -1)).clamp(min=1)[:, None, None]
        mixed = einsum(key, value, "b k h w, b v h w -> b k v") / count
        return x + self.out(einsum(self.query(x), mixed, "b k h w, b k v -> b v h w"))

    def pooled(self, x: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b k _ _"]:
        x = x.masked_fill(~valid[:, None], torch.finfo(x.dtype).min)
        return F.max_pool2d(x, self.pool, ceil_mode=True)
