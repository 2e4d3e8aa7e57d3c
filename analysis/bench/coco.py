"""Reading a file of COCO's size, and evaluating AP, compared with pycocotools.

The instances file is made up, with the size and the fields of instances_train2017.json, and is read in a process of its own
without torch. Evaluation is compared with pycocotools in turns, in seconds of processor time. QUICK=1 takes small sizes.
"""

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import TextIO

import numpy as np
import torch
from numpy.random import Generator, default_rng

from analysis.bench import Aim
from core.data.category import Category
from core.errors import UserError
from core.metrics.coco_ap import NUMBERS, average_precision, coco_results
from core.metrics.detections import Detections

IMAGES, BOXES = 118_287, 860_001  # of train2017
CATEGORIES = tuple(
    Category(id, f"class {id}") for id in range(1, 91) if id % 9
)  # 80, with gaps in their ids like COCO's
WIDTH, HEIGHT = 640, 480  # pixels
CROWD = 85  # one in this many annotations is a crowd region
TOP = 100  # detections in each image
# Prints images, boxes, wall seconds, processor seconds and peak memory in bytes of reading a file.
READ = r"""
import re, sys, time
from pathlib import Path
from core.data.coco.instances import read_instances
wall, cpu = time.perf_counter(), time.process_time()
instances = read_instances(Path(sys.argv[1]))
peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
print(len(instances.names), len(instances.ids), time.perf_counter() - wall, time.process_time() - cpu, peak)
"""


def run() -> tuple[list[dict], list[Aim]]:
    """Measures reading, and evaluations of two sizes."""
    quick = os.environ.get("QUICK") == "1"
    read = reading(2000, 15_000) if quick else reading(IMAGES, BOXES)
    epochs = [evaluating(images) for images in ((100,) if quick else (500, 2000))]
    apart, ratio = max(e["difference"] for e in epochs), min(e["ratio"] for e in epochs)
    return [read, *epochs], [
        Aim(
            "118k images and 860k boxes read in under 30 s of one processor",
            read["cpu_seconds"],
            read["cpu_seconds"] < 30,
        ),
        Aim("with less than 3 GB of memory", read["peak_GB"], read["peak_GB"] < 3),
        Aim("every number equal to pycocotools' to 1e-9", apart, apart < 1e-9),
        Aim("evaluated at least 3 times as fast as by pycocotools", ratio, ratio >= 3),
    ]


def reading(images: int, boxes: int) -> dict:
    """Time and peak memory of reading a file with this many images and boxes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "instances.json"
        write_coco(path, images, boxes)
        command = [sys.executable, "-c", READ, str(path)]
        output = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
        ).stdout
        megabytes = path.stat().st_size / 1e6
    images_read, boxes_read, wall, cpu, peak = map(float, output.split())
    row: dict = {"case": f"read {images_read:.0f} images, {boxes_read:.0f} boxes", "file_MB": round(megabytes)}
    return row | {"seconds": round(wall, 1), "cpu_seconds": round(cpu, 1), "peak_GB": round(peak / 1e9, 2)}


def write_coco(path: Path, images: int, boxes: int) -> None:
    """Writes an instances file record by record, because all records together need much memory."""
    rng = default_rng(0)
    with open(path, "w") as file:
        file.write('{"info": {"year": 2017}, "licenses": [], "images": [')
        write_list(file, (image(k) for k in range(images)))
        file.write('], "annotations": [')
        write_list(file, annotations(rng, images, boxes))
        file.write('], "categories": ')
        json.dump([vars(c) | {"supercategory": "thing"} for c in CATEGORIES], file)
        file.write("}")


def write_list(file: TextIO, records: Iterator[dict]) -> None:
    """Writes the items of a JSON list, without its brackets."""
    for k, record in enumerate(records):
        file.write((", " if k else "") + json.dumps(record))


def image(k: int) -> dict:
    """The record of image k."""
    name = f"{5 * k + 9:012}.jpg"
    return {
        "license": 3,
        "file_name": name,
        "coco_url": f"http://images.cocodataset.org/train2017/{name}",
        "height": HEIGHT,
        "width": WIDTH,
        "date_captured": "2013-11-14 11:18:45",
        "flickr_url": "http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg",
        "id": 5 * k + 9,
    }


def annotations(rng: Generator, images: int, boxes: int) -> Iterator[dict]:
    """Random annotations of random images, with outlines as in COCO."""
    sides = rng.uniform(4, [WIDTH / 2, HEIGHT / 2], (boxes, 2)).round(2)
    places = (rng.random((boxes, 2)) * ([WIDTH, HEIGHT] - sides)).round(2)
    owners = 5 * rng.integers(images, size=boxes) + 9
    labels = rng.integers(len(CATEGORIES), size=boxes)
    outline = rng.random((4000, 2))
    for k in range(boxes):
        first = int(rng.integers(3900))
        points = (places[k] + outline[first : first + 8 + first % 37] * sides[k]).round(2).reshape(-1).tolist()
        crowd = k % CROWD == 0
        yield {
            "segmentation": {"counts": [int(p) for p in points], "size": [HEIGHT, WIDTH]} if crowd else [points],
            "area": round(float(sides[k].prod()) * 0.6, 4),
            "iscrowd": int(crowd),
            "image_id": int(owners[k]),
            "bbox": [*places[k].tolist(), *sides[k].tolist()],
            "category_id": CATEGORIES[labels[k]].id,
            "id": k + 1,
        }


def evaluating(images: int) -> dict:
    """Processor seconds of both evaluations, and their largest difference, with 7 objects and 100 detections in each image."""
    truth, detections = random_truth_and_detections(images)
    times: dict[str, list[float]] = {"ours": [], "pycocotools": []}
    numbers: dict[str, dict] = {}
    for _ in range(3 if images <= 500 else 1):
        for name, evaluate in (("ours", average_precision), ("pycocotools", by_pycocotools)):
            start = process_time()
            numbers[name] = evaluate(truth, detections, CATEGORIES)
            times[name].append(process_time() - start)
    seconds = {name: median(values) for name, values in times.items()}
    return {
        "case": f"evaluate {images} images, {sum(map(len, detections))} detections",
        **{f"{name}_seconds": round(value, 2) for name, value in seconds.items()},
        "ratio": round(seconds["pycocotools"] / seconds["ours"], 1),
        "difference": float(max(abs(numbers["ours"][key] - numbers["pycocotools"][key]) for key in NUMBERS)),
    }


def random_truth_and_detections(images: int) -> tuple[dict, list[Detections]]:
    """A COCO instances dict with 7 objects in each image, and TOP detections in each."""
    rng = default_rng(images)
    truth = {
        "images": [image(k) for k in range(images)],
        "annotations": [
            {k: v for k, v in a.items() if k != "segmentation"} for a in annotations(rng, images, 7 * images)
        ],
        "categories": [vars(c) for c in CATEGORIES],
    }
    return truth, random_detections(rng, truth)


def random_detections(rng: Generator, truth: dict) -> list[Detections]:
    """TOP detections of each image: its objects, repeated, with noise on their boxes and some with another class."""
    by_image: dict[int, list[dict]] = {}
    for annotation in truth["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    label = {c.id: k for k, c in enumerate(CATEGORIES)}
    detections = []
    for id, objects in by_image.items():
        chosen = [objects[k] for k in rng.integers(len(objects), size=TOP)]
        x, y, w, h = (np.array([a["bbox"] for a in chosen]) * rng.normal(1, 0.08, (TOP, 4))).T
        labels = np.where(rng.random(TOP) < 0.6, [label[a["category_id"]] for a in chosen], rng.integers(80, size=TOP))
        boxes, scores = (
            torch.from_numpy(np.stack([x, y, x + w, y + h], 1)).float(),
            torch.from_numpy(rng.random(TOP)).float(),
        )
        detections.append(
            Detections(boxes, scores, torch.from_numpy(labels), torch.full((TOP,), id), torch.arange(TOP))
        )
    return detections


def by_pycocotools(truth: dict, detections: list[Detections], categories: Sequence[Category]) -> dict[str, float]:
    """COCO's six metrics as pycocotools computes them. UserError: it is not installed."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise UserError("this compares with pycocotools: pip install -e '.[dev]'") from None
    with contextlib.redirect_stdout(io.StringIO()):
        indices = []
        for annotations in (copy.deepcopy(truth["annotations"]), coco_results(detections, categories)):
            indices.append(COCO())
            indices[-1].dataset = truth | {"annotations": annotations}
            indices[-1].createIndex()
        evaluation = COCOeval(*indices, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NUMBERS, evaluation.stats))
