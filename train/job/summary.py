"""Describes a run in a few lines, which `fit` prints before it starts."""

from pathlib import Path
from typing import cast

from core.losses.base import Loss
from core.runs.diagnose.findings import FEW_OBJECTS
from core.terminal import printable
from train.job.build import Job
from train.job.images import ChosenRule, found_in_some, kinds_of_images
from train.job.memory import estimate_memory
from train.job.stored_teacher import describe as describe_store
from train.run import Data, Distil, Optim, Run

FINDS_NOTHING = (
    "the teacher finds hardly anything in the images without labels, which then teach that nothing is there: lower "
    "--pseudo.score, or train the teacher for more epochs"
)


def summary(job: Job, path: Path) -> str:
    """The lines, each a title and a text. The run's card.json has every field."""
    run, student, classes = job.run, job.distiller.student, [c.name for c in job.val.categories]
    losses = cast(dict[str, Loss], dict(job.distiller.losses.items()))
    size = sum(p.numel() for p in student.parameters()) / 1e6
    backbone = f" on {student.backbone_name}" if student.backbone_name else ""
    counted = count_pseudo_objects(job)
    lines = {
        "run": f"{path}, {describe_device(job)}, seed {run.seed}",
        "student": f"{student.kind}{backbone}, {size:.1f} M parameters",
        "teacher": run.teacher and f"{run.teacher}, evaluated first",
        "store": describe_store(run),
        "losses": describe_losses(run, losses),
        "start": job.start,
        "note": "; ".join([*(note for loss in losses.values() for note in loss.notes), *job.notes]),
        "data": f"{kinds_of_images(job.loader.dataset)}, {len(job.val)} validation images",
        "pseudo": job.pseudo
        and describe_pseudo(job.pseudo) + (f"; {counted:.1f} an image" if counted is not None else ""),
        "classes": f"{len(classes)}: {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}",
        "images": describe_images(run.data),
        "training": f"{run.optim.epochs} epochs of {len(job.loader)} steps, {describe_step(job)}",
        "rate": describe_rate(run.optim),
        "memory": str(estimate_memory(job) or "unknown, since the detector looks at the values of tensors"),
        "card": f"{path / 'card.json'} has every field; to repeat the run: python -m train fit --card {path / 'card.json'}",
    }
    warnings = [str(limit) for limit in job.limits]
    if counted is not None and counted < FEW_OBJECTS:
        warnings.append(FINDS_NOTHING)
    rows = [*lines.items(), *(("warning", text) for text in warnings)]
    return "\n".join(f"{title:<9} {printable(text)}" for title, text in rows if text)


def describe_losses(run: Run, losses: dict[str, Loss]) -> str:
    """The losses and their weights, in which steps they are computed, and when all but `detection` end."""
    turns = {name: f" in every {loss.every} steps" if loss.every > 1 else "" for name, loss in losses.items()}
    words = ", ".join(f"{name} x {getattr(run.losses, name).weight:g}{turns[name]}" for name in losses)
    fall = ", with falling weights" if run.distil.weights == "falling" else ""
    if run.distil == Distil() or losses.keys() == {"detection"}:
        return words
    return f"{words}; all but detection{fall} until {run.distil.until:.0%} of training"


def count_pseudo_objects(job: Job) -> float | None:
    """Pseudo objects that the teacher finds in an image without labels, on average; None: it is asked for none."""
    if job.pseudo is None:
        return None
    return found_in_some(job.loader.dataset, job.distiller.teacher, job.pseudo.rule, job.run, job.device)


def describe_pseudo(chosen: ChosenRule) -> str:
    """Which predictions are objects of images without labels."""
    counted = "each counts as much as its score" if chosen.rule.soft else "each counts 1"
    return f"predictions of a score of at least {chosen.origin}; {counted}"


def describe_device(job: Job) -> str:
    """The device, what is special about how it is used, and the number of processes."""
    run, processes = job.run, job.loader.processes
    extras = {"channels last": run.channels_last, "compiled": run.compile, "images copied ahead": run.prefetch}
    extras |= {run.amp: run.amp != "off", f"TF32 {run.tf32}": job.device.type == "cuda"}
    words = [f"on {job.device.type}", *(name for name, asked in extras.items() if asked)]
    return ", ".join([*words, f"{processes} processes"] if processes > 1 else words)


def describe_images(data: Data) -> str:
    """How training images are resized and augmented."""
    augment = data.augment
    sizes = f"short side {min(augment.sizes)} to {max(augment.sizes)}" if augment.sizes else "not resized"
    extras = {
        f"{augment.eval_size} in evaluation": augment.eval_size,
        "cropped": augment.crop,
        f"flipped by {augment.flip:g}": augment.flip,
        f"colours jittered by {augment.jitter:g}": augment.jitter,
        f"grouped by aspect ratio ({data.aspect_groups})": data.aspect_groups,
    }
    if augment.square:
        sizes = f"squares of {min(augment.sizes)} to {max(augment.sizes)}" if augment.sizes else "squares"
    return ", ".join([f"{sizes}, at most {augment.longest}", *(name for name, asked in extras.items() if asked)])


def describe_step(job: Job) -> str:
    """The number of images in a step, and how it is split."""
    parts = {"process": job.loader.processes, "pass": job.loader.passes}
    split = " and ".join(f"{count} {name}es" for name, count in parts.items() if count > 1)
    return f"{job.run.optim.batch} images a step" + (f" over {split}" if split else "")


def describe_rate(optim: Optim) -> str:
    """The learning rates and their schedule, clipping and weight decay."""
    extras = {
        f"backbone x {optim.backbone_lr:g}": optim.backbone_lr != 1,
        f"{', '.join(optim.slow)} x {optim.slow_lr:g}": bool(optim.slow),
        f"EMA {optim.ema:g}": bool(optim.ema),
    }
    words = [
        f"{optim.lr:g}",
        *(name for name, asked in extras.items() if asked),
        f"warm-up {optim.warmup}",
        optim.schedule,
    ]
    return ", ".join([*words, f"clip {optim.clip:g}", f"decay {optim.weight_decay:g}"])
