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
from core.convert.read import ForeignWeights, config_labels, processor_augment, read_processor
from core.convert.tensors import refuse_not_finite
from core.convert.to_detector import Converted, class_line, starred
from core.data.transforms import Augment
from core.detectors import hub
from core.detectors.base import Detector
from core.errors import UserError
from core.files import read_json
from core.hub.families import FAMILIES
from core.hub.settings import import_transformers, transformers_settings, usable_entries, width_of
from core.matching.costs import Matching
from core.runs.config import decode
from core.tensor_names import HUB
from core.types import Images

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COSTS = {"class": 2.0, "bbox": 5.0, "giou": 2.0}  # weights of the parts of the cost where a configuration gives none
PROBE = 512  # side of the image with which strides are measured


@dataclass(frozen=True)
class Processor:
    """How a folder's image processor prepares images."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment  # the size of images
    assumed: str  # what is said if the folder has no such file


def convert_folder(path: Path, class_file: Path | None = None) -> Converted:
    """The detector of a folder, its classes, the size of its images, and what became of its tensors.

    UserError: it is not of a family that can be used, its weights are missing or a pickle, or its classes do not fit.
    """
    file = path / "config.json"
    content = read_json(file)
    entries = usable_entries(content, f"{file}")
    refuse_missing_weights(path)
    processor = colours_and_size(path, entries["model_type"])
    labels = config_labels(content, f"{file}")
    network, report = load_network(path, entries | ({"num_labels": len(labels)} if labels else {}))
    detector = hub.Model(hub_config(network.config, entries, processor))
    detector.network.load_state_dict(network.state_dict())
    ids = decode(tuple[int, ...], content.get("category_ids", []), f"{file}: category_ids")
    foreign = ForeignWeights(path, HUB, {}, labels=labels, category_ids=ids)
    classes = choose_classes(foreign, detector.kind, detector.config.classes, class_file)
    detector = with_strides(detector.eval())
    lines = [*report, ("classes", class_line(classes)), ("assumed", processor.assumed)]
    return Converted(
        with_rows(detector, classes), classes.categories, tuple((a, b) for a, b in lines if b), processor.augment
    )


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
    """transformers' model of a folder, and lines on its tensors. UserError: a tensor is missing, misshapen or not finite."""
    settings = transformers_settings(entries, f"{path / 'config.json'}")
    try:
        network, info = import_transformers().AutoModelForObjectDetection.from_pretrained(
            path, config=settings, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # transformers raises many kinds for a folder that does not fit together
        raise UserError(f"{path} cannot be opened by transformers: {' '.join(str(error).split())[:300]}") from None
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"{path}: model.safetensors lacks {missing[0]} and {len(missing) - 1} more tensors of its config.json"
        )
    for name, x in network.state_dict().items():
        refuse_not_finite(name, x, path)
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
        groups="all" if family.groups else "first",
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
    """The costs of transformers' matcher for this configuration, and the losses of the family's original training."""
    family = FAMILIES[settings.model_type]
    costs = {part: cost(settings, part) for part in COSTS}
    class_loss_weight = 1.0 if family.class_loss != "focal" else loss_weight("class", costs)
    return Matching(
        class_weight=costs["class"],
        l1_weight=costs["bbox"],
        giou_weight=costs["giou"],
        class_cost="score" if family.softmax else "focal",
        class_loss=family.class_loss,
        class_loss_weight=class_loss_weight,
        l1_loss_weight=loss_weight("bbox", costs),
        giou_loss_weight=loss_weight("giou", costs),
        fgl_weight=float(settings.weight_loss_fgl) if family.bins else 0.0,
        ddf_weight=float(settings.weight_loss_ddf) if family.bins else 0.0,
        union=family.bins,
    )


def cost(settings: Any, part: str) -> float:
    """The weight of a part of the cost in transformers' configuration, or else its default."""
    stated = (getattr(settings, name, None) for name in (f"{part}_cost", f"matcher_{part}_cost"))
    return float(next((value for value in stated if value is not None), COSTS[part]))


def loss_weight(part: str, costs: dict[str, float]) -> float | None:
    """The weight of a term of the loss: that of the cost (None), or its default where the cost is left out."""
    return None if costs[part] else COSTS[part]


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


def with_rows(detector: hub.Model, classes: Classes) -> Detector:
    """The detector with these rows of its class heads alone."""
    if classes.rows == tuple(range(detector.config.classes)):
        return detector
    return with_classes(detector, classes.rows)


def colours_and_size(path: Path, kind: str) -> Processor:
    """Reads the colours and the size of images from preprocessor_config.json. UserError: it, or a value in it, is wrong."""
    entries, file = read_processor(path), path / "preprocessor_config.json"
    normalise = entries.get("do_normalize", not FAMILIES[kind].padded_boxes)
    mean, std = IMAGENET if normalise else ((0.0,) * 3, (1.0,) * 3)
    if normalise:
        mean = decode(tuple[float, float, float], entries.get("image_mean", list(mean)), f"{file}: image_mean")
        std = decode(tuple[float, float, float], entries.get("image_std", list(std)), f"{file}: image_std")
    if not all(x > 0 for x in std):
        raise UserError(f"{file}: image_std is {std}; it must be above 0")
    colours = "normalised with ImageNet's mean and deviation" if normalise else "in 0 to 1"
    assumed = "" if file.is_file() else f"no preprocessor_config.json: pixels are {colours}"
    return Processor(mean, std, processor_augment(path), assumed)
