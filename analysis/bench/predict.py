"""Predicting a folder of photos against bare forward passes.

Both read the same photos of 240 x 320 pixels in the same batches: forward passes alone, and `python -m train predict`, which also
writes COCO results and a picture of each photo. The detector is an AdaMixer on ResNet-18 with random weights, on 1,000 photos
(QUICK=1: 10) in five turns. `peak_mb` is the peak memory of the process after the first turn, `grown_mb` its growth since then.
"""

import os
import resource
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from analysis.bench import Aim, machine
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
        turn(folder, "warm-up")
        turns = [turn(folder, str(k)) for k in range(TURNS)]
    row = {"case": f"{images} photos", "bare_s": round(sum(t["bare"] for t in turns), 1)}
    row["predict_s"] = round(sum(t["predict"] for t in turns), 1)
    row["images_per_s"] = round(images / sum(t["predict"] for t in turns), 1)
    row["ratio"] = round(median(t["predict"] / t["bare"] for t in turns), 3)
    row |= {"peak_mb": turns[0]["peak"], "grown_mb": turns[-1]["peak"] - turns[0]["peak"]}
    return [start, row], [Aim(f"at most {MOST} times the bare forward passes", row["ratio"], row["ratio"] <= MOST)]


def turn(folder: Path, name: str) -> dict:
    """Seconds of the bare passes and of predicting, and the peak memory of the process so far in MB."""
    start = perf_counter()
    forward(folder)
    middle = perf_counter()
    options = Predict(out=folder / name, batch=BATCH)
    predict(folder / "student.safetensors", [str(folder / "photos" / "images")], options, CPU)
    end = perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"bare": middle - start, "predict": end - middle, "peak": peak}


@torch.no_grad()
def forward(folder: Path) -> None:
    """The forward passes of the detector over the photos."""
    predictor = open_predictor(folder / "student.safetensors", CPU)
    for images, _ in evaluation(ImageFiles(folder / "photos" / "images", ()), predictor.augment, BATCH):
        predictor.detector(images)
