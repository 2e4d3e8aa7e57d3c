"""Predicts the objects of images: a file of COCO results, and pictures with the boxes drawn.

The images are predicted in chunks (train/engine/chunks.py) in a folder beside the one to write. Images that cannot be read are
named and left out.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch

from core.data.readable import ReadableBatch, readable_batches
from core.data.unlabelled.video import VideoFrames
from core.errors import UserError
from core.files import beside, read_json, write_json
from core.limits import Count, Share, Workers
from core.metrics.coco_ap import coco_results
from core.metrics.detections import Detections
from core.runs.checkpoint import sha256_of, weights_file
from core.runs.predictor import Predictor, open_predictor
from train.distributed.parallel import first_text, gather_numbers, ranks, share_user_errors
from train.engine.chunks import Chunks, identity_in, is_finished
from train.engine.failures import SMALLER_BATCH, explain_lack_of_memory
from train.engine.pictures import LONGEST, picture_name, save_picture
from train.engine.sources import Source, open_source, state_of

RESULTS, LIST, PICTURES, CHUNKS = "predictions.json", "images.json", "pictures", "chunks"


@dataclass(frozen=True)
class Predict:
    """Predictions of a run's student, or of a file of weights, for images that need no labels."""

    score: Share = 0.3  # Leave out predictions with a lower score; 0 keeps the best 100 of an image, as AP does.
    out: Path | None = None  # Folder to write; if it is begun already, it is completed. Default: predictions, or -2 ...
    batch: Count = 8  # Images in a batch.
    workers: Workers = 0  # Processes that load images.
    pictures: bool = True  # Write the images with their boxes, at most 1920 pixels wide or high.
    device: str = "auto"  # Device to run on; auto takes cuda if there is one.


@dataclass(frozen=True)
class Work:
    """A detector, the images, the options, and the folder in which it is prepared."""

    predictor: Predictor
    data: Source
    options: Predict
    out: Path
    identity: str  # of the detector, the images and the options

    @property
    def parts(self) -> Path:
        """The folder that becomes `out` when all is done."""
        return beside(self.out, f".{self.out.name}.parts")


@dataclass(frozen=True)
class Outcome:
    """The folder that was written, and numbers on it."""

    out: Path
    images: int
    predictions: int
    faults: tuple[str, ...]  # a sentence on each image that was left out
    images_per_second: float | None  # over all processes; None: all was there already


def predict(path: Path, words: list[str], options: Predict, device: torch.device) -> Outcome:
    """Writes predictions.json, images.json and pictures/ for the images that `words` name.

    UserError: an option, the detector or a name is wrong. Raises FailedHere if memory runs out, see `explain_lack_of_memory`.
    """
    with TemporaryDirectory() as scratch:
        with share_user_errors():
            work = open_work(path, words, options, device, Path(scratch))
        work = replace(work, out=Path(first_text(str(work.out))))
        speed = None
        if not is_finished(work.out / LIST, work.identity):
            speed = complete(work)
        gather_numbers([0])  # the others wait for the files
        listed = read_json(work.out / LIST)
        predictions = len(read_json(work.out / RESULTS))
        return Outcome(work.out, len(listed["images"]), predictions, tuple(listed["info"]["faults"]), speed)


def open_work(path: Path, words: list[str], options: Predict, device: torch.device, scratch: Path) -> Work:
    """Opens the detector and the images, and finds the folder to write. UserError: one of them cannot be read."""
    predictor = open_predictor(path, device)
    data = open_source(words, predictor.categories, scratch)
    about = [state_of(data), options.score, options.pictures, str(predictor.augment)]
    identity = f"{sha256_of(weights_file(path))} {sha256(json.dumps(about).encode()).hexdigest()}"
    out = options.out or next(p for p in usual_folders() if is_free(p, identity))
    return Work(predictor, data, options, out, identity)


def usual_folders() -> Iterator[Path]:
    """The folders that are written where none is named."""
    return chain([Path("predictions")], (Path(f"predictions-{n}") for n in count(2)))


def is_free(path: Path, identity: str) -> bool:
    """Returns whether a folder can be written: there is none of this name, or the same work has written it."""
    return not path.exists() or ((path / LIST).is_file() and identity_in(path / LIST) == identity)


def complete(work: Work) -> float:
    """Predicts what is missing, and puts the folder in its place; returns the images a second of all processes."""
    chunks = Chunks(work.parts / CHUNKS, len(work.data), work.identity)
    with share_user_errors():
        if ranks().first:
            refuse_taken(work.out)
            discard_other(work.parts, work.identity)
    begun = perf_counter()
    with explain_lack_of_memory(work.out, SMALLER_BATCH), share_user_errors():
        images = chunks.complete("images predicted", lambda indices: predicted_chunk(work, indices))
    total = sum(n for (n,) in gather_numbers([images]))
    speed = total / (perf_counter() - begun)
    if ranks().first:
        merge(work, chunks)
    return speed


def refuse_taken(out: Path) -> None:
    """UserError: the folder to write holds something else."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists, and is not what this command writes; choose another --out, or move it away")


def discard_other(parts: Path, identity: str) -> None:
    """Removes what another work has left in the folder of parts, and notes in it whose it is now."""
    note = parts / "work.json"
    if not (note.is_file() and read_json(note) == identity):
        shutil.rmtree(parts, ignore_errors=True)
        write_json(note, identity)


def predicted_chunk(work: Work, indices: range) -> dict:
    """The images of a chunk, their predictions as COCO results, and what could not be read; writes the pictures."""
    options, names = work.options, work.data.names
    images: list[dict] = []
    results: list[dict] = []
    faults: list[str] = []
    longest = LONGEST if options.pictures else 0
    workers = 0 if isinstance(work.data, VideoFrames) else options.workers  # a worker would decode from the start
    for part in readable_batches(work.data, work.predictor.augment, options.batch, workers, indices, longest):
        faults += part.faults.values()
        if part.images is None:
            continue
        detections = work.predictor.detect(part.images, options.score)
        results += coco_results([detections], work.predictor.categories)
        rows = zip(part.indices, part.images.ids.tolist(), part.images.original.tolist())
        images += [{"id": id, "file_name": names[k], "height": h, "width": w} for k, id, (h, w) in rows]
        write_pictures(work, part, detections)
    return {"images": images, "results": results, "faults": faults}


def write_pictures(work: Work, part: ReadableBatch, detections: Detections) -> None:
    """Draws the detections of a batch on its images."""
    assert part.images is not None
    names = [c.name for c in work.predictor.categories]
    ids, original = part.images.ids.tolist(), part.images.original.tolist()
    for pixels, index, id, size in zip(part.pictures, part.indices, ids, original):
        path = work.parts / PICTURES / picture_name(work.data.names[index], work.data.names)
        save_picture(path, pixels, detections.at(detections.image_ids == id), size, names)


def merge(work: Work, chunks: Chunks) -> None:
    """Joins the chunks to the two files, and puts the folder in its place."""
    images = chunks.joined("images")
    names = {image["id"]: image["file_name"] for image in images}
    results = [
        r | {"id": k, "file_name": names[r["image_id"]]} for k, r in enumerate(chunks.joined("results"), start=1)
    ]
    about = {"images": str(work.data.folder.absolute()), "score": work.options.score, "faults": chunks.joined("faults")}
    categories = [vars(c) for c in work.predictor.categories]
    listed = {"info": about | {"identity": work.identity}, "images": images, "annotations": []}
    write_json(work.parts / RESULTS, results)
    write_json(work.parts / LIST, listed | {"categories": categories})
    shutil.rmtree(chunks.folder)
    (work.parts / "work.json").unlink()
    work.parts.replace(work.out)
