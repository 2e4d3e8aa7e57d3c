"""Hits, kinds of errors and their AP, calibration, gained and lost objects: against hand-worked cases and brute force."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.data.category import Category
from core.metrics import tide
from core.metrics.calibration import calibration
from core.metrics.coco_ap import ap_by_object_count, average_precision
from core.metrics.detections import Detections, join
from core.metrics.gained_lost import changes
from core.metrics.hits import hits, objects
from tests.core.metrics.test_coco_ap import CATEGORIES, made_truth, shaken

DOG, CAT = 0, 1
PETS = (Category(1, "dog"), Category(2, "cat"))


def truth_of(*boxes, crowd=()) -> dict:
    """(image, label, x, y, width, height) each."""
    return {
        "images": [{"id": i, "width": 100, "height": 100} for i in sorted({b[0] for b in boxes})],
        "annotations": [
            {"id": k + 1, "image_id": i, "category_id": PETS[c].id, "bbox": list(b), "area": b[2] * b[3]}
            | {"iscrowd": int(k in crowd)}
            for k, (i, c, *b) in enumerate(boxes)
        ],
        "categories": [vars(c) for c in PETS],
    }


def detections_of(*rows) -> Detections:
    """(image, label, score, x, y, width, height) each."""
    table = torch.tensor([[i, c, s, x, y, x + w, y + h] for i, c, s, x, y, w, h in rows]).reshape(-1, 7)
    image, label = table[:, 0].long(), table[:, 1].long()
    return Detections(table[:, 3:].float(), table[:, 2].float(), label, image, torch.zeros_like(label))


TRUTH = truth_of((1, DOG, 10, 10, 20, 20), (1, CAT, 60, 60, 20, 20), (2, DOG, 10, 10, 40, 40), (3, CAT, 0, 0, 10, 10))
CASES = {
    "hit": ((1, DOG, 0.9, 10, 10, 20, 20), None),
    "dupe": ((1, DOG, 0.8, 11, 10, 20, 20), "dupe"),
    "loc": ((1, DOG, 0.7, 22, 10, 20, 20), "loc"),  # IoU 8/32 with a dog that is found: the correction removes it
    "cls": ((1, DOG, 0.6, 60, 61, 20, 20), "cls"),
    "both": ((1, DOG, 0.5, 70, 60, 20, 20), "both"),  # IoU 1/3 with a cat
    "bkg": ((1, CAT, 0.4, 0, 80, 9, 9), "bkg"),
    "far loc": ((2, DOG, 0.3, 10, 10, 40, 16), "loc"),  # IoU 0.4 with a dog that nobody finds
}


def judged() -> tuple[Detections, tide.Errors]:
    detections = detections_of(*(row for row, _ in CASES.values()))
    return detections, tide.errors(detections, objects(TRUTH, PETS))


def test_each_kind_of_error_by_hand():
    _, e = judged()
    kinds = [tide.KINDS[k] if k >= 0 else None for k in e.kind]
    assert kinds == [kind for _, kind in CASES.values()]
    assert e.about.tolist() == [-1, -1, 0, 1, -1, -1, 2]
    assert e.hits.object.tolist() == [0, -1, -1, -1, -1, -1, -1]
    assert e.missed.tolist() == [False, False, False, True]  # the cat of image 3, near which there is no detection


def test_the_ap_of_each_kind_by_hand():
    """Dogs: hit .9, dupe .8, loc .7, cls .6, both .5, far loc .3; cats: bkg .4. Two dogs and two cats are annotated."""
    detections, _ = judged()
    cost = tide.delta_ap(detections, objects(TRUTH, PETS))
    half = 51 / 101  # recalls up to 0.5, at precision 1: of the dogs the first, of the cats none
    base = half / 2
    assert cost["ap50"] == pytest.approx(base)
    tail = 50 / 101
    assert cost["cls"] == pytest.approx((half + half * 1) / 2 - base)  # the cat, now .6, comes before the .4
    assert cost["loc"] == pytest.approx((half + tail * 2 / 5) / 2 - base)  # .9 dupe cls both, then the far dog
    assert cost["miss"] == pytest.approx(0)  # one cat is left in the truth, and still not found
    assert cost["dupe"] == cost["both"] == cost["bkg"] == 0  # they come after the last dog that is found


def test_an_error_before_a_hit_costs_precision():
    truth = truth_of((1, DOG, 10, 10, 20, 20))
    right = (1, DOG, 0.5, 10, 10, 20, 20)
    for kind, wrong in {"bkg": (1, DOG, 0.9, 70, 70, 9, 9), "loc": (1, DOG, 0.9, 10, 10, 20, 8)}.items():
        cost = tide.delta_ap(detections_of(wrong, right), objects(truth, PETS))
        assert cost["ap50"] == pytest.approx(0.5) and cost[kind] == pytest.approx(0.5)
        assert sum(cost[k] for k in tide.KINDS if k != kind) == 0


def test_of_several_errors_about_one_object_that_of_the_highest_score_is_corrected():
    truth = truth_of((1, DOG, 10, 10, 20, 20), (1, DOG, 60, 60, 20, 20))
    cats = [(1, CAT, s, 60, 60, 20, 20) for s in (0.2, 0.6, 0.4)]
    detections = detections_of(*cats, (1, DOG, 0.5, 10, 10, 20, 20))
    e = tide.errors(detections, objects(truth, PETS))
    wrong = e.kind == tide.KINDS.index("cls")
    assert wrong.tolist() == [True, True, True, False] and not e.missed.any()
    assert tide.corrected_hits(e, wrong, detections.scores.numpy()).tolist() == [False, True, False, False]
    assert tide.delta_ap(detections, objects(truth, PETS))["cls"] == pytest.approx(50 / 101)


def test_a_detection_in_a_crowd_is_neither_right_nor_wrong():
    truth = truth_of((1, DOG, 0, 0, 50, 50), (1, DOG, 60, 60, 20, 20), crowd=(0,))
    e = tide.errors(detections_of((1, DOG, 0.9, 5, 5, 10, 10), (1, CAT, 0.8, 5, 5, 10, 10)), objects(truth, PETS))
    assert e.hits.ignored.tolist() == [True, False]
    assert e.kind.tolist() == [-1, tide.KINDS.index("bkg")]
    assert e.missed.tolist() == [False, True]


def many(seed: int) -> tuple[dict, Detections]:
    """Several detections of each object, near to far, of sides above 0, as a model's are."""
    truth = made_truth(seed, images=8)
    every = join([shaken(truth, 10 * seed + k, noise=0.3 * k, swap=0.25 * k) for k in range(3)])
    low, high = every.boxes.split(2, 1)
    return truth, replace(every, boxes=torch.cat([torch.minimum(low, high), torch.maximum(low, high)], 1))


@pytest.mark.parametrize("seed", range(12))
def test_ap50_is_that_of_pycocotools_and_the_kinds_sum(seed):
    truth, detections = many(seed)
    annotated = objects(truth, CATEGORIES)
    e, cost = tide.errors(detections, annotated), tide.delta_ap(detections, annotated)
    assert cost["ap50"] == pytest.approx(average_precision(truth, [detections], CATEGORIES)["ap50"], abs=1e-9)
    wrong = sum(e.count(kind) for kind in tide.KINDS if kind != "miss")
    assert wrong + e.hits.right.sum() + e.hits.ignored.sum() == len(detections)
    correctable = np.unique(e.about[e.about >= 0])
    missed = (e.hits.detection < 0) & ~annotated.crowd
    assert e.count("miss") + missed[correctable].sum() == missed.sum()
    assert all(0 <= cost[k] <= 1 - cost["ap50"] + 1e-12 for k in tide.KINDS)


def by_force(detections: Detections, truth, least: float) -> list[int]:
    """COCO's rule in plain loops: for each detection, best first, the best free object of its class and image."""
    taken, object_of = set(), [-1] * len(detections)
    for n in sorted(range(len(detections)), key=lambda n: -float(detections.scores[n])):
        best, chosen = least, -1
        for t in range(len(truth)):
            if (
                truth.crowd[t]
                or t in taken
                or truth.image[t] != detections.image_ids[n]
                or truth.label[t] != detections.labels[n]
            ):
                continue
            x0, y0, x1, y1 = detections.boxes[n].tolist()
            x, y, w, h = truth.boxes[t]
            inner = max(0, min(x1, x + w) - max(x0, x)) * max(0, min(y1, y + h) - max(y0, y))
            overlap = inner / ((x1 - x0) * (y1 - y0) + w * h - inner)
            if overlap >= best:
                best, chosen = overlap, t
        if chosen >= 0:
            taken.add(chosen)
            object_of[n] = chosen
    return object_of


@pytest.mark.parametrize("seed", range(6))
def test_hits_are_those_of_plain_loops(seed):
    truth, detections = many(seed)
    annotated = objects(truth, CATEGORIES)
    for least in (0.3, 0.5, 0.75):
        h = hits(detections, annotated, least)
        assert h.object.tolist() == by_force(detections, annotated, least)
        back = np.flatnonzero(h.right)
        assert h.detection[h.object[back]].tolist() == back.tolist()
        assert (h.detection >= 0).sum() == h.right.sum()


def test_the_order_of_detections_changes_nothing():
    truth, detections = many(3)
    order, annotated = torch.randperm(len(detections)), objects(truth, CATEGORIES)
    a, b = tide.errors(detections, annotated), tide.errors(detections.at(order), annotated)
    assert a.kind[order].tolist() == b.kind.tolist() and a.missed.tolist() == b.missed.tolist()


def test_without_detections_every_object_is_missed():
    nobody = detections_of()
    annotated = objects(TRUTH, PETS)
    assert tide.errors(nobody, annotated).missed.all()
    cost = tide.delta_ap(nobody, annotated)
    assert cost["ap50"] == 0 and cost["cls"] == cost["loc"] == 0


def test_gained_and_lost_objects():
    annotated = objects(TRUTH, PETS)
    dog, cat = (1, DOG, 10, 10, 20, 20), (1, CAT, 60, 60, 20, 20)
    row = lambda x, score: (*x[:2], score, *x[2:])  # noqa: E731
    before = detections_of(row(dog, 0.9), row(cat, 0.1))
    after = detections_of(row(dog, 0.2), row(cat, 0.8), (2, DOG, 0.7, 10, 10, 40, 40), (3, DOG, 0.9, 0, 0, 10, 10))
    c = changes(before, after, annotated, min_score=0.3)
    assert c.kind.tolist() == ["lost", "gained", "gained", "missed"]
    assert c.before == pytest.approx([0.9, 0.1, 0, 0]) and c.after == pytest.approx([0.2, 0.8, 0.7, 0])
    back = changes(after, before, annotated, min_score=0.3)
    assert back.count("gained") == c.count("lost") and back.count("lost") == c.count("gained")
    assert changes(before, before, annotated).count("gained") == 0


def test_crowd_regions_are_neither_gained_nor_lost():
    annotated = objects(truth_of((1, DOG, 10, 10, 20, 20), (1, DOG, 50, 50, 20, 20), crowd=(0,)), PETS)
    assert changes(detections_of(), detections_of((1, DOG, 0.9, 10, 10, 20, 20)), annotated).object.tolist() == [1]


def test_calibration_by_hand():
    score = np.array([0.05, 0.15, 0.11, 0.95, 1.0, 0.91])
    right = np.array([False, True, False, True, True, False])
    c = calibration(score, right)
    assert c.count.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 3]
    assert c.score[[0, 1, 9]] == pytest.approx([0.05, 0.13, 2.86 / 3]) and np.isnan(c.score[5])
    assert c.right[[0, 1, 9]] == pytest.approx([0, 0.5, 2 / 3])
    assert c.error == pytest.approx((0.05 + 0.74 + 0.86) / 6)


def test_scores_that_are_chances_are_calibrated():
    draw = np.random.default_rng(0)
    score = draw.random(200_000)
    right = draw.random(200_000) < score
    assert calibration(score, right).error < 0.01
    assert calibration(score, draw.random(200_000) < score**3).error > 0.1
    assert np.isnan(calibration(score[:0], right[:0]).error)


def test_ap_by_crowding_is_that_of_the_images_alone():
    truth, detections = many(5)
    counts = {
        i["id"]: sum(a["image_id"] == i["id"] and not a["iscrowd"] for a in truth["annotations"])
        for i in truth["images"]
    }
    by = ap_by_object_count(truth, [detections], CATEGORIES, {"few": (1, 2), "many": (3, 99)})
    for name, (low, high) in {"few": (1, 2), "many": (3, 99)}.items():
        ids = {i for i, n in counts.items() if low <= n <= high}
        part = {k: [x for x in truth[k] if x.get("image_id", x["id"]) in ids] for k in ("images", "annotations")}
        kept = detections.at([k for k, i in enumerate(detections.image_ids.tolist()) if i in ids])
        assert by[name]["images"] == len(ids) > 0
        assert by[name]["ap"] == average_precision(truth | part, [kept], CATEGORIES)["ap"]


def test_a_model_that_scores_lower_finds_the_same():
    """Hits depend on the order of scores alone."""
    truth, detections = many(7)
    annotated = objects(truth, CATEGORIES)
    lower = replace(detections, scores=detections.scores / 2)
    assert hits(detections, annotated).object.tolist() == hits(lower, annotated).object.tolist()
