"""A convolutional detector to stand beside those of queries: torchvision's FCOS on a tiny backbone.

Tian et al., ICCV 2019 (arXiv 1904.01355). It stands in for the ATSS of DETRDistill's Figure 2: looked at, never distilled.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS
from torchvision.ops import FeaturePyramidNetwork

from core.metrics.detections import Detections
from core.nn import backbones, pretrained
from core.runs.checkpoint import load_into, read_tensors, save_module
from core.types import Images

STRIDES = (4, 8, 16)
WIDTH = 32  # of the pyramid and the head
BACKBONE = "tiny16x1"


class Pyramid(nn.Module):
    """What FCOS asks of a backbone: maps of one width, by name."""

    out_channels = WIDTH

    def __init__(self):
        super().__init__()
        self.backbone = backbones.build(BACKBONE, STRIDES, frozen=0)
        self.pyramid = FeaturePyramidNetwork(self.backbone.channels, WIDTH)

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> "OrderedDict[str, Tensor]":
        x, maps = self.backbone.stages[0](x), OrderedDict()
        for stride, stage in zip(backbones.STRIDES, self.backbone.stages[1:]):
            x = stage(x)
            if stride in STRIDES:
                maps[str(stride)] = x
        return self.pyramid(maps)


def build(classes: int, size: int, first: Path | None = None) -> FCOS:
    """For images that it makes `size` pixels a side; the backbone starts from the file `first`."""
    anchors = AnchorGenerator(tuple((s,) for s in STRIDES), ((1.0,),) * len(STRIDES))
    body = Pyramid()
    if first:
        pretrained.load(body.backbone, BACKBONE, str(first))
    mean, std = backbones.IMAGENET
    look = {"min_size": size, "max_size": 4 * size, "image_mean": list(mean), "image_std": list(std)}
    return FCOS(body, classes, anchor_generator=anchors, score_thresh=0.01, **look)


def save(path: Path, model: FCOS, card: dict) -> None:
    """The card must hold `size` and `categories`."""
    save_module(path, model, card)


def load(path: Path) -> tuple[FCOS, dict]:
    """In eval mode, and its card; UserError where the file is missing or does not fit."""
    tensors, card = read_tensors(path)
    model = build(len(card.get("categories", ())), card.get("size", 96))
    load_into(model, tensors, path)
    return model.eval(), card


def floats(images: Images) -> list[Float[Tensor, "3 h w"]]:
    """What torchvision's detectors take: each image without its padding, in [0, 1]."""
    return [x[:, :h, :w].float() / 255 for x, (h, w) in zip(images.pixels, images.sizes.tolist())]


@torch.no_grad()
def detect(model: FCOS, images: Images) -> Detections:
    """In pixels of the source images."""
    found = model(floats(images))
    scale = (images.original / images.sizes).flip(1).repeat(1, 2)
    count = [len(f["scores"]) for f in found]
    return Detections(
        torch.cat([f["boxes"] * s for f, s in zip(found, scale)]),
        torch.cat([f["scores"] for f in found]),
        torch.cat([f["labels"] for f in found]),
        images.ids.repeat_interleave(torch.tensor(count)),
        torch.zeros(sum(count), dtype=torch.long),
    )


@torch.no_grad()
def activation(model: FCOS, pixels: UInt8[Tensor, "3 h w"]) -> list[Float[Tensor, "_ _"]]:
    """Where it finds anything: the geometric mean of best class score and centerness at each place of each level."""
    seen, _ = model.transform([pixels.float() / 255])
    levels = list(model.backbone(seen.tensors).values())
    said = model.head(levels)
    score = said["cls_logits"].sigmoid().amax(-1) * said["bbox_ctrness"].sigmoid().squeeze(-1)
    parts = score.sqrt()[0].split([x.shape[-2] * x.shape[-1] for x in levels])
    return [rearrange(part, "(h w) -> h w", h=x.shape[-2]) for part, x in zip(parts, levels)]
