"""Writes a detector of the hub as the folder that transformers saves of it."""

import copy
from pathlib import Path
from typing import Any

from core.detectors import hub
from core.files import write_json
from core.hub.settings import parsed_entries
from train.exports._processor import processor


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
    write_json(
        folder / "preprocessor_config.json",
        processor(detector.family.processor, card, detector.config.mean, detector.config.std),
    )
    return "open it with: transformers.AutoModelForObjectDetection.from_pretrained('{folder}')"
