"""Reads weights that others wrote: .pth files of the original projects, and folders of transformers.

A .pth file is a pickle, which can run any code when it is loaded. torch loads only tensors, plain values and SAFE_GLOBALS from
it; a file that needs anything else is refused, and nothing of it is run.
"""

import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.data.transforms import Augment
from core.errors import UserError
from core.files import read_json
from core.limits import shown
from core.nn.memory import limited_to_file
from core.runs.config import decode
from core.tensor_names import HUB, RELEASED, from_native

numpy_scalar: Any = np.float64(0).__reduce__()[0]  # makes numpy's scalars; its module has had two names
SAFE_GLOBALS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    Namespace,  # the command-line options of a training of the DETR family
    np.dtype,
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"},
    *((numpy_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
SUPPORTED = {  # entries of transformers' configurations, also of the backbone's; with other values it is another network
    "position_embedding_type": "sine",
    "activation_function": "relu",
    "hidden_act": "relu",
    "num_channels": 3,
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}
WRAPPERS = ("module.", "model.", "_orig_mod.")  # of DistributedDataParallel, Lightning and torch.compile
LARGEST = 16_384  # pixels of a side of an image
BACKBONE = "model.backbone.conv_encoder.model."  # how names of a backbone's tensors begin in transformers' folders


@dataclass(frozen=True)
class ForeignWeights:
    """The contents of a file or folder of weights, with tensors under the names that they have there."""

    path: Path
    style: int  # whose names the tensors have: RELEASED (the original projects) or HUB (transformers)
    tensors: dict[str, Tensor]
    options: dict[str, Any] = field(
        default_factory=dict
    )  # that shapes don't show: heads, dropout, dilation, refine ...
    labels: Mapping[int, str] = field(default_factory=dict)  # names of classes, by row of the class heads
    category_ids: tuple[int, ...] = ()  # ids of classes, row by row
    augment: Augment = Augment(sizes=(800,), longest=1333)  # the size of images in evaluation
    native_backbone: bool = False  # a ResNet of transformers itself; `tensors` then has torchvision's names for it


def read_weights(path: Path) -> ForeignWeights:
    """Reads a .pth file or a folder of transformers. UserError: it cannot be read, or is not safe to read."""
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder of weights")
    if path.suffix == ".safetensors":
        raise UserError(f"{path} says nothing of its architecture; give the folder that also holds its config.json")
    return read_pth(path)


def read_pth(path: Path) -> ForeignWeights:
    """Reads a .pth file: {model, args, ...} of the DETR family, {state_dict, meta, ...} of MMDetection, or tensors only."""
    content = unpickle(path)
    entries = content if isinstance(content, dict) else {}
    tensors = next((entries[key] for key in ("model", "state_dict") if isinstance(entries.get(key), dict)), entries)
    tensors = {name: x for name, x in tensors.items() if isinstance(name, str) and torch.is_tensor(x)}
    if not tensors:
        raise UserError(f"{path} holds no tensors under model or state_dict; give the file that a training wrote")
    tensors = without_wrapper(tensors)
    options = training_options(entries.get("args"), f"{path}: args")
    return ForeignWeights(path, RELEASED, tensors, options, mmdetection_labels(entries.get("meta")))


def without_wrapper(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefixes that DistributedDataParallel, Lightning and torch.compile put before every name."""
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in tensors):
            return without_wrapper({name.removeprefix(prefix): x for name, x in tensors.items()})
    return tensors


def training_options(args: Any, where: str) -> dict[str, Any]:
    """The options of a training of the DETR family that shapes don't show: `args` is a Namespace, a dict or None.

    UserError: it is neither, or an option has the wrong type.
    """
    options = vars(args) if isinstance(args, Namespace) else {} if args is None else args
    if not isinstance(options, dict):
        raise UserError(f"{where} must be the options of the training, not {shown(args)}")
    names = {
        "heads": ("nheads", int),
        "dropout": ("dropout", float),
        "dilation": ("dilation", bool),
        "queries": ("num_queries", int),
    }
    return {k: decode(kind, options[name], f"{where}.{name}") for k, (name, kind) in names.items() if name in options}


def mmdetection_labels(meta: Any) -> dict[int, str]:
    """The names of classes in MMDetection's `meta`, by row; none if it has none."""
    names = meta.get("CLASSES") if isinstance(meta, dict) else None
    return dict(enumerate(map(str, names))) if isinstance(names, tuple | list) else {}


def unpickle(path: Path) -> Any:
    """The content of a .pth file. UserError: it is damaged, or needs more than SAFE_GLOBALS."""
    try:
        with limited_to_file(path), torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        if wanted := re.search(r"GLOBAL (\S+)", str(error)):
            raise UserError(
                f"{path} is refused: to be read it would run {wanted[1]}, and a file of weights needs no more than"
                " tensors, plain values, argparse.Namespace and numpy's scalars; nothing of it was run"
            ) from None
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise UserError(f"{path} is refused: to be read it would take far more memory than its own size") from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} is not a file of weights that is safe to read ({reason})") from None


def read_folder(path: Path) -> ForeignWeights:
    """Reads a folder that transformers' save_pretrained wrote, or this project's export. UserError: it cannot be read."""
    config, where = read_json(path / "config.json"), f"{path / 'config.json'}"
    if not isinstance(config, dict):
        raise UserError(f"{where} is not an object; give a folder that transformers wrote")
    refuse_variants(config, where)
    category_ids = decode(tuple[int, ...], config.get("category_ids", []), f"{where}: category_ids")
    stored = read_safetensors(path / "model.safetensors")
    return ForeignWeights(
        path,
        HUB,
        join_projections({from_native(k) if k.startswith(BACKBONE) else k: x for k, x in stored.items()}, path),
        config_options(config, where),
        config_labels(config, where),
        category_ids,
        processor_augment(path),
        native_backbone=any(k.startswith(f"{BACKBONE}embedder.") for k in stored),
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. UserError: it does not exist, or is not such a file."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; save the model again with transformers' save_pretrained") from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a safetensors file ({error})") from None


def refuse_variants(config: dict[str, Any], where: str) -> None:
    """UserError: the configuration is of a variant that transformers can build, but the original projects and this one cannot."""
    backbone: Any = config.get("backbone_config")
    inner = backbone if isinstance(backbone, dict) else {}
    for key, supported in SUPPORTED.items():
        for value in (config.get(key, supported), inner.get(key, supported)):
            if value != supported:
                raise UserError(f"{where} has {key} {shown(value)}; only {supported!r} can be imported")
    if config.get("model_type") == "conditional_detr" and config.get("auxiliary_loss"):
        raise UserError(
            f"{where} sets auxiliary_loss, with which transformers passes normed states from layer to layer:"
            " that is not Conditional DETR, and cannot be imported"
        )
    if config.get("encoder_attention_heads", 8) != config.get("decoder_attention_heads", 8):
        raise UserError(f"{where} gives encoder and decoder other numbers of heads; they must be equal to be imported")


def config_options(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The options of a transformers configuration that shapes don't show, with transformers' defaults.

    UserError: one has the wrong type.
    """
    queries = "two_stage_num_proposals" if config.get("two_stage") else "num_queries"
    entries: dict[str, tuple[str, type, Any]] = {  # our name: (name in the configuration, type, default)
        "heads": ("encoder_attention_heads", int, 8),
        "queries": (queries, int, 300),
        "dropout": ("dropout", float, 0.1),
        "dilation": ("dilation", bool, False),
        "refine": ("with_box_refine", bool, False),
        "tied": ("tie_word_embeddings", bool, True),
        "kind": ("model_type", str, ""),
    }
    return {
        name: decode(kind, config.get(key, default), f"{where}: {key}")
        for name, (key, kind, default) in entries.items()
    }


def config_labels(config: dict[str, Any], where: str) -> dict[int, str]:
    """The names of classes in a transformers configuration, by row, in order. UserError: they are not such a list."""
    labels = config.get("id2label", {})
    if not isinstance(labels, dict) or not all(
        k.isdecimal() and len(k) < 9 and isinstance(v, str) for k, v in labels.items()
    ):
        raise UserError(f'{where}: id2label must be an object like {{"0": "cat"}}, not {shown(labels)}')
    return {int(k): labels[k] for k in sorted(labels, key=int)}


def read_processor(path: Path) -> dict[str, Any]:
    """The contents of a folder's preprocessor_config.json, {} without one. UserError: it is not an object."""
    file = path / "preprocessor_config.json"
    entries = read_json(file) if file.exists() else {}
    if not isinstance(entries, dict):
        raise UserError(f"{file} is not an object; correct it, or remove it")
    return entries


def processor_image_size(path: Path) -> tuple[int | None, int]:
    """The image size of the folder's image processor: short side (None: keep), limit of the long side. Default: DETR's.

    UserError: the processor's file is not an object, or a size has the wrong type or is absurd.
    """
    processor, file = read_processor(path), path / "preprocessor_config.json"
    size = processor.get("size", {})
    if not isinstance(size, dict):  # as older versions of transformers wrote it
        size = {"shortest_edge": size, "longest_edge": processor.get("max_size", 1333)}
    short, longest = (side_of(size, key, n, file) for key, n in (("shortest_edge", 800), ("longest_edge", 1333)))
    return (None if processor.get("do_resize") is False else short), longest


def processor_augment(path: Path) -> Augment:
    """The size of images by the folder's image processor: a square, or a short side, if any, with a limit of the long side.

    UserError: see `processor_image_size`; or images would become oblong.
    """
    entries, file = read_processor(path), path / "preprocessor_config.json"
    size, resizes = entries.get("size"), entries.get("do_resize") is not False
    if resizes and isinstance(size, dict) and {"height", "width"} <= size.keys():
        height, width = (side_of(size, key, 0, file) for key in ("height", "width"))
        if height != width:
            raise UserError(f"{file} resizes images to {height} x {width}; only squares can be used")
        return Augment(sizes=(height,), longest=max(height, 1333), square=True)
    short, longest = processor_image_size(path)
    return Augment(sizes=() if short is None else (short,), longest=longest)


def side_of(size: dict[str, Any], key: str, default: int, file: Path) -> int:
    """A side of images in pixels. UserError: it has the wrong type or is absurd."""
    value = decode(int, size.get(key, default), f"{file}: {key}")
    if not 1 <= value <= LARGEST:
        raise UserError(f"{file}: {key} is {shown(value)}; it must be a number of pixels from 1 to {LARGEST}")
    return int(value)


def join_projections(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors, with q_proj, k_proj and v_proj of each attention joined to one tensor qkv_proj.

    UserError: one of the three is missing, or their shapes differ.
    """
    result = dict(tensors)
    for key in [k for k in tensors if re.search(r"\.[qkv]_proj\.", k)]:
        names = [re.sub(r"\.[qkv]_proj\.", f".{x}_proj.", key) for x in "qkv"]
        if missing := [name for name in names if name not in tensors]:
            raise UserError(f"{path} lacks the tensor {missing[0]}")
        shapes = [f"{name} {tuple(tensors[name].shape)}" for name in names]
        if len({tensors[name].shape for name in names}) > 1:
            raise UserError(f"{path} does not fit: {', '.join(shapes)} must have one shape")
        result[re.sub(r"\.[qkv]_proj\.", ".qkv_proj.", key)] = torch.cat([tensors[name] for name in names])
        result.pop(key)
    return result
