import contextlib
import copy
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from core.data.category import Category
from core.data.coco.instances import read_instances
from core.metrics.coco_ap import NUMBERS, average_precision, coco_results
from core.metrics.detections import Detections, select
from core.types import Images, Predictions

CATEGORIES = (Category(0, "none"), Category(7, "dog"), Category(90, "cat"))


def made_truth(seed: int, images: int = 12) -> dict:
    """Image ids with gaps, annotation ids from 0, small to large boxes, a tenth of them crowds, some images empty."""
    rng = np.random.default_rng(seed)
    ids = (3 * np.arange(images) + 5).tolist()
    boxes = [(image, box(rng)) for image in ids for _ in range(rng.integers(0, 6))]
    return {
        "images": [{"id": id, "width": 300, "height": 200} for id in ids],
        "annotations": [
            {
                "id": k,
                "image_id": image,
                "category_id": int(rng.choice([c.id for c in CATEGORIES])),
                "bbox": xywh,
                "area": xywh[2] * xywh[3],
                "iscrowd": int(rng.random() < 0.1),
            }
            for k, (image, xywh) in enumerate(boxes)
        ],
        "categories": [{"id": c.id, "name": c.name} for c in CATEGORIES],
    }


def box(rng: np.random.Generator) -> list[float]:
    side = np.exp(rng.uniform(np.log(8), np.log(180), 2))
    return [*rng.uniform(0, 100, 2).tolist(), *side.tolist()]


def shaken(truth: dict, seed: int, noise: float = 0.0, swap: float = 0.0) -> Detections:
    """The true objects, shaken by `noise` of their size; the label of a share `swap` is wrong."""
    rng = np.random.default_rng(seed)
    label_of = {c.id: k for k, c in enumerate(CATEGORIES)}
    objects = truth["annotations"]
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in objects)]).reshape(-1, 4).float()
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    labels = np.array([label_of[a["category_id"]] for a in objects], dtype=int)
    wrong = (labels + rng.integers(1, len(CATEGORIES), len(labels))) % len(CATEGORIES)
    return Detections(
        boxes + noise * sides * torch.from_numpy(rng.normal(size=boxes.shape)).float(),
        torch.from_numpy(rng.random(len(objects))).float(),
        torch.from_numpy(np.where(rng.random(len(labels)) < swap, wrong, labels)),
        torch.tensor([a["image_id"] for a in objects], dtype=torch.long),
        torch.zeros(len(objects), dtype=torch.long),
    )


def directly(truth: dict, detections: Detections) -> tuple[list[float], list[float]]:
    """Pycocotools as its own demo uses it: its first six numbers, and AP of each class."""
    rows = torch.cat(
        [
            detections.image_ids[:, None].double(),
            detections.boxes[:, :2].double(),
            (detections.boxes[:, 2:].double() - detections.boxes[:, :2]),
            detections.scores[:, None].double(),
            torch.tensor([CATEGORIES[k].id for k in detections.labels])[:, None].double(),
        ],
        1,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        for annotation in coco.dataset["annotations"]:
            annotation["id"] += 1  # COCOeval takes a match with annotation 0 for none
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(rows.numpy()), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    columns = evaluation.eval["precision"][:, :, :, 0, -1].reshape(-1, len(CATEGORIES)).T
    return evaluation.stats[:6].tolist(), [np.mean(c[c > -1]) if (c > -1).any() else -1 for c in columns]


def crowded(truth: dict, seed: int) -> Detections:
    """More than 100 detections in some images: the best 100 count."""
    parts = [shaken(truth, 100 * seed + k, noise=0.03 * k, swap=0.3) for k in range(40)]
    return Detections(*(torch.cat(column) for column in zip(*(vars(part).values() for part in parts))))


def tied(detections: Detections) -> Detections:
    return replace(detections, scores=(5 * detections.scores).round() / 5)


def same_as_pycocotools(truth: dict, detections: Detections) -> None:
    ours = average_precision(truth, [detections], CATEGORIES)
    numbers, classes = directly(truth, detections)
    exactly = {"abs": 1e-9, "rel": 0}
    assert [-1 if ours[key] is None else ours[key] for key in NUMBERS] == pytest.approx(numbers, **exactly)
    assert [-1 if ap is None else ap for ap in ours["per_class"].values()] == pytest.approx(classes, **exactly)


@pytest.mark.parametrize("seed", range(40))
def test_numbers_are_those_of_pycocotools(seed):
    truth = made_truth(seed)
    detections = shaken(truth, seed, noise=0.1, swap=0.2)
    same_as_pycocotools(truth, detections)
    same_as_pycocotools(truth, tied(detections))


@pytest.mark.parametrize("seed", range(5))
def test_numbers_of_many_detections_are_those_of_pycocotools(seed):
    truth = made_truth(seed, images=25)
    detections = crowded(truth, seed)
    assert detections.image_ids.bincount().max() > 100
    same_as_pycocotools(truth, detections)
    same_as_pycocotools(truth, tied(detections))


@pytest.mark.parametrize("ids", [(0, 1, 2), (1, 2, 3), (3, 2, 1), (7, 90, 1000), (2**40, 5, 0), (-1, 0, 1)])
def test_ids_of_classes_are_only_names(tmp_path, ids):
    """Sparse, from 0, from 1, beyond the number of classes: AP is the same, and they come back as they were."""
    truth = made_truth(4)
    new = {c.id: id for c, id in zip(CATEGORIES, ids)}
    renamed = [a | {"category_id": new[a["category_id"]]} for a in truth["annotations"]]
    classes = [c | {"id": new[c["id"]]} for c in truth["categories"]]
    images = [i | {"file_name": f"{i['id']}.png"} for i in truth["images"]]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": renamed, "categories": classes}))
    categories = read_instances(path).categories
    detections = shaken(truth, 4, noise=0.1, swap=0.2)
    label = torch.tensor([[c.id for c in categories].index(id) for id in ids])  # labels follow the order of the ids
    own = replace(detections, labels=label[detections.labels])
    before, after = (
        average_precision(truth, [detections], CATEGORIES),
        average_precision(json.loads(path.read_text()), [own], categories),
    )
    assert {k: before[k] for k in NUMBERS} == pytest.approx({k: after[k] for k in NUMBERS}, abs=1e-12)
    assert before["per_class"] == pytest.approx(after["per_class"], abs=1e-12)
    written = [r["category_id"] for r in coco_results([own], categories)]
    assert written == [ids[k] for k in detections.labels.tolist()]


def split(detections: Detections, sizes: list[int]) -> list[Detections]:
    return [Detections(*part) for part in zip(*(x.split(sizes) for x in vars(detections).values()))]


@pytest.mark.parametrize("seed", range(10))
def test_batches_add_up(seed):
    truth = made_truth(seed)
    detections = shaken(truth, seed, noise=0.1)
    parts = split(detections, [5, 0, len(detections) - 5])
    assert average_precision(truth, parts, CATEGORIES) == average_precision(truth, [detections], CATEGORIES)


@pytest.mark.parametrize("seed", range(10))
def test_perfect_detections(seed):
    truth = made_truth(seed)
    numbers = average_precision(truth, [shaken(truth, seed)], CATEGORIES)
    values = [numbers[key] for key in NUMBERS] + list(numbers["per_class"].values())
    assert [v for v in values if v is not None] == pytest.approx([1] * sum(v is not None for v in values))
    assert numbers["ap"] is not None and set(numbers["per_class"]) == {"none", "dog", "cat"}


@pytest.mark.parametrize("seed", range(10))
def test_detections_of_wrong_classes_have_an_ap_of_0(seed):
    truth = made_truth(seed)
    for annotation in truth["annotations"]:
        annotation["iscrowd"] = 0
    truth["annotations"] = [a for k, a in enumerate(truth["annotations"]) if k % 2] or truth["annotations"]
    kinds = {(a["image_id"], a["category_id"]) for a in truth["annotations"]}
    detections = shaken(truth, seed, swap=1.0)
    fresh = [(i, CATEGORIES[k].id) not in kinds for i, k in zip(detections.image_ids.tolist(), detections.labels)]
    only = Detections(*(x[torch.tensor(fresh)] for x in vars(detections).values()))
    assert average_precision(truth, [only], CATEGORIES)["ap"] == 0


def test_no_detection_at_all():
    truth = made_truth(0)
    nothing = Detections(*(x[:0] for x in vars(shaken(truth, 0)).values()))
    assert average_precision(truth, [], CATEGORIES)["ap"] == 0
    assert average_precision(truth, [nothing], CATEGORIES)["ap"] == 0


def test_what_the_truth_lacks_is_none():
    truth = made_truth(0)
    truth["annotations"] = [
        a | {"category_id": 7} for a in truth["annotations"] if a["area"] < 32**2 and not a["iscrowd"]
    ]
    numbers = average_precision(truth, [shaken(truth, 0)], CATEGORIES)
    assert numbers["aps"] == pytest.approx(1) and numbers["apm"] is None and numbers["apl"] is None
    assert numbers["per_class"] == {"none": None, "dog": pytest.approx(1), "cat": None}


def test_detections_in_a_crowd_are_neither_right_nor_wrong():
    truth = made_truth(3)
    truth["annotations"] = [
        {"id": 0, "image_id": 5, "category_id": 7, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0},
        {"id": 1, "image_id": 5, "category_id": 7, "bbox": [100, 100, 90, 90], "area": 8100, "iscrowd": 1},
    ]
    boxes = torch.tensor([[110.0, 110, 130, 130], [140, 140, 160, 160], [10, 10, 30, 30]])
    ones = torch.ones(3, dtype=torch.long)
    detections = Detections(boxes, torch.tensor([0.9, 0.8, 0.7]), ones, 5 * ones, ones)
    assert average_precision(truth, [detections], CATEGORIES)["ap"] == pytest.approx(1)
    truth["annotations"][1]["iscrowd"] = 0
    assert average_precision(truth, [detections], CATEGORIES)["ap"] < 0.5


def test_it_is_silent_and_leaves_the_truth_alone(capsys):
    truth = made_truth(1)
    before = copy.deepcopy(truth)
    average_precision(truth, [shaken(truth, 1)], CATEGORIES)
    assert truth == before and capsys.readouterr().out == ""


# From predictions to detections


def predicted(seed: int, queries: int = 9, classes: int = 5, layers: int = 3) -> tuple[Predictions, Images]:
    make = torch.Generator().manual_seed(seed)
    batch = 3
    pixels = torch.zeros(batch, 3, 8, 8, dtype=torch.uint8)
    original = torch.randint(50, 900, (batch, 2), generator=make)
    images = Images(pixels, pixels[:, 0].bool(), original // 10, original, torch.tensor([7, 0, 4]))
    shape = (layers, batch, queries)
    predictions = Predictions(
        torch.randn(*shape, classes, generator=make),
        torch.rand(*shape, 4, generator=make),
        torch.zeros(*shape, 2),
    )
    return predictions, images


def slowly(predictions: Predictions, images: Images, top: int, layer: int) -> list[tuple]:
    rows = []
    for b, id in enumerate(images.ids.tolist()):
        height, width = images.original[b].tolist()
        pairs = []
        for q, (logits, (cx, cy, w, h)) in enumerate(
            zip(predictions.logits[layer, b].tolist(), predictions.boxes[layer, b].tolist())
        ):
            corner = [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
            pairs += [(1 / (1 + np.exp(-logit)), corner, label, id, q) for label, logit in enumerate(logits)]
        rows += sorted(pairs, reverse=True)[:top]
    return rows


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("top, layer", [(10, -1), (45, 0), (1, 1), (1000, -1)])
def test_select_takes_the_best_pairs_of_each_image(seed, top, layer):
    predictions, images = predicted(seed)
    ours, oracle = select(predictions, images, top=top, layer=layer), slowly(predictions, images, top, layer)
    scores, boxes, labels, ids, queries = zip(*oracle)
    assert len(ours) == len(oracle) == 3 * min(top, 45)
    torch.testing.assert_close(ours.scores, torch.tensor(scores).float())
    torch.testing.assert_close(ours.boxes, torch.tensor(boxes), rtol=1e-4, atol=1e-3)
    assert (ours.labels.tolist(), ours.image_ids.tolist(), ours.queries.tolist()) == (
        list(labels),
        list(ids),
        list(queries),
    )


def test_detections_carry_no_gradient():
    predictions, images = predicted(0)
    predictions.logits.requires_grad_()
    assert not select(predictions, images).scores.requires_grad


def test_a_box_in_a_padded_batch_comes_back_to_its_source():
    """The truth as predictions of a padded batch, through select, has AP 1, and ids are unchanged."""
    from core.data.batch import collate
    from core.data.sample import Sample
    from core.data.transforms import resize

    rng = np.random.default_rng(0)
    truth = made_truth(2) | {"images": [], "annotations": []}
    samples = []
    for id in (17, 3, 90):
        height, width = rng.integers(60, 300, 2).tolist()
        low = rng.uniform(0, 0.5, (4, 2)) * [width, height]
        high = low + rng.uniform(0.2, 0.5, (4, 2)) * [width, height]
        boxes, labels = np.concatenate([low, high], 1), rng.integers(3, size=4)
        pixels = torch.zeros(3, height, width, dtype=torch.uint8)
        sample = Sample(pixels, torch.from_numpy(boxes).float(), torch.from_numpy(labels), id, (height, width))
        samples.append(resize(sample, int(rng.integers(40, 90)), 100))
        truth["images"].append({"id": id, "height": height, "width": width})
        for (x0, y0, x1, y1), label in zip(boxes.tolist(), labels):
            own = {"image_id": id, "category_id": CATEGORIES[label].id, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            truth["annotations"].append(
                own | {"id": len(truth["annotations"]), "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
            )
    images, targets = collate(samples)
    logits = torch.full((1, 3, 4, 3), -9.0).scatter(3, targets.labels.view(1, 3, 4, 1), 9.0)
    predictions = Predictions(logits, targets.boxes.view(1, 3, 4, 4), torch.zeros(1, 3, 4, 2))
    assert average_precision(truth, [select(predictions, images)], CATEGORIES)["ap"] == pytest.approx(1)
