"""From a Run to what trains: reads everything that the run needs, writes nothing."""

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from core import detectors
from core.data.category import Category
from core.data.coco.dataset import Coco
from core.data.loader import Loader
from core.data.sample import Dataset
from core.data.shapes.dataset import Shapes
from core.detectors.base import Detector
from core.distiller import Distiller, map_weights
from core.errors import UserError
from core.files import read_json
from core.nn import pretrained
from core.project import ROOT
from core.runs.checkpoint import build_losses, load_detector, load_into, read_tensors, weights_file
from core.runs.class_mapping import ClassMap, class_map, map_classes, read_class_map
from core.runs.config import encode
from train.distributed.parallel import ranks
from train.job.allocator import keep_freed
from train.run import Data, Run


@dataclass
class Job:
    """A run, ready to go: `run` is resolved, with the classes of its data."""

    run: Run
    distiller: Distiller
    loader: Loader
    val: Dataset
    device: torch.device
    columns: ClassMap | None  # of a teacher of other classes


def build(run: Run) -> Job:
    device, place = device_of(run.device), ranks()
    refuse_missing(run)
    keep_freed()
    if run.threads:
        torch.set_num_threads(run.threads)
    if run.init and run.init != "imagenet" and not located(run.init).is_file():
        raise UserError(f"--init {run.init}: no such file; give a file of weights, or imagenet")
    teacher = run.teacher and load_detector(weights_file(located(run.teacher)))
    train, val = dataset(run.data, "train"), dataset(run.data, "val")
    if [c.id for c in train.categories] != [c.id for c in val.categories]:
        raise UserError(f"{run.data.train} and {run.data.val} list different categories; make them the same")
    run = replace(run, student=replace(run.student, classes=len(train.categories)))
    told = teacher and told_in(teacher[1], train.categories, run.class_map)
    distiller = build_distiller(run, teacher and map_classes(teacher[0], told)).to(device)
    if run.channels_last:
        distiller.to(memory_format=torch.channels_last)
    loader = Loader(
        train,
        run.data.augment,
        run.optim.batch,
        run.seed,
        run.workers,
        shapes=run.data.aspect_groups,
        rank=place.rank,
        processes=place.size,
        passes=run.optim.passes,
        pin=device.type == "cuda",
    )
    return Job(run, distiller, loader, val, device, told)


def compiled(job: Job) -> Job:
    """On request, encoders and decoders by torch.compile; their weights keep their names."""
    if job.run.compile:
        torch._functorch.config.donated_buffer = False  # a look at single terms goes back through a graph twice
        for detector in filter(None, (job.distiller.student, job.distiller.teacher)):
            detector.encode, detector.decode = torch.compile(detector.encode), torch.compile(detector.decode)
    return job


def located(path: Path | str) -> Path:
    """As it stands, or, as recipes name what the project ships, within the project."""
    return next((p for p in (Path(path), ROOT / path) if p.exists()), Path(path))


def device_of(name: str) -> torch.device:
    if name in ("auto", "cuda") and torch.cuda.is_available():
        torch.cuda.set_device(ranks().local)
        return torch.device("cuda", ranks().local)
    if name == "auto":
        return torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise UserError(f"no device {name!r} here; leave --device at auto, or say cpu") from None


def build_distiller(run: Run, teacher: Detector | None) -> Distiller:
    """The student is made first, so that one seed gives one student whatever teaches it."""
    torch.manual_seed(run.seed)
    student = detectors.module(detectors.name_of(run.student)).Model(run.student)
    if run.init:
        begin(student, run)
    parts, scales = build_losses(encode(run.losses), student, teacher, run.name)
    if not parts:
        raise UserError("every loss has weight 0; set --losses.detection.weight 1")
    return Distiller(student, parts, map_weights(parts, scales), teacher)


def begin(student: Detector, run: Run) -> None:
    """From `init`: the weights of the backbone, or of all of it where the file is a detector's."""
    if run.init == "imagenet":
        pretrained.load(student.backbone, run.student.backbone, run.init)
        return
    path = located(run.init)
    tensors, card = read_tensors(path) if path.suffix == ".safetensors" else ({}, {})
    if "detector" in card:
        load_into(student, tensors, path)
    else:
        pretrained.load(student.backbone, run.student.backbone, str(path))


def told_in(card: dict, categories: tuple[Category, ...], file: Path | None) -> ClassMap | None:
    """The classes of the data as those of a teacher, from its card and, where names differ, a file that says so."""
    said = {} if file is None else read_class_map(read_json(located(file)), str(file))
    return class_map([c.name for c in categories], [c["name"] for c in card["categories"]], said, str(file))


def same_classes(card: dict, categories: tuple[Category, ...], path: Path) -> None:
    theirs, ours = [c["name"] for c in card["categories"]], [c.name for c in categories]
    if theirs != ours:
        raise UserError(
            f"{path} knows the classes {', '.join(theirs)}, but the data has {', '.join(ours)}: "
            "take one that was trained on this data's classes"
        )


def dataset(data: Data, split: Literal["train", "val"]) -> Dataset:
    """To learn from, or to be measured on."""
    path, limit = getattr(data, split), getattr(data, f"{split}_limit")
    if data.kind == "shapes":
        return Shapes(split if split == "train" else data.part, limit, data.size)
    if path is None:
        raise UserError("give the data: --data.train INSTANCES.json --data.val INSTANCES.json [--data.images FOLDER]")
    return Coco(path, data.images, limit)


def refuse_missing(run: Run) -> None:
    if run.trackio and not importlib.util.find_spec("trackio"):
        raise UserError("--trackio needs the trackio extra: pip install 'detrdistill[trackio]', or leave it out")
