"""A convolutional detector to compare with the DETR detectors: torchvision's FCOS on a tiny backbone.

Tian et al., ICCV 2019 (arXiv 1904.01355). It takes the place of ATSS in Figure 2 of DETRDistill; nothing is distilled
from it.
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
WIDTH = 32  # channels of the pyramid and the head
BACKBONE = "tiny16x1"


class Pyramid(nn.Module):
    """The backbone with a feature pyramid, in the form that FCOS expects: maps of one width, by name."""

    out_channels = WIDTH

    def __init__(self) -> None:
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


def build(classes: int, size: int, backbone_weights: Path | None = None) -> FCOS:
    """A new model that resizes images to a short side of `size` pixels; its backbone starts from the file, if one is given."""
    anchors = AnchorGenerator(tuple((s,) for s in STRIDES), ((1.0,),) * len(STRIDES))
    body = Pyramid()
    if backbone_weights:
        pretrained.load(body.backbone, BACKBONE, str(backbone_weights))
    mean, std = backbones.IMAGENET
    transform = {"min_size": size, "max_size": 4 * size, "image_mean": list(mean), "image_std": list(std)}
    return FCOS(body, classes, anchor_generator=anchors, score_thresh=0.01, **transform)


def save(path: Path, model: FCOS, card: dict) -> None:
    """Writes the model; the card must hold `size` and `categories`."""
    save_module(path, model, card)


def load(path: Path) -> tuple[FCOS, dict]:
    """Reads a model, in eval mode, and its card. UserError: the file is missing or does not fit."""
    tensors, card = read_tensors(path)
    model = build(len(card.get("categories", ())), card.get("size", 96))
    load_into(model, tensors, path)
    return model.eval(), card


def float_images(images: Images) -> list[Float[Tensor, "3 h w"]]:
    """Each image without its padding, in [0, 1]: the input of torchvision's detectors."""
    return [x[:, :h, :w].float() / 255 for x, (h, w) in zip(images.pixels, images.sizes.tolist())]


@torch.no_grad()
def detect(model: FCOS, images: Images) -> Detections:
    """The model's detections, as corners in pixels of the source images."""
    outputs = model(float_images(images))
    scale = (images.original / images.sizes).flip(1).repeat(1, 2)
    count = [len(x["scores"]) for x in outputs]
    return Detections(
        torch.cat([x["boxes"] * s for x, s in zip(outputs, scale)]),
        torch.cat([x["scores"] for x in outputs]),
        torch.cat([x["labels"] for x in outputs]),
        images.ids.repeat_interleave(torch.tensor(count)),
        torch.zeros(sum(count), dtype=torch.long),
    )


@torch.no_grad()
def activation(model: FCOS, pixels: UInt8[Tensor, "3 h w"]) -> list[Float[Tensor, "_ _"]]:
    """A map for each level of how strongly each place responds: sqrt(best class score x centerness), in [0, 1]."""
    transformed, _ = model.transform([pixels.float() / 255])
    levels = list(model.backbone(transformed.tensors).values())
    outputs = model.head(levels)
    score = outputs["cls_logits"].sigmoid().amax(-1) * outputs["bbox_ctrness"].sigmoid().squeeze(-1)
    parts = score.sqrt()[0].split([x.shape[-2] * x.shape[-1] for x in levels])
    return [rearrange(part, "(h w) -> h w", h=x.shape[-2]) for part, x in zip(parts, levels)]
