"""Reads a folder that transformers saved of a family that the detector `hub` takes.

transformers' own loader reads the weights, from safetensors alone: it knows the names of tensors in every version.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from core.convert.class_heads import with_classes
from core.convert.classes import Classes, choose_classes
from core.convert.read import ForeignWeights, config_labels
from core.convert.to_detector import Converted, starred
from core.data.transforms import Augment
from core.detectors import hub
from core.errors import UserError
from core.files import read_json
from core.hub.families import FAMILIES
from core.hub.settings import import_transformers, read_settings, width_of
from core.matching.costs import Matching
from core.runs.config import decode
from core.tensor_names import HUB
from core.types import Images

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NATIVE = ("conditional_detr", "deformable_detr")  # families that have a detector of their own here
PROBE = 512  # side of the image with which strides are measured


@dataclass(frozen=True)
class Processor:
    """How a folder's image processor prepares images."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment  # the size of images
    assumed: str = ""  # what is said if the folder has no such file


def model_type(path: Path) -> str | None:
    """The family that a folder's config.json names; None if `path` is no folder with such a file."""
    file = path / "config.json"
    entries = read_json(file) if path.is_dir() and file.is_file() else {}
    return entries.get("model_type") if isinstance(entries, dict) else None


def convert_folder(path: Path, class_file: Path | None = None) -> tuple[Converted, Augment]:
    """The detector of a folder, its classes and what became of its tensors; and the size that its images had.

    UserError: it is not of a family that can be used, its weights are missing or a pickle, or its classes do not fit.
    """
    entries = read_settings((path / "config.json").read_text(encoding="utf-8"), f"{path / 'config.json'}")
    refuse_missing_weights(path)
    processor = read_processor(path, entries["model_type"])
    network, report = load_network(path, entries)
    detector = hub.Model(hub_config(network.config, entries, processor))
    detector.network.load_state_dict(network.state_dict())
    detector = with_strides(detector.eval())
    classes, changed = classes_of(path, detector, class_file)
    names = [c.name for c in classes.categories]
    report += [
        ("classes", f"{len(names)}, {classes.source}: {', '.join(names[:10])}{', ...' if names[10:] else ''}"),
        ("assumed", processor.assumed),
    ]
    return Converted(changed, classes.categories, tuple((a, b) for a, b in report if b)), processor.augment


def refuse_missing_weights(path: Path) -> None:
    """UserError: the folder has no weights as safetensors."""
    if (path / "model.safetensors").is_file() or (path / "model.safetensors.index.json").is_file():
        return
    if pickles := sorted(x.name for x in path.glob("*.bin")):
        raise UserError(
            f"{path / pickles[0]} is a pickle, which can run code and is never opened; open it with transformers where you"
            " trust it, and save it again with save_pretrained, which writes model.safetensors"
        )
    raise UserError(f"{path} has no model.safetensors; give a folder that transformers' save_pretrained wrote")


def load_network(path: Path, entries: dict[str, Any]) -> tuple[Any, list[tuple[str, str]]]:
    """transformers' model of a folder, and lines on its tensors. UserError: a tensor is missing or has another shape."""
    transformers = import_transformers()
    kept = json.loads((path / "config.json").read_text(encoding="utf-8"))
    numbers = {"num_labels": len(kept["id2label"])} if isinstance(kept.get("id2label"), dict) else {}
    options = {key: value for key, value in entries.items() if key != "model_type"} | numbers
    options |= {"use_pretrained_backbone": False} if "use_pretrained_backbone" in options else {}
    try:
        config = transformers.AutoConfig.for_model(entries["model_type"], **options)
        network, info = transformers.AutoModelForObjectDetection.from_pretrained(
            path, config=config, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # transformers raises many kinds for a folder that does not fit together
        raise UserError(f"{path} cannot be opened by transformers: {' '.join(str(error).split())[:300]}") from None
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"{path}: model.safetensors lacks {missing[0]} and {len(missing) - 1} more tensors of its config.json"
        )
    unexpected = sorted(info["unexpected_keys"])
    left_out = f"{starred(unexpected)}: the detector has no such part" if unexpected else ""
    return network, [("used", f"{len(network.state_dict())} tensors, read by transformers"), ("left out", left_out)]


def hub_config(settings: Any, entries: dict[str, Any], processor: Processor) -> hub.Config:
    """The Config of the detector `hub` for transformers' configuration; its strides are measured later."""
    family = FAMILIES[settings.model_type]
    return hub.Config(
        config_json=json.dumps(entries, sort_keys=True),
        classes=settings.num_labels,
        queries=settings.two_stage_num_proposals if getattr(settings, "two_stage", False) else settings.num_queries,
        layers=settings.decoder_layers + family.initial_prediction,
        width=width_of(settings),
        mean=processor.mean,
        std=processor.std,
        divisor=divisor(settings),
        matching=matching(settings),
    )


def divisor(settings: Any) -> int:
    """Images are padded to multiples of this: whole windows of a vision transformer, whole places of RT-DETR's levels, or 1."""
    backbone = settings.backbone_config
    if settings.model_type == "lw_detr":  # its windows are counted over the whole image
        return int(backbone.patch_size * backbone.num_windows**0.5)
    if settings.model_type == "rf_detr":
        return int(backbone.patch_size * backbone.num_windows)
    return 32 if FAMILIES[settings.model_type].padded_boxes else 1


def matching(settings: Any) -> Matching:
    """The costs of transformers' matcher for this configuration, and the class loss of the family's original training."""
    family = FAMILIES[settings.model_type]
    costs = {}
    for part, default in (("class", 2.0), ("bbox", 5.0), ("giou", 2.0)):
        value = getattr(settings, f"{part}_cost", None) or getattr(settings, f"matcher_{part}_cost", None)
        costs[part] = float(value or default)
    return Matching(
        class_weight=costs["class"],
        l1_weight=costs["bbox"],
        giou_weight=costs["giou"],
        class_cost="score" if family.softmax else "focal",
        class_loss=family.class_loss,
        class_loss_weight=None if family.class_loss == "focal" else 1.0,
    )


@torch.no_grad()
def with_strides(detector: hub.Model) -> hub.Model:
    """The detector with the strides of its levels in its config, as seen on a blank image."""
    side = -(-PROBE // detector.config.divisor) * detector.config.divisor
    blank = Images(
        torch.zeros(1, 3, side, side, dtype=torch.uint8),
        torch.zeros(1, side, side, dtype=torch.bool),
        sizes=torch.tensor([[side, side]]),
        original=torch.tensor([[side, side]]),
        ids=torch.tensor([0]),
    )
    pixels, padding = detector.padded(blank)
    strides = tuple(round(pixels.shape[-2] / h) for h, _ in detector.shapes_of_levels(pixels, padding))
    detector.config = replace(detector.config, strides=strides)
    return detector


def classes_of(path: Path, detector: hub.Model, class_file: Path | None) -> tuple[Classes, hub.Model]:
    """The classes of a folder, and the detector with these alone. UserError: names and class heads do not fit."""
    config = read_json(path / "config.json")
    where = f"{path / 'config.json'}"
    ids = decode(tuple[int, ...], config.get("category_ids", []), f"{where}: category_ids")
    foreign = ForeignWeights(path, HUB, {}, labels=config_labels(config, where), category_ids=ids)
    count = detector.config.classes
    classes = choose_classes(foreign, detector.kind, count, class_file)
    if classes.rows == tuple(range(count)):
        return classes, detector
    changed = with_classes(detector, classes.rows).detector
    assert isinstance(changed, hub.Model)
    return classes, changed


def read_processor(path: Path, kind: str) -> Processor:
    """The folder's preprocessor_config.json. UserError: it is not an object, or a value has the wrong type."""
    file = path / "preprocessor_config.json"
    entries = read_json(file) if file.is_file() else {}
    if not isinstance(entries, dict):
        raise UserError(f"{file} is not an object; correct it, or remove it")
    normalise = entries.get("do_normalize", not FAMILIES[kind].padded_boxes)
    mean, std = IMAGENET if normalise else ((0.0,) * 3, (1.0,) * 3)
    if normalise:
        mean = decode(tuple[float, float, float], entries.get("image_mean", list(mean)), f"{file}: image_mean")
        std = decode(tuple[float, float, float], entries.get("image_std", list(std)), f"{file}: image_std")
    if not all(x > 0 for x in std):
        raise UserError(f"{file}: image_std is {std}; it must be above 0")
    colours = "normalised with ImageNet's mean and deviation" if normalise else "in 0 to 1"
    assumed = "" if file.is_file() else f"no preprocessor_config.json: pixels are {colours}"
    return Processor(mean, std, image_size(entries, file), assumed)


def image_size(entries: dict[str, Any], file: Path) -> Augment:
    """The size of images in evaluation: a square, or a short side with a limit of the long side."""
    size = entries.get("size", {})
    if isinstance(size, dict) and {"height", "width"} <= size.keys():
        height, width = (decode(int, size[key], f"{file}: size.{key}") for key in ("height", "width"))
        if height != width:
            raise UserError(f"{file} resizes images to {height} x {width}; only squares can be used")
        return Augment(sizes=(height,), longest=max(height, 1333), square=True)
    if not isinstance(size, dict):  # as older versions of transformers wrote it
        size = {"shortest_edge": size, "longest_edge": entries.get("max_size", 1333)}
    short = decode(int, size.get("shortest_edge", 800), f"{file}: size.shortest_edge")
    longest = decode(int, size.get("longest_edge", 1333), f"{file}: size.longest_edge")
    return Augment(sizes=() if entries.get("do_resize") is False else (short,), longest=longest)
