"""What others wrote, as it stands: the originals' .pth files and transformers' folders.

Of a pickle, torch reads tensors and plain values, and what is listed here; anything else is refused before it is made.
"""

import re
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.errors import UserError
from core.files import read_json
from core.runs.config import decode
from core.tensor_names import HUB, RELEASED, from_native

scalar = np.float64(0).__reduce__()[0]  # makes numpy's scalars, under a name that has changed
SAFE = [
    Namespace,  # the options of the DETR family's training
    np.dtype,
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"},
    *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
USUAL = {  # in transformers' configurations, theirs and their backbones'; others are other networks
    "position_embedding_type": "sine",
    "activation_function": "relu",
    "hidden_act": "relu",
    "num_channels": 3,
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}
BACKBONE = "model.backbone.conv_encoder.model."  # in transformers' folders


@dataclass(frozen=True)
class ForeignWeights:
    path: Path
    style: Literal[1, 2]  # RELEASED or HUB: whose names the tensors have
    tensors: dict[str, Tensor]
    said: dict = field(default_factory=dict)  # of its making, by our names: heads, dropout, dilation, refine ..
    labels: Mapping[int, str] = field(default_factory=dict)  # of the rows of its class heads
    ids: tuple[int, ...] = ()  # of its categories, row by row
    size: tuple[int | None, int] = (800, 1333)  # of images: short side, None as it comes; the long one's limit
    native: bool = False  # whether its backbone was transformers' own ResNet; `tensors` has torchvision's names


def read(path: Path) -> ForeignWeights:
    """UserError, in one sentence, where it cannot be read or is not safe to read."""
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder of weights")
    if path.suffix == ".safetensors":
        raise UserError(f"{path} says nothing of its architecture; give the folder that also holds its config.json")
    return read_pth(path)


def read_pth(path: Path) -> ForeignWeights:
    """{model, args, ..} as the DETR family writes it, {state_dict, meta, ..} as MMDetection does, or tensors alone."""
    held = unpickle(path)
    held = held if isinstance(held, dict) else {}
    tensors = next((held[key] for key in ("model", "state_dict") if isinstance(held.get(key), dict)), held)
    tensors = {name: x for name, x in tensors.items() if isinstance(name, str) and torch.is_tensor(x)}
    if not tensors:
        raise UserError(f"{path} holds no tensors under model or state_dict; give the file that a training wrote")
    return ForeignWeights(
        path, RELEASED, tensors, told(held.get("args"), f"{path}: args"), class_names(held.get("meta"))
    )


def told(args, where: str) -> dict:
    """What the options of a training say that the weights cannot."""
    given = vars(args) if isinstance(args, Namespace) else {}
    asked = {"heads": ("nheads", int), "dropout": ("dropout", float), "dilation": ("dilation", bool)}
    asked["queries"] = ("num_queries", int)
    return {k: decode(kind, given[name], f"{where}.{name}") for k, (name, kind) in asked.items() if name in given}


def class_names(meta) -> dict[int, str]:
    """As MMDetection notes them."""
    names = meta.get("CLASSES") if isinstance(meta, dict) else None
    return dict(enumerate(map(str, names))) if isinstance(names, tuple | list) else {}


def unpickle(path: Path):
    try:
        with torch.serialization.safe_globals(SAFE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        if wanted := re.search(r"GLOBAL (\S+)", str(error)):
            raise UserError(
                f"{path} is refused: to be read it would run {wanted[1]}, and a file of weights needs no more than"
                " tensors, plain values, argparse.Namespace and numpy's scalars; nothing of it was run"
            ) from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} is not a file of weights that is safe to read ({reason})") from None


def read_folder(path: Path) -> ForeignWeights:
    """A folder of transformers' save_pretrained, or of our export."""
    config, where = read_json(path / "config.json"), f"{path / 'config.json'}"
    if not isinstance(config, dict):
        raise UserError(f"{where} is not an object; give a folder that transformers wrote")
    refuse_variants(config, where)
    ids = decode(tuple[int, ...], config.get("category_ids", []), f"{where}: category_ids")
    held = read_safetensors(path / "model.safetensors")
    tensors = joined({from_native(k) if k.startswith(BACKBONE) else k: x for k, x in held.items()}, path)
    native = any(k.startswith(f"{BACKBONE}embedder.") for k in held)
    return ForeignWeights(
        path, HUB, tensors, options(config, where), labels(config, where), ids, image_size(path), native
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; save the model anew with transformers' save_pretrained") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a safetensors file ({error})") from None


def refuse_variants(config: dict, where: str) -> None:
    """What transformers can make of the two detectors and the originals cannot."""
    inner = config.get("backbone_config") if isinstance(config.get("backbone_config"), dict) else {}
    for key, value in USUAL.items():
        for found in (config.get(key, value), inner.get(key, value)):
            if found != value:
                raise UserError(f"{where} has {key} {found!r}; only {value!r} can be imported")
    if config.get("model_type") == "conditional_detr" and config.get("auxiliary_loss"):
        raise UserError(
            f"{where} sets auxiliary_loss, with which transformers passes normed states from layer to layer:"
            " that is not Conditional DETR, and cannot be imported"
        )
    if config.get("encoder_attention_heads", 8) != config.get("decoder_attention_heads", 8):
        raise UserError(f"{where} gives encoder and decoder other numbers of heads; they must be equal to be imported")


def options(config: dict, where: str) -> dict:
    """What its weights cannot tell; defaults are transformers'."""
    queries = "two_stage_num_proposals" if config.get("two_stage") else "num_queries"
    asked = {
        "heads": ("encoder_attention_heads", int, 8),
        "queries": (queries, int, 300),
        "dropout": ("dropout", float, 0.1),
        "dilation": ("dilation", bool, False),
        "refine": ("with_box_refine", bool, False),
        "tied": ("tie_word_embeddings", bool, True),
        "kind": ("model_type", str, ""),
    }
    return {
        ours: decode(kind, config.get(theirs, usual), f"{where}: {theirs}")
        for ours, (theirs, kind, usual) in asked.items()
    }


def labels(config: dict, where: str) -> dict[int, str]:
    told = config.get("id2label", {})
    if not isinstance(told, dict) or not all(k.isdecimal() and isinstance(v, str) for k, v in told.items()):
        raise UserError(f'{where}: id2label must be an object like {{"0": "cat"}}, not {told!r}')
    return {int(k): told[k] for k in sorted(told, key=int)}


def image_size(path: Path) -> tuple[int | None, int]:
    """As the folder's image processor resizes; as DETR's does where it does not say."""
    file = path / "preprocessor_config.json"
    told = read_json(file) if file.exists() else {}
    if not isinstance(told, dict):
        raise UserError(f"{file} is not an object; write it anew, or remove it")
    size = told.get("size", {})
    sides = size if isinstance(size, dict) else {"shortest_edge": size, "longest_edge": told.get("max_size", 1333)}
    usual = {"shortest_edge": 800, "longest_edge": 1333}
    short, longest = (decode(int, sides.get(key, n), f"{file}: {key}") for key, n in usual.items())
    return (None if told.get("do_resize") is False else short), longest


def joined(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """With the three projections of an attention as one, called qkv_proj."""
    found = dict(tensors)
    for key in [k for k in tensors if re.search(r"\.[qkv]_proj\.", k)]:
        names = [re.sub(r"\.[qkv]_proj\.", f".{x}_proj.", key) for x in "qkv"]
        if gone := [name for name in names if name not in tensors]:
            raise UserError(f"{path} lacks the tensor {gone[0]}")
        shapes = [f"{name} {tuple(tensors[name].shape)}" for name in names]
        if len({tensors[name].shape for name in names}) > 1:
            raise UserError(f"{path} does not fit: {', '.join(shapes)} must have one shape")
        found[re.sub(r"\.[qkv]_proj\.", ".qkv_proj.", key)] = torch.cat([tensors[name] for name in names])
        found.pop(key)
    return found
