"""Trains on one GPU: what a teacher, its store and unlabelled images are worth in AP against seconds.

Each call trains one row for at most 8 minutes, and the next call goes on where it stopped. The first draws the images: shapes of
160 pixels, 50,000 to learn from, as JPEG files, for which one core needs 10 minutes, and eight a little more than one. The
students are the tiny twins, and Deformable DETR on a ResNet-18 without weights of others; the teachers are rows as well.
Command: python -m train study gpu    Time: never measured. Result: assets/results/gpu.json
"""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM
from time import monotonic
from typing import Any

import torch

from core.detectors import deformable
from core.errors import UserError
from core.losses import detection
from core.runs.results import result
from train import recipes
from train.recipes.on_shapes import shapes_distill
from train.run import Losses, Pseudo, Run, is_quick, quick
from train.score_table import percent
from train.studies._drawn import draw
from train.studies._grid import RUNS, Rows, is_finished, last_line, log_file, refuse_failure, result_writer, start
from train.studies.twins import TWINS

IMAGES, LABELLED, SIZE, BATCH, EPOCHS = 50_000, 5_000, 160, 64, 6
STOPPED = (128 + SIGTERM, -SIGTERM)  # exit codes of a row that has saved itself, or has not begun, on SIGTERM
SAVING = 30.0  # seconds for that


def main(minutes: float = 8.0, device: str = "cuda", out: Path = Path("assets/results/gpu.json")) -> None:
    """Trains the first row that is not finished, and writes the finished rows.

    Args:
        minutes: How long a call may take; a row that takes longer is saved, and the next call goes on with it.
        device: Device to train on.
        out: File of the results.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device here")
    out = RUNS / "gpu.json" if is_quick() else out
    wanted = {name: replace(run, device=device) for name, run in rows().items()}
    draw_images()
    name = next((name for name, run in wanted.items() if not is_finished(folder() / name, run)), None)
    if name:
        train_for(folder() / name, wanted[name], seconds=60 * minutes - SAVING)
    done = {name: result(folder() / name) for name, run in wanted.items() if is_finished(folder() / name, run)}
    unfinished = [name for name in wanted if name not in done]
    result_writer(out, command="python -m train study gpu", device=device_name(device), unfinished=unfinished)(done)
    print(table(done) + f"\nwritten to {out}")
    if unfinished:
        print(f"{len(unfinished)} of {len(wanted)} rows are not finished, {unfinished[0]} is next; repeat the command")


def folder() -> Path:
    """The folder of the study; under QUICK=1 another one, of few images."""
    return RUNS / ("gpu-quick" if is_quick() else "gpu")


def device_name(device: str) -> str:
    """The name of a GPU as its driver says it; another device's own."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def train_for(path: Path, run: Run, *, seconds: float) -> None:
    """Starts or resumes a row, and stops it after so many seconds, at which it saves itself. UserError: it failed."""
    child, until = start(path, run), monotonic() + seconds
    try:
        child.wait(max(0.0, until - monotonic()))
    except subprocess.TimeoutExpired:
        child.terminate()
    finally:
        if child.wait() not in STOPPED:
            refuse_failure(path, child.returncode)
    print(f"{path}: {last_line(log_file(path))}")


def rows() -> dict[str, Run]:
    """All rows in the order in which they are trained: what costs least and others need comes first."""
    wanted: dict[str, Run] = {}
    for kind, name in TWINS.items():
        wanted[f"{kind}-teacher"] = large(recipes.recipe(f"{name}_teacher"))
        wanted[f"{kind}-alone"] = large(recipes.recipe(name))
        wanted[f"{kind}-distilled"] = under(kind, large(recipes.recipe(f"{name}_distill")))
    distilled = wanted["adamixer-distilled"]
    stored = replace(only_logits(distilled), teacher_store=folder() / "store")
    wanted["adamixer-stored"] = stored
    wanted["adamixer-few-labels"] = with_labels(wanted["adamixer-alone"], LABELLED)
    wanted["adamixer-unlabelled"] = unlabelled(stored)
    for how in ("alone", "distilled"):
        run = wanted[f"deformable-{how}"]
        assert isinstance(run.student, deformable.Config)
        student = replace(run.student, backbone="resnet18", strides=(8, 16, 32), width=128)
        wanted[f"resnet18-{how}"] = replace(run, student=student, init=None)
    return {name: quick(run) if is_quick() else run for name, run in wanted.items()}


def large(run: Run) -> Run:
    """A recipe on the many images of this study, in bf16, without measurements that take time."""
    photos = folder() / "images"
    train, val = photos / "train.json", photos / "test.json"
    data = replace(run.data, kind="coco", train=train, val=val, images=photos)
    optim = replace(run.optim, batch=BATCH, epochs=EPOCHS)
    cheap: dict[str, Any] = {"recorded": 0, "gradients_every": 0, "checkpoint_every": 500}
    return replace(run, data=data, optim=optim, amp="bf16", workers=min(8, os.cpu_count() or 1), **cheap)


def under(kind: str, run: Run) -> Run:
    """A distilled row under the teacher of this study."""
    return replace(run, teacher=folder() / f"{kind}-teacher")


def only_logits(run: Run) -> Run:
    """A distilled row with the losses that a store can serve."""
    return replace(run, losses=Losses(detection=detection.Config(weight=1.0), logits=shapes_distill.LOGITS))


def with_labels(run: Run, count: int) -> Run:
    """A row that learns from the first images alone, for as many steps."""
    epochs = EPOCHS * IMAGES // count
    return replace(
        run, data=replace(run.data, train_limit=count), optim=replace(run.optim, epochs=epochs), eval_every=epochs
    )


def unlabelled(run: Run) -> Run:
    """A row in which all but the first images have no labels: the teacher's predictions are their objects."""
    data = replace(run.data, train_limit=LABELLED, unlabelled=("rest",))
    return replace(run, data=data, pseudo=Pseudo(score=0.4))


def table(done: Rows) -> str:
    """AP and seconds of each finished row, a line each; AP is - on a machine that cannot measure it."""
    return "\n".join(f"{name:>22} AP {percent(row['ap'])}  {row['seconds']:8.1f} s" for name, row in done.items())


def draw_images() -> None:
    """Draws the images of all rows, once."""
    few, photos = is_quick(), folder() / "images"
    draw(photos, "train", 2 * 8 if few else IMAGES, SIZE)
    draw(photos, "test", 8 if few else 500, SIZE)
