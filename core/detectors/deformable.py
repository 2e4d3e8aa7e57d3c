"""Deformable DETR (Zhu et al., ICLR 2021, arXiv 2010.04159), as in fundamentalvision/Deformable-DETR.

Tokens of several levels, and queries, attend to a few points of each level around a reference instead of to all tokens.
By default the reference of a query is a point that is the same in all layers; with `refine` each layer corrects the box of
the layer before; with `two_stage` the queries are the encoder's best proposals.
"""

import math
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.detectors.base import Detector
from core.errors import UserError
from core.limits import Count, Divisor, Dropout, Layers, LayersOrZero, Points, Size, Width
from core.matching.costs import Matching
from core.nn import backbones
from core.nn.attention import SelfAttention, feedforward, last_linear, mlp, xavier
from core.nn.deformable import DeformableAttention, OffsetFrame, offset_frame
from core.nn.positions import inverse_sigmoid, sine, sine_of_places
from core.nn.sampling import TableLayout, table_layout
from core.tensor_names import table
from core.types import Images, Memory, Predictions, Queries

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Config:
    """Sizes and options of a Deformable DETR; the defaults are those of the paper with a ResNet-50."""

    classes: Count = 80  # Number of classes; it comes from the data.
    backbone: str = "resnet50"  # Backbone: resnet50, mobilenet_v2, tiny16x1, timm:NAME and others.
    frozen: LayersOrZero = 2  # Number of backbone stages, from the stem on, that are not trained.
    strides: tuple[Size, ...] = (8, 16, 32, 64)  # Strides of the levels; convolutions make those beyond the backbone's.
    queries: Count = 300  # Number of queries.
    layers: Layers = 6  # Number of decoder layers.
    encoder_layers: LayersOrZero = 6  # Number of encoder layers.
    width: Width = 256  # Width of queries and memory.
    heads: Divisor = 8  # Number of attention heads.
    points: Points = 4  # Number of sampling points of a head in each level.
    feedforward: Size = 1024  # Width of the feed-forward layers.
    dropout: Dropout = 0.1  # Dropout probability.
    refine: bool = False  # Refine boxes: each layer corrects the box of the layer before.
    two_stage: bool = False  # Take the queries from the encoder's proposals; needs refine.
    matching: Matching = field(default_factory=Matching)


class Model(Detector):
    """Deformable DETR with new weights; UserError if the config has `two_stage` without `refine`, or wrong strides."""

    config: Config

    def __init__(self, config: Config):
        super().__init__()
        if config.two_stage and not config.refine:
            raise UserError("a two-stage Deformable DETR refines boxes: set refine, or leave two_stage out")
        self.config = config
        d = config.width
        mapped = backbone_strides(config.strides)
        self.backbone = backbones.build(config.backbone, mapped, config.frozen).freeze_norms()
        self.neck = nn.ModuleList(necks(config, self.backbone.channels))
        self.level = nn.Parameter(torch.randn(len(config.strides), d))
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        if config.two_stage:
            self.to_proposal, self.proposal_norm = nn.Linear(d, d), nn.LayerNorm(d)
            self.to_query, self.query_norm = nn.Linear(2 * d, 2 * d), nn.LayerNorm(2 * d)
        else:
            self.query, self.to_reference = nn.Embedding(config.queries, 2 * d), nn.Linear(d, 2)
        # One pair of heads for all layers; with `refine` one for each layer, and with `two_stage` one for the encoder.
        heads = config.layers + config.two_stage if config.refine else 1
        class_heads, box_heads = copies(nn.Linear(d, config.classes), heads), copies(mlp(d, d, d, 4), heads)
        self.to_class, self.to_box = nn.ModuleList(class_heads), nn.ModuleList(box_heads)
        self.reset(class_heads, box_heads)

    @property
    def proposes(self) -> bool:
        """Returns whether the queries are the encoder's best proposals: with `two_stage`."""
        return self.config.two_stage

    @property
    def samplers(self) -> tuple[nn.Module, ...]:
        """The cross-attention of each decoder layer."""
        return tuple(layer.get_submodule("reading") for layer in self.decoder)

    def reset(self, class_heads: list[nn.Linear], box_heads: list[nn.Sequential]) -> None:
        """Initialises as the original: Xavier matrices in the transformer, a class prior of 0.01, boxes at their references."""
        for name in ("to_proposal", "to_query") if self.config.two_stage else ("to_reference",):
            nn.init.xavier_uniform_(getattr(self, name).weight)
        if not self.config.two_stage:
            nn.init.zeros_(self.to_reference.bias)
        for class_head in class_heads:
            nn.init.constant_(class_head.bias, -4.59511985013459)  # -log(99)
        for last in map(last_linear, box_heads):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        if not self.config.two_stage:
            nn.init.constant_(last_linear(box_heads[0]).bias[2:], -2.0)

    def encode(self, images: Images) -> Memory:
        """The projected maps of all levels, and their tokens after the encoder with their position embeddings."""
        neck = self.level_maps(self.backbone(images))
        padding = tuple(backbones.level_padding(images.padding, (x.shape[-2], x.shape[-1])) for x in neck)
        position = [sine_of_places(p, self.config.width, offset=-0.5) + e for p, e in zip(padding, self.level)]
        tokens = torch.cat([rearrange(x, "b d h w -> b (h w) d") for x in neck], 1)
        memory = Memory(neck, padding, self.config.strides, images.sizes, tokens, torch.cat(position, 1))
        frame = self.frame(token_centers(padding), memory, self.layout(memory))
        for layer in self.encoder:
            tokens = layer(tokens, frame, memory)
        return replace(memory, tokens=tokens)

    def level_maps(self, maps: list[Tensor]) -> tuple[Tensor, ...]:
        """The maps of all levels: each of the backbone's projected, a further one from its last, and so on from that."""
        levels = [project(x) for project, x in zip(self.neck, maps)]
        last = maps[-1]
        for project in self.neck[len(maps) :]:
            last = project(last)
            levels.append(last)
        return tuple(levels)

    def layout(self, memory: Memory) -> TableLayout:
        """The table layout for sampling this memory, which all layers share."""
        c, device = self.config, memory.sizes.device
        return table_layout(
            memory.shapes,
            images=memory.sizes.shape[0],
            heads=c.heads,
            groups=c.heads,
            points=c.points,
            device=device,
        )

    def frame(self, reference: Float[Tensor, "b q k"], memory: Memory, layout: TableLayout) -> OffsetFrame:
        """The frame of offsets around points or boxes that are fractions of the image without its padding."""
        share = valid_shares(memory.padding).repeat(1, 1, reference.shape[-1] // 2)
        reference = reference[:, :, None] * share[:, None]
        return offset_frame(reference, layout, heads=self.config.heads, points=self.config.points)

    def propose(self, memory: Memory) -> Queries:
        """Learned content and position embeddings; with `two_stage` those of the best proposals, and their boxes."""
        if self.config.two_stage:
            return self.best_proposals(self.proposals(memory))
        query = repeat(self.query.weight, "q d -> b q d", b=memory.sizes.shape[0])
        position, content = query.chunk(2, dim=-1)
        return Queries(content, position)

    def proposals(self, memory: Memory) -> Predictions:
        """Predictions of the encoder for every token, as one layer; class 0 stands for any object.

        A token's box is predicted relative to a box around its place, which is a twentieth of the image wide in the first
        level and twice as wide in each next. The features of tokens in the padding or close to the image's border are
        zeroed, and their predicted box is (1, 1, 1, 1).
        """
        assert memory.tokens is not None  # `encode` always sets them
        start, valid = token_boxes(memory)
        hidden = memory.tokens.masked_fill(~valid[..., None], 0)
        hidden = self.proposal_norm(self.to_proposal(hidden))
        logit = (start / (1 - start)).log().masked_fill(~valid[..., None], math.inf)
        boxes = (self.to_box[-1](hidden).float() + logit).sigmoid()
        return Predictions(self.to_class[-1](hidden)[None], boxes[None], hidden[None])

    def best_proposals(self, proposals: Predictions) -> Queries:
        """The proposals with the highest scores as queries; position and content are made from the boxes, without gradient.

        UserError: there are fewer tokens than queries.
        """
        score = proposals.logits[0, ..., 0]
        if score.shape[1] < self.config.queries:
            raise UserError(
                f"an image of {score.shape[1]} tokens cannot propose {self.config.queries} queries: "
                "take larger images, more strides, or fewer queries"
            )
        top = score.topk(self.config.queries, dim=1).indices
        boxes = proposals.boxes[0].detach().gather(1, repeat(top, "b q -> b q 4"))
        query = self.query_norm(self.to_query(sine(boxes * 2 * math.pi, self.config.width // 2)))
        position, content = query.chunk(2, dim=-1)
        return Queries(content, position, boxes, proposals)

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        """Predictions for queries with content and position.

        References are the anchors with `two_stage`; otherwise they are points that are computed here from the position.
        """
        content, position, reference = queries.content, queries.position, queries.anchors
        assert content is not None and position is not None, "Deformable DETR's queries have content and position"
        layers, layout = [], self.layout(memory)
        if not self.config.two_stage:
            reference = self.to_reference(position).float().sigmoid()
        assert reference is not None, "a two-stage Deformable DETR's queries have anchors"
        for i, layer in enumerate(self.decoder):
            head = i if self.config.refine else 0
            content = layer(content, position, self.frame(reference, memory, layout), memory)
            boxes = moved_boxes(reference, self.to_box[head](content).float())
            layers.append((self.to_class[head](content), boxes, content))
            if self.config.refine:
                reference = boxes.detach()
        return Predictions(*map(torch.stack, zip(*layers)))


def backbone_strides(strides: tuple[int, ...]) -> tuple[int, ...]:
    """The strides whose maps the backbone has. UserError: they are not in rising order, or the others do not double the last."""
    mapped = tuple(s for s in strides if s in backbones.STRIDES)
    further = tuple(mapped[-1] * 2**k for k in range(1, len(strides) - len(mapped) + 1)) if mapped else ()
    if not mapped or strides != (*sorted(set(mapped)), *further):
        raise UserError(
            f"strides is {strides}: give strides of the backbone, of {backbones.STRIDES}, the smallest first and each once, and "
            "then, for further levels, each twice the one before"
        )
    return mapped


def necks(config: Config, channels: list[int]) -> list[nn.Module]:
    """The projections of all levels: 1x1 convolutions of the backbone's maps, then convolutions that halve the last level."""
    parts = [nn.Conv2d(c, config.width, 1) for c in channels]
    before = [channels[-1], *[config.width] * len(config.strides)]
    parts += [nn.Conv2d(c, config.width, 3, stride=2, padding=1) for c, _ in zip(before, config.strides[len(parts) :])]
    for conv in parts:
        nn.init.xavier_uniform_(conv.weight)
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
    return [nn.Sequential(conv, nn.GroupNorm(32, config.width)) for conv in parts]


def copies(module: M, count: int) -> list[M]:
    """Copies of a module, which start with the same weights."""
    return [deepcopy(module) for _ in range(count)]


def moved_boxes(reference: Float[Tensor, "b q k"], shift: Float[Tensor, "b q 4"]) -> Float[Tensor, "b q 4"]:
    """Boxes that are the references plus a shift, added as logits; for a point the shift alone gives the size."""
    return (shift + F.pad(inverse_sigmoid(reference), (0, 4 - reference.shape[-1]))).sigmoid()


def valid_extents(padding: tuple[Tensor, ...]) -> list[Float[Tensor, "b 2"]]:
    """The number of columns and of rows of each level that are not padding."""
    return [torch.stack([(~p[:, 0]).sum(1), (~p[:, :, 0]).sum(1)], -1).float() for p in padding]


def valid_shares(padding: tuple[Tensor, ...]) -> Float[Tensor, "b l 2"]:
    """The fractions of each level's width and height that are not padding."""
    return torch.stack(
        [torch.stack([(~p[:, 0]).float().mean(1), (~p[:, :, 0]).float().mean(1)], -1) for p in padding], 1
    )


def token_centers(padding: tuple[Tensor, ...]) -> Float[Tensor, "b n 2"]:
    """The middle (x, y) of every token's place, as fractions of the image without padding."""
    levels = []
    for extent, p in zip(valid_extents(padding), padding):
        y, x = (torch.arange(size, device=p.device) + 0.5 for size in p.shape[1:])
        grid = torch.stack([repeat(x, "w -> (h w)", h=p.shape[1]), repeat(y, "h -> (h w)", w=p.shape[2])], -1)
        levels.append(grid / extent[:, None])
    return torch.cat(levels, 1)


def token_boxes(memory: Memory) -> tuple[Float[Tensor, "b n 4"], Bool[Tensor, "b n"]]:
    """The initial box of every token, and whether it may be proposed: not in the padding or at the image's border."""
    middle = token_centers(memory.padding)
    level = torch.cat([torch.full((p[0].numel(),), 0.05 * 2**l, device=p.device) for l, p in enumerate(memory.padding)])
    boxes = torch.cat([middle, repeat(level, "n -> b n 2", b=middle.shape[0])], -1)
    inside = ((boxes > 0.01) & (boxes < 0.99)).all(-1)
    return boxes, inside & ~flat_padding(memory.padding)


def flat_padding(padding: tuple[Tensor, ...]) -> Bool[Tensor, "b n"]:
    """The padding mask of all tokens, level after level."""
    return torch.cat([p.flatten(1) for p in padding], 1)


class EncoderLayer(nn.Module):
    """Deformable self-attention of tokens, then feed-forward, each followed by a LayerNorm."""

    def __init__(self, config: Config):
        super().__init__()
        d = config.width
        self.attention = DeformableAttention(d, config.heads, len(config.strides), config.points)
        self.feedforward = xavier(feedforward(d, config.feedforward, config.dropout))
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "b n d"], frame: OffsetFrame, memory: Memory) -> Float[Tensor, "b n d"]:
        """The tokens after this layer."""
        assert memory.position is not None  # `encode` always sets it
        attended = self.attention(x + memory.position, frame, x, flat_padding(memory.padding), memory.shapes)
        x = self.attention_norm(x + self.dropout(attended))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class DecoderLayer(nn.Module):
    """Self-attention of queries, deformable cross-attention to memory, then feed-forward, each followed by a LayerNorm."""

    def __init__(self, config: Config):
        super().__init__()
        d = config.width
        self.attention = SelfAttention(d, config.heads, config.dropout)
        self.reading = DeformableAttention(d, config.heads, len(config.strides), config.points)
        self.feedforward = xavier(feedforward(d, config.feedforward, config.dropout))
        self.attention_norm, self.reading_norm, self.feedforward_norm = (nn.LayerNorm(d) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "b q d"], position: Float[Tensor, "b q d"], frame: OffsetFrame, memory: Memory
    ) -> Float[Tensor, "b q d"]:
        """The content of the queries after this layer."""
        x = self.attention_norm(x + self.dropout(self.attention(x, position)))
        attended = self.reading(x + position, frame, memory.tokens, flat_padding(memory.padding), memory.shapes)
        x = self.reading_norm(x + self.dropout(attended))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


# Without `refine` released files list the one pair of heads for each layer; with it they have second names for the heads.
NAMES = table("""
backbone.body.**        backbone.0.body.**              model.backbone.conv_encoder.model.**
neck.*.*                input_proj.*.*                  model.input_proj.*.*
level                   transformer.level_embed         model.level_embed
query                   query_embed                     model.query_position_embeddings
to_reference            transformer.reference_points    model.reference_points
to_proposal             transformer.enc_output          model.enc_output
proposal_norm           transformer.enc_output_norm     model.enc_output_norm
to_query                transformer.pos_trans           model.pos_trans
query_norm              transformer.pos_trans_norm      model.pos_trans_norm
encoder.*               transformer.encoder.layers.*    model.encoder.layers.*
  .attention.to_offset  .self_attn.sampling_offsets     .self_attn.sampling_offsets
  .attention.to_weight  .self_attn.attention_weights    .self_attn.attention_weights
  .attention.to_value   .self_attn.value_proj           .self_attn.value_proj
  .attention.to_out     .self_attn.output_proj          .self_attn.output_proj
  .attention_norm       .norm1                          .self_attn_layer_norm
  .feedforward.0        .linear1                        .fc1
  .feedforward.3        .linear2                        .fc2
  .feedforward_norm     .norm2                          .final_layer_norm
decoder.*               transformer.decoder.layers.*    model.decoder.layers.*
  .attention.to_qkv     .self_attn.in_proj              .self_attn.qkv_proj
  .attention.to_out     .self_attn.out_proj             .self_attn.out_proj
  .attention_norm       .norm2                          .self_attn_layer_norm
  .reading.to_offset    .cross_attn.sampling_offsets    .encoder_attn.sampling_offsets
  .reading.to_weight    .cross_attn.attention_weights   .encoder_attn.attention_weights
  .reading.to_value     .cross_attn.value_proj          .encoder_attn.value_proj
  .reading.to_out       .cross_attn.output_proj         .encoder_attn.output_proj
  .reading_norm         .norm1                          .encoder_attn_layer_norm
  .feedforward.0        .linear1                        .fc1
  .feedforward.3        .linear2                        .fc2
  .feedforward_norm     .norm3                          .final_layer_norm
to_class.*              class_embed.*                   class_embed.*
to_class.*              transformer.decoder.class_embed.*    model.decoder.class_embed.*
to_box.*                bbox_embed.*                    bbox_embed.*
  .0                    .layers.0                       .layers.0
  .2                    .layers.1                       .layers.1
  .4                    .layers.2                       .layers.2
to_box.*                transformer.decoder.bbox_embed.*     model.decoder.bbox_embed.*
  .0                    .layers.0                       .layers.0
  .2                    .layers.1                       .layers.1
  .4                    .layers.2                       .layers.2
""")
