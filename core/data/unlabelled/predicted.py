"""The dataset Predicted: images whose objects are predictions with scores, from a COCO file of `label` or of another tool."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from core.boxes import centers
from core.data.category import Category
from core.data.coco.corrections import correct
from core.data.coco.dataset import read_image
from core.data.coco.faults import quoted
from core.data.coco.folder import ImageFolder, default_images
from core.data.coco.instances import Instances, assemble, read_raw
from core.data.coco.rules import (
    annotation_violations,
    are_sound,
    category_violations,
    column,
    faults_in,
    find_faults,
    is_integer,
    is_number,
    is_text,
    valid_ids,
)
from core.data.sample import Sample
from core.data.unlabelled.image_files import without_objects
from core.errors import UserError
from core.pseudo import PseudoRule


@dataclass(frozen=True)
class Predicted:
    """The images of a file. Its annotations with scores are predictions; those without are true, and withheld from training."""

    path: Path
    folder: Path
    categories: tuple[Category, ...]
    instances: Instances
    scores: Float[ndarray, " a"] | None  # of the annotations, in the order of `instances`; None: the file has none
    rows: tuple[int, ...]  # the images in use, as indices into those of the file
    dropped: dict[str, int]  # the number of annotations of each class that the data lacks
    rule: PseudoRule | None = None  # which predictions are objects; None: all of them

    @property
    def name(self) -> str:
        """Its path, as messages name it."""
        return str(self.path)

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the images in use."""
        return tuple(self.instances.image_ids[row] for row in self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The files of the images in use, relative to the folder."""
        return tuple(self.instances.names[row] for row in self.rows)

    @property
    def sizes(self) -> Int[ndarray, "i 2"]:
        """(height, width) of the images in use."""
        return self.instances.sizes[list(self.rows)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """UserError: the image cannot be read, or is not of its declared size."""
        row = self.rows[index]
        height, width = self.instances.sizes[row].tolist()
        try:
            pixels = read_image(self.folder / self.instances.names[row], (height, width))
        except UserError as error:
            raise UserError(f"{self.path}: image {self.instances.image_ids[row]}: {error}") from None
        boxes, labels, scores = self.objects(row)
        sample = Sample(pixels, boxes, labels, self.instances.image_ids[row], (height, width))
        if scores is None:
            return replace(sample, truth="withheld" if len(self.instances.ids) else "unknown")
        keep = torch.ones_like(labels, dtype=torch.bool)
        if self.rule is not None:
            keep = self.rule.objects(centers(boxes / torch.tensor([width, height] * 2)), scores, labels)
        weights = self.rule.weights(scores[keep]) if self.rule and self.rule.soft else None
        return replace(sample, boxes=boxes[keep], labels=labels[keep], truth="pseudo", weights=weights)

    def objects(self, row: int) -> tuple[Float[Tensor, "t 4"], Int[Tensor, " t"], Float[Tensor, " t"] | None]:
        """Boxes (x0, y0, x1, y1) clipped to the image, labels, and scores of an image; no crowd regions, no empty boxes."""
        part = self.instances.rows_of(row)
        height, width = self.instances.sizes[row]
        x, y, w, h = self.instances.boxes[part].T
        boxes = np.stack([x, y, x + w, y + h], axis=1).clip(0, [width, height, width, height])
        keep: Bool[ndarray, " t"] = (boxes[:, 2:] > boxes[:, :2]).all(1) & ~self.instances.crowd[part]
        scores = None if self.scores is None else torch.from_numpy(self.scores[part][keep]).float()
        return torch.from_numpy(boxes[keep]).float(), torch.from_numpy(self.instances.label[part][keep]), scores

    def truth(self) -> dict:
        """The images in use as a COCO instances dict; predictions are no truth, so it has no annotations."""
        return without_objects(self.ids, self.names, self.sizes, self.categories)


def read_predicted(
    path: Path, categories: tuple[Category, ...], images: Path | None = None, results: tuple[Path, ...] = ()
) -> Predicted:
    """Reads a COCO file of images, with the predictions in it or in files of `results` for its image ids.

    A class of the file is the data's class of the same name; annotations of other classes are dropped. UserError: a record is
    wrong, or an image file does not exist.
    """
    data = read_lists(path)
    folder = named_folder(path, data) or images or default_images(path)
    listed = ImageFolder(folder)
    note = correct(data, listed)
    for fault in faults_in("categories", data["categories"], category_violations):
        raise UserError(f"{path}: {fault}")
    annotations, dropped = with_own_classes(data, categories)
    if results:  # they stand for the annotations of the file, which may be labels
        annotations = [a for a in annotations if isinstance(a, dict) and "score" in a]
    for results_file in results:
        own, lost = own_results(read_results(results_file, data["images"]), categories)
        annotations += own
        dropped.update(lost)
    annotations = [a | {"id": k} if isinstance(a, dict) else a for k, a in enumerate(annotations, start=1)]
    file = {"images": data["images"], "annotations": annotations, "categories": [vars(c) for c in categories]}
    for fault in find_faults(file):
        raise UserError(f"{path}: {fault}")
    instances = replace(assemble(file), note=note)
    scores = scores_of(path, annotations)
    refuse_missing(path, listed, instances)
    values = None if scores is None else np.array([scores[id] for id in instances.ids.tolist()], dtype=np.float64)
    if values is None and results:
        values = np.zeros(0)
    return Predicted(path, folder, categories, instances, values, tuple(range(len(instances.names))), dict(dropped))


def is_results(path: Path) -> bool:
    """Returns whether a JSON file is a COCO results file: one list. UserError: it is not JSON."""
    return isinstance(read_any(path), list)


def read_any(path: Path) -> Any:
    """The content of a JSON file. UserError: it is not JSON, or cannot be read."""
    try:
        return json.loads(read_raw(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file ({error}); export it again") from None


def read_lists(path: Path) -> dict:
    """The content of a COCO file that lists images. UserError: it is another file."""
    data = read_any(path)
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise UserError(
            f"{path} has no list of images; give a COCO file, or a file of results after the file of its images"
        )
    for section in ("annotations", "categories"):
        if not isinstance(data.setdefault(section, []), list):
            raise UserError(f"{path}: its {section} are no list; export it again")
    return data


def named_folder(path: Path, data: dict) -> Path | None:
    """The folder of images that `label` writes into a file; None if it names none. UserError: it is no text."""
    named = data["info"].get("images") if isinstance(data.get("info"), dict) else None
    if named and not is_text(named):
        raise UserError(f"{path}: images of info is {quoted(named)}; it must be the path of a folder, or be left out")
    return path.parent / named if named else None


def read_results(path: Path, images: list) -> list[dict]:
    """The records of a COCO results file, each with a score. UserError: a record has none, or is wrong.

    `images` are the records of the images; a class may be any.
    """
    records = read_any(path)
    for index, record in enumerate(records):
        if not isinstance(record, dict) or not is_number(record.get("score")):
            raise UserError(f"{path}: [{index}] has no score; a COCO results file has one in every record")
        record["id"] = index
    classes = {id for id in column(records, "category_id") if is_integer(id)}
    known = {"image_id": valid_ids(images), "category_id": classes}
    if not are_sound(records, known):
        for fault in faults_in("annotations", records, lambda record: annotation_violations(record, known)):
            assert fault.place is not None  # each is of a record
            raise UserError(f"{path}: [{fault.place[1]}] {fault.text}")
    return records


def with_own_classes(data: dict, categories: tuple[Category, ...]) -> tuple[list, Counter[str]]:
    """The annotations of a file with the ids of the data's classes of the same name, and the number dropped by class."""
    own = {c.name: c.id for c in categories}
    names = {c["id"]: c["name"] for c in data["categories"]}
    kept, dropped = [], Counter[str]()
    for record in data["annotations"]:
        id = record.get("category_id") if isinstance(record, dict) else None
        name = names.get(id) if is_integer(id) else None
        if name is not None and name not in own:
            dropped[name] += 1
        else:
            kept.append(record | {"category_id": own[name]} if name is not None else record)
    return kept, dropped


def own_results(records: list[dict], categories: tuple[Category, ...]) -> tuple[list, Counter[str]]:
    """The results of the data's classes, and the number of the others, which are dropped, by their id."""
    ids = {c.id for c in categories}
    kept = [r for r in records if r["category_id"] in ids]
    return kept, Counter(f"id {r['category_id']}" for r in records if r["category_id"] not in ids)


def scores_of(path: Path, annotations: list[dict]) -> dict[int, float] | None:
    """The score of each annotation by its id; None if there are no scores. UserError: only some have one."""
    scores = {a["id"]: a["score"] for a in annotations if "score" in a}
    if not scores:
        return None
    if bare := [a for a in annotations if not is_number(a.get("score"))]:
        raise UserError(
            f"{path}: an annotation of image {bare[0]['image_id']} has no score, but others have one; "
            "give labels as --data.train, and predictions as --data.unlabelled"
        )
    return scores


def refuse_missing(path: Path, folder: ImageFolder, instances: Instances) -> None:
    """Raises UserError if the file of an image does not exist, or is not inside the folder."""
    for id, name in zip(instances.image_ids, instances.names):
        if fault := folder.fault(name):
            raise UserError(f"{path}: image {id} {fault[1]}")
