"""View 2 without a browser: what it shows is what the loss computes."""

from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torchvision.ops import box_area, box_convert, box_iou

from analysis.bench._random_runs import random_run
from app.server.handlers import Handlers
from app.server.page import answer as reply
from core.errors import UserError
from core.losses import features
from tests.helpers import opened

LAYERS, QUERIES, STRIDES = 3, 12, (4, 8, 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return random_run(tmp_path_factory.mktemp("taught"), queries=QUERIES, layers=LAYERS, size=72, images=3)


@pytest.fixture(scope="module")
def handlers(folder) -> Handlers:
    return opened.handlers(folder)


def grid(heat: dict) -> np.ndarray:
    """What the browser paints, in the values of the map."""
    found = np.frombuffer(b64decode(heat["grid"]), np.uint8).reshape(heat["rows"], heat["columns"])
    return found / 255 * heat["most"]


def near(heat: dict, values: torch.Tensor) -> bool:
    """Within half a step of a byte."""
    return np.allclose(grid(heat), values.clamp(min=0).numpy(), atol=heat["most"] / 509 + 1e-9)


def trace_of(handlers, key):
    display = handlers.display(key, "", "")
    return display.trace, display.main.distiller.losses["features"]


@pytest.mark.parametrize("gamma", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("level, stage", [(0, -1), (1, 0), (2, 1)])
def test_the_combined_weights_are_those_of_the_loss(handlers, level, stage, gamma):
    trace, loss = trace_of(handlers, "image/2")
    teacher, targets = trace.teacher, trace.targets
    memory, queries = teacher.memory.maps("encoder")[level], teacher.own.hidden[stage]
    valid = ~teacher.memory.padding[level]
    q = features.assigned_quality(teacher, targets, gamma, stage)
    view = handlers.masks("image/2", level=level, stage=stage, gamma=gamma)
    ways = {w["id"]: w for w in view["weights"]}
    for name in ("each", "naive"):
        wanted = features.feature_weight(memory, queries, q, valid, mask="cosine", combine=name, scale="mean")[0]
        assert near(ways[name]["heat"], wanted)
    query, score = features.top_queries(teacher.own.logits[stage], 100)
    release = score * features.best_iou(teacher.own.boxes[stage], targets).gather(1, query)
    picked = queries[:, query[0]]
    wanted = features.feature_weight(memory, picked, release, valid, mask="signed", combine="merged", scale="none")[0]
    assert near(ways["merged"]["heat"], wanted) and [w["own"] for w in view["weights"]] == [False, True, False]
    again = handlers.weighed("image/2", level=level, stage=stage, gamma=gamma)
    assert again["heat"] == ways["each"]["heat"] and again["quality"] == [x["quality"] for x in view["queries"]]
    assert again["correlation"] == view["correlation"]


def test_the_loss_is_shown_where_the_trace_has_it(handlers):
    trace, _ = trace_of(handlers, "image/1")
    for level, stride in enumerate(STRIDES):
        view = handlers.masks("image/1", level=level)
        wanted = trace.outcomes["features"].maps[f"stride{stride}"][0, 0]
        assert near(view["loss"], wanted) and view["loss"]["sum"] == pytest.approx(wanted.sum().item())
        assert handlers.masks("image/1", level=level, stage=0)["loss"] is None  # its queries are of the last layer


def test_quality_and_its_parts_are_those_of_equation_8(handlers):
    trace, _ = trace_of(handlers, "image/3")
    p, targets, gamma = trace.teacher.own, trace.targets, 0.3
    held = {int(q): int(t) for _, _, q, t in tiny_rows(trace.teacher.assignment.of(layer=1, image=0))}
    true, mine = (box_convert(x.double(), "cxcywh", "xyxy") for x in (targets.boxes, p.boxes[1, 0]))
    overlap, chance = box_iou(mine, true), p.logits[1, 0].double().sigmoid()
    for row in handlers.masks("image/3", stage=1, gamma=gamma)["queries"]:
        q = row["index"]
        assert row["score"] == pytest.approx(chance[q].max().item(), rel=1e-4)
        assert row["overlap"] == pytest.approx(overlap[q].max().item(), abs=1e-5)
        assert row["quality"] == pytest.approx(
            row["score"] ** gamma * row["overlap"] ** (1 - gamma), rel=1e-4, abs=1e-6
        )
        t = held.get(q)
        counts = 0 if t is None else chance[q, targets.labels[t]] ** gamma * overlap[q, t] ** (1 - gamma)
        assert row["counts"] == pytest.approx(float(counts), rel=1e-3, abs=1e-5)


def tiny_rows(a):
    return zip(a.layer.tolist(), a.image.tolist(), a.query.tolist(), a.target.tolist())


def test_the_mass_inside_boxes_and_its_correlation_are_counted_place_by_place(handlers):
    trace, _ = trace_of(handlers, "image/2")
    view = handlers.masks("image/2", level=1)
    memory, psi = trace.teacher.memory.maps("encoder")[1][0], []
    hidden = trace.teacher.own.hidden[-1, 0]
    valid = ~trace.teacher.memory.padding[1][0]
    assert not valid.all()  # 72 pixels are no multiple of 32
    for q in range(QUERIES):
        cosine = torch.cosine_similarity(memory, hidden[q][:, None, None], dim=0)
        psi.append((cosine.clamp(min=0) * valid).numpy())
    rows, columns = psi[0].shape
    true = box_convert(trace.targets.boxes, "cxcywh", "xyxy").numpy() * 72
    places = [((x + 0.5) * 8, (y + 0.5) * 8) for y in range(rows) for x in range(columns)]
    inside = np.array([any(a <= x < c and b <= y < d for a, b, c, d in true) for x, y in places]).reshape(rows, columns)
    shares = [m[inside].sum() / m.sum() for m in psi]
    assert [row["inside"] for row in view["queries"]] == pytest.approx(shares, abs=1e-4)
    assert view["area"] == pytest.approx(inside[valid].mean())
    quality = [row["quality"] for row in view["queries"]]
    assert view["correlation"] == pytest.approx(spearmanr(quality, shares).statistic, abs=1e-6)
    masks = handlers.mask("image/2", [3, 0, 3], level=1)
    assert all(near(heat, torch.tensor(psi[q])) for heat, q in zip(masks, (3, 0, 3)))


def test_a_map_covers_what_its_places_cover(handlers):
    for level, stride in enumerate(STRIDES):
        (heat,) = handlers.mask("image/1", [0], level=level)
        assert heat["span"] == [heat["columns"] * stride / 72, heat["rows"] * stride / 72] and min(heat["span"]) >= 1


def test_six_panels_are_the_best_queries_on_two_objects_one_of_both_and_two_poor_ones(handlers):
    for key in ("image/1", "image/2", "image/3"):
        view, (trace, _) = handlers.masks(key), trace_of(handlers, key)
        quality = {row["index"]: row["quality"] for row in view["queries"]}
        true, mine = (box_convert(b, "cxcywh", "xyxy") for b in (trace.targets.boxes, trace.teacher.own.boxes[-1, 0]))
        largest = box_area(true).argsort(descending=True)[:2]
        panels = {p["letter"]: p["query"] for p in view["panels"]}
        scores = trace.teacher.own.logits[-1, 0].sigmoid()[:, trace.targets.labels[largest]].T
        best = (box_iou(true[largest], mine) * scores).argmax(1).tolist()
        assert [panels[letter] for letter in "bc"[: len(best)]] == best
        assert ("d" in panels) == (len(best) == 2) and panels.get("d") not in best
        assert sorted(quality[panels[letter]] for letter in "ef") == sorted(quality.values())[:2]


def test_other_options_of_the_loss_are_followed(folder):
    """A run whose own loss is the naive one of inner products, summed over all stages."""
    handlers = opened.handlers(folder)
    run = handlers.samples("").run
    loss = run.distiller.losses["features"]
    loss.config = replace(loss.config, combine="naive", mask="inner", stages="all")
    loss.layers = range(LAYERS)
    trace, _ = trace_of(handlers, "image/1")
    view = handlers.masks("image/1", level=1, stage=0)
    assert view["mask"] == "inner" and [w["own"] for w in view["weights"]] == [True, False, False]
    assert near(view["loss"], trace.outcomes["features"].maps["stride8"][0, 0])
    memory = trace.teacher.memory.maps("encoder")[1]
    psi = torch.einsum("dhw,d->hw", memory[0], trace.teacher.own.hidden[0, 0, 4])
    psi = psi * ~trace.teacher.memory.padding[1][0]
    assert near(handlers.mask("image/1", [4], level=1, stage=0)[0], psi)


def test_views_that_need_a_teacher_say_so_and_strangers_arguments_are_refused(handlers, tmp_path_factory):
    alone = random_run(tmp_path_factory.mktemp("alone"), queries=8, layers=2, size=64, images=2, with_teacher=False)
    with pytest.raises(UserError, match="no teacher"):
        opened.handlers(alone).masks("image/1")
    known = {name: getattr(handlers, name) for name in ("masks", "mask", "weighed")}
    for name, given in (
        ("masks", {"level": 3}),
        ("masks", {"stage": -2}),
        ("masks", {"gamma": 1.5}),
        ("weighed", {"gamma": -0.1}),
        ("mask", {"queries": [QUERIES]}),
        ("mask", {"queries": [-1]}),
        ("mask", {"queries": ["0"]}),
    ):
        assert "error" in reply(known, {"name": name, "with": {"key": "image/1"} | given}), (name, given)
