"""Denoising queries: true objects with noise, which the student decodes beside its own queries, and is to restore.

DN-DETR (arXiv 2203.01305), in the contrastive form of DINO (arXiv 2203.03605) that RT-DETR, D-FINE and DEIM train with: for each
object a positive query, whose corners move by less than half a side of the box, and a negative one, whose corners move by half a
side to a whole one, and which is to become background. A query's content is an embedding of the object's class, which is another
class in a quarter of the cases. What is known of each query needs no matching.

The groups are decoded one after another, so that no query sees another group or the student's own queries; the originals do the
same by a mask. The embeddings belong to the loss and start anew: those of a file of transformers are not taken over. Images of a
batch with fewer objects than others have queries in excess, which are trained to nothing here and to background in the originals.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from core.boxes import centers, corners
from core.types import Assignment, Queries, Targets

OTHER_CLASS = 0.25  # probability of a class drawn at random: half of the originals' label noise ratio of 0.5
SMALLEST = 1e-3  # side of a box with noise, as a fraction of the image
WHOLE = (0.5, 0.5, 1.0, 1.0)  # box of a query in excess


@dataclass(frozen=True)
class Slots:
    """The place of each object in tensors with the axes image and slot; all images have as many slots as the fullest."""

    image: Int[Tensor, " t"]
    rank: Int[Tensor, " t"]  # place of the object within its image
    size: tuple[int, int]  # images, slots

    def filled(self, values: Float[Tensor, "t n"], otherwise: Float[Tensor, " n"]) -> Float[Tensor, "b s n"]:
        """The values of the objects in their slots, and `otherwise` in those without an object."""
        return repeat(otherwise, "n -> b s n", b=self.size[0], s=self.size[1]).index_put(
            (self.image, self.rank), values
        )


def slots(targets: Targets) -> Slots:
    """The slots of a batch, found without waiting for the device."""
    rank = torch.cat([torch.arange(0), *(torch.arange(n) for n in targets.counts)])
    size = len(targets.counts), max(targets.counts, default=0)
    return Slots(targets.image, rank.to(targets.image.device, non_blocking=True), size)


class Denoising(nn.Module):
    """Makes the queries of each group, and says which object each is to become.

    In eval mode the noise is always the same, so that a step can be replayed.
    """

    def __init__(self, groups: int, classes: int, width: int):
        super().__init__()
        self.groups, self.classes = groups, classes
        self.embedding = nn.Embedding(classes + 1, width, padding_idx=classes)
        nn.init.normal_(self.embedding.weight[:-1])

    @property
    def names(self) -> list[str]:
        """The names of the groups."""
        return [f"denoising{k}" for k in range(self.groups)]

    def queries(self, targets: Targets) -> dict[str, Queries]:
        """The queries of all groups: the positive ones of an image, then the negative ones. None without objects."""
        if not len(targets):
            return {}
        return {name: self.group(targets, slots(targets), seed) for seed, name in enumerate(self.names)}

    def group(self, targets: Targets, place: Slots, seed: int) -> Queries:
        """The queries of one group."""
        draw = self.drawer(targets.boxes.device, seed)
        labels, boxes = (repeat(x, "t ... -> (two t) ...", two=2) for x in (targets.labels, targets.boxes))
        is_other = draw((len(labels),)) < OTHER_CLASS
        labels = torch.where(is_other, (draw((len(labels),)) * self.classes).long().clamp(max=self.classes - 1), labels)
        is_negative = torch.arange(len(labels), device=labels.device) >= len(targets)
        boxes = with_noise(boxes, is_negative, draw)
        nothing = self.embedding.weight[self.classes].detach()
        whole = torch.tensor(WHOLE).to(boxes.device, non_blocking=True)
        halves = zip(self.embedding(labels).chunk(2), boxes.chunk(2))
        content, anchors = zip(*((place.filled(c, nothing), place.filled(b, whole)) for c, b in halves))
        return Queries(torch.cat(content, 1), None, torch.cat(anchors, 1))

    def drawer(self, device: torch.device, seed: int) -> Callable[[tuple[int, ...]], Tensor]:
        """A function that draws numbers from 0 to 1: new ones in training, in eval mode those of the seed."""
        generator = None if self.training else torch.Generator(device).manual_seed(seed)
        return lambda shape: torch.rand(shape, device=device, generator=generator)


def with_noise(
    boxes: Float[Tensor, "t 4"], is_negative: Bool[Tensor, " t"], draw: Callable[[tuple[int, ...]], Tensor]
) -> Float[Tensor, "t 4"]:
    """The boxes with corners that moved by a share of half a side: 0 to 1 of it, or 1 to 2 in negatives; within the image."""
    half = repeat(boxes[:, 2:] / 2, "t side -> t (two side)", two=2)
    share = draw(tuple(boxes.shape)) + rearrange(is_negative, "t -> t 1").float()
    sign = (draw(tuple(boxes.shape)) < 0.5).float() * 2 - 1
    moved = centers((corners(boxes) + sign * share * half).clamp(0, 1))
    return torch.cat([moved[:, :2], moved[:, 2:].clamp(min=SMALLEST)], 1)


def restored(targets: Targets, layers: int) -> Assignment:
    """The positive query of each object, in every layer of a group."""
    place, device = slots(targets), targets.labels.device
    layer = torch.arange(layers, device=device).repeat_interleave(len(targets))
    objects = torch.arange(len(targets), device=device)
    image, rank, target = (x.repeat(layers) for x in (place.image, place.rank, objects))
    return Assignment(layer, image, rank, target)


def of_objects(maps: dict[str, Float[Tensor, "l b q"]], targets: Targets) -> dict[str, Float[Tensor, "l b q"]]:
    """The maps of a group without the queries in excess."""
    place = slots(targets)
    one = targets.boxes.new_ones(len(targets), 1)
    is_object = rearrange(place.filled(one, one.new_zeros(1)), "b s 1 -> b s").repeat(1, 2)
    return {name: x * is_object for name, x in maps.items()}
