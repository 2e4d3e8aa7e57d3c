"""What is about to happen, before it does."""

from pathlib import Path

from core.detectors import name_of
from train.job.build import Job
from train.job.memory import budget
from train.run import Data, Optim


def summary(job: Job, path: Path) -> str:
    """In a few lines; the run's card.json has every field."""
    run, student, classes = job.run, job.distiller.student, [c.name for c in job.val.categories]
    size = sum(p.numel() for p in student.parameters()) / 1e6
    lines = {
        "run": f"{path}, {device(job)}, seed {run.seed}",
        "student": f"{name_of(run.student)} on {run.student.backbone}, {size:.1f} M parameters",
        "teacher": run.teacher and f"{run.teacher}, measured first",
        "losses": ", ".join(f"{name} x {getattr(run.losses, name).weight:g}" for name in job.distiller.losses),
        "note": "; ".join(note for loss in job.distiller.losses.values() for note in loss.notes),
        "data": f"{len(job.loader.dataset)} images to learn from, {len(job.val)} to be measured on",
        "classes": f"{len(classes)}: {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}",
        "images": looks(run.data),
        "training": f"{run.optim.epochs} epochs of {len(job.loader)} steps, {step(job)}",
        "rate": rate(run.optim),
        "memory": str(budget(job)),
        "card": f"{path / 'card.json'} has every field; to repeat the run: python -m train fit --card {path / 'card.json'}",
    }
    return "\n".join(f"{title:<9} {text}" for title, text in lines.items() if text)


def device(job: Job) -> str:
    run, processes = job.run, job.loader.processes
    extras = {"channels last": run.channels_last, "compiled": run.compile, run.amp: run.amp != "off"}
    words = [f"on {job.device.type}", *(name for name, asked in extras.items() if asked)]
    return ", ".join([*words, f"{processes} processes"] if processes > 1 else words)


def looks(data: Data) -> str:
    augment = data.augment
    sizes = f"short side {min(augment.sizes)} to {max(augment.sizes)}" if augment.sizes else "as they come"
    extras = {
        "crops": augment.crop,
        f"flipped by {augment.flip:g}": augment.flip,
        f"colours by {augment.jitter:g}": augment.jitter,
        f"grouped by shape ({data.aspect_groups})": data.aspect_groups,
    }
    return ", ".join([f"{sizes}, at most {augment.longest}", *(name for name, asked in extras.items() if asked)])


def step(job: Job) -> str:
    parts = {"process": job.loader.processes, "pass": job.loader.passes}
    split = " and ".join(f"{count} {name}es" for name, count in parts.items() if count > 1)
    return f"{job.run.optim.batch} images a step" + (f" over {split}" if split else "")


def rate(optim: Optim) -> str:
    slow = {f"backbone x {optim.backbone_lr:g}": optim.backbone_lr != 1}
    slow |= {f"{', '.join(optim.slow)} x {optim.slow_lr:g}": optim.slow, f"EMA {optim.ema:g}": optim.ema}
    words = [
        f"{optim.lr:g}",
        *(name for name, asked in slow.items() if asked),
        f"warm-up {optim.warmup}",
        optim.schedule,
    ]
    return ", ".join([*words, f"clip {optim.clip:g}", f"decay {optim.weight_decay:g}"])
