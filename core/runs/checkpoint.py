"""Writes and reads detectors and runs as safetensors files with a JSON card in the header. Nothing is ever unpickled."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from core import detectors, losses
from core.detectors.base import Detector
from core.distiller import Distiller, map_weights
from core.errors import UserError
from core.files import read_bytes, read_json, write_bytes
from core.limits import refuse_outside, shown
from core.losses.base import Loss
from core.nn.memory import physical_memory
from core.runs.checksums import file_header, load_checked, with_checksums
from core.runs.class_mapping import ClassMap, categories_of, map_classes
from core.runs.config import decode, decode_detector, did_you_mean, encode
from core.runs.last_layer import LastLayer

Load = Callable[[Path], tuple[Detector, dict]]  # a function with the signature of `load_detector`
T = TypeVar("T")


def save_module(path: Path, module: nn.Module, card: dict, *, within: Path | None = None) -> None:
    """Writes weights and buffers to one file, with the card in its header; the file is written as by `write_bytes`."""
    tensors = {name: x.detach().cpu().contiguous() for name, x in module.state_dict().items()}
    write_bytes(path, save(tensors, metadata={"card": with_checksums(card, tensors)}), within=within)


def save_detector(path: Path, detector: Detector, card: dict, *, within: Path | None = None) -> None:
    """Writes a detector; to the card are added the fields that rebuild it: {"detector": name, "config": fields}."""
    save_module(path, detector, card | encode(detector.config), within=within)


def load_detector(path: Path) -> tuple[Detector, dict]:
    """Reads a detector, in eval mode on the CPU, and its card.

    UserError, which names the file: it is missing, was not written by this project (a pickle, for instance), or its tensors
    do not fit its card.
    """
    tensors, card = read_tensors(path)
    if not {"detector", "config"} <= card.keys():
        raise UserError(f"{path} has no card of a detector in its header; give a run of `python -m train fit`")
    config = decode_detector({k: card[k] for k in ("detector", "config")}, f"the card of {path}")
    refuse_outside(config, f"the card of {path}: ")
    detector = new_detector(config, f"the card of {path}")
    load_into(detector, tensors, path)
    if "categories" in card:
        categories_of(card, path)
    return detector.eval(), card


def new_detector(config: Any, where: str) -> Detector:
    """A detector with new weights. UserError, which begins with `where`: its weights alone would fill this machine's memory."""
    kind = detectors.module(detectors.name_of(config)).Model
    try:
        with torch.device("meta"):  # which has sizes but no memory
            needed = sum(x.nbytes for x in kind(config).state_dict().values())
    except UserError:
        raise
    except Exception:  # a detector that cannot be built without memory; what is wrong with it is said below
        needed = 0
    if needed > physical_memory():
        raise UserError(
            f"{where}: its weights would take {needed / 1e9:.0f} GB, and this machine has {physical_memory() / 1e9:.0f} GB of "
            "memory; make the student's widths, layers or backbone smaller"
        )
    return kind(config)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Reads the tensors of a safetensors file and the card in its header ({} if it has none).

    UserError: the file cannot be read, or its tensors have changed since it was written.
    """
    try:
        data = read_bytes(path)  # once, since another file may take its place at any time
        return load_checked(data, card_in(data), path)
    except UserError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(
            f"{path}: no such file; give a run that `python -m train fit` finished, or its .safetensors"
        ) from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not a safetensors file ({error}); pickles such as .pth are never opened here:"
            f" take weights of others in with: python -m train import {path} --out RUN"
        ) from None


def card_in(data: bytes) -> dict:
    """The card in the header of a safetensors file, given its bytes; {} if it has none. ValueError: it is not an object."""
    entries = file_header(data)[0].get("__metadata__", {})
    text = entries.get("card", "{}") if isinstance(entries, dict) else None
    card = json.loads(text) if isinstance(text, str) else None
    if not isinstance(card, dict):
        raise ValueError("the card in its header is not an object")
    return card


def load_into(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Loads tensors into a module. UserError: a name or a shape differs; `path` is the file in the message."""
    state = module.state_dict()
    for name in sorted(state.keys() | tensors.keys()):
        in_model, in_file = (tuple(x[name].shape) if name in x else None for x in (state, tensors))
        if in_model != in_file:
            raise UserError(
                f"{path} does not fit the model: {name} has shape {in_file} in the file and {in_model} in the model"
            )
    module.load_state_dict(tensors)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return sha256(read_bytes(path)).hexdigest()


def weights_file(path: Path) -> Path:
    """The file of the trained detector if `path` is a run's folder, otherwise `path` itself."""
    return Path(path) / "student.safetensors" if Path(path).is_dir() else Path(path)


def open_distiller(run: Path, load: Load | None = None) -> tuple[Distiller, dict]:
    """Reads a run: the best student, the losses and the teacher as a Distiller, in eval mode on the CPU, and the card.

    The teacher's path in the card is tried as it is and relative to the run's folder, and its file must have the card's
    SHA-256. `load` replaces `load_detector`, for instance with one that caches. UserError: the run is incomplete.
    """
    run, load = Path(run), load or load_detector
    card = read_json(run / "card.json")
    configs = card_entry(card_entry(card, "run", dict, run), "losses", dict, run)
    student, _ = load(run / "student.safetensors")
    teacher = open_teacher(run, card["teacher"], load) if card.get("teacher") else None
    parts, scales = build_losses(configs, student, teacher, str(run / "card.json"))
    distiller = Distiller(student, parts, map_weights(parts, scales), teacher)
    load_into(distiller.losses, read_tensors(run / "losses.safetensors")[0], run / "losses.safetensors")
    return distiller.eval(), card


def card_entry(card: object, key: str, kind: type[T], run: Path) -> T:
    """The value of `key` in a run's card, or in an object of the card. UserError: it is missing or not of type `kind`."""
    value = card.get(key) if isinstance(card, dict) else None
    if not isinstance(value, kind):
        raise UserError(
            f"{run / 'card.json'} is not the card of a run: its {key!r} is {shown(value)};"
            " give a folder that `python -m train fit` made"
        )
    return value


def open_teacher(run: Path, entry: Any, load: Load) -> Detector:
    """The teacher of a run, given the card's entry {"path", "sha256"[, "columns", "layers"]}.

    UserError: it is gone or has changed.
    """
    recorded, digest = (card_entry(entry, key, str, run) for key in ("path", "sha256"))
    present = [p for p in (weights_file(Path(recorded)), weights_file(run / recorded)) if p.is_file()]
    if not present:
        raise UserError(f"{run}: its teacher {recorded} is gone; put it back, or give --teacher RUN")
    path = next((p for p in present if sha256_of(p) == digest), None)
    if path is None:
        raise UserError(f"{run}: {present[0]} is not the teacher that it was trained with (its sha256 differs)")
    columns = decode(ClassMap | None, entry.get("columns"), f"{run / 'card.json'}: teacher.columns")
    teacher = map_classes(load(path)[0], columns)
    return LastLayer(teacher) if entry.get("layers") == "last" else teacher


def build_losses(
    configs: dict, student: Detector, teacher: Detector | None, where: str
) -> tuple[dict[str, Loss], dict[str, float]]:
    """Builds the losses whose weight is not 0 from their configs as JSON; returns them and their weights, by name.

    UserError, which begins with `where`: there is no such loss or field, or a loss does not fit the detectors.
    """
    parts: dict[str, Loss] = {}
    scales: dict[str, float] = {}
    for name, data in configs.items():
        if name not in losses.names():
            raise UserError(f"{where}: no loss {name!r}{did_you_mean(name, losses.names())}")
        config = decode(losses.module(name).Config, data, f"{where}: losses.{name}")
        refuse_outside(config, f"{where}: losses.{name}.")
        if config.weight:
            parts[name], scales[name] = losses.build(name, config, student, teacher), config.weight
    return parts, scales
