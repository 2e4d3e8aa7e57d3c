"""Labels images by a detector: its predictions and their scores become a COCO file, which training takes as pseudo truth.

The images are predicted in chunks, each of which is written to a folder beside the file and skipped when the command is
repeated. Several processes share the chunks; the file does not depend on their number.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch

from core.data.category import Category
from core.data.loader import evaluation
from core.data.transforms import Augment
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.predicted import Predicted, read_predicted
from core.detectors.base import Detector
from core.distiller import run_teacher
from core.errors import UserError
from core.files import read_json, write_json
from core.metrics.coco_ap import coco_results
from core.metrics.detections import Detections, join
from core.metrics.pseudo_truth.least_score import as_detections
from core.progress import watched
from core.pseudo import PseudoRule, pseudo_objects
from core.runs.checkpoint import load_detector, sha256_of, weights_file
from core.runs.config import decode
from train.distributed.parallel import gather_numbers, ranks, share_user_errors

CHUNK = 64  # images, after which what is known is on disk


@dataclass(frozen=True)
class Label:
    """Predictions of a run's student, or of a file of weights, as a COCO file with scores: the truth of unlabelled images."""

    images: Path | None = None  # Folder of the images.
    out: Path | None = None  # COCO file to write. If it is begun already, it is completed.
    data: Path | None = None  # COCO file that lists the images. Default: all images in the folder.
    score: float = 0.05  # Leave out predictions with a lower score.
    batch: int = 8  # Images in a batch.
    workers: int = 0  # Processes that load images.
    device: str = "auto"  # Device to run on; auto takes cuda if there is one.


@dataclass(frozen=True)
class Labelling:
    """A detector, the images that it labels, and the options."""

    detector: Detector
    data: ImageFiles | Predicted
    augment: Augment
    categories: tuple[Category, ...]
    score: float
    identity: str  # of the detector, the images and the options: chunks of another one are not used


def label(path: Path, options: Label, device: torch.device) -> int:
    """Writes `options.out`; returns the number of predictions in it. UserError: an option, the detector or an image is wrong."""
    if options.out is None or (options.images is None and options.data is None):
        raise UserError("say which images to label and which file to write: --images FOLDER --out FILE.json")
    if not 0 <= options.score <= 1:
        raise UserError(f"--score is {options.score:g}; a score is from 0 to 1")
    with share_user_errors():
        work = open_labelling(path, options, device)
    parts = options.out.with_name(f"{options.out.name}.parts")
    chunks = [range(k, min(k + CHUNK, len(work.data))) for k in range(0, len(work.data), CHUNK)]
    if not finished(options.out, work.identity):
        with share_user_errors():
            write_chunks(work, chunks, parts, options)
        if ranks().first:
            merge(work, chunks, parts, options.out)
    gather_numbers([0])  # the others wait for the file
    return len(read_json(options.out)["annotations"])


def open_labelling(path: Path, options: Label, device: torch.device) -> Labelling:
    """Opens the detector and the images. UserError: one of them cannot be read."""
    detector, card = load_detector(weights_file(path))
    if "categories" not in card:
        raise UserError(f"{path} does not name its classes; take it in with: python -m train import {path} --out RUN")
    categories = tuple(Category(c["id"], c["name"]) for c in card["categories"])
    augment = decode(Augment, card["data"]["augment"], f"{path}: data.augment") if card.get("data") else Augment()
    data: ImageFiles | Predicted
    if options.data:
        data = read_predicted(options.data, categories, options.images)
    else:
        assert options.images is not None  # `label` has checked it
        data = ImageFiles(options.images, categories)
    names = sha256(json.dumps([data.ids, data.names]).encode()).hexdigest()
    identity = f"{sha256_of(weights_file(path))} {names} {options.score} {augment}"
    return Labelling(detector.to(device), data, augment, categories, options.score, identity)


def finished(path: Path, identity: str) -> bool:
    """Returns whether the file is there already. UserError: a file of something else is."""
    if not path.exists():
        return False
    content = read_json(path)
    info = content.get("info") if isinstance(content, dict) else None
    if not isinstance(info, dict) or info.get("identity") != identity:
        raise UserError(f"{path} exists, and is not what this command writes; choose another --out, or move it away")
    return True


def write_chunks(work: Labelling, chunks: Sequence[range], parts: Path, options: Label) -> None:
    """Predicts this process's share of the chunks that are missing."""
    own = [
        k for k in range(len(chunks)) if k % ranks().size == ranks().rank and not known(part(parts, k), work.identity)
    ]
    done, total = len(work.data) - sum(len(chunks[k]) for k in own), len(work.data)
    for k in watched(own, "images labelled", total, done=done, each=CHUNK) if ranks().first else own:
        write_json(part(parts, k), {"identity": work.identity} | predicted_chunk(work, chunks[k], options))


def part(parts: Path, k: int) -> Path:
    """The file of a chunk."""
    return parts / f"{k}.json"


def known(path: Path, identity: str) -> bool:
    """Returns whether a chunk is on disk."""
    return path.exists() and read_json(path)["identity"] == identity


@torch.no_grad()
def predicted_chunk(work: Labelling, indices: range, options: Label) -> dict:
    """The images of a chunk and their predictions, as lists of COCO."""
    rule, device = PseudoRule((work.score,) * len(work.categories)), next(work.detector.parameters()).device
    images, found = [], []
    for batch, _ in evaluation(work.data, work.augment, options.batch, options.workers, indices):
        own = run_teacher(work.detector, batch.to(device)).predictions["own"]
        found.append(as_detections(pseudo_objects(own, rule), batch.to(device)))
        images += list(zip(batch.ids.tolist(), batch.original.tolist()))
    detections = Detections(*(x.cpu() for x in vars(join(found)).values()))
    names = work.data.names
    return {
        "images": [
            {"id": id, "file_name": names[index], "height": height, "width": width}
            for index, (id, (height, width)) in zip(indices, images)
        ],
        "annotations": coco_results([detections], work.categories),
    }


def merge(work: Labelling, chunks: Sequence[range], parts: Path, out: Path) -> None:
    """Joins the chunks to one file, and removes them."""
    content = [read_json(part(parts, k)) for k in range(len(chunks))]
    annotations = [a for chunk in content for a in chunk["annotations"]]
    folder = os.path.relpath(work.data.folder, out.parent)
    about = {"images": folder, "score": work.score, "identity": work.identity}
    write_json(
        out,
        {
            "info": about,
            "images": [image for chunk in content for image in chunk["images"]],
            "annotations": [a | {"id": k} for k, a in enumerate(annotations, start=1)],
            "categories": [vars(c) for c in work.categories],
        },
    )
    shutil.rmtree(parts)
