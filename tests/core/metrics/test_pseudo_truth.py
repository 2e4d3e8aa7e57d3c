import sys

import numpy as np
import pytest
import torch

from core.metrics import coco_ap
from core.metrics.detections import Detections
from core.metrics.hits import Objects, hits
from core.metrics.pseudo_truth.counts import PseudoCounts, pseudo_counts
from core.metrics.pseudo_truth.least_score import MIN_OBJECTS, best_scores
from core.pseudo import USUAL_SCORE, PseudoRule
from core.types import Targets, Withheld


def scene(seed: int, images: int = 12, classes: int = 3) -> tuple[Detections, Objects]:
    """Objects, some of which have a detection on them of a high score; and detections of nothing, of lower scores."""
    draw = np.random.default_rng(seed)
    rows, found = [], []
    for image in range(images):
        for k in range(4):
            label, box = int(draw.integers(classes)), [30.0 * k, 10.0, 20.0, 20.0]
            rows.append((len(rows), image, label, box, k == 3 and image % 4 == 0))
            if draw.random() < 0.8:
                found.append((box, float(draw.beta(5, 2)), label, image))
            if draw.random() < 0.6:
                found.append(([30.0 * k, 60.0, 20.0, 20.0], float(draw.beta(2, 5)), int(draw.integers(classes)), image))
    ids, image, label, boxes, crowd = zip(*rows)
    truth = Objects(*map(np.array, (ids, image, label, boxes)), np.full(len(ids), 400.0), np.array(crowd))
    box, score, label, image = zip(*found)
    corners = torch.tensor(box)
    corners = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:]], 1)
    detections = Detections(
        corners, torch.tensor(score), torch.tensor(label), torch.tensor(image), torch.arange(len(box))
    )
    return detections, truth


def f1(detections: Detections, truth: Objects, least: tuple[float, ...], only: int | None = None) -> float:
    chosen = detections.at(PseudoRule(least).reached(detections.scores, detections.labels))
    result = hits(chosen, truth)
    labels = chosen.labels.numpy()
    mine = np.ones(len(chosen), bool) if only is None else labels == only
    true = (~truth.crowd & ((truth.label == only) if only is not None else True)).sum()
    return 2 * (result.right & mine).sum() / ((result.right & mine).sum() + (result.wrong & mine).sum() + true)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_score_makes_better_pseudo_truth(seed):
    detections, truth = scene(seed)
    (least, *rest), text = best_scores(detections, truth, 3)
    assert rest == [least] * 2 and f"{int((~truth.crowd).sum())} labelled objects" in text
    best = f1(detections, truth, (least,) * 3)
    assert all(f1(detections, truth, (x,) * 3) <= best + 0.02 for x in np.linspace(0, 1, 201))
    assert best > f1(detections, truth, (0.0,) * 3) and best > f1(detections, truth, (0.99,) * 3)


def test_without_the_tool_of_ap_the_usual_score_is_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    monkeypatch.setattr(coco_ap, "find_spec", lambda name: None)
    scores, text = best_scores(*scene(0), 3)
    assert scores == (USUAL_SCORE,) * 3 and text.startswith("0.4, since faster-coco-eval is not installed")


@pytest.mark.parametrize("seed", range(3))
def test_each_class_gets_its_own(seed):
    detections, truth = scene(seed, images=30)
    least, _ = best_scores(detections, truth, 3, per_class=True)
    assert len(set(least)) > 1
    for k in range(3):
        best = f1(detections, truth, least, only=k)
        assert all(f1(detections, truth, (x,) * 3, only=k) <= best + 0.02 for x in np.linspace(0, 1, 101))


def test_few_objects_choose_nothing():
    detections, truth = scene(0)
    few = Objects(*(x[: MIN_OBJECTS - 1] for x in vars(truth).values()))
    least, text = best_scores(detections, few, 3)
    assert least == (USUAL_SCORE,) * 3 and text.startswith(f"{USUAL_SCORE}, since only")


def test_counts_of_a_batch():
    """Image 0 has labels, image 1 three pseudo objects of which one is right and one repeats it, image 2 is unknown."""
    box = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]])
    targets = Targets(
        torch.cat([box[:1], box[[0, 0, 1]], box[:1]]),
        torch.tensor([0, 1, 1, 0, 2]),
        torch.tensor([0, 1, 1, 1, 2]),
        (1, 3, 1),
        unlabelled=(False, True, True),
        withheld=Withheld(box, torch.tensor([1, 1]), torch.tensor([1, 1]), (False, True, False)),
    )
    counts = pseudo_counts(targets)
    assert counts == PseudoCounts(images=2, objects=4, judged=3, right=1, true=2)
    assert counts.precision == pytest.approx(1 / 3) and counts.recall == 0.5
    assert (counts + counts).judged == 6 and PseudoCounts().precision is None and PseudoCounts().recall is None
