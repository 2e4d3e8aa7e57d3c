"""Detections: scored boxes in pixels of the source images, selected from predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from core.boxes import corners
from core.types import Images, Predictions


@dataclass(frozen=True)
class Detections:
    """Scored boxes of a batch in one flat list, image after image, highest score first."""

    boxes: Float[Tensor, "n 4"]  # (x0, y0, x1, y1) in pixels of the source image, not clipped to it
    scores: Float[Tensor, " n"]  # 0 .. 1
    labels: Int[Tensor, " n"]  # classes, as positions in the list of categories
    image_ids: Int[Tensor, " n"]
    queries: Int[Tensor, " n"]  # the query of each; one query may give several classes

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, rows: slice | Tensor | Sequence[int]) -> "Detections":
        """The detections at these rows: a slice, a mask or indices."""
        return Detections(*(x[rows] for x in vars(self).values()))


def join(parts: Sequence[Detections]) -> Detections:
    """Joins one or more lists of detections."""
    return Detections(*(torch.cat(x) for x in zip(*(vars(p).values() for p in parts))))


def select(predictions: Predictions, images: Images, top: int = 100, layer: int = -1) -> Detections:
    """The `top` (query, class) pairs of each image with the highest sigmoid scores in a layer, as in Deformable DETR."""
    logits, boxes = predictions.logits[layer].detach().float(), predictions.boxes[layer].detach().float()
    batch, queries, classes = logits.shape
    scores, index = rearrange(logits.sigmoid(), "b q c -> b (q c)").topk(min(top, queries * classes), dim=1)
    query = index // classes
    chosen = corners(boxes).gather(1, repeat(query, "b k -> b k 4"))
    scale = repeat(images.original.flip(1).to(boxes), "b side -> b 1 (two side)", two=2)
    return Detections(
        rearrange(chosen * scale, "b k side -> (b k) side"),
        scores.flatten(),
        (index % classes).flatten(),
        repeat(images.ids, "b -> (b k)", k=index.shape[1]),
        query.flatten(),
    )
