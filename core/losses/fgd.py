"""FGD: imitate the teacher's features, with separate weights for objects and background, its attention, and its global relations.

Yang et al., Focal and Global Knowledge Distillation for Detectors, CVPR 2022, arXiv 2111.11837; release yzd-v/FGD. With
the attentions of places and channels, A^S and A^C (Eq. 4 to 7, `core.losses._imitation`), and R the block of Eq. 12:

    feature     sum (alpha M + beta (1 - M)) S A^S A^C (F_T - f(F_S))^2      Eq. 8; A^S and A^C are the teacher's
    attention   gamma sum |A^S_T - A^S_S|                                    Eq. 9; `channels` is the same for A^C
    relation    lambda sum (R_T(F_T) - R_S(F_S))^2                           Eq. 11

The weights alpha and beta are inside the map `feature`, because on a coarse map objects may leave no background. M is 1 on
objects; S divides by the area of the smallest box on a place, and by the number of background places elsewhere (Eq. 3). Weights
and temperature are those that DETRDistill's release gives FGD for Deformable DETR (of the neck, every level), which are FGD's own
for RetinaNet. As in its release the sums are averaged over images, f exists only where widths differ, each detector has an R of
its own, which trains, and a box covers the places from floor to ceiling of its edges.

The paper leaves open, and these are the choices here: levels are added; padding is never read and counts neither in S nor in the
softmax; boxes are converted to places by the image's own size (the release stretches them over the padded map); an image without
objects is all background; levels of different strides are compared on the teacher's places.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.boxes import in_pixels
from core.limits import Positive, Weight
from core.losses._imitation import Imitation, Level, Source, channel_attention, spatial_attention
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.matching.costs import padded_targets
from core.types import Assignment, Outcome, Targets, Trace

SLACK = 1e-3  # in places: an edge this close to a border between two places lies on the border


@dataclass(frozen=True)
class Config:
    """Weights of the terms, and the temperature of the attentions."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    temperature: Positive = 0.5  # Temperature of the spatial and the channel attention (T).
    foreground: Weight = 1e-3  # Weight of the foreground (alpha).
    background: Weight = 5e-4  # Weight of the background (beta).
    attention: Weight = 5e-4  # Weight of the spatial and the channel attention (gamma).
    relation: Weight = 5e-6  # Weight of the global relation (lambda); 0 leaves it out.
    source: Source = "neck"  # Features to imitate: the encoder's (the neck's if there is no encoder), or the neck's.


class Model(Loss):
    """Eq. 8, 9 and 11. Weights: `imitation.adapters`, f of each level, and `relations`, R of both detectors on each level."""

    reads: tuple[str, ...] = ("memory",)

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("fgd", teacher)
        self.config = config
        adapter = student.width != teacher.width
        self.imitation = Imitation(student, teacher, source=config.source, adapter=adapter)
        self.notes, names = self.imitation.notes, self.imitation.names
        self.relations = nn.ModuleList(Relation(teacher.width) for _ in names if config.relation)
        parts = {"feature": float(bool(config.foreground or config.background)), "relation": config.relation}
        weights = {f"{part}_{name}": w for name in names for part, w in parts.items()}
        weights |= dict.fromkeys(("attention", "channels"), config.attention)
        self.weights = {name: w for name, w in weights.items() if w}

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        levels, images = self.imitation(student.memory, teacher.memory), normaliser(targets, torch.ones_like)
        by_level = [self.attention_losses(level) for level in levels]
        maps = {name: rearrange(list(x), "n b -> 1 b n") for name, x in zip(("attention", "channels"), zip(*by_level))}
        for i, (name, level) in enumerate(zip(self.imitation.names, levels)):
            maps[f"feature_{name}"] = self.feature_loss(level, targets, teacher.memory.sizes)[None]
            if self.relations:
                maps[f"relation_{name}"] = self.relations[i](level)[None]
        return Outcome({name: maps[name] / images for name in self.weights})

    def attention_losses(self, level: Level) -> list[Float[Tensor, " b"]]:
        """Eq. 9 without its weight: the L1 distance of the spatial attentions, and that of the channel attentions."""
        t, s = ((x, level.valid, self.config.temperature) for x in (level.teacher, level.student))
        return [(f(*t) - f(*s)).abs().flatten(1).sum(1) for f in (spatial_attention, channel_attention)]

    def feature_loss(self, level: Level, targets: Targets, sizes: Int[Tensor, "b 2"]) -> Float[Tensor, "b h w"]:
        """Eq. 8 at each place; `sizes` are those of the images, (height, width) in pixels."""
        t = level.teacher, level.valid, self.config.temperature
        difference = einsum(channel_attention(*t), (level.teacher - level.student).pow(2), "b d, b d h w -> b h w")
        inside, outside = scaled_masks(level, targets, sizes)
        weight = self.config.foreground * inside + self.config.background * outside
        return weight * spatial_attention(*t) * difference


class Relation(nn.Module):
    """Eq. 11 at each place of a level. Weights: `mine` and `theirs`, the blocks R of student and teacher."""

    def __init__(self, width: int):
        super().__init__()
        self.mine, self.theirs = Context(width), Context(width)

    def forward(self, level: Level) -> Float[Tensor, "b h w"]:
        difference = self.theirs(level.teacher, level.valid) - self.mine(level.student, level.valid)
        return difference.pow(2).sum(1) * level.valid


class Context(nn.Module):
    """R of Eq. 12, the GcBlock of GCNet (arXiv 1904.11492): adds one vector to every place, made from a global attention pooling.

    It starts as the identity. Weights: `look`, the attention logits of each place, and `change`, the transform of the pooled
    vector.
    """

    def __init__(self, width: int):
        super().__init__()
        self.look = nn.Conv2d(width, 1, 1)
        first, last = nn.Linear(width, width // 2), nn.Linear(width // 2, width)
        self.change = nn.Sequential(first, nn.LayerNorm(width // 2), nn.ReLU(), last)
        nn.init.kaiming_normal_(self.look.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.look.get_parameter("bias"))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Float[Tensor, "b d h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b d h w"]:
        share = self.look(x)[:, 0].masked_fill(~valid, torch.finfo(x.dtype).min)
        share = share.flatten(1).softmax(1).unflatten(1, valid.shape[1:]) * valid
        context = einsum(share, x, "b h w, b d h w -> b d")
        return x + rearrange(self.change(context), "b d -> b d 1 1")


@torch.no_grad()
def scaled_masks(
    level: Level, targets: Targets, sizes: Int[Tensor, "b 2"]
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """M S and (1 - M) S of Eq. 3, for images of these sizes (height, width) in pixels."""
    boxes, _, real = padded_targets(targets)
    low, high = (in_pixels(boxes, sizes) / level.stride).split(2, dim=-1)
    first, last = (low + SLACK).floor(), (high - SLACK).ceil()
    columns, rows = (in_span(first[..., i], last[..., i], n) for i, n in enumerate(level.valid.shape[:0:-1]))
    share = (real / (last - first + 1).prod(-1))[..., None, None] * rows[..., None] * columns[..., None, :]
    share = F.pad(share, (0, 0, 0, 0, 1, 0)).amax(1)  # an object of share 0, so that there is at least one
    free = level.valid & (share == 0)
    return share * level.valid, free / free.sum((-2, -1), keepdim=True).clamp(min=1)


def in_span(first: Float[Tensor, "b t"], last: Float[Tensor, "b t"], places: int) -> Bool[Tensor, "b t n"]:
    """Returns whether each place of an axis lies from the first to the last place of each object, both included."""
    place = torch.arange(places, device=first.device)
    return (place >= first[..., None]) & (place <= last[..., None])
