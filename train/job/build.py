"""Builds what a run trains from its configuration: reads all files that the run needs, and writes nothing."""

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from core.data.category import Category
from core.data.coco.dataset import Coco
from core.data.coco.limits import Exceeded, exceeded, run_settings
from core.data.loader import Loader
from core.data.sample import Dataset
from core.data.unlabelled.mixed import Mixed, Part
from core.data.unlabelled.predicted import Predicted
from core.detectors.base import Detector
from core.distiller import Distiller, Weights, map_weights
from core.errors import UserError
from core.files import read_json
from core.losses.base import Loss
from core.nn import pretrained
from core.project import ROOT
from core.runs.checkpoint import (
    build_losses,
    load_detector,
    load_into,
    new_detector,
    read_tensors,
    weights_file,
)
from core.runs.class_mapping import ClassMap, categories_of, class_map, map_classes, read_class_map
from core.runs.config import encode
from core.runs.last_layer import LastLayer
from train.distributed.parallel import ranks
from train.job.images import ChosenRule, choose_rule, dataset, training_images
from train.job.start import Start, describe_start, read_start, started
from train.job.store import read_settings
from train.memory.allocator import keep_freed_memory
from train.run import Run


@dataclass
class Job:
    """A run that is ready to train. The student's `classes` in `run` is the number of classes of its data."""

    run: Run
    distiller: Distiller
    loader: Loader
    val: Dataset
    device: torch.device
    class_map: ClassMap | None  # of a teacher whose classes are not the data's
    notes: tuple[str, ...] = ()  # what was read otherwise than it is written
    limits: tuple[Exceeded, ...] = ()  # settings that the data exceeds
    pseudo: ChosenRule | None = None  # of a run with images without labels
    start: str = ""  # what the student took over from a trained detector
    teacher_card: dict | None = None  # of the teacher's file


def build(run: Run, rule: ChosenRule | None = None) -> Job:
    """Reads the data, the teacher and the initial weights, and builds the networks on the device.

    `rule` is that of the pseudo truth, if it was chosen before. Also sets torch's number of threads and use of TF32, and lets the
    process keep freed memory. UserError: a file, a flag or a combination of flags is wrong.
    """
    device = device_of(run.device)
    refuse_missing_extras(run)
    keep_freed_memory()
    if device.type == "cuda":
        allow_tf32(run.tf32)
    if run.threads:
        torch.set_num_threads(run.threads)
    loaded = load_detector(weights_file(resolve_path(run.teacher))) if run.teacher else None
    start = starting_point(run)
    train = training_images(run.data, run.pseudo)
    val = with_classes(dataset(run.data, "val"), train.categories, str(run.data.train))
    beginning = describe_start(start, train.categories, run.student) if start else ""
    run = replace(run, student=replace(start.detector.config if start else run.student, classes=len(train.categories)))
    columns = teacher_class_map(loaded[1], train.categories, run.class_map) if loaded else None
    torch.manual_seed(run.seed)
    student = started(start, train.categories) if start else None
    distiller = build_distiller(run, teacher_of(run, loaded[0], columns) if loaded else None, student).to(device)
    refuse_live_norms(run)
    refuse_denoising(run, distiller.student)
    if run.channels_last:
        distiller.to(memory_format=torch.channels_last)
    if isinstance(train, Mixed):
        rule = rule or choose_rule(run, train, distiller.teacher, device)
        distiller.pseudo, train = rule.rule, train.with_rule(rule.rule)
    loader = make_loader(run, train, pin=device.type == "cuda")
    notes, limits = data_notes(train, val), data_limits(run, train, val)
    return Job(run, distiller, loader, val, device, columns, notes, limits, rule, beginning, loaded and loaded[1])


def starting_point(run: Run) -> Start | None:
    """The trained detector from which the student starts, if `init` names one. UserError: there is no such file."""
    if not run.init or run.init == "imagenet":
        return None
    path = resolve_path(run.init)
    if not path.exists():
        raise UserError(f"--init {run.init}: no such file; give a file of weights, a run, a folder, or imagenet")
    return read_start(path, run.student, run.init_queries)


def make_loader(run: Run, train: Dataset, *, pin: bool) -> Loader:
    """The loader of this process's part of every step."""
    place = ranks()
    return Loader(
        train,
        run.data.augment,
        run.optim.batch,
        run.seed,
        run.workers,
        aspect_groups=run.data.aspect_groups,
        rank=place.rank,
        processes=place.size,
        passes=run.optim.passes,
        pin=pin,
        **mixture(run, train),
    )


def store_folder(run: Run) -> Path | None:
    """The folder of the run's teacher store; None if it has none. Cards of earlier versions call it a cache."""
    return run.teacher_store or run.teacher_cache


def teacher_of(run: Run, detector: Detector, columns: ClassMap | None) -> Detector:
    """The teacher with the student's classes, and with its last layer alone if the run's store holds no other."""
    folder = store_folder(run)
    settings = read_settings(folder) if folder else None
    teacher = map_classes(detector, columns)
    return LastLayer(teacher) if settings and settings.layers == "last" else teacher


def mixture(run: Run, train: Dataset) -> dict:
    """The loader's arguments for a fixed share of images with labels. UserError: there are none, or other groups are asked."""
    share = run.data.labelled_share
    if not share:
        return {}
    if not isinstance(train, Mixed) or not 0 < train.labelled < len(train) or not 0 < share < 1:
        raise UserError("--data.labelled-share is between 0 and 1, and needs images with labels and images without")
    if run.data.aspect_groups or run.optim.batch < 2:
        raise UserError("--data.labelled-share needs --optim.batch of 2 or more, and --data.aspect-groups 0")
    return {"labelled": train.labelled, "labelled_share": share}


def compile_detectors(job: Job) -> Job:
    """Compiles encoders and decoders with torch.compile if the run asks for it; weights keep their names. Returns the job."""
    if job.run.compile:
        torch._functorch.config.donated_buffer = False  # gradient checks go through a graph twice
        for detector in filter(None, (job.distiller.student, job.distiller.teacher)):
            compile_parts(detector)
    return job


def compile_parts(detector: Detector, **options: Any) -> None:
    """Compiles encoder and decoder of a detector, with options of torch.compile; they are called through the instance."""
    for name in ("encode", "decode", "decode_groups"):
        setattr(detector, name, torch.compile(getattr(detector, name), **options))


def resolve_path(path: Path | str) -> Path:
    """The path itself, or, for files that the project ships and recipes name, the path within the project."""
    return next((p for p in (Path(path), ROOT / path) if p.exists()), Path(path))


def device_of(name: str) -> torch.device:
    """The device of `--device`. A GPU becomes the current one; with several processes each gets its own.

    UserError: there is no such device, or not one for each process.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        name = own_gpu()
    elif name.startswith("cuda:") and ranks().size > 1:
        raise UserError(f"--device {name} would be the GPU of every process; leave --device at auto")
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise UserError(f"no device {name!r} here; leave --device at auto, or say cpu") from None
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def own_gpu() -> str:
    """The name of this process's GPU: its number among the processes of its machine. UserError: they are more than the GPUs."""
    processes, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
    if processes > gpus:
        raise UserError(
            f"this machine has fewer GPUs ({gpus}) than processes ({processes}); start torchrun with --nproc-per-node {gpus},"
            " or give --device cpu"
        )
    return f"cuda:{ranks().local}"


def allow_tf32(what: str) -> None:
    """Says what GPUs compute with 10 bits of mantissa: `convolutions` (torch's default), products as well (`all`), or nothing."""
    torch.backends.cudnn.allow_tf32 = what != "off"
    torch.backends.cuda.matmul.allow_tf32 = what == "all"


def build_distiller(run: Run, teacher: Detector | None, student: Detector | None = None) -> Distiller:
    """Builds student and losses; the student first, so that a seed gives the same student with any teacher and any losses.

    `student` is the student if it starts from a trained detector.
    """
    if student is None:
        torch.manual_seed(run.seed)
        student = new_detector(run.student, "student")
        if run.init:
            load_initial_weights(student, run.init)
    parts, scales = build_losses(encode(run.losses), student, teacher, run.name)
    weights = map_weights(parts, scales)
    refuse_steps_without_loss(run, parts, weights)
    return Distiller(student, parts, weights, teacher)


def refuse_steps_without_loss(run: Run, parts: dict[str, Loss], weights: Weights) -> None:
    """Raises UserError if no loss has a weight, or if those with one leave a step of training without a loss."""
    if not parts:
        raise UserError("every loss has weight 0; set --losses.detection.weight 1")
    trained = [name for name in parts if any(weights[name].values())]
    if not trained:
        raise UserError("every term of the losses has weight 0; set --losses.detection.weight 1")
    if "detection" not in trained and run.distil.until < 1:
        raise UserError(
            f"--losses.detection.weight is 0, so nothing is trained after --distil.until {run.distil.until:g}; set one of the "
            "two to 1"
        )
    if all(parts[name].every > 1 for name in trained):
        raise UserError("no loss is computed in every step; set --losses.prior.every 1 or --losses.detection.weight 1")


def load_initial_weights(student: Detector, source: str) -> None:
    """Loads weights into the backbone from a file or from `imagenet`, or into all of the student from a detector's file.

    UserError: the weights do not fit, or the student has no backbone.
    """
    if source != "imagenet":
        path = resolve_path(source)
        tensors, card = read_tensors(path) if path.suffix == ".safetensors" else ({}, {})
        if "detector" in card:
            return load_into(student, tensors, path)
        source = str(path)
    backbone, name = student.own_backbone, student.backbone_name
    if backbone is None or (name is None and source == "imagenet"):
        raise UserError(
            f"--init {source}: the detector {student.kind} has no backbone to load it into; set --init None"
        )
    pretrained.load(backbone, name or "", source)


def refuse_live_norms(run: Run) -> None:
    """Raises UserError if statistics of BatchNorm would differ between processes, or see one pass of a step."""
    if getattr(run.student, "batch_norm", "frozen") == "live" and (run.optim.passes > 1 or ranks().size > 1):
        raise UserError(
            "live statistics of BatchNorm would differ between the parts of a step: set --student.batch-norm frozen, or"
            " train in one process with --optim.passes 1"
        )


def refuse_denoising(run: Run, student: Detector) -> None:
    """Raises UserError if denoising queries are asked of a student that decodes other things than boxes."""
    if encode(run.losses)["detection"].get("denoising") and not student.queries_are_boxes:
        raise UserError(
            f"--losses.detection.denoising needs a student whose queries are boxes, which those of {student.kind} are not: take "
            "adamixer, or RT-DETR, D-FINE, DEIMv2, DAB, LW- or RF-DETR of transformers, or set it to 0"
        )


def teacher_class_map(card: dict, categories: tuple[Category, ...], file: Path | None) -> ClassMap | None:
    """The teacher's classes for each class of the data: those of the file, if one is given, or else those of the same name.

    `card` is the teacher's. None if the classes are the same.
    """
    overrides = {} if file is None else read_class_map(read_json(resolve_path(file)), str(file))
    return class_map(
        [c.name for c in categories], [c.name for c in categories_of(card, "the teacher")], overrides, str(file)
    )


def with_classes(data: Dataset, categories: tuple[Category, ...], known: str) -> Dataset:
    """The dataset with these classes, matched by name. UserError: it has others; `known` says whose these are."""
    if isinstance(data, Coco):
        return data.relabelled(categories, known)
    learnt, present = [c.name for c in categories], [c.name for c in data.categories]
    if learnt != present:
        raise UserError(
            f"{known} knows the classes {', '.join(learnt)}, but the data has {', '.join(present)}: "
            "take one that was trained on this data's classes"
        )
    return data


def data_notes(*datasets: Dataset) -> tuple[str, ...]:
    """A note for each file that was read otherwise than it is written."""
    sources = [part.dataset for d in datasets for part in (d.parts if isinstance(d, Mixed) else [Part(d, ())])]
    files = [d for d in sources if isinstance(d, Coco | Predicted) and d.instances.note]
    return tuple(dict.fromkeys(f"{d.name}: {d.instances.note}" for d in files))


def labelled_source(data: Dataset) -> Dataset:
    """The dataset of the images with labels; of a mixture without any, the mixture itself."""
    parts = data.parts if isinstance(data, Mixed) else ()
    return next((part.dataset for part in parts if part.truth == "given"), data)


def data_limits(run: Run, train: Dataset, val: Dataset) -> tuple[Exceeded, ...]:
    """The settings of the run that its data exceeds; none for generated images."""
    settings = run_settings(encode(run))
    return tuple(
        limit
        for data, training in ((labelled_source(train), True), (val, False))
        if isinstance(data, Coco)
        for limit in exceeded(data.name, data.instances, settings, training=training, measured=not training)
    )


def refuse_missing_extras(run: Run) -> None:
    """Raises UserError if the run needs an optional package that is not installed."""
    if run.trackio and not importlib.util.find_spec("trackio"):
        raise UserError("--trackio needs the trackio extra: pip install 'detrdistill[trackio]', or leave it out")
