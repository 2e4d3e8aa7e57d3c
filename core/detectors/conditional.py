"""Conditional DETR (Meng et al., ICCV 2021, arXiv 2108.06152), as in Atten4Vis/ConditionalDETR.

A query is a learned position embedding, and its content starts at zero. The cross-attention of each decoder layer compares
content and place in separate channels: the place is the sine embedding of the query's reference point, scaled channel by
channel by a function of the content.
"""

from dataclasses import dataclass, field
from typing import Annotated

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.detectors.base import Detector
from core.errors import UserError
from core.limits import Count, Divisor, Dropout, Layers, LayersOrZero, Limits, Size
from core.matching.costs import Matching
from core.nn import backbones
from core.nn.attention import SelfAttention, attend, attention_weights, feedforward, last_linear, mlp, xavier
from core.nn.positions import inverse_sigmoid, sine_of_places, sine_of_points
from core.tensor_names import table
from core.types import Images, Memory, Predictions, Queries


@dataclass(frozen=True)
class Config:
    """Sizes and options of a Conditional DETR; the defaults are those of the paper with a ResNet-50."""

    classes: Count = 80  # Number of classes; it comes from the data.
    backbone: str = "resnet50"  # Backbone: resnet50, mobilenet_v2, tiny16x1, timm:NAME and others.
    frozen: LayersOrZero = 2  # Number of backbone stages, from the stem on, that are not trained.
    strides: tuple[Size, ...] = (32,)  # Stride of the one feature map, in pixels; 16 with dilation.
    dilation: bool = False  # Dilate the last stage of the backbone (DC5).
    queries: Count = 300  # Number of queries.
    layers: Layers = 6  # Number of decoder layers.
    encoder_layers: LayersOrZero = 6  # Number of encoder layers.
    width: Annotated[int, Limits(4, 16_384, of=4)] = 256  # Width of queries and memory.
    heads: Divisor = 8  # Number of attention heads.
    feedforward: Size = 2048  # Width of the feed-forward layers.
    dropout: Dropout = 0.1  # Dropout probability.
    matching: Matching = field(default_factory=Matching)


class Model(Detector):
    """Conditional DETR with new weights; UserError if the config asks for more than one map."""

    config: Config

    def __init__(self, config: Config):
        super().__init__()
        if len(config.strides) != 1:
            raise UserError(f"Conditional DETR reads one map, but strides is {config.strides}: give one, say (32,)")
        self.config = config
        d = config.width
        self.backbone = backbones.build(config.backbone, config.strides, config.frozen, dilation=config.dilation)
        self.backbone.freeze_norms()
        self.neck = nn.Conv2d(self.backbone.channels[0], d, 1)
        self.query = nn.Embedding(config.queries, d)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config, first=i == 0) for i in range(config.layers))
        self.decoder_norm = nn.LayerNorm(d)
        self.to_reference, self.to_scale = mlp(d, d, 2), mlp(d, d, d)
        self.to_class, self.to_box = nn.Linear(d, config.classes), mlp(d, d, d, 4)
        self.reset()

    @property
    def samplers(self) -> tuple[nn.Module, ...]:
        """The cross-attention of each decoder layer."""
        return tuple(layer.get_submodule("reading") for layer in self.decoder)

    def reset(self) -> None:
        """Initialises as the original: Xavier matrices in the transformer, a class prior of 0.01, boxes at their references."""
        for module in (self.encoder, self.decoder, self.to_reference, self.to_scale):
            xavier(module)
        nn.init.constant_(self.to_class.bias, -4.59511985013459)  # -log(99)
        nn.init.zeros_(last_linear(self.to_box).weight)
        nn.init.zeros_(last_linear(self.to_box).bias)

    def encode(self, images: Images) -> Memory:
        """The projected map of the backbone, and its tokens after the encoder with their position embeddings."""
        neck = self.neck(*self.backbone(images))
        padding = backbones.level_padding(images.padding, (neck.shape[-2], neck.shape[-1]))
        position = sine_of_places(padding, self.config.width, offset=0.0)
        tokens = rearrange(neck, "b d h w -> b (h w) d")
        for layer in self.encoder:
            tokens = layer(tokens, position, padding.flatten(1))
        return Memory((neck,), (padding,), self.config.strides, images.sizes, tokens, position)

    def propose(self, memory: Memory) -> Queries:
        """Learned position embeddings, without content."""
        return Queries(position=repeat(self.query.weight, "q d -> b q d", b=memory.sizes.shape[0]))

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        """Predictions for queries with a position.

        Reference points are computed here from the position; they are the same for all layers, and carry gradient.
        """
        assert queries.position is not None, "Conditional DETR's queries have a position"
        position = queries.position
        reference = self.to_reference(position).float().sigmoid()
        place = sine_of_points(reference, self.config.width)
        content, layers = torch.zeros_like(position), []
        for i, layer in enumerate(self.decoder):
            content = layer(content, position, place * self.to_scale(content) if i else place, memory)
            layers.append(self.decoder_norm(content))
        hidden = torch.stack(layers)
        center, size = self.to_box(hidden).float().split(2, dim=-1)
        boxes = torch.cat([center + inverse_sigmoid(reference), size], -1).sigmoid()
        return Predictions(self.to_class(hidden), boxes, hidden)


class EncoderLayer(nn.Module):
    """Self-attention of tokens, then feed-forward, each followed by a LayerNorm."""

    def __init__(self, config: Config):
        super().__init__()
        d = config.width
        self.attention = SelfAttention(d, config.heads, config.dropout)
        self.feedforward = feedforward(d, config.feedforward, config.dropout)
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "b n d"], position: Float[Tensor, "b n d"], padding: Bool[Tensor, "b n"]
    ) -> Float[Tensor, "b n d"]:
        """The tokens after this layer."""
        x = self.attention_norm(x + self.dropout(self.attention(x, position, padding)))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class DecoderLayer(nn.Module):
    """Self-attention of queries, cross-attention to memory, then feed-forward, each followed by a LayerNorm."""

    def __init__(self, config: Config, *, first: bool):
        super().__init__()
        d = config.width
        self.attention = PositionedAttention(d, config.heads, config.dropout)
        self.reading = ConditionalAttention(d, config.heads, config.dropout, first=first)
        self.feedforward = feedforward(d, config.feedforward, config.dropout)
        self.attention_norm, self.reading_norm, self.feedforward_norm = (nn.LayerNorm(d) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Float[Tensor, "b q d"], position: Float[Tensor, "b q d"], place: Float[Tensor, "b q d"], memory: Memory
    ) -> Float[Tensor, "b q d"]:
        """The content of the queries after this layer."""
        x = self.attention_norm(x + self.dropout(self.attention(x, position)))
        x = self.reading_norm(x + self.dropout(self.reading(x, position, place, memory)))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class PositionedAttention(nn.Module):
    """Self-attention in which content and position have separate projections."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.content_to_q, self.position_to_q = nn.Linear(width, width), nn.Linear(width, width)
        self.content_to_k, self.position_to_k = nn.Linear(width, width), nn.Linear(width, width)
        self.to_v, self.to_out = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, x: Float[Tensor, "b q d"], position: Float[Tensor, "b q d"]) -> Float[Tensor, "b q d"]:
        """The output for each query."""
        q = self.content_to_q(x) + self.position_to_q(position)
        k = self.content_to_k(x) + self.position_to_k(position)
        dropout = self.dropout if self.training else 0.0
        return self.to_out(attend(q, k, self.to_v(x), heads=self.heads, dropout=dropout))


class ConditionalAttention(nn.Module):
    """Cross-attention in which half of the channels of each head's keys and queries is content, half is place.

    In the first decoder layer the position is also added to the content, as in the original.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, first: bool):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.content_to_q, self.place_to_q = nn.Linear(width, width), nn.Linear(width, width)
        self.position_to_q = nn.Linear(width, width) if first else None
        self.content_to_k, self.place_to_k = nn.Linear(width, width), nn.Linear(width, width)
        self.to_v, self.to_out = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.to_out.bias)

    def forward(
        self, x: Float[Tensor, "b q d"], position: Float[Tensor, "b q d"], place: Float[Tensor, "b q d"], memory: Memory
    ) -> Float[Tensor, "b q d"]:
        """The output for each query, given its content `x`, its position embedding, and the embedding of its place."""
        q, k = self.queries_and_keys(x, position, place, memory)
        padding, dropout = memory.padding[0].flatten(1), self.dropout if self.training else 0.0
        assert memory.tokens is not None  # `encode` always sets them
        out = attend(q, k, self.to_v(memory.tokens), heads=self.heads, padding=padding, dropout=dropout)
        return self.to_out(out)

    def queries_and_keys(
        self, x: Float[Tensor, "b q d"], position: Float[Tensor, "b q d"], place: Float[Tensor, "b q d"], memory: Memory
    ) -> tuple[Float[Tensor, "b q e"], Float[Tensor, "b n e"]]:
        """Projected queries and keys, which `attend` compares; e is twice the width."""
        q, k, k_place = self.content_to_q(x), self.content_to_k(memory.tokens), self.place_to_k(memory.position)
        if self.position_to_q is not None:
            q, k = q + self.position_to_q(position), k + k_place
        return self.joined(q, self.place_to_q(place)), self.joined(k, k_place)

    def sampling_locations(
        self, memory: Memory, x: Float[Tensor, "b q d"], position: Tensor, place: Tensor, _: Memory
    ) -> tuple[Float[Tensor, "b q n 2"], Float[Tensor, "b q n"]]:
        """The middle of every token, (x, y) in pixels, and the attention that each query pays to it, mean over heads."""
        q, k = self.queries_and_keys(x, position, place, memory)
        weights = attention_weights(q, k, heads=self.heads, padding=memory.padding[0].flatten(1)).mean(1)
        (h, w), (stride,) = memory.shapes[0], memory.strides
        rows, columns = torch.meshgrid(*(torch.arange(n, device=weights.device) for n in (h, w)), indexing="ij")
        middle = (rearrange([columns, rows], "two h w -> (h w) two") + 0.5) * stride
        return middle.expand(*weights.shape, 2), weights

    def joined(self, content: Float[Tensor, "b n d"], place: Float[Tensor, "b n d"]) -> Float[Tensor, "b n e"]:
        """Content and place side by side in the channels of each head."""
        return rearrange([content, place], "two b n (h d) -> b n (h two d)", h=self.heads)


NAMES = table("""
backbone.body.**        backbone.0.body.**              model.backbone.conv_encoder.model.**
neck                    input_proj                      model.input_projection
query                   query_embed                     model.query_position_embeddings
encoder.*               transformer.encoder.layers.*    model.encoder.layers.*
  .attention.to_qkv     .self_attn.in_proj              .self_attn.qkv_proj
  .attention.to_out     .self_attn.out_proj             .self_attn.out_proj
  .attention_norm       .norm1                          .self_attn_layer_norm
  .feedforward.0        .linear1                        .fc1
  .feedforward.3        .linear2                        .fc2
  .feedforward_norm     .norm2                          .final_layer_norm
decoder.*               transformer.decoder.layers.*    model.decoder.layers.*
  .attention.content_to_q    .sa_qcontent_proj          .sa_qcontent_proj
  .attention.position_to_q   .sa_qpos_proj              .sa_qpos_proj
  .attention.content_to_k    .sa_kcontent_proj          .sa_kcontent_proj
  .attention.position_to_k   .sa_kpos_proj              .sa_kpos_proj
  .attention.to_v       .sa_v_proj                      .sa_v_proj
  .attention.to_out     .self_attn.out_proj             .self_attn.out_proj
  .attention_norm       .norm1                          .self_attn_layer_norm
  .reading.content_to_q      .ca_qcontent_proj          .ca_qcontent_proj
  .reading.position_to_q     .ca_qpos_proj              .ca_qpos_proj
  .reading.place_to_q        .ca_qpos_sine_proj         .ca_qpos_sine_proj
  .reading.content_to_k      .ca_kcontent_proj          .ca_kcontent_proj
  .reading.place_to_k        .ca_kpos_proj              .ca_kpos_proj
  .reading.to_v         .ca_v_proj                      .ca_v_proj
  .reading.to_out       .cross_attn.out_proj            .encoder_attn.out_proj
  .reading_norm         .norm2                          .encoder_attn_layer_norm
  .feedforward.0        .linear1                        .fc1
  .feedforward.3        .linear2                        .fc2
  .feedforward_norm     .norm3                          .final_layer_norm
decoder_norm            transformer.decoder.norm        model.decoder.layernorm
to_reference            transformer.decoder.ref_point_head    model.decoder.ref_point_head
  .0                    .layers.0                       .layers.0
  .2                    .layers.1                       .layers.1
to_scale                transformer.decoder.query_scale       model.decoder.query_scale
  .0                    .layers.0                       .layers.0
  .2                    .layers.1                       .layers.1
to_class                class_embed                     class_labels_classifier
to_box                  bbox_embed                      bbox_predictor
  .0                    .layers.0                       .layers.0
  .2                    .layers.1                       .layers.1
  .4                    .layers.2                       .layers.2
""")
