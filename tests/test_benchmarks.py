"""Benchmarks in their short form: what they compare does the same work; how fast, they say when they are run."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from analysis import bench
from analysis.bench import matching, step
from core.matching import Matching, posed, to_truth
from train.recipes import shapes, shapes_distill, shapes_teacher
from train.run import Losses


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(matching, "TIMES", 1)
    monkeypatch.setattr(step, "TIMES", 1)


def test_matching_finds_scipys_optimum_in_every_case():
    found = bench.run("matching")
    cases = [r for r in found["rows"] if "ratio" in r]
    assert len(cases) == 2 and all(r["off"] <= 1e-9 and r["whole_batch_ms"] > 0 < r["image_by_image_ms"] for r in cases)
    assert any("optimum" in a["aim"] and a["met"] for a in found["aims"])


def test_an_answer_that_is_not_optimal_is_told():
    p, targets = matching.scene(2, 12, 5)
    answer, cost = to_truth({"it": (p, Matching())}, targets)["it"], posed(p, targets, Matching()).cost.numpy()
    assert matching.excess(cost, answer, targets) == 0
    answer.query[:2] = answer.query[:2].flip(0)
    assert matching.excess(cost, answer, targets) > 1e-3


def test_the_plain_matcher_asks_scipy_once_for_every_image_and_layer(monkeypatch):
    from transformers.loss import loss_deformable_detr

    p, targets = matching.scene(3, 12, 5)
    cost, calls = posed(p, targets, Matching()).cost.numpy(), []
    monkeypatch.setattr(
        loss_deformable_detr, "linear_sum_assignment", lambda c: calls.append(c.numpy()) or linear_sum_assignment(c)
    )
    for together in (False, True):
        calls.clear()
        matching.plain(p, targets, together=together)
        assert np.allclose(np.stack(calls).reshape(cost.shape), cost, atol=1e-4)


def test_the_step_is_that_of_the_shapes_recipe():
    student, teacher = (recipe.run().student for recipe in (shapes, shapes_teacher))
    mine, theirs = step.pair("adamixer", "tiny16x1", "tiny32x2", **step.SMALL)
    assert (mine.config, theirs.config) == (student, teacher)
    losses = shapes_distill.run().losses
    assert {name for name in vars(Losses()) if getattr(losses, name).weight} == set(step.LOSSES)


def test_the_step_is_measured_whole_and_in_parts():
    found = bench.run("step")
    _, whole, host = found["rows"]
    parts = ("student", "teacher", "extra", "distilled", "matching", *step.LOSSES)
    assert all(whole[f"{part}_ms"] > 0 for part in parts)
    assert whole["distilled_ms"] > max(whole[f"{part}_ms"] for part in parts if part != "distilled")
    assert all(host[f"{part}_ms"] > 0 for part in ("cost", "copy", "solve", "index"))
    assert [a["value"] for a in found["aims"]] == [whole["ratio"]]
