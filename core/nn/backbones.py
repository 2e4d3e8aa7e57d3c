"""Convolutional backbones, which turn pixels into feature maps at strides 4, 8, 16 and 32.

Names: `resnet18`, `resnet50`, `resnet101` and `mobilenet_v2` are torchvision's modules with torchvision's parameter names;
`timm:NAME` is one of timm's EfficientNet-like feature extractors (needs the extra `timm`); `tinyWxN` is a ResNet of
torchvision's basic blocks, W channels wide at stride 4 and with N blocks in each stage, for laptops.
BatchNorm always uses its stored statistics; its scale and shift are trained unless frozen, as in detectors like DETR.
"""

import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1

from core.errors import UserError
from core.types import Images

STRIDES = (4, 8, 16, 32)
Colour = tuple[float, float, float]
IMAGENET: tuple[Colour, Colour] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB in [0, 1]
HALF: tuple[Colour, Colour] = (
    (0.5, 0.5, 0.5),
    (0.5, 0.5, 0.5),
)  # the same for EfficientNet-Lite, which scales to [-1, 1]
Parts = tuple[nn.Module, list[nn.Module], dict[int, int]]  # body, stages, and channels of the map at each stride


class Norm(nn.BatchNorm2d):
    """BatchNorm that works in place and keeps nothing for the backward pass if its scale and shift are not trained.

    It is not folded into the convolution before it: that would be as exact, but is rounded differently from the
    originals, which moves gradients near ReLU's kink by 2e-3, and it is slower for some detectors (`analysis bench layout`).
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if self.training or self.weight.requires_grad:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None  # statistics are always stored
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x.mul_(scale[:, None, None]).add_(shift[:, None, None])


class Backbone(nn.Module):
    """A convolutional network that returns its feature maps at the strides that a detector asks for.

    `body` owns the parameters. `stages` are views of it: stages[0] is the stem, stages[k] leads to stride STRIDES[k - 1].
    `channels` are those of the maps at `strides`, in the same order.
    """

    mean: Tensor  # of RGB in [0, 255], 3 1 1
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        stages: list[nn.Module],
        channels: dict[int, int],
        strides: tuple[int, ...],
        colours: tuple[Colour, Colour] = IMAGENET,
    ):
        super().__init__()
        self.body, self.stages = body, stages[: 2 + STRIDES.index(max(strides))]
        self.strides, self.channels = strides, [channels[s] for s in strides]
        self.register_buffer("mean", torch.tensor(colours[0]).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(colours[1]).view(3, 1, 1) * 255, persistent=False)

    def freeze(self, stages: int) -> "Backbone":
        """Excludes the first `stages` stages from training; returns the backbone."""
        for stage in self.stages[:stages]:
            stage.requires_grad_(False)
        return self

    def freeze_norms(self) -> "Backbone":
        """Excludes scale and shift of all BatchNorm layers from training; returns the backbone."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        return self

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Images, *, divisor: int = 1) -> list[Float[Tensor, "b _ _ _"]]:
        """The maps at `strides`, each of ceil(size / stride) places.

        Padding is zero after normalisation; the input is padded further to a multiple of `divisor`.
        """
        x = normalise(images.pixels, images.padding, self.mean, self.std, divisor)
        x, maps = self.stages[0](x), []
        for stride, stage in zip(STRIDES, self.stages[1:]):
            x = stage(x)
            if stride in self.strides:
                maps.append(x)
        return maps


def normalise(
    pixels: UInt8[Tensor, "b 3 H W"], padding: Bool[Tensor, "b H W"], mean: Tensor, std: Tensor, divisor: int
) -> Float[Tensor, "b 3 H2 W2"]:
    """The input of a backbone: normalised pixels, zero in the padding, padded to multiples of `divisor`."""
    x = ((pixels.float() - mean) / std).masked_fill(padding[:, None], 0)
    low, right = (-x.shape[-2] % divisor, -x.shape[-1] % divisor)
    return F.pad(x, (0, right, 0, low)) if divisor > 1 else x


def level_padding(padding: Bool[Tensor, "b H W"], size: tuple[int, int], divisor: int = 1) -> Bool[Tensor, "b h w"]:
    """The padding mask at a level's size, by nearest neighbour; what `divisor` added to the input is padding too."""
    low, right = (-padding.shape[-2] % divisor, -padding.shape[-1] % divisor)
    padding = F.pad(padding, (0, right, 0, low), value=True)
    return F.interpolate(padding[:, None].float(), size=size)[:, 0] > 0.5


def build(name: str, strides: tuple[int, ...], frozen: int, *, dilation: bool = False) -> Backbone:
    """A backbone with new weights, whose first `frozen` stages are not trained; UserError names the alternatives.

    With `dilation` (DC5) the last stage of a ResNet-50 or 101 has stride 16 and replaces the map of the stage before.
    """
    available = STRIDES[:3] if dilation else STRIDES
    if not strides or list(strides) != sorted(set(strides)):
        raise UserError(f"strides is {strides}: give one or more, the smallest first, each once")
    if bad := set(strides) - set(available):
        raise UserError(f"no backbone has maps at strides {sorted(bad)}; there are {available}")
    colours = IMAGENET
    if dilation:
        return Backbone(*dilated(name), strides, colours).freeze(frozen)
    if match := re.fullmatch(r"tiny([1-9]\d{0,3})x([1-9]\d?)", name):
        parts = tiny(int(match[1]), int(match[2]), strides)
    elif name.startswith("timm:"):
        parts = timm_extractor(name.removeprefix("timm:"))
        colours = HALF if "_lite" in name else IMAGENET
    elif name in TORCHVISION:
        parts = TORCHVISION[name](name)
    else:
        raise UserError(f"no backbone {name!r}; there are {', '.join(TORCHVISION)}, tinyWxN (tiny16x1), timm:NAME")
    return Backbone(*parts, strides, colours).freeze(frozen)


def resnet(name: str, **options: Any) -> Parts:
    """One of torchvision's ResNets without its classifier."""
    net = torchvision.models.get_model(name, weights=None, norm_layer=Norm, **options)
    stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    wide = 4 if hasattr(net.layer1[0], "conv3") else 1
    del net.fc
    return net, [stem, net.layer1, net.layer2, net.layer3, net.layer4], {s: 64 * wide * s // 4 for s in STRIDES}


def dilated(name: str) -> Parts:
    """A ResNet-50 or 101 with dilation (DC5), whose last two stages are one of stride 16; UserError for other names."""
    if name not in ("resnet50", "resnet101"):
        raise UserError(f"the backbone {name!r} cannot be dilated; resnet50 and resnet101 can")
    net, stages, channels = resnet(name, replace_stride_with_dilation=[False, False, True])
    return net, [*stages[:3], nn.Sequential(*stages[3:])], channels | {16: channels[32]}


def mobilenet(name: str) -> Parts:
    """torchvision's MobileNetV2, cut after features 3, 6, 13 and 18; the last map is that of the last 1x1 convolution.

    It is the backbone of DETRDistill's own small students.
    """
    net = torchvision.models.get_model(name, weights=None, norm_layer=Norm)
    del net.classifier
    f = net.features
    return net, [f[:2], f[2:4], f[4:7], f[7:14], f[14:]], {4: 24, 8: 32, 16: 96, 32: 1280}


TORCHVISION: dict[str, Callable[[str], Parts]] = {
    "resnet18": resnet,
    "resnet50": resnet,
    "resnet101": resnet,
    "mobilenet_v2": mobilenet,
}


def tiny(width: int, blocks: int, strides: tuple[int, ...]) -> Parts:
    """A small ResNet of torchvision's basic blocks, with as many stages as the strides need."""
    sizes = [width, width, 2 * width, 4 * width, 4 * width]
    stem = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), Norm(width), nn.ReLU())
    stages = [tiny_stage(a, b, blocks) for a, b in zip(sizes, sizes[1:])]
    body = nn.Sequential(stem, *stages[: 1 + STRIDES.index(max(strides))])
    return body, list(body), dict(zip(STRIDES, sizes[1:]))


def tiny_stage(before: int, after: int, blocks: int) -> nn.Sequential:
    """A stage that halves the resolution and turns `before` channels into `after`."""
    shrink = nn.Sequential(conv1x1(before, after, 2), Norm(after))
    first = BasicBlock(before, after, 2, shrink, norm_layer=Norm)
    return nn.Sequential(first, *(BasicBlock(after, after, norm_layer=Norm) for _ in range(blocks - 1)))


def timm_extractor(name: str) -> Parts:
    """One of timm's feature extractors that is built like EfficientNet: a stem (conv_stem, bn1), then blocks.

    UserError: timm is not installed, has no such model, or the model is built otherwise.
    """
    try:
        import timm
    except ImportError:
        raise UserError(f"the backbone timm:{name} needs the timm extra: pip install 'detrdistill[timm]'") from None
    if name not in timm.list_models():
        raise UserError(f"timm has no model {name!r}; see timm.list_models()")
    net: Any = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
    if not hasattr(net, "blocks"):
        raise UserError(f"timm's {name} is not an EfficientNet-like model; such a backbone is not supported yet")
    cuts = [0, *(int(info["module"].split(".")[1]) + 1 for info in net.feature_info.get_dicts())]
    stages = [nn.Sequential(net.conv_stem, net.bn1), *(net.blocks[a:b] for a, b in zip(cuts, cuts[1:]))]
    return net, stages, dict(zip(STRIDES, net.feature_info.channels()))
