"""Random weights under the released names."""

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from core import detectors
from core.detectors.base import Detector
from core.tensor_names import OURS, RELEASED, translate

KEYS = Path(__file__).parents[1] / "keys"


def listed(name: str, prefix: str = "official_") -> dict[str, tuple[int, ...]]:
    """Names and shapes in a released checkpoint."""
    lines = (KEYS / f"{prefix}{name}.txt").read_text().splitlines()
    return {key: tuple(map(int, re.findall(r"\d+", shape))) for key, shape in (x.split(" ", 1) for x in lines)}


def detector(name: str, *, seed: int, **options) -> Detector:
    """With noise on every weight."""
    torch.manual_seed(seed)
    model = detectors.build(name, **options)
    for key, p in model.named_parameters():
        if "backbone" not in key:
            p.data += torch.randn_like(p) * (0.5 if "to_offset" in key and "bias" in key else 0.1)
    settle(model.backbone)
    return model.eval()


def settle(backbone: nn.Module) -> nn.Module:
    """Noise in every BatchNorm, each block's last one small so that a ResNet's maps stay small."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            scatter(module)
    for block in backbone.modules():
        for last in ("bn3", "bn2"):
            if hasattr(block, last):
                getattr(block, last).weight.data *= 0.2
                break
    return backbone.eval()


def scatter(norm: nn.BatchNorm2d) -> None:
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias, std=0.2)
    nn.init.normal_(norm.running_mean, std=0.2)
    nn.init.uniform_(norm.running_var, 0.5, 1.5)


def own_name(kind: str, key: str) -> str:
    """This project's name of a tensor of a detector's released checkpoints."""
    return translate(key, detectors.module(kind).NAMES, RELEASED, OURS)[0]


def official(model: Detector, kind: str) -> dict[str, str]:
    """Ours by the released name, for a model as deep as it is; a plain model's head is listed once a layer."""
    own = dict(model.state_dict())
    names = [k for k in listed(kind) if "backbone" not in k]
    names += ["backbone.0." + k.removeprefix("backbone.") for k in own if "backbone" in k and "num_batches" not in k]
    shared = {k: re.sub(r"(class|bbox)_embed\.\d+", r"\1_embed.0", k) if "plain" in kind else k for k in names}
    renamed = {k: own_name(model.kind, shared[k]) for k in names if deep_enough(k, model)}
    assert {x for x in own if "num_batches" not in x} == set(renamed.values())
    return renamed


def deep_enough(key: str, model: Detector) -> bool:
    """Whether a tensor of the full model is there in a shallower one."""
    config = model.config
    extra = getattr(config, "two_stage", False)
    depth = {"encoder.layers": config.encoder_layers, "decoder.layers": config.layers}
    depth |= dict.fromkeys(("class_embed", "bbox_embed"), config.layers + extra)
    found = re.search(r"(encoder\.layers|decoder\.layers|class_embed|bbox_embed)\.(\d+)", key)
    return found is None or int(found[2]) < depth[found[1]]


def values(model: Detector, names: dict[str, str]) -> dict[str, Tensor]:
    own = model.state_dict()
    return {key: own[ours] for key, ours in names.items()}
