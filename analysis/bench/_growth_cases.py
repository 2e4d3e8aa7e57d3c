"""The cases of the benchmark of growth: each prepares its input for a size, and returns the call to be measured."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import torch
from PIL import Image

from analysis.bench import coco, matching, step
from analysis.bench._random_runs import loss_configs, random_detector, random_run, write_run
from analysis.query_table.collect import collect
from app.replay.facts import Facts
from app.server.handlers import Handlers
from app.views.gallery.filters import Filters
from app.views.gallery.gallery import PAGE, gallery
from app.worker.cache import Cache
from app.worker.forward_queue import ForwardQueue
from app.worker.library import Library, Source
from app.worker.samples import Samples
from app.worker.survey import Survey
from app.worker.uploads import Uploads
from core import detectors
from core.data.check import examine, open_case
from core.data.coco.dataset import Coco
from core.data.coco.instances import read_instances
from core.data.transforms import Augment
from core.matching.costs import Matching
from core.matching.solving import match_to_truth
from core.metrics.coco_ap import average_precision
from core.runs.config import encode
from core.runs.open import open_run

Call = Callable[[], object]
BOXES = 7.27  # in an image of COCO's
SHORT = 1.0  # seconds: a shorter call is repeated
REPEATS = 5
MODEL: dict[str, Any] = {"backbone": "tiny8x1", "frozen": 0, "strides": (16,), "layers": 6, "encoder_layers": 1}
PICTURE = (320, 480)  # height and width of the image of a step, in pixels


@dataclass(frozen=True)
class Case:
    """A case: its sizes, those of QUICK=1, and the function that prepares a call for a size in a folder."""

    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    prepare: Callable[[int, Path], Call]


def measure(name: str, size: int, folder: str) -> None:
    """Prints the seconds and the growth of peak memory of a case at one size, as JSON."""
    torch.set_num_threads(1)
    call = CASES[name].prepare(size, Path(folder))
    before = peak_bytes()
    seconds = [timed(call)]
    # Linux adds up each core's count of pages late, so a peak may read lower than before.
    grown = max(0, peak_bytes() - before)
    if seconds[0] < SHORT:
        seconds += [timed(call) for _ in range(REPEATS)]
    print(json.dumps({"seconds": min(seconds), "bytes": grown}))


def timed(call: Call) -> float:
    """The seconds of the processor that a call takes."""
    begun = process_time()
    call()
    return process_time() - begun


def peak_bytes() -> int:
    """The peak memory of this process until now."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None, "Linux states the peak memory of a process in kB"
    return 1024 * int(peak[1])


def file_of(size: int, folder: Path) -> Path:
    """An instances file with this many images, which is written once."""
    path = folder / f"{size}.json"
    if not path.exists():
        coco.write_coco(path, size, int(BOXES * size))
    return path


def reading(size: int, folder: Path) -> Call:
    """Reads an instances file."""
    path = file_of(size, folder)
    return lambda: read_instances(path)


def checking(size: int, folder: Path) -> Call:
    """Reads and checks the records of an instances file; its images are not opened."""
    path = file_of(size, folder)
    return lambda: examine(open_case(path))


def indexing(size: int, folder: Path) -> Call:
    """Finds the file of each image in their folder."""
    path, images = file_of(size, folder), folder / f"images of {size}"
    images.mkdir(exist_ok=True)
    for k in range(size):
        (images / coco.image(k)["file_name"]).touch()
    return Coco(path, images).check_files


def training_step(queries: int, classes: int) -> Call:
    """The training step of a Deformable DETR with a small backbone, on one image."""
    student = detectors.build("deformable", queries=queries, classes=classes, **MODEL)
    torch.manual_seed(0)
    batch = step.random_batch(1, *PICTURE, classes)
    alone = step.distiller(student, ("detection",))
    return lambda: alone(*batch).total.backward()


def matched(queries: int, folder: Path) -> Call:
    """Matches the queries of six layers with the objects of two images: costs, and solving."""
    predictions, targets = matching.random_predictions(2, queries, step.OBJECTS)
    return lambda: match_to_truth({"student": (predictions, Matching())}, targets)


def page_of_queries(queries: int, folder: Path) -> Call:
    """The answer of the app for one image in all layers, once the forward pass is done."""
    run = random_run(folder / f"{queries} queries", queries=queries, images=1)
    handlers = Handlers(Library([Source(run)], ForwardQueue(Cache(1 << 30))), folder)
    handlers.scene("image/1")  # the forward pass, whose result is kept
    return lambda: json.dumps(handlers.scene("image/1"))


def evaluated(images: int, folder: Path) -> Call:
    """AP of COCO's shape: 80 classes, 100 detections and 7 objects an image."""
    truth, detections = coco.random_truth_and_detections(images)
    return lambda: average_precision(truth, detections, coco.CATEGORIES)


def collected(images: int, folder: Path) -> Call:
    """The query table of a tiny pair, which is written anew in each call."""
    opened = open_run(random_run(folder / f"{images} images", queries=20, layers=3, size=96, images=images))
    for k in range(images):
        opened.data[k]  # paints it
    number = iter(range(1000))
    return lambda: collect(opened, folder / f"table {images} {next(number)}")


def gallery_page(images: int, folder: Path) -> Call:
    """The first page of the gallery, most flips first, when all images have been analysed."""
    path, pictures = file_of(images, folder), folder / f"images of {images}"
    indexing(images, folder)
    data = Coco(path, pictures)
    for k in range(PAGE):
        coco_picture(pictures / coco.image(k)["file_name"])
    samples = samples_of(data, folder / f"gallery {images}")
    survey = Survey(samples)
    flips = [100 if k < PAGE else k % 90 for k in range(images)]  # the first ones have pictures
    scores = [(0.5,) * count for count in samples.columns.counts.tolist()]
    survey.known = {k: Facts(0.0, 0.0, n, (), (), scores[k], 0) for k, n in enumerate(flips)}
    return lambda: gallery(samples, [survey], "flips", Filters(), 0, "")


def coco_picture(path: Path) -> None:
    """Writes a grey picture of COCO's size."""
    Image.new("RGB", (coco.WIDTH, coco.HEIGHT), (128, 128, 128)).save(path)


def samples_of(data: Coco, folder: Path) -> Samples:
    """The images of a data set, in a run with random weights."""
    options = {**MODEL, "queries": 10, "classes": 8}
    small = {"kind": "shapes", "val_limit": 1, "size": 96, "augment": encode(Augment())}
    run = write_run(folder, random_detector("deformable", 0, **options), None, loss_configs(False), small)
    return Samples(replace(open_run(run), data=data), (), Uploads(), Cache(1 << 20))


IMAGES, QUERIES = (1000, 10_000, 118_287), (100, 300, 900)
CASES = {
    "read a COCO file": Case(IMAGES, (100, 400), reading),
    "check a COCO file": Case(IMAGES, (100, 400), checking),
    "index its image files": Case(IMAGES, (100, 400), indexing),
    "training step, by queries": Case(QUERIES, (10, 30), lambda n, folder: training_step(n, 80)),
    "training step, by classes": Case((80, 1203), (10, 30), lambda n, folder: training_step(300, n)),
    "matching, by queries": Case(QUERIES, (10, 30), matched),
    "the app's answer for an image, by queries": Case(QUERIES, (10, 30), page_of_queries),
    "AP, by images": Case((500, 5000), (20, 60), evaluated),
    "collect, by images": Case((100, 400), (4, 8), collected),
    "a page of the app's gallery, by images": Case((5000, 50_000), (30, 60), gallery_page),
}
