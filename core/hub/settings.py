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


def read_settings(text: str, where: str) -> dict[str, Any]:
    """The entries of a config.json that matter, without names of classes. UserError: it is not one that can be used."""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is not JSON: {error}") from None
    if not isinstance(entries, dict):
        raise UserError(f"{where} is not an object; give the config.json that transformers wrote")
    if asked := [key for key in REMOTE_CODE if entries.get(key)]:
        raise UserError(f"{where} asks to run code that comes with the weights ({asked[0]}), which is never done")
    kind = entries.get("model_type")
    if kind not in FAMILIES:
        raise UserError(f"{where} has model_type {kind!r}; there are {', '.join(FAMILIES)}")
    if FAMILIES[kind].norm_states and entries.get("auxiliary_loss"):
        raise UserError(
            f"{where} sets auxiliary_loss, with which transformers passes normed states from layer to layer: that is"
            f" not {kind}, and cannot be used"
        )
    return {key: value for key, value in entries.items() if key not in IGNORED}


def build_settings(config_json: str, *, classes: int, queries: int, layers: int, width: int) -> Any:
    """transformers' configuration with these numbers of classes, queries and layers of predictions.

    UserError: `config_json` cannot be used, or its queries have not `width` channels.
    """
    where = "config_json"
    entries = read_settings(config_json, where)
    entries |= {"use_pretrained_backbone": False} if "use_pretrained_backbone" in entries else {}
    kind = entries.pop("model_type")
    try:
        settings = import_transformers().AutoConfig.for_model(kind, **entries)
    except UserError:
        raise
    except Exception as error:  # transformers checks its fields with many kinds of errors
        reason = " ".join(str(error).split())
        raise UserError(f"{where} is refused by transformers: {reason}") from None
    settings.num_labels = classes
    settings.num_queries = queries
    if getattr(settings, "two_stage", False):
        settings.two_stage_num_proposals = queries
    settings.decoder_layers = layers - FAMILIES[kind].initial_prediction
    if width_of(settings) != width:
        raise UserError(f"{where} has queries of {width_of(settings)} channels, but the detector's width is {width}")
    return settings


def width_of(settings: Any) -> int:
    """Channels of queries in transformers' configuration."""
    return int(settings.d_model if hasattr(settings, "d_model") else settings.hidden_size)
