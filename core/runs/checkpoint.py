"""Detectors and runs on disk: safetensors with a JSON card in the header. Nothing is unpickled."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import nn

from core import detectors, losses
from core.detectors.base import Detector
from core.distiller import Distiller, map_weights
from core.errors import UserError
from core.files import read_json, write_bytes
from core.losses.base import Loss
from core.runs.class_mapping import ClassMap, map_classes
from core.runs.config import decode, decode_detector, did_you_mean, encode

Load = Callable[[Path], tuple[Detector, dict]]  # as `load_detector`


def save_module(path: Path, module: nn.Module, card: dict) -> None:
    """Weights and buffers in one file, with the card in its header; whole or not at all."""
    tensors = {name: x.detach().cpu().contiguous() for name, x in module.state_dict().items()}
    write_bytes(path, save(tensors, metadata={"card": json.dumps(card)}))


def save_detector(path: Path, detector: Detector, card: dict) -> None:
    """The card gains what builds the detector: {"detector": name, "config": fields}."""
    save_module(path, detector, card | encode(detector.config))


def load_detector(path: Path) -> tuple[Detector, dict]:
    """The detector, in eval mode on the CPU, and its card.

    UserError, naming the file, where it is missing, is no safetensors file of ours (a pickle, say), or does not fit.
    """
    tensors, card = read_tensors(path)
    if not {"detector", "config"} <= card.keys():
        raise UserError(f"{path} has no card of a detector in its header; give a run of `python -m train fit`")
    config = decode_detector({k: card[k] for k in ("detector", "config")}, f"the card of {path}")
    detector = detectors.module(card["detector"]).Model(config)
    load_into(detector, tensors, path)
    return detector.eval(), card


def read_tensors(path: Path) -> tuple[dict, dict]:
    """Tensors and card of a file."""
    try:
        with safe_open(path, "pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "{}"))
        if not isinstance(card, dict):
            raise ValueError("the card in its header is not an object")
        return load(Path(path).read_bytes()), card
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(
            f"{path}: no such file; give a run that `python -m train fit` finished, or its .safetensors"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a safetensors file ({error}); pickles such as .pth are never opened here:"
            f" take weights of others in with: python -m train import {path} --out RUN"
        ) from None


def load_into(module: nn.Module, tensors: dict, path: Path) -> None:
    own = module.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        mine, theirs = (tuple(x[name].shape) if name in x else None for x in (own, tensors))
        if mine != theirs:
            raise UserError(
                f"{path} does not fit the model: {name} has shape {theirs} in the file and {mine} in the model"
            )
    module.load_state_dict(tensors)


def sha256_of(path: Path) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()


def weights_file(path: Path) -> Path:
    """The detector of a run, or the file itself."""
    return Path(path) / "student.safetensors" if Path(path).is_dir() else Path(path)


def open_distiller(run: Path, load: Load | None = None) -> tuple[Distiller, dict]:
    """What a run trained, in eval mode on the CPU, and its card: student (the best one), losses, teacher.

    The teacher is found by the card's path, as it stands or relative to the run's folder, and must have the card's
    sha256. `load` may know detectors that are in memory already. Raises UserError where the run is not whole.
    """
    run, load = Path(run), load or load_detector
    card = read_json(run / "card.json")
    configs = entry(entry(card, "run", dict, run), "losses", dict, run)
    student, _ = load(run / "student.safetensors")
    teacher = open_teacher(run, card["teacher"], load) if card.get("teacher") else None
    parts, scales = build_losses(configs, student, teacher, str(run / "card.json"))
    distiller = Distiller(student, parts, map_weights(parts, scales), teacher)
    load_into(distiller.losses, read_tensors(run / "losses.safetensors")[0], run / "losses.safetensors")
    return distiller.eval(), card


def entry(card, key: str, kind: type, run: Path):
    """What the card of a run, or a part of it, says under `key`."""
    value = card.get(key) if isinstance(card, dict) else None
    if not isinstance(value, kind):
        raise UserError(
            f"{run / 'card.json'} is not the card of a run: its {key!r} is {value!r};"
            " give a folder that `python -m train fit` made"
        )
    return value


def open_teacher(run: Path, note, load: Load) -> Detector:
    """`note` is {"path", "sha256"}."""
    named, digest = (entry(note, key, str, run) for key in ("path", "sha256"))
    path = next((p for p in (weights_file(Path(named)), weights_file(run / named)) if p.is_file()), None)
    if path is None:
        raise UserError(f"{run}: its teacher {named} is gone; put it back, or give --teacher RUN")
    if sha256_of(path) != digest:
        raise UserError(f"{run}: {path} is not the teacher that it was trained with (its sha256 differs)")
    told = decode(ClassMap | None, note.get("columns"), f"{run / 'card.json'}: teacher.columns")
    return map_classes(load(path)[0], told)


def build_losses(
    configs: dict, student: Detector, teacher: Detector | None, where: str
) -> tuple[dict[str, Loss], dict]:
    """The losses of a card that count, and their scales."""
    parts, scales = {}, {}
    for name, data in configs.items():
        if name not in losses.names():
            raise UserError(f"{where}: no loss {name!r}{did_you_mean(name, losses.names())}")
        config = decode(losses.module(name).Config, data, f"{where}: losses.{name}")
        if config.weight:
            parts[name], scales[name] = losses.build(name, config, student, teacher), config.weight
    return parts, scales
