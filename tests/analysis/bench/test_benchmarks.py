"""Benchmarks in their short form: what they compare does the same work; how fast, they say when they are run."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from analysis import bench
from analysis.bench import detectors, hub, layout, matching, step
from analysis.bench._operations import counted, least_ms
from core.errors import UserError
from core.matching.costs import Matching
from core.matching.solving import match_to_truth, truth_problem
from core.nn import backbones
from train.__main__ import main
from train.recipes.on_shapes import shapes, shapes_distill, shapes_teacher
from train.run import Losses


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(matching, "TIMES", 1)
    monkeypatch.setattr(step, "TIMES", 1)
    monkeypatch.setattr(detectors, "train", lambda *words: main([str(w) for w in words]))


def test_matching_finds_scipys_optimum_in_every_case():
    found = bench.run("matching")
    cases = [r for r in found["rows"] if "ratio" in r]
    assert len(cases) == 2 and all(r["off"] <= 1e-9 and r["whole_batch_ms"] > 0 < r["image_by_image_ms"] for r in cases)
    assert any("optimum" in a["aim"] and a["met"] for a in found["aims"])


def test_predicting_a_folder_is_timed_beside_bare_passes():
    found = bench.run("predict")
    row = found["rows"][1]
    assert row["bare_s"] > 0 < row["predict_s"] and row["ratio"] > 0.3 and row["images_per_s"] > 0
    assert found["aims"][0]["value"] == row["ratio"] and "1.2 times" in found["aims"][0]["aim"]


def test_an_answer_that_is_not_optimal_is_told():
    p, targets = matching.random_predictions(2, 12, 5)
    answer, cost = (
        match_to_truth({"it": (p, Matching())}, targets)["it"],
        truth_problem(p, targets, Matching()).cost.numpy(),
    )
    assert matching.excess(cost, answer, targets) == 0
    answer.query[:2] = answer.query[:2].flip(0)
    assert matching.excess(cost, answer, targets) > 1e-3


def test_the_plain_matcher_asks_scipy_once_for_every_image_and_layer(monkeypatch):
    from transformers.loss import loss_deformable_detr

    p, targets = matching.random_predictions(3, 12, 5)
    cost, calls = truth_problem(p, targets, Matching()).cost.numpy(), []
    monkeypatch.setattr(
        loss_deformable_detr, "linear_sum_assignment", lambda c: calls.append(c.numpy()) or linear_sum_assignment(c)
    )
    for together in (False, True):
        calls.clear()
        matching.match_with_transformers(p, targets, together=together)
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
    parts = ("student", "teacher", "extra", "distilled", "matching", *step.STORED, *step.LOSSES)
    assert all(whole[f"{part}_ms"] > 0 for part in parts)
    assert all(host[f"{part}_ms"] > 0 for part in ("cost", "copy", "solve", "index"))
    stored = [whole[f"{name}_to_student"] for name in step.STORED]
    assert [a["value"] for a in found["aims"]] == [whole["ratio"], *stored]
    assert stored[0] == pytest.approx(whole["stored_logits_ms"] / whole["student_ms"], abs=1e-2)
    assert whole["images_per_second"]["student"] == pytest.approx(2000 / whole["student_ms"], rel=1e-2)


def test_the_detectors_that_are_timed_at_full_size_can_be_built():
    with torch.device("meta"):
        for kind in step.FULL_SIZE:
            student, teacher = step.pair(kind, "resnet50", "resnet101")
            assert sum(p.numel() for p in teacher.parameters()) > sum(p.numel() for p in student.parameters())


def test_a_step_with_a_stored_teacher_is_that_with_a_live_one(monkeypatch):
    """The same losses and gradients, but the teacher is not asked again."""
    student, teacher = step.pair("conditional", "tiny8x1", "tiny8x1", **step.TINY)
    batch = step.random_batch(2, 64, 64, 4)
    stored = step.stored_step(student, teacher, step.STORED["stored_prior"], batch)

    def gradient(call):
        student.zero_grad()
        torch.manual_seed(0)  # of dropout
        call()
        return torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None])

    live = step.distiller(student, step.STORED["stored_prior"], teacher)
    want = gradient(lambda: live(*batch).total.backward())
    monkeypatch.setattr(teacher, "encode", None)
    assert torch.equal(gradient(stored), want) and want.abs().sum() > 0
    assert step.distiller(student, step.STORED["stored_joint"], teacher).losses["prior"].joint


@pytest.mark.parametrize("kind", detectors.KINDS)
def test_both_detectors_do_the_same_work(kind, tmp_path):
    """The same predictions, loss and gradients, of as many weights."""
    ours, theirs = detectors.pair(kind, tmp_path, detectors.QUICK_OPTIONS)
    images, targets = step.random_batch(1, 64, 96, 80)
    assert detectors.difference(ours, theirs, images) < 1e-4
    lengths = []
    for model in (ours, theirs):
        detectors.calls_of(model, images, targets, ours.matching)["step"]()
        lengths.append(float(sum(p.grad.double().pow(2).sum() for p in model.parameters() if p.grad is not None)))
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-3) and lengths[0] > 0
    rows = detectors.timed(kind, ours, theirs, (64, 96), 1, 1)
    assert [r["case"].split(", ")[1] for r in rows] == ["forward", "step"]
    assert all(r["lowest"] <= r["ratio"] <= r["highest"] and r["ours_ms"] > 0 < r["theirs_ms"] for r in rows)


def test_aims_are_those_of_the_worst_case():
    def rows(**ratios):
        return [{"case": "machine"}, *({"case": case, "ratio": ratio} for case, ratio in ratios.items())]

    fine = {
        "deformable, forward, 1 x 1, 1 thread": 0.9,
        "deformable, step, 1 x 1, 1 thread": 0.6,
        "deformable, step, 1 x 1, 2 threads": 0.65,
        "deformable, memory of a step, 1 x 1": 0.8,
        "conditional, forward, 1 x 1, 1 thread": 0.9,
    }
    assert [a.met for a in detectors.aims(rows(**fine))] == [True] * 4
    assert [a.value for a in detectors.aims(rows(**fine))] == [0.65, 0.8, 0.9, 0.9]
    for case, met in zip(fine, ([1, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 0])):
        assert [a.met for a in detectors.aims(rows(**fine | {case: 1.1}))] == [bool(x) for x in met]


@pytest.mark.slow
def test_the_detectors_are_measured_in_time_and_memory():
    found = bench.run("detectors")
    assert [r["case"].split(", ")[0] for r in found["rows"][1:]] == ["conditional"] * 5 + ["deformable"] * 5
    assert all(r["ours_MB"] > 1 < r["theirs_MB"] for r in found["rows"] if "memory" in r["case"])


def checkout(folder, code: str):
    """A checkout whose program `analysis` is the given code, which may write to `FILE`."""
    (folder / "analysis").mkdir(parents=True)
    (folder / "analysis" / "__init__.py").touch()
    (folder / "analysis" / "__main__.py").write_text(f"import json, sys\nFILE = sys.argv[-1]\n{code}")
    return folder


def test_another_checkouts_numbers_stand_beside_these(monkeypatch, tmp_path):
    rows = [{"case": "a", "ms": 3.0, "note": "old", "met": True}, {"case": "gone", "ms": 1}]
    code = f"assert sys.argv[1:3] == ['bench', 'matching']; open(FILE, 'w').write(json.dumps({{'rows': {rows}}}))"
    now = [{"case": "a", "ms": 1.5}, {"case": "new", "ms": 2}]
    monkeypatch.setattr(matching, "run", lambda: (now, []))
    found = bench.run("matching", checkout(tmp_path / "then", code))
    assert found["rows"] == [{"case": "a", "ms": 1.5, "before_ms": 3.0}, {"case": "new", "ms": 2}]


@pytest.mark.parametrize("code", ["raise SystemExit(3)", ""])
def test_a_checkout_that_cannot_be_measured_is_told(code, tmp_path):
    with pytest.raises(UserError, match="the benchmark matching of .*then ended with exit code . and without numbers"):
        bench.run("matching", checkout(tmp_path / "then", code))


def test_folded_batch_norm_is_the_same_network():
    """Features and the gradients of the kernels are equal, and no BatchNorm is left outside a folded convolution."""
    torch.manual_seed(0)
    plain = backbones.build("resnet18", (8, 32), 0).double().train()
    for norm in (x for x in plain.modules() if isinstance(x, backbones.Norm)):
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.data.uniform_(0.5, 1.5)
    folded = layout.fold(deepcopy(plain))
    results = []
    for model in (plain, folded):
        x = torch.linspace(-1, 1, 2 * 3 * 64 * 96, dtype=torch.float64).view(2, 3, 64, 96)
        for stage in model.stages:
            x = stage(x)
        x.square().mean().backward()
        results.append([x, *(p.grad for p in model.parameters() if p.ndim == 4)])
    kinds = [type(x) for stage in folded.stages for x in stage.modules()]
    assert kinds.count(layout.FoldedConvolution) == kinds.count(backbones.Norm) == 20
    assert len(results[0]) == 1 + 20
    for plain_result, folded_result in zip(*results, strict=True):
        torch.testing.assert_close(folded_result, plain_result, rtol=1e-6, atol=1e-12)


def test_memory_formats_and_folding_are_timed_beside_the_plain_step():
    measured = bench.run("layout")
    cases = measured["rows"][1:]
    assert [r["case"].split(", ")[0] for r in cases] == list(step.FULL_SIZE)
    assert all(r["plain_ms"] > 0 < min(r[way] for way in layout.WAYS) for r in cases)
    assert [aim["value"] for aim in measured["aims"]] == [max(r[way] for r in cases) for way in layout.WAYS]


@pytest.mark.parametrize("family", ["rt_detr_v2", "lw_detr"])
def test_detectors_of_transformers_are_timed_with_all_that_they_train(family):
    detector = hub.built(family)
    assert detector.kind == family and len(detector.config.strides) == detector.network.config.num_feature_levels
    assert detector.query_groups == (detector.network.config.group_detr if family == "lw_detr" else 1)


def test_operations_are_counted_with_those_of_the_backward_pass():
    weight, x = torch.ones(1000, 500, requires_grad=True), torch.ones(100, 1000)

    def step():
        (x @ weight).sum().backward()

    assert counted(lambda: x + 1) == {"operations": 1, "gflop": 0}
    product = counted(lambda: x @ weight.detach())
    assert product["operations"] == 2 and product["gflop"] == 2 * 100 * 1000 * 500 / 1e9
    assert counted(step)["gflop"] == 2 * product["gflop"]


def test_the_least_time_of_each_kind_of_operation_is_added(monkeypatch):
    clock = iter([0, 0.005, 1, 1.002, 2, 2.001, 3, 3.004, 4, 4.003])
    monkeypatch.setattr("analysis.bench._operations.perf_counter", lambda: next(clock))
    x = torch.ones(2, 2)
    calls = {"two": lambda: (x + 1).mul_(2), "one": lambda: x * 2}
    assert least_ms(calls, turns=1) == pytest.approx({"two": 5 + 2, "one": 1})
    clock = iter([0, 0.005, 1, 1.002, 2, 2.001, 3, 3.004, 4, 4.003, 5, 5.003])
    assert least_ms(calls, turns=2) == pytest.approx({"two": 4 + 2, "one": 1}), "the best addition and the best product"


def test_a_row_has_what_both_sides_compute():
    x = torch.ones(100, 100)
    row = hub.row("x", {"ours": lambda: x @ x, "transformers": lambda: (x @ x) @ x}, 2)
    assert (row["ours_operations"], row["transformers_operations"]) == (1, 2)
    assert row["transformers_gflop"] == pytest.approx(2 * row["ours_gflop"]) and row["turns"] == 2


def test_calls_take_turns_and_begin_in_turn():
    order = []
    seconds = bench.in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert "".join(order) == "ab" + "ba" + "ab" + "ba" and {len(x) for x in seconds.values()} == {3}
