"""Turns weights that were trained elsewhere into a run, which can teach, be evaluated, opened in the app and exported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from torch import nn

from core.convert.open_weights import open_weights
from core.convert.to_detector import Converted
from core.data.transforms import Augment
from core.errors import UserError
from core.files import whole_folder, write_json
from core.limits import Limits
from core.losses import detection
from core.runs.checkpoint import save_detector, save_module
from core.runs.config import encode
from core.terminal import printable
from train.run import Data, Losses, Run
from train.run_folder import folder

try:
    from tyro.conf import arg
except ImportError:  # flags alone need tyro
    arg = dict


@dataclass(frozen=True)
class Import:
    """Turns weights that were trained elsewhere into a run."""

    out: Path | None = None  # Folder of the new run.
    as_: Annotated[Literal["auto", "hub"], arg(name="as")] = "auto"  # Detector: this project's, or `hub`.
    heads: Annotated[int, Limits(1, 64)] | None = None  # Attention heads, where the weights do not say how many.
    classes: Path | None = None  # COCO instances file, or JSON list, that names the classes where weights do not.


def import_run(path: Path, options: Import) -> None:
    """Converts a file or folder of weights and writes the run, whole or not at all; prints what became of each tensor.

    UserError: no folder to write, or weights that cannot be read or recognised.
    """
    if options.out is None:
        raise UserError("say which folder to write: --out RUN")
    with whole_folder(options.out) as scratch:
        print(f"reading {printable(path)} ..", flush=True)
        converted = open_weights(path, options.classes, hub=options.as_ == "hub", heads=options.heads)
        lines = [("is", describe(converted)), *converted.report, ("images", describe_sizes(converted.augment))]
        report = [f"{title:<9} {printable(text)}" for title, text in lines]
        print("\n".join(report))
        write_run(scratch, options.out.name, path, converted, report)
    print(
        f"done: {options.out}; measure it with: python -m train eval {options.out} --data INSTANCES.json --images FOLDER,"
        f" or let it teach: python -m train fit RECIPE --teacher {options.out}"
    )


def write_run(path: Path, name: str, source: Path, converted: Converted, report: list[str]) -> None:
    """Writes the files that `fit` leaves of a run without a teacher, so that everything that opens a run opens this one."""
    data = Data(kind="coco", augment=converted.augment)
    run = Run(name, converted.detector.config, Losses(detection=detection.Config(weight=1.0)), data)
    about = folder.common_entries(converted.categories) | {"imported": origin(source) | {"report": report}}
    save_detector(path / "student.safetensors", converted.detector, about | {"data": encode(data)})
    save_module(path / "losses.safetensors", nn.ModuleDict(), {})
    write_json(path / "card.json", about | {"run": encode(run), "teacher": None, "init": None, "class_map": None})


def origin(source: Path) -> dict:
    """The path and digests of the converted file, or of the index of its shards, for the card."""
    file = folder.weights_of(source)
    return {"path": str(file), **folder.digests(file)}


def describe(converted: Converted) -> str:
    """The detector in one line: its kind, its number of parameters and its options."""
    config = encode(converted.detector.config)
    options = ", ".join(f"{key} {value}" for key, value in config["config"].items() if key != "matching")
    millions = sum(p.numel() for p in converted.detector.parameters()) / 1e6
    return f"{config['detector']}, {millions:.2f} M parameters: {options}"


def describe_sizes(augment: Augment) -> str:
    """The size of images in evaluation, in words."""
    if augment.square:
        return f"become squares of {augment.eval_short} pixels in evaluation"
    side = f"get a short side of {augment.eval_short} pixels" if augment.eval_short else "stay as they come"
    return f"{side} in evaluation, and no side above {augment.longest}"
