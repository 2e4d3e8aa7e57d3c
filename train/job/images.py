"""The training images of a run: with labels, without, or both."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from core.data.category import Category
from core.data.coco.dataset import Coco
from core.data.layouts import is_layout
from core.data.loader import evaluation
from core.data.sample import Dataset
from core.data.shapes.dataset import COUNTS, Shapes
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.mixed import Mixed, Part
from core.data.unlabelled.predicted import Predicted, is_results, read_predicted
from core.detectors.base import Detector
from core.distiller import run_teacher
from core.errors import UserError
from core.metrics.detections import Detections, join
from core.metrics.hits import objects
from core.metrics.pseudo_truth.least_score import MIN_OBJECTS, as_detections, best_scores
from core.nn.memory import physical_memory
from core.pseudo import USUAL_SCORE, PseudoRule, pseudo_objects
from train.distributed.parallel import first_text
from train.run import Data, Pseudo, Run

REST = "rest"  # stands for the images after --data.train-limit
EVERY = 10  # every tenth labelled image is held back to choose the least score of pseudo objects, ...
MOST = 200  # ... but no more than so many
LOOKED_AT = 32  # images without labels in which pseudo objects are counted before a run starts


def dataset(data: Data, split: Literal["train", "val"]) -> Dataset:
    """The training images with labels, or the validation images. UserError: no file is given, or it cannot be read."""
    path, limit = getattr(data, split), getattr(data, f"{split}_limit")
    if data.kind == "shapes":
        refuse_large_shapes(data)
        return Shapes(split if split == "train" else data.part, limit, data.size, data.seed)
    if path is None and data.folder:
        if not is_layout(data.folder):
            raise UserError(f"--data {data.folder} is no folder; name one, or give --data.train JSON --data.val JSON")
        return Coco(data.folder, data.images, limit, split=split)
    if path is None:
        raise UserError(
            "give the data: --data FOLDER, or --data.train INSTANCES.json --data.val INSTANCES.json [--data.images FOLDER]"
        )
    return Coco(path, data.images, limit, split=split)


def training_images(data: Data, pseudo: Pseudo) -> Dataset:
    """The training images of a run. Without labels, their classes are the validation images'.

    UserError: files are named beside generated images, or see `dataset`.
    """
    refuse_unread_files(data)
    if not data.unlabelled:
        return dataset(data, "train")
    every = every_labelled(data)
    categories = dataset(data, "val").categories if every is None else every.categories
    count = 0 if every is None else len(every)
    limit = count if data.train_limit is None else min(data.train_limit, count)
    others = [part for source in grouped(data.unlabelled) for part in parts_of(source, data, every, limit, categories)]
    held = held_back(pseudo, every, limit, others) if every is not None else []
    parts = []
    if every is not None:
        parts = [
            Part(every, [k for k in range(limit) if k not in set(held)], "given"),
            Part(every, held, "withheld", held_back=True),
        ]
    return Mixed([*parts, *others], categories, limit - len(held))


def refuse_unread_files(data: Data) -> None:
    """UserError: a file or folder of images is named although the images are generated."""
    option = next((f"--data.{name}" for name in ("folder", "train", "val") if getattr(data, name)), None)
    if option and data.kind == "shapes":
        raise UserError(f"{option} would not be read, since the data is generated shapes; add --data.kind coco")


def every_labelled(data: Data) -> Dataset | None:
    """The images that have labels, those after the limit included; None if the run trains without labels."""
    if data.kind == "coco" and data.train is None and data.folder is None:
        return None
    return dataset(replace(data, train_limit=None), "train")


def grouped(sources: Sequence[str]) -> list[tuple[str, tuple[Path, ...]]]:
    """The sources of images, each with the files of results that follow it; results at the start belong to `rest`."""
    groups: list[tuple[str, tuple[Path, ...]]] = []
    for source in sources:
        path = Path(source)
        if source != REST and path.suffix.lower() == ".json" and is_results(path):
            name, results = groups.pop() if groups else (REST, ())
            groups.append((name, (*results, path)))
        else:
            groups.append((source, ()))
    return groups


def parts_of(
    source: tuple[str, tuple[Path, ...]],
    data: Data,
    every: Dataset | None,
    limit: int,
    categories: tuple[Category, ...],
) -> list[Part]:
    """The images of one source without those that have labels. UserError: it has none left, or cannot be read."""
    name, results = source
    labelled = labelled_files(every, limit)
    if name == REST and not results:
        if every is None or limit >= len(every):
            raise UserError(
                "--data.unlabelled rest takes the images after --data.train-limit N; give an N with images after it"
            )
        return [Part(every, range(limit, len(every)), "withheld")]
    if name != REST and Path(name).suffix.lower() != ".json":
        files = ImageFiles(Path(name), categories, labelled)
        if not len(files):
            raise UserError(f"every image of {name} has labels in {data.train}; leave --data.unlabelled out")
        return [Part(files, range(len(files)), "unknown")]
    path = data.train if name == REST else Path(name)
    if path is None or data.kind == "shapes" and name == REST:
        raise UserError(
            f"{results[0]} has predictions for images that no file lists: name the file of the images before it"
        )
    predicted = without_labelled(read_predicted(path, categories, data.images, results), labelled)
    if not len(predicted):
        raise UserError(f"every image of {path} has labels in {data.train}; leave --data.unlabelled out")
    return [Part(predicted, range(len(predicted)))]


def labelled_files(every: Dataset | None, limit: int) -> frozenset[Path]:
    """The resolved paths of the images with labels; none for generated images."""
    if not isinstance(every, Coco):
        return frozenset()
    return frozenset((every.folder / name).resolve() for name in every.instances.names[:limit])


def without_labelled(predicted: Predicted, labelled: frozenset[Path]) -> Predicted:
    """The images of a file without those that have labels."""
    files = [(predicted.folder / name).resolve() for name in predicted.names]
    return replace(predicted, rows=tuple(row for row, file in zip(predicted.rows, files) if file not in labelled))


def held_back(pseudo: Pseudo, every: Dataset, limit: int, others: Iterable[Part]) -> list[int]:
    """The indices of the labelled images that are held back: every tenth, if their objects suffice to choose a score.

    None are where a score is given, or where no image needs a teacher. They are learnt as images without labels.
    """
    if pseudo.score is not None or not Mixed([*others], every.categories, 0).pending:
        return []
    held = list(range(EVERY - 1, limit, EVERY))[:MOST]
    return held if len(objects(truth_of(every, held), every.categories)) >= MIN_OBJECTS else []


def truth_of(data: Dataset, indices: Sequence[int]) -> dict:
    """The part of a dataset's truth that belongs to some of its images."""
    truth, ids = data.truth(), {data.ids[index] for index in indices}
    return truth | {"annotations": [a for a in truth["annotations"] if a["image_id"] in ids]}


@dataclass(frozen=True)
class ChosenRule:
    """The rule of pseudo truth, and where its scores come from, in words."""

    rule: PseudoRule
    origin: str

    def entry(self) -> dict:
        """The entry of a run's card."""
        return {**vars(self.rule), "scores": list(self.rule.scores), "origin": self.origin}

    @staticmethod
    def from_entry(entry: dict, where: str) -> "ChosenRule":
        """The rule of an entry of a card. UserError: the entry is damaged; `where` is its place."""
        rule = PseudoRule.from_entry(entry, where)
        try:
            return ChosenRule(rule, str(entry["origin"]))
        except KeyError:
            raise UserError(f"{where} does not say where its scores come from; start a new run") from None


def choose_rule(run: Run, images: Mixed, teacher: Detector | None, device: torch.device) -> ChosenRule:
    """The rule of a run's pseudo truth: the given score, or the best on labelled images. UserError: there is no teacher."""
    pseudo, classes = run.pseudo, len(images.categories)
    if images.pending and teacher is None:
        raise UserError(
            "--data.unlabelled has images without predictions: give a --teacher, or a COCO file with scores, such as "
            "`python -m train label TEACHER --images FOLDER --out JSON` writes"
        )
    if pseudo.score is not None:
        if not 0 <= pseudo.score <= 1:
            raise UserError(f"--pseudo.score is {pseudo.score:g}; a score is from 0 to 1")
        return ChosenRule(
            PseudoRule((pseudo.score,) * classes, pseudo.soft, pseudo.overlap), f"{pseudo.score:g}, as given"
        )
    chosen = first_text(json.dumps(best_on_labelled(pseudo, images, teacher, device, run)))
    scores, origin = json.loads(chosen)
    return ChosenRule(PseudoRule(tuple(scores), pseudo.soft, pseudo.overlap), origin)


def best_on_labelled(
    pseudo: Pseudo, images: Mixed, teacher: Detector | None, device: torch.device, run: Run
) -> tuple[tuple[float, ...], str]:
    """The best least score of each class on labelled images, and where it comes from.

    The teacher is asked for the images that are held back, or, where none are, for those with labels. A file of predictions is
    taken by its word for the images that have labels too.
    """
    classes = len(images.categories)
    asked = asked_with_labels(images)
    if asked is not None and teacher is not None:
        indices = asked.indices[:MOST]
        detections = teacher_detections(teacher, asked.dataset, indices, run, device)
        truth = objects(truth_of(asked.dataset, indices), images.categories)
        scores, text = best_scores(detections, truth, classes, per_class=pseudo.per_class)
        return scores, f"{text} of {len(indices)} images " + (
            "held back" if asked.held_back else "that keep their labels"
        )
    labelled = next((part.dataset for part in images.parts if part.truth == "given"), None)
    parts = [
        labelled_predictions(part.dataset, labelled)
        for part in images.parts
        if isinstance(labelled, Coco) and isinstance(part.dataset, Predicted) and part.dataset.scores is not None
    ]
    if not any(map(len, parts)) or labelled is None:
        return (USUAL_SCORE,) * classes, f"{USUAL_SCORE}, since no labelled images are there to choose one"
    detections = join(parts)
    ids = set(detections.image_ids.tolist())
    indices = [k for k, id in enumerate(labelled.ids) if id in ids]
    truth = objects(truth_of(labelled, indices), images.categories)
    scores, text = best_scores(detections, truth, classes, per_class=pseudo.per_class)
    return scores, f"{text} of {len(ids)} images with labels and predictions"


def asked_with_labels(images: Mixed) -> Part | None:
    """The images with labels for which a teacher is asked to choose a score; None: it is needed for none, or none has labels."""
    if not images.pending:
        return None
    filled = [part for part in images.parts if len(part) and (part.held_back or part.truth == "given")]
    return max(filled, key=lambda part: part.held_back, default=None)


def labelled_predictions(predicted: Predicted, labelled: Coco) -> Detections:
    """The predictions of a file for images that have labels, with the ids of these."""
    ids = {(labelled.folder / name).resolve(): id for id, name in zip(labelled.ids, labelled.instances.names)}
    unused = set(range(len(predicted.instances.names))) - set(predicted.rows)
    parts = [torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)]
    for row in sorted(unused):
        boxes, labels, scores = predicted.objects(row)
        assert scores is not None  # the caller takes files with scores
        id = ids[(predicted.folder / predicted.instances.names[row]).resolve()]
        parts = [torch.cat(x) for x in zip(parts, (boxes, scores, labels, torch.full_like(labels, id)))]
    boxes, scores, labels, image = parts
    return Detections(boxes, scores, labels, image, torch.arange(len(labels)))


@torch.no_grad()
def teacher_detections(
    teacher: Detector, data: Dataset, indices: Sequence[int], run: Run, device: torch.device
) -> Detections:
    """The teacher's predictions for images that are not augmented: the best class of each query, on the CPU."""
    everything = PseudoRule((0.0,) * len(data.categories), overlap=run.pseudo.overlap)
    parts = []
    for images, _ in evaluation(data, run.data.augment, run.optim.batch, run.workers, indices):
        own = run_teacher(teacher, images.to(device)).predictions["own"]
        parts.append(as_detections(pseudo_objects(own, everything), images.to(device)))
    return Detections(*(x.cpu() for x in vars(join(parts)).values()))


def found_in_some(
    data: Dataset, teacher: Detector | None, rule: PseudoRule, run: Run, device: torch.device
) -> float | None:
    """Pseudo objects that the teacher finds in an image, the mean of up to LOOKED_AT images; None: it is asked for none.

    The images are spread evenly over the first part of those without labels, and not augmented.
    """
    parts = data.parts if isinstance(data, Mixed) else ()
    part = next((part for part in parts if part.truth in ("withheld", "unknown") and len(part)), None)
    if part is None or teacher is None:
        return None
    indices = list(part.indices)[:: -(-len(part) // LOOKED_AT)]
    found = teacher_detections(teacher, part.dataset, indices, run, device)
    return int(rule.reached(found.scores, found.labels).sum()) / len(indices)


def kinds_of_images(data: Dataset) -> str:
    """The number of training images, and how many have labels, in words."""
    if not isinstance(data, Mixed):
        return f"{len(data)} training images"
    text = f"{len(data)} training images, {data.labelled} with labels and {len(data) - data.labelled} without"
    dropped = {k: n for part in data.parts for k, n in getattr(part.dataset, "dropped", {}).items()}
    return text + (
        f" ({sum(dropped.values())} predictions of other classes left out: {', '.join(dropped)})" if dropped else ""
    )


def refuse_large_shapes(data: Data) -> None:
    """Raises UserError if the generated images, which are held in memory, would fill it."""
    needed = sum(limit or COUNTS["train"] for limit in (data.train_limit, data.val_limit)) * 3 * data.size**2
    if needed > physical_memory():
        raise UserError(
            f"shapes of {data.size} pixels a side would take {needed / 1e9:.0f} GB of memory, and this machine has "
            f"{physical_memory() / 1e9:.0f} GB; lower --data.size, --data.train-limit or --data.val-limit"
        )
