"""Dot-product attention of the DETR family, with dropout on the attention weights, and the layers around it."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def attend(
    q: Float[Tensor, "b q d"],
    k: Float[Tensor, "b n d"],
    v: Float[Tensor, "b n e"],
    *,
    heads: int,
    padding: Bool[Tensor, "b n"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "b q e"]:
    """Multi-head attention of projected queries, keys and values, without the output projection.

    Channels are split into contiguous heads. Keys with `padding` True are not attended to.
    """
    q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=heads) for x in (q, k, v))
    valid = None if padding is None else rearrange(~padding, "b n -> b 1 1 n")
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=valid, dropout_p=dropout)
    return rearrange(out, "b h q d -> b q (h d)")


def attention_weights(
    q: Float[Tensor, "b q d"], k: Float[Tensor, "b n d"], *, heads: int, padding: Bool[Tensor, "b n"]
) -> Float[Tensor, "b h q n"]:
    """The weights by which `attend` averages the values, of each head, in float32 and without dropout."""
    q, k = (rearrange(x, "b n (h d) -> b h n d", h=heads) for x in (q, k))
    score = (q @ k.mT).float() * q.shape[-1] ** -0.5
    return score.masked_fill(rearrange(padding, "b n -> b 1 1 n"), -torch.inf).softmax(-1)


class SelfAttention(nn.Module):
    """Self-attention in which position embeddings are added to queries and keys, not to values."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.to_qkv, self.to_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.reset()

    def reset(self) -> None:
        """Initialises the projections: Xavier weights, zero biases."""
        nn.init.xavier_uniform_(self.to_qkv.weight)
        nn.init.xavier_uniform_(self.to_out.weight)
        nn.init.zeros_(self.to_qkv.bias)
        nn.init.zeros_(self.to_out.bias)

    def forward(
        self, x: Float[Tensor, "b n d"], position: Float[Tensor, "b n d"], padding: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b n d"]:
        d = x.shape[-1]
        weight, bias = self.to_qkv.weight.split([2 * d, d]), self.to_qkv.bias.split([2 * d, d])
        q, k = F.linear(x + position, weight[0], bias[0]).chunk(2, dim=-1)
        v = F.linear(x, weight[1], bias[1])
        dropout = self.dropout if self.training else 0.0
        return self.to_out(attend(q, k, v, heads=self.heads, padding=padding, dropout=dropout))


def feedforward(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """The feed-forward block of a transformer layer, with ReLU and dropout between its two linear layers."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers from each width to the next, with ReLU between them."""
    layers = [part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def last_linear(layers: nn.Sequential) -> nn.Linear:
    """The last layer of an `mlp`, for its initialisation."""
    layer = layers[-1]
    assert isinstance(layer, nn.Linear)
    return layer


def xavier(module: M) -> M:
    """Initialises every matrix by Xavier's rule, as the DETR family does in its transformer; returns the module."""
    for p in module.parameters():
        if p.dim() > 1:
            nn.init.xavier_uniform_(p)
    return module
