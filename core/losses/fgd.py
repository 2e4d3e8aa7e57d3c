"""FGD: imitate the teacher's features, objects and background apart, and what each place takes from the whole image.

Yang et al., Focal and Global Knowledge Distillation for Detectors, CVPR 2022, arXiv 2111.11837; release yzd-v/FGD. With
the attentions of places and channels, A^S and A^C (Eq. 4 to 7, `core.losses._imitation`), and R the block of Eq. 12:

    feature     sum (alpha M + beta (1 - M)) S A^S A^C (F_T - f(F_S))^2      Eq. 8; A^S and A^C are the teacher's
    attention   gamma sum |A^S_T - A^S_S|                                    Eq. 9; `channels` is the same for A^C
    relation    lambda sum (R_T(F_T) - R_S(F_S))^2                           Eq. 11

The weights of `feature` are within it, since on a coarse map objects may leave no background. M is 1 on objects; S divides
by the area of the smallest box on a place, and by the number of places on none (Eq. 3). Weights and temperature are those
that DETRDistill's release gives FGD for Deformable DETR (of the neck, every level), which are FGD's own for RetinaNet. As
in its release the sums are averaged over images, f is there only where widths differ, each detector has an R of its own,
which trains, and a box covers the places from floor to ceiling of its edges.

Left open, and chosen here: levels add up; padding is never read and counts neither in S nor in the softmax; boxes are
taken to places by the image's own size (the release stretches them over the padded map); an image without objects is
background; a pair of other strides meets on the teacher's places.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.boxes import in_pixels
from core.losses._imitation import Imitation, Level, Source, channel_attention, spatial_attention
from core.losses.base import Loss, normaliser, require_teacher
from core.matching.costs import padded_targets
from core.types import Outcome, Targets

SLACK = 1e-3  # of a place: an edge so near to the next place is on the line between them


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    temperature: float = 0.5  # Temperature of the spatial and the channel attention (T).
    foreground: float = 1e-3  # Weight of the foreground (alpha).
    background: float = 5e-4  # Weight of the background (beta).
    attention: float = 5e-4  # Weight of the spatial and the channel attention (gamma).
    relation: float = 5e-6  # Weight of the global relation (lambda); 0 leaves it out.
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("fgd", teacher)
        self.config = config
        adapter = student.width != teacher.width
        self.imitation = Imitation(student, teacher, source=config.source, adapter=adapter)
        self.notes, names = self.imitation.notes, self.imitation.names
        self.relations = nn.ModuleList(Relation(teacher.width) for _ in names if config.relation)
        parts = {"feature": float(bool(config.foreground or config.background)), "relation": config.relation}
        weights = {f"{part}_{name}": w for name in names for part, w in parts.items()}
        weights |= dict.fromkeys(("attention", "channels"), config.attention)
        self.weights = {name: w for name, w in weights.items() if w}

    def forward(self, student, teacher, targets, pairs):
        levels, images = self.imitation(student.memory, teacher.memory), normaliser(targets, torch.ones_like)
        gaps = [self.attentions(level) for level in levels]
        maps = {name: rearrange(list(x), "n b -> 1 b n") for name, x in zip(("attention", "channels"), zip(*gaps))}
        for i, (name, level) in enumerate(zip(self.imitation.names, levels)):
            maps[f"feature_{name}"] = self.feature(level, targets, teacher.memory.sizes)[None]
            if self.relations:
                maps[f"relation_{name}"] = self.relations[i](level)[None]
        return Outcome({name: maps[name] / images for name in self.weights})

    def attentions(self, level: Level) -> list[Float[Tensor, " b"]]:
        """Eq. 9, of places and of channels."""
        theirs, mine = ((x, level.valid, self.config.temperature) for x in (level.teacher, level.student))
        return [(f(*theirs) - f(*mine)).abs().flatten(1).sum(1) for f in (spatial_attention, channel_attention)]

    def feature(self, level: Level, targets: Targets, sizes: Int[Tensor, "b 2"]) -> Float[Tensor, "b h w"]:
        """Eq. 8, by place."""
        theirs = level.teacher, level.valid, self.config.temperature
        gap = einsum(channel_attention(*theirs), (level.teacher - level.student).pow(2), "b d, b d h w -> b h w")
        inside, outside = scales(level, targets, sizes)
        return (self.config.foreground * inside + self.config.background * outside) * spatial_attention(*theirs) * gap


class Relation(nn.Module):
    """Eq. 11, by place."""

    def __init__(self, width: int):
        super().__init__()
        self.mine, self.theirs = Context(width), Context(width)

    def forward(self, level: Level) -> Float[Tensor, "b h w"]:
        gap = self.theirs(level.teacher, level.valid) - self.mine(level.student, level.valid)
        return gap.pow(2).sum(1) * level.valid


class Context(nn.Module):
    """GcBlock (Cao et al., 2019), Eq. 12: every place gains the same, made of what one attention sees in the whole map.

    It starts as the identity.
    """

    def __init__(self, width: int):
        super().__init__()
        self.look = nn.Conv2d(width, 1, 1)
        self.change = nn.Sequential(
            nn.Linear(width, width // 2), nn.LayerNorm(width // 2), nn.ReLU(), nn.Linear(width // 2, width)
        )
        nn.init.kaiming_normal_(self.look.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.look.bias)
        nn.init.zeros_(self.change[-1].weight)
        nn.init.zeros_(self.change[-1].bias)

    def forward(self, x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b d h w"]:
        share = self.look(x)[:, 0].masked_fill(~valid, torch.finfo(x.dtype).min)
        share = share.flatten(1).softmax(1).unflatten(1, valid.shape[1:]) * valid
        context = einsum(share, x, "b h w, b d h w -> b d")
        return x + rearrange(self.change(context), "b d -> b d 1 1")


@torch.no_grad()
def scales(
    level: Level, targets: Targets, sizes: Int[Tensor, "b 2"]
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """M S and (1 - M) S of Eq. 3."""
    boxes, _, real = padded_targets(targets)
    low, high = (in_pixels(boxes, sizes) / level.stride).split(2, dim=-1)
    first, last = (low + SLACK).floor(), (high - SLACK).ceil()
    columns, rows = (along(first[..., i], last[..., i], n) for i, n in enumerate(level.valid.shape[:0:-1]))
    share = (real / (last - first + 1).prod(-1))[..., None, None] * rows[..., None] * columns[..., None, :]
    share = F.pad(share, (0, 0, 0, 0, 1, 0)).amax(1)  # an object that is nowhere stands in where there is none
    free = level.valid & (share == 0)
    return share * level.valid, free / free.sum((-2, -1), keepdim=True).clamp(min=1)


def along(first: Float[Tensor, "b t"], last: Float[Tensor, "b t"], places: int) -> Bool[Tensor, "b t n"]:
    """Which places of an axis lie from the first to the last, both included."""
    place = torch.arange(places, device=first.device)
    return (place >= first[..., None]) & (place <= last[..., None])
