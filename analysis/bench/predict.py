"""Predicting a folder of photos against bare forward passes.

Both read the same photos of 240 x 320 pixels in the same batches: forward passes alone, and `python -m train predict`, which also
writes COCO results and a picture of each photo. The detector is an AdaMixer on ResNet-18 with random weights, on 1,000 photos
(QUICK=1: 10) in five turns. `peak_mb` is the peak memory of the process after the first turn, `grown_mb` its growth since then.
"""

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from analysis.bench import Aim, machine
from analysis.bench._bare_passes import aim, summary, turn
from analysis.bench._random_runs import random_detector, write_photos
from core.data.loader import evaluation
from core.data.shapes.dataset import Shapes
from core.data.unlabelled.image_files import ImageFiles
from core.runs.checkpoint import save_detector
from core.runs.predictor import open_predictor
from train.engine.predict import Predict, predict

STUDENT: dict[str, Any] = {"classes": 8, "backbone": "resnet18", "queries": 100, "layers": 3, "width": 128, "heads": 8}
HEIGHT, WIDTH, BATCH, TURNS = 240, 320, 8, 5
MOST = 1.2  # times the duration of the bare passes
CPU = torch.device("cpu")


def run() -> tuple[list[dict], list[Aim]]:
    """Times all turns. The aim is on the median ratio of predicting to bare passes."""
    start = machine(torch.get_num_threads())
    images = 10 if os.environ.get("QUICK") == "1" else 1000
    with TemporaryDirectory() as name:
        folder = Path(name)
        data = write_photos(folder / "photos", images // TURNS, HEIGHT, WIDTH)
        card = {"categories": [vars(c) for c in Shapes.categories], "data": data}
        save_detector(folder / "student.safetensors", random_detector("adamixer", 0, **STUDENT), card)
        names = ["warm-up", *map(str, range(TURNS))]
        _, *turns = [turn(partial(forward, folder), partial(predict_all, folder, name)) for name in names]
    row = summary(f"{images} photos", "predict", turns)
    row["images_per_s"] = round(images / sum(t.work for t in turns), 1)
    return [start, row], [aim(row, MOST)]


def predict_all(folder: Path, name: str) -> None:
    """Predicts all photos into a folder of this name."""
    options = Predict(out=folder / name, batch=BATCH)
    predict(folder / "student.safetensors", [str(folder / "photos" / "images")], options, CPU)


@torch.no_grad()
def forward(folder: Path) -> None:
    """The forward passes of the detector over the photos."""
    predictor = open_predictor(folder / "student.safetensors", CPU)
    for images, _ in evaluation(ImageFiles(folder / "photos" / "images", ()), predictor.augment, BATCH):
        predictor.detector(images)
