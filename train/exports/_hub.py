"""Writes a detector of the hub as the folder that transformers saves of it."""

import copy
from pathlib import Path
from typing import Any

from core.data.transforms import Augment
from core.detectors import hub
from core.files import write_json
from core.hub.settings import parsed_entries
from core.runs.config import decode


def export(detector: hub.Model, card: dict, folder: Path) -> str:
    """Writes config.json, model.safetensors and preprocessor_config.json; returns the call that opens the folder."""
    network: Any = copy.deepcopy(detector.network)
    original = parsed_entries(detector.config.config_json)
    network.config.auxiliary_loss = original.get("auxiliary_loss", False)
    names = [category["name"] for category in card["categories"]]
    network.config.id2label = dict(enumerate(names))
    network.config.label2id = {name: k for k, name in enumerate(names)}
    network.config.category_ids = [category["id"] for category in card["categories"]]
    network.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", processor(detector, card))
    return "open it with: transformers.AutoModelForObjectDetection.from_pretrained('{folder}')"


def processor(detector: hub.Model, card: dict) -> dict:
    """The contents of preprocessor_config.json: images are resized, normalised and padded as in evaluation here."""
    augment = decode(Augment, card.get("data", {}).get("augment", {}), "the card: data.augment")
    side, config = max(augment.sizes, default=800), detector.config
    square = {"height": side, "width": side}
    return {
        "image_processor_type": detector.family.processor,
        "do_resize": bool(augment.sizes),
        "size": square if augment.square else {"shortest_edge": side, "longest_edge": augment.longest},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": config.mean != (0.0,) * 3 or config.std != (1.0,) * 3,
        "image_mean": list(config.mean),
        "image_std": list(config.std),
        "do_pad": not augment.square,
        "format": "coco_detection",
    }
