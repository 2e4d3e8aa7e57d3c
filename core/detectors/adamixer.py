"""AdaMixer (Gao et al., CVPR 2022, arXiv 2203.16507), as in MCG-NJU/AdaMixer.

A query is a content vector and a box. Each decoder layer (the paper's stage) predicts from the content at which points
(x, y, scale) to sample the feature pyramid, and mixes the samples with weights that it computes from the content; there is
no encoder. Boxes are refined as (x, y, z, r), with x and y in pixels, z = log2 sqrt(wh) and r = log2(h / w), and are
detached between layers.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn

from core.boxes import corners
from core.detectors.base import Detector
from core.limits import Count, Divisor, Layers, LayersOrZero, Size, Width
from core.matching.costs import Matching
from core.nn import backbones
from core.nn.attention import last_linear
from core.nn.pyramid import Pyramid, pyramid, sample_3d
from core.tensor_names import table
from core.types import Images, Memory, Predictions, Queries

DIVISOR = 32  # images are padded to multiples of it, so that size times stride is the same in every level


@dataclass(frozen=True)
class Config:
    """Sizes and options of an AdaMixer; the defaults are those of the paper with a ResNet-50."""

    classes: Count = 80  # Number of classes; it comes from the data.
    backbone: str = "resnet50"  # Backbone: resnet50, mobilenet_v2, tiny16x1, timm:NAME and others.
    frozen: LayersOrZero = 2  # Number of backbone stages, from the stem on, that are not trained.
    strides: tuple[Size, ...] = (4, 8, 16, 32)  # Strides of the feature maps, in pixels.
    queries: Count = 100  # Number of queries.
    layers: Layers = 6  # Number of decoder layers.
    width: Width = 256  # Width of queries and memory.
    heads: Divisor = 8  # Number of attention heads.
    groups: Divisor = 4  # Number of groups of channels, each with its sampling points.
    points: Size = 32  # Number of sampling points of a group.
    mixed_points: Size = 128  # Number of points of a group after mixing.
    feedforward: Size = 2048  # Width of the feed-forward layers.
    matching: Matching = field(default_factory=lambda: Matching(eps=1e-12, box="xyxy"))


class Model(Detector):
    """AdaMixer with new weights."""

    config: Config

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.backbone = backbones.build(config.backbone, config.strides, config.frozen)
        convolutions = [nn.Conv2d(c, config.width, 1) for c in self.backbone.channels]
        self.neck = nn.ModuleList(convolutions)
        self.neck_norm = nn.GroupNorm(32, config.width)  # one for all levels
        self.content = nn.Embedding(config.queries, config.width)
        self.stages = nn.ModuleList(Stage(config) for _ in range(config.layers))
        for conv in convolutions:
            nn.init.xavier_uniform_(conv.weight)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    @property
    def samplers(self) -> tuple[nn.Module, ...]:
        """The mixing module of each layer, which samples the pyramid."""
        return tuple(stage.get_submodule("mixing") for stage in self.stages)

    def encode(self, images: Images) -> Memory:
        """The projected maps of the backbone, normalised; there are no tokens."""
        maps = self.backbone(images, divisor=DIVISOR)
        neck = tuple(self.neck_norm(project(x)) for project, x in zip(self.neck, maps))
        padding = tuple(backbones.level_padding(images.padding, (x.shape[-2], x.shape[-1]), DIVISOR) for x in neck)
        return Memory(neck, padding, self.config.strides, images.sizes)

    @property
    def queries_are_boxes(self) -> bool:
        """Returns True: a query is a content vector and a box."""
        return True

    def propose(self, memory: Memory) -> Queries:
        """Learned content vectors; every query's box is the whole image."""
        content = F.layer_norm(self.content.weight, (self.config.width,))
        content = repeat(content, "q d -> b q d", b=memory.sizes.shape[0])
        whole = torch.tensor([0.5, 0.5, 1.0, 1.0]).to(content.device, non_blocking=True)
        return Queries(content=content, anchors=whole.expand(*content.shape[:2], 4))

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        """Predictions for queries with content and anchors."""
        (predictions,) = self.decode_groups(memory, {"": queries}).values()
        return predictions

    def decode_groups(self, memory: Memory, groups: dict[str, Queries]) -> dict[str, Predictions]:
        """Predictions for all groups in one pass; queries attend to those of their own group alone."""
        inputs = [content_and_anchors(queries) for queries in groups.values()]
        content, anchors = (torch.cat(parts, 1) for parts in zip(*inputs))
        counts = [content.shape[1] for content, _ in inputs]
        maps = pyramid(memory.neck, memory.strides, groups=self.config.groups, points=self.config.points)
        xyzr, layers = to_xyzr(anchors, memory.sizes), []
        for stage in self.stages:
            logits, xyzr, content = stage(content, xyzr.detach(), maps, counts)
            layers.append((logits, from_xyzr(xyzr, memory.sizes), content))
        parts = zip(*(torch.stack(x).split(counts, 2) for x in zip(*layers)))
        return {name: Predictions(*part) for name, part in zip(groups, parts)}


def content_and_anchors(queries: Queries) -> tuple[Float[Tensor, "b q d"], Float[Tensor, "b q 4"]]:
    """The content and the anchors of queries, which AdaMixer's queries have."""
    assert queries.content is not None and queries.anchors is not None, "AdaMixer's queries have content and anchors"
    return queries.content, queries.anchors


def to_xyzr(boxes: Float[Tensor, "b q 4"], sizes: Int[Tensor, "b 2"]) -> Float[Tensor, "b q 4"]:
    """Converts (cx, cy, w, h) in fractions of images of these sizes (height, width) to (x, y, z, r) in pixels."""
    x, y, w, h = (boxes.float() * extent(sizes)).unbind(-1)
    return torch.stack([x, y, (w * h).sqrt().log2(), (h / w).log2()], -1)


def from_xyzr(xyzr: Float[Tensor, "b q 4"], sizes: Int[Tensor, "b 2"]) -> Float[Tensor, "b q 4"]:
    """Converts (x, y, z, r) in pixels to (cx, cy, w, h) in fractions of the images; the inverse of `to_xyzr`."""
    return torch.cat([xyzr[..., :2], width_height(xyzr)], -1) / extent(sizes)


def extent(sizes: Int[Tensor, "b 2"]) -> Float[Tensor, "b 1 4"]:
    """Width, height, width, height of each image in pixels, to scale boxes with."""
    h, w = sizes.float().unbind(-1)
    return rearrange([w, h, w, h], "k b -> b 1 k")


def width_height(xyzr: Float[Tensor, "b q 4"]) -> Float[Tensor, "b q 2"]:
    """Width and height of boxes (x, y, z, r), in pixels."""
    z, r = xyzr[..., 2], xyzr[..., 3]
    return torch.stack([(z - r / 2).exp2(), (z + r / 2).exp2()], -1)


class Stage(nn.Module):
    """One decoder layer: self-attention of queries, sampling and mixing, feed-forward, class and box heads."""

    def __init__(self, config: Config):
        super().__init__()
        d = config.width
        self.attention = BoxBiasedAttention(d, config.heads)
        self.attention_norm = nn.LayerNorm(d)
        self.mixing = SamplingAndMixing(config)
        self.mixing_norm = nn.LayerNorm(d)
        self.feedforward = nn.Sequential(nn.Linear(d, config.feedforward), nn.ReLU(), nn.Linear(config.feedforward, d))
        self.feedforward_norm = nn.LayerNorm(d)
        self.to_class = nn.Sequential(nn.Linear(d, d), nn.LayerNorm(d), nn.ReLU(), nn.Linear(d, config.classes))
        self.to_shift = nn.Sequential(nn.Linear(d, d), nn.LayerNorm(d), nn.ReLU(), nn.Linear(d, 4))  # of the box
        self.reset()

    def reset(self) -> None:
        """Initialises as the original: Xavier weights, torch's default biases, a class prior of 0.01, no shift of boxes."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(self.attention.to_qkv.bias)
        nn.init.constant_(last_linear(self.to_class).bias, -4.59511985013459)  # -log(99)
        nn.init.zeros_(last_linear(self.to_shift).weight)
        nn.init.zeros_(last_linear(self.to_shift).bias)
        self.mixing.reset()

    def forward(
        self, content: Float[Tensor, "b q d"], xyzr: Float[Tensor, "b q 4"], maps: Pyramid, counts: list[int]
    ) -> tuple[Float[Tensor, "b q c"], Float[Tensor, "b q 4"], Float[Tensor, "b q d"]]:
        """Class logits, boxes (x, y, z, r) and content after this layer; `counts` are the queries of each group."""
        u = content + position(xyzr, content.shape[-1]).to(content.dtype)
        # Query, key, value and residual all contain the position: the authors call it a minor bug, and kept it throughout.
        content = self.attention_norm(u + self.attention(u, xyzr, counts))
        content = self.mixing_norm(content + self.mixing(content, xyzr, maps))
        content = self.feedforward_norm(content + self.feedforward(content))
        shift = self.to_shift(content).float()
        xyzr = torch.cat([xyzr[..., :2] + shift[..., :2] * xyzr[..., 2:3].exp2(), xyzr[..., 2:] + shift[..., 2:]], -1)
        return self.to_class(content), xyzr, content


@torch.no_grad()
def position(xyzr: Float[Tensor, "b q 4"], width: int) -> Float[Tensor, "b q d"]:
    """Sine embedding of boxes (x, y, z, r), a quarter of the channels for each of x / 1000, y / 1000, z, r."""
    each = width // 4
    period = 10000 ** (2 * (torch.arange(each, device=xyzr.device) // 2) / each)
    angle = torch.cat([xyzr[..., :2] / 1000, xyzr[..., 2:]], -1)[..., None] / period
    return rearrange([angle[..., 0::2].sin(), angle[..., 1::2].cos()], "k b q x n -> b q (x n k)")


class BoxBiasedAttention(nn.Module):
    """Self-attention within groups of queries, in which a query attends more to those whose boxes cover much of its own."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_qkv, self.to_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.sharpness = nn.Parameter(torch.empty(heads).uniform_(0, 4))

    def forward(
        self, x: Float[Tensor, "b q d"], xyzr: Float[Tensor, "b q 4"], counts: list[int]
    ) -> Float[Tensor, "b q d"]:
        parts = zip(self.to_qkv(x).split(counts, 1), xyzr.split(counts, 1))
        return self.to_out(torch.cat([self.attend(*part) for part in parts], 1))

    def attend(self, qkv: Float[Tensor, "b q e"], xyzr: Float[Tensor, "b q 4"]) -> Float[Tensor, "b q d"]:
        """The values that each query of one group reads; `qkv` are their queries, keys and values side by side."""
        q, k, v = rearrange(qkv, "b q (n h d) -> n b h q d", n=3, h=self.heads)
        bias = log_cover(xyzr)[:, None] * rearrange(self.sharpness, "h -> h 1 1")
        # Not by torch's kernel: with a trainable bias its last bits under no_grad differ from those of a training step.
        score = q @ k.mT * k.shape[-1] ** -0.5 + bias.to(q.dtype)
        return rearrange(score.softmax(-1) @ v, "b h q d -> b q (h d)")


@torch.no_grad()
def log_cover(xyzr: Float[Tensor, "b q 4"]) -> Float[Tensor, "b q q"]:
    """Logarithm of the share of box i that box j covers (intersection over foreground), plus 1e-7."""
    box = corners(torch.cat([xyzr[..., :2], width_height(xyzr)], -1))
    a, b = box[:, :, None], box[:, None]
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area = (box[..., 2:] - box[..., :2]).prod(-1).clamp(min=1e-6)
    return (inner / area[..., None] + 1e-7).log()


class SamplingAndMixing(nn.Module):
    """3D feature sampling, then adaptive mixing of channels and of points, with weights made from the query (Eq. 7 to 11)."""

    def __init__(self, config: Config):
        super().__init__()
        self.groups, self.points, self.mixed = config.groups, config.points, config.mixed_points
        self.channels = config.width // config.groups
        mixing_weights = config.groups * (self.channels**2 + self.points * self.mixed)
        self.to_offset = nn.Linear(config.width, config.groups * config.points * 3)
        self.to_weights = nn.Linear(config.width, mixing_weights)
        self.to_out = nn.Linear(config.groups * self.mixed * self.channels, config.width)

    def reset(self) -> None:
        """Initialises as the original: points spread over half the box at half its scale, the same mixing for all queries."""
        nn.init.zeros_(self.to_offset.weight)
        offset = self.to_offset.bias.data.view(-1, 3)
        nn.init.uniform_(offset[:, :2], -0.5, 0.5)
        nn.init.constant_(offset[:, 2], -1)
        nn.init.zeros_(self.to_weights.weight)

    def forward(
        self, content: Float[Tensor, "b q d"], xyzr: Float[Tensor, "b q 4"], maps: Pyramid
    ) -> Float[Tensor, "b q d"]:
        """The mixed samples of each query, to be added to its content."""
        return self.mix(sample_3d(maps, self.sample_points(content, xyzr)), content)

    def sampling_locations(
        self, memory: Memory, content: Float[Tensor, "b q d"], xyzr: Float[Tensor, "b q 4"], maps: Pyramid
    ) -> tuple[Float[Tensor, "b q n 2"], Float[Tensor, "b q n"]]:
        """Points of all groups, (x, y) in pixels, with equal weights: mixing gives none of them a weight of its own."""
        points = rearrange(self.sample_points(content, xyzr)[..., :2], "b q g p two -> b q (g p) two")
        return points, torch.full_like(points[..., 0], 1 / points.shape[2])

    def sample_points(
        self, content: Float[Tensor, "b q d"], xyzr: Float[Tensor, "b q 4"]
    ) -> Float[Tensor, "b q g p 3"]:
        """Points (x, y, z): predicted offsets from the box, in units of its width and height, and of 1 in z."""
        offset = rearrange(self.to_offset(content).float(), "b q (g p k) -> b q g p k", g=self.groups, k=3)
        unit = F.pad(width_height(xyzr), (0, 1), value=1.0)
        return rearrange(xyzr[..., :3], "b q k -> b q 1 1 k") + offset * rearrange(unit, "b q k -> b q 1 1 k")

    def mix(self, x: Float[Tensor, "b q g p c"], content: Float[Tensor, "b q d"]) -> Float[Tensor, "b q d"]:
        """Mixes the channels, then the points of each group, by matrices made from the content, and projects all groups."""
        weights = rearrange(self.to_weights(content), "b q (g n) -> b q g n", g=self.groups)
        channel, point = weights.split([self.channels**2, self.points * self.mixed], dim=-1)
        x = x @ rearrange(channel, "b q g (c k) -> b q g c k", c=self.channels)
        x = F.relu(F.layer_norm(x, x.shape[-2:]))
        x = rearrange(point, "b q g (o p) -> b q g o p", p=self.points) @ x
        x = F.relu(F.layer_norm(x, x.shape[-2:]))
        return self.to_out(rearrange(x, "b q g o c -> b q (g o c)"))


NAMES = table("""
backbone.body.**        backbone.**                     -
neck.*                  neck.lateral_convs.*.conv       -
neck_norm               neck.gn_out                     -
content                 rpn_head.init_content_features  -
stages.*                roi_head.bbox_head.*            -
  .attention.to_qkv     .attention.attn.in_proj         -
  .attention.to_out     .attention.attn.out_proj        -
  .attention.sharpness  .iof_tau                        -
  .attention_norm       .attention_norm                 -
  .mixing.to_offset     .sampling_n_mixing.sampling_offset_generator.0             -
  .mixing.to_weights    .sampling_n_mixing.adaptive_mixing.parameter_generator.0   -
  .mixing.to_out        .sampling_n_mixing.adaptive_mixing.out_proj                -
  .mixing_norm          .sampling_n_mixing.norm         -
  .feedforward.0        .ffn.layers.0.0                 -
  .feedforward.2        .ffn.layers.1                   -
  .feedforward_norm     .ffn_norm                       -
  .to_class.0           .cls_fcs.0                      -
  .to_class.1           .cls_fcs.1                      -
  .to_class.3           .fc_cls                         -
  .to_shift.0           .reg_fcs.0                      -
  .to_shift.1           .reg_fcs.1                      -
  .to_shift.3           .fc_reg                         -
""")
