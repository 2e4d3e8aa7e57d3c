"""Labels images by a detector: its predictions and their scores become a COCO file, which training takes as pseudo truth.

The images are predicted in chunks (train/engine/chunks.py) in a folder beside the file.
"""

import json
import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch

from core.data.loader import evaluation
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.predicted import Predicted, read_predicted
from core.errors import UserError
from core.files import beside, read_json, write_json
from core.limits import Count, Share, Workers
from core.metrics.coco_ap import coco_results
from core.metrics.detections import Detections, join
from core.metrics.pseudo_truth.least_score import as_detections
from core.pseudo import PseudoRule, pseudo_objects
from core.runs.checkpoint import sha256_of, weights_file
from core.runs.predictor import Predictor, open_predictor
from train.distributed.parallel import gather_numbers, ranks, share_user_errors
from train.engine.chunks import Chunks, is_finished
from train.engine.failures import SMALLER_BATCH, explain_lack_of_memory


@dataclass(frozen=True)
class Label:
    """Predictions of a run's student, or of a file of weights, as a COCO file with scores: the truth of unlabelled images."""

    images: Path | None = None  # Folder of the images.
    out: Path | None = None  # COCO file to write. If it is begun already, it is completed.
    data: Path | None = None  # COCO file that lists the images. Default: all images in the folder.
    score: Share = 0.05  # Leave out predictions with a lower score.
    batch: Count = 8  # Images in a batch.
    workers: Workers = 0  # Processes that load images.
    device: str = "auto"  # Device to run on; auto takes cuda if there is one.


@dataclass(frozen=True)
class Labelling:
    """A detector, the images that it labels, and the options."""

    predictor: Predictor
    data: ImageFiles | Predicted
    score: float
    identity: str  # of the detector, the images and the options: chunks of another one are not used


def label(path: Path, options: Label, device: torch.device) -> int:
    """Writes `options.out`; returns the number of predictions in it.

    UserError: an option, the detector or an image is wrong. Raises FailedHere if memory runs out, see `explain_lack_of_memory`.
    """
    if options.out is None or (options.images is None and options.data is None):
        raise UserError("say which images to label and which file to write: --images FOLDER --out FILE.json")
    parts = beside(options.out, f"{options.out.name}.parts")
    with explain_lack_of_memory(options.out, SMALLER_BATCH):
        with share_user_errors():
            work = open_labelling(path, options, device)
        chunks = Chunks(parts, len(work.data), work.identity)
        if not is_finished(options.out, work.identity):
            with share_user_errors():
                chunks.complete("images labelled", lambda indices: predicted_chunk(work, indices, options))
            if ranks().first:
                merge(work, chunks, options.out)
    gather_numbers([0])  # the others wait for the file
    return len(read_json(options.out)["annotations"])


def open_labelling(path: Path, options: Label, device: torch.device) -> Labelling:
    """Opens the detector and the images. UserError: one of them cannot be read."""
    predictor = open_predictor(path, device)
    data: ImageFiles | Predicted
    if options.data:
        data = read_predicted(options.data, predictor.categories, options.images)
    else:
        assert options.images is not None  # `label` has checked it
        data = ImageFiles(options.images, predictor.categories)
    return Labelling(predictor, data, options.score, identity_of(predictor, data, options.score))


def identity_of(predictor: Predictor, data: ImageFiles | Predicted, score: float) -> str:
    """A text that differs for other weights, other images or another least score."""
    names = sha256(json.dumps([data.ids, data.names]).encode()).hexdigest()
    return f"{sha256_of(weights_file(predictor.path))} {names} {score} {predictor.augment}"


@torch.no_grad()
def predicted_chunk(work: Labelling, indices: range, options: Label) -> dict:
    """The images of a chunk and their predictions, as lists of COCO."""
    predictor = work.predictor
    rule = PseudoRule((work.score,) * len(predictor.categories))
    images, found = [], []
    for batch, _ in evaluation(work.data, predictor.augment, options.batch, options.workers, indices):
        on_device = batch.to(predictor.device)
        own = predictor.detector.predict(on_device)
        found.append(as_detections(pseudo_objects(own, rule), on_device))
        images += list(zip(batch.ids.tolist(), batch.original.tolist()))
    detections = Detections(*(x.cpu() for x in vars(join(found)).values()))
    names = work.data.names
    return {
        "images": [
            {"id": id, "file_name": names[index], "height": height, "width": width}
            for index, (id, (height, width)) in zip(indices, images)
        ],
        "annotations": coco_results([detections], predictor.categories),
    }


def merge(work: Labelling, chunks: Chunks, out: Path) -> None:
    """Joins the chunks to one file, and removes them."""
    folder = os.path.relpath(work.data.folder.resolve(), out.parent.resolve())
    about = {"images": folder, "score": work.score, "identity": work.identity}
    write_json(
        out,
        {
            "info": about,
            "images": chunks.joined("images"),
            "annotations": [a | {"id": k} for k, a in enumerate(chunks.joined("annotations"), start=1)],
            "categories": [vars(c) for c in work.predictor.categories],
        },
    )
    shutil.rmtree(chunks.folder)
