"""Convolutional backbones: pixels to feature maps at strides 4, 8, 16 and 32.

torchvision's modules under torchvision's parameter names; `timm:NAME` takes any of timm's feature extractors (an extra);
`tinyWxN` is a ResNet of torchvision's basic blocks, W channels wide at stride 4 and N blocks a stage, for laptops.
BatchNorm always runs on its stored statistics, with trainable scale and shift, as DETR-like detectors do.
"""

import re

import torch
import torch.nn.functional as F
import torchvision
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1

from core.errors import UserError
from core.types import Images

STRIDES = (4, 8, 16, 32)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB in [0, 1]
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


class Norm(nn.BatchNorm2d):
    """Where scale and shift are not trained it works in place and keeps nothing for the backward pass.

    Not folded into the convolution before it, which would be as exact, but rounds unlike the originals: near ReLU's
    kink that moves gradients by 2e-3.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if self.training or self.weight.requires_grad:
            return super().forward(x)
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x.mul_(scale[:, None, None]).add_(shift[:, None, None])


class Backbone(nn.Module):
    """`body` owns the parameters; `stages` are views of it: stages[0] the stem, stages[k] up to STRIDES[k - 1].

    `channels` are those of the maps at `strides`, which a detector asks for.
    """

    def __init__(
        self,
        body: nn.Module,
        stages: list[nn.Module],
        channels: dict[int, int],
        strides: tuple[int, ...],
        normal=IMAGENET,
    ):
        super().__init__()
        self.body, self.stages = body, stages[: 2 + STRIDES.index(max(strides))]
        self.strides, self.channels = strides, [channels[s] for s in strides]
        self.register_buffer("mean", torch.tensor(normal[0]).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(normal[1]).view(3, 1, 1) * 255, persistent=False)

    def freeze(self, stages: int) -> "Backbone":
        """The first `stages` are not trained."""
        for stage in self.stages[:stages]:
            stage.requires_grad_(False)
        return self

    def freeze_norms(self) -> "Backbone":
        """Scale and shift of BatchNorm are not trained either."""
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
        """Maps of ceil(size / stride), of an input padded with zeros after normalising, up to a multiple of `divisor`."""
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
    x = ((pixels.float() - mean) / std).masked_fill(padding[:, None], 0)
    low, right = (-x.shape[-2] % divisor, -x.shape[-1] % divisor)
    return F.pad(x, (0, right, 0, low)) if divisor > 1 else x


def level_padding(padding: Bool[Tensor, "b H W"], size: tuple[int, int], divisor: int = 1) -> Bool[Tensor, "b h w"]:
    """The image's mask at a level's size, by nearest neighbour; what a divisor added is padding too."""
    low, right = (-padding.shape[-2] % divisor, -padding.shape[-1] % divisor)
    padding = F.pad(padding, (0, right, 0, low), value=True)
    return F.interpolate(padding[:, None].float(), size=size)[:, 0] > 0.5


def build(name: str, strides: tuple[int, ...], frozen: int, *, dilation: bool = False) -> Backbone:
    """A backbone without pretrained weights, its first `frozen` stages not trained; UserError names the alternatives.

    With `dilation` (DC5) the last stage of a ResNet-50 or 101 has stride 16 and takes the place of the one before.
    """
    there = STRIDES[:3] if dilation else STRIDES
    if bad := set(strides) - set(there):
        raise UserError(f"no backbone has maps at strides {sorted(bad)}; there are {there}")
    normal = IMAGENET
    if dilation:
        return Backbone(*dilated(name), strides, normal).freeze(frozen)
    if match := re.fullmatch(r"tiny(\d+)x(\d+)", name):
        parts = tiny(*map(int, match.groups()), strides)
    elif name.startswith("timm:"):
        parts = timm_extractor(name.removeprefix("timm:"))
        normal = HALF if "_lite" in name else IMAGENET
    elif name in TORCHVISION:
        parts = TORCHVISION[name](name)
    else:
        raise UserError(f"no backbone {name!r}; there are {', '.join(TORCHVISION)}, tinyWxN (tiny16x1), timm:NAME")
    return Backbone(*parts, strides, normal).freeze(frozen)


def resnet(name: str, **options):
    net = torchvision.models.get_model(name, weights=None, norm_layer=Norm, **options)
    stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    wide = 4 if hasattr(net.layer1[0], "conv3") else 1
    del net.fc
    return net, [stem, net.layer1, net.layer2, net.layer3, net.layer4], {s: 64 * wide * s // 4 for s in STRIDES}


def dilated(name: str):
    """DC5: the last two stages are one, of stride 16."""
    if name not in ("resnet50", "resnet101"):
        raise UserError(f"the backbone {name!r} cannot be dilated; resnet50 and resnet101 can")
    net, stages, channels = resnet(name, replace_stride_with_dilation=[False, False, True])
    return net, [*stages[:3], nn.Sequential(*stages[3:])], channels | {16: channels[32]}


def mobilenet(name: str):
    """Cut after features 3, 6, 13 and 18 (DETRDistill's own student; its last map is the last 1x1 convolution)."""
    net = torchvision.models.get_model(name, weights=None, norm_layer=Norm)
    del net.classifier
    f = net.features
    return net, [f[:2], f[2:4], f[4:7], f[7:14], f[14:]], {4: 24, 8: 32, 16: 96, 32: 1280}


TORCHVISION = {"resnet18": resnet, "resnet50": resnet, "resnet101": resnet, "mobilenet_v2": mobilenet}


def tiny(width: int, blocks: int, strides: tuple[int, ...]):
    """A ResNet of torchvision's basic blocks with as many stages as the strides need."""
    sizes = [width, width, 2 * width, 4 * width, 4 * width]
    stem = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), Norm(width), nn.ReLU())
    stages = [tiny_stage(a, b, blocks) for a, b in zip(sizes, sizes[1:])]
    body = nn.Sequential(stem, *stages[: 1 + STRIDES.index(max(strides))])
    return body, list(body), dict(zip(STRIDES, sizes[1:]))


def tiny_stage(before: int, after: int, blocks: int) -> nn.Sequential:
    shrink = nn.Sequential(conv1x1(before, after, 2), Norm(after))
    first = BasicBlock(before, after, 2, shrink, norm_layer=Norm)
    return nn.Sequential(first, *(BasicBlock(after, after, norm_layer=Norm) for _ in range(blocks - 1)))


def timm_extractor(name: str):
    """EfficientNet-like feature extractors: a stem (conv_stem, bn1) and a Sequential of blocks."""
    try:
        import timm
    except ImportError:
        raise UserError(f"the backbone timm:{name} needs the timm extra: pip install 'detrdistill[timm]'") from None
    if name not in timm.list_models():
        raise UserError(f"timm has no model {name!r}; see timm.list_models()")
    net = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
    if not hasattr(net, "blocks"):
        raise UserError(f"timm's {name} is not an EfficientNet-like model; such a backbone is not supported yet")
    cuts = [0, *(int(info["module"].split(".")[1]) + 1 for info in net.feature_info.get_dicts())]
    stages = [nn.Sequential(net.conv_stem, net.bn1), *(net.blocks[a:b] for a, b in zip(cuts, cuts[1:]))]
    return net, stages, dict(zip(STRIDES, net.feature_info.channels()))
