"""Weights of others as a run of ours: to teach, to be measured, to be looked at and to be exported."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from core.convert.read import ForeignWeights, read
from core.convert.recognise import Converted, convert
from core.data.transforms import Augment
from core.errors import UserError
from core.files import whole_folder, write_json
from core.losses import detection
from core.runs.checkpoint import save_detector, save_module, sha256_of
from core.runs.config import encode
from train.run import Data, Losses, Run
from train.run_folder import folder


@dataclass(frozen=True)
class Import:
    out: Path | None = None  # Folder of the new run.
    classes: Path | None = None  # COCO instances file, or JSON list, that names the classes where weights do not.


def import_run(path: Path, given: Import) -> None:
    """Writes the run, whole or not at all, and prints what became of each tensor."""
    if given.out is None:
        raise UserError("say which folder to write: --out RUN")
    with whole_folder(given.out) as scratch:
        print(f"reading {path} ..", flush=True)
        foreign = read(path)
        found = convert(foreign, given.classes)
        lines = [("is", described(found)), *found.report, ("images", sizes(foreign))]
        report = [f"{title:<9} {text}" for title, text in lines]
        print("\n".join(report))
        write(scratch, given.out.name, foreign, found, report)
    print(
        f"done: {given.out}; measure it with: python -m train eval {given.out} --data INSTANCES.json --images FOLDER,"
        f" or let it teach: python -m train fit RECIPE --teacher {given.out}"
    )


def write(path: Path, name: str, foreign: ForeignWeights, found: Converted, report: list[str]) -> None:
    """As `fit` leaves a run that learnt without a teacher, so that everything that opens a run opens this one."""
    short, longest = foreign.size
    data = Data(kind="coco", augment=Augment(sizes=() if short is None else (short,), longest=longest))
    run = Run(name, found.detector.config, Losses(detection=detection.Config(weight=1.0)), data)
    about = folder.made(found.categories) | {"imported": origin(foreign) | {"report": report}}
    save_detector(path / "student.safetensors", found.detector, about | {"data": encode(data)})
    save_module(path / "losses.safetensors", nn.ModuleDict(), {})
    write_json(path / "card.json", about | {"run": encode(run), "teacher": None, "init": None, "class_map": None})


def origin(foreign: ForeignWeights) -> dict:
    file = foreign.path / "model.safetensors" if foreign.path.is_dir() else foreign.path
    return {"path": str(file), "sha256": sha256_of(file)}


def described(found: Converted) -> str:
    config = encode(found.detector.config)
    told = ", ".join(f"{key} {value}" for key, value in config["config"].items() if key != "matching")
    millions = sum(p.numel() for p in found.detector.parameters()) / 1e6
    return f"{config['detector']}, {millions:.2f} M parameters: {told}"


def sizes(foreign: ForeignWeights) -> str:
    short, longest = foreign.size
    side = "stay as they come" if short is None else f"get a short side of {short} pixels"
    return f"{side} in evaluation, and no side above {longest}"
