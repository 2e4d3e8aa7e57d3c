"""Builds transformers' configuration of a detector from the fields of its Config."""

import json
import os
from types import ModuleType
from typing import Any

from core.errors import UserError
from core.hub.families import FAMILIES

REMOTE_CODE = (
    "auto_map",
    "custom_pipelines",
    "trust_remote_code",
)  # entries that ask for code of the folder or the hub
IGNORED = ("architectures", "dtype", "torch_dtype", "transformers_version", "id2label", "label2id", "_name_or_path")


def import_transformers() -> ModuleType:
    """The package, told not to use the network. UserError: it is not installed."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import transformers
    except ImportError:
        raise UserError("detectors of transformers need the hf extra: pip install 'detrdistill[hf]'") from None
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def usable_entries(content: Any, where: str) -> dict[str, Any]:
    """The entries of a config.json that matter, without names of classes. UserError: it is not one that can be used."""
    if not isinstance(content, dict):
        raise UserError(f"{where} is not an object; give the config.json that transformers wrote")
    if asked := [key for key in REMOTE_CODE if content.get(key)]:
        raise UserError(f"{where} asks to run code that comes with the weights ({asked[0]}), which is never done")
    kind = content.get("model_type")
    if kind not in FAMILIES:
        raise UserError(f"{where} has model_type {kind!r}; there are {', '.join(FAMILIES)}")
    if FAMILIES[kind].norm_states and content.get("auxiliary_loss"):
        raise UserError(
            f"{where} sets auxiliary_loss, with which transformers passes normed states from layer to layer: that is"
            f" not {kind}, and cannot be used"
        )
    return {key: value for key, value in content.items() if key not in IGNORED}


def parsed_entries(config_json: str) -> dict[str, Any]:
    """The same of the text in a detector's Config. UserError: it is not JSON, or cannot be used."""
    try:
        content = json.loads(config_json)
    except ValueError as error:
        raise UserError(f"config_json is not JSON: {error}") from None
    return usable_entries(content, "config_json")


def transformers_settings(entries: dict[str, Any], where: str) -> Any:
    """transformers' configuration with these entries; no backbone is ever downloaded. UserError: transformers refuses it."""
    transformers = import_transformers()
    options = {key: value for key, value in entries.items() if key != "model_type"}
    options |= {"use_pretrained_backbone": False} if "use_pretrained_backbone" in options else {}
    try:
        return transformers.AutoConfig.for_model(entries["model_type"], **options)
    except Exception as error:  # transformers checks its fields with many kinds of errors
        raise UserError(f"{where} is refused by transformers: {' '.join(str(error).split())}") from None


def build_settings(config_json: str, *, classes: int, queries: int, layers: int, width: int) -> Any:
    """transformers' configuration with these numbers of classes, queries and layers of predictions.

    UserError: `config_json` cannot be used, or its queries have not `width` channels.
    """
    settings = transformers_settings(parsed_entries(config_json), "config_json")
    settings.num_labels = classes
    settings.num_queries = queries
    if getattr(settings, "two_stage", False):
        settings.two_stage_num_proposals = queries
    settings.decoder_layers = layers - FAMILIES[settings.model_type].initial_prediction
    if width_of(settings) != width:
        raise UserError(
            f"config_json has queries of {width_of(settings)} channels, but the detector's width is {width}"
        )
    return settings


def width_of(settings: Any) -> int:
    """Channels of queries in transformers' configuration."""
    return int(settings.d_model if hasattr(settings, "d_model") else settings.hidden_size)
