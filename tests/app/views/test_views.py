"""Views 3 and 4 without a browser: stability and losses against the trace, counted here by hand."""

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linear_sum_assignment

from analysis.bench._random_runs import random_run
from app.jobs import diagnosis
from app.server.handlers import Handlers
from app.views import epochs
from app.worker.library import SHIPPED
from app.worker.survey import Survey
from core.errors import UserError
from core.losses.base import Loss
from core.metrics.sampling_locations import sampling_locations
from core.runs.diagnose import diagnose
from core.types import Outcome, Queries
from tests.app.views.test_masks import near
from tests.helpers import opened

LAYERS, QUERIES, IMAGES = 3, 12, 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    sizes = dict(queries=QUERIES, layers=LAYERS, size=64, images=IMAGES)
    return [
        random_run(tmp_path_factory.mktemp("taught"), depth=4, **sizes),
        random_run(tmp_path_factory.mktemp("alone"), with_teacher=False, seed=7, **sizes),
    ]


@pytest.fixture
def handlers(folders, tmp_path, monkeypatch) -> Handlers:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return opened.handlers(*folders)


# Stability ------------------------------------------------------------------------------------------------------------


def test_a_ribbon_is_the_assignment_layer_by_layer(handlers, folders):
    second = str(folders[1])
    for key in (f"image/{k}" for k in range(1, IMAGES + 1)):
        display = handlers.display(key, "", second)
        view = handlers.stability(key, compare=second)
        traces = {
            "teacher": display.trace.teacher,
            "student": display.trace.student,
            "other": display.second.trace.student,
        }
        assert [b["side"] for b in view["bands"]] == list(traces) and len(view["objects"]) == len(display.trace.targets)
        for band in view["bands"]:
            a, layers = traces[band["side"]].assignment, len(traces[band["side"]].own.logits)
            assert band["layers"] == layers == (4 if band["side"] == "teacher" else LAYERS)
            rows = set(zip(a.target.tolist(), a.layer.tolist(), a.query.tolist()))
            drawn = {(t, k, c["query"]) for t, row in enumerate(band["cells"]) for k, c in enumerate(row)}
            assert drawn == rows
            held = [{q: t for t, k, q in rows if k == layer} for layer in range(layers)]
            changes = [sum(x.get(q) != y.get(q) for q in range(QUERIES)) for x, y in zip(held, held[1:])]
            assert band["instability"] == changes
            assert band["flips"] == sum(
                (t, k, q) in rows and (t, k + 1, q) not in rows for t, k, q in rows if k + 1 < layers
            )
            assert band["at"] == [display.layer_of(band["side"], k) for k in range(LAYERS)]


def test_costs_and_margins_of_ribbons_are_those_of_the_matches(handlers):
    display = handlers.display("image/2", "", "")
    for band in handlers.stability("image/2")["bands"]:
        price = display.sides[band["side"]].cost[:, 0].double().numpy()
        for target, row in enumerate(band["cells"]):
            for layer, cell in enumerate(row):
                best = price[layer][linear_sum_assignment(price[layer])].sum()
                forbidden = price[layer].copy()
                forbidden[cell["query"], target] = np.inf
                rows, columns = linear_sum_assignment(forbidden)
                assert cell["cost"] == pytest.approx(price[layer, cell["query"], target])
                assert cell["margin"] == pytest.approx(forbidden[rows, columns].sum() - best, abs=1e-6)
                assert cell["runner_up"] == rows[columns == target]
        for layer in range(LAYERS if band["side"] == "student" else 0):
            cell = band["cells"][0][layer]
            match = handlers.query("image/2", layer, "student", cell["query"])["matches"][0]
            assert (match["margin"], match["total"]) == pytest.approx((cell["margin"], cell["cost"]), abs=1e-5)


def test_of_the_set_as_many_images_count_as_were_looked_at(handlers):
    found = handlers.surveys.survey(handlers.samples(""))
    found.stopped = True  # no chore beside this test
    for _ in Survey.steps(found):
        pass
    for place in range(IMAGES):
        found.add(place, Path("/dev/null")) if place not in found.known else None
    view = handlers.stability("image/1")
    rows = {side: [] for side in ("teacher", "student")}
    for k in range(1, IMAGES + 1):
        for band in handlers.stability(f"image/{k}")["bands"]:
            rows[band["side"]].append(band["instability"])
    assert view["known"] == view["total"] == IMAGES
    for band in view["bands"]:
        assert band["set"] == pytest.approx(np.mean(rows[band["side"]], axis=0).tolist())


# Losses ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["image/1", "image/3"])
def test_the_terms_of_the_loss_add_up_to_what_trains(handlers, key):
    table, main = handlers.losses(key), handlers.display(key, "", "").main
    terms = {t["id"]: t for loss in table["losses"] for t in loss["terms"]}
    assert terms.keys() == main.trace.parts().keys()
    for path, part in main.trace.parts().items():
        loss, name = path.split("/")
        assert terms[path]["sum"] == part.item() and terms[path]["weight"] == main.distiller.weights[loss][name]
        assert sum(terms[path]["layers"]) == pytest.approx(part.item(), rel=1e-5)
        assert len(terms[path]["layers"]) == (1 if loss == "features" else LAYERS)
    assert table["total"] == main.trace.total.item()
    assert sum(loss["weighted"] for loss in table["losses"]) == pytest.approx(table["total"], rel=1e-5)
    assert sum(loss["share"] for loss in table["losses"]) == pytest.approx(1, rel=1e-5)
    assert all(loss["says"] for loss in table["losses"])


def test_a_term_is_shown_at_its_queries_or_places(handlers):
    main = handlers.display("image/2", "", "").main
    for name, outcome in main.trace.outcomes.items():
        for key, m in outcome.maps.items():
            view = handlers.term("image/2", f"{name}/{key}", layer=1)
            layer = min(1, len(m) - 1)
            assert view["sum"] == pytest.approx(m[layer, 0].sum().item(), abs=1e-6) and view["layer"] == layer
            if name == "features":
                assert near(view["heat"], m[layer, 0])
            else:
                assert view["values"] == m[layer, 0].tolist() and view["side"] == (
                    "prior" if name == "prior" else "student"
                )
    for path in ("", "detection", "detection/none", "none/class", "detection/class/x", "<img>"):
        with pytest.raises(UserError, match="no term"):
            handlers.term("image/2", path)


class Brightness(Loss):
    """Says how bright the image is: a loss that the app has never heard of."""

    weights = {"brightness": 2.0, "each": 1.0}

    def forward(self, student, teacher, targets, pairs):
        own = student.own.logits[..., 0] ** 2
        return Outcome({"brightness": own.sum((0, 2))[None], "each": own})


def test_a_new_loss_appears_without_a_line_of_the_app(folders):
    handlers = opened.handlers(folders[0])
    distiller = handlers.samples("").run.distiller
    distiller.losses["brightness"] = Brightness()
    distiller.weights["brightness"] = Brightness.weights
    found = next(x for x in handlers.losses("image/1")["losses"] if x["name"] == "brightness")
    assert [t["kind"] for t in found["terms"]] == ["image", "query"]
    assert "counted here by hand" in found["says"]  # the first line of its module
    assert handlers.term("image/1", "brightness/each")["side"] == "student"
    assert handlers.term("image/1", "brightness/brightness")["kind"] == "image"


class Twofold(Loss):
    """Both detectors decode the first five of the teacher's queries, as two groups."""

    weights = {"first_score": 1.0, "second_score": 1.0}

    def ask(self, student, teacher, targets):
        five = {k: x[:, :5] for k, x in vars(teacher.detach()).items() if x is not None}
        return {"first": Queries(**five), "second": Queries(**{k: x.flip(1) for k, x in five.items()})}

    def ask_teacher(self, student, targets):
        return {"second": student["second"]}

    def forward(self, student, teacher, targets, pairs):
        none = student.assignment.at(slice(0))
        scores = {f"{name}_score": student.predictions[name].logits[..., 0] ** 2 for name in ("first", "second")}
        return Outcome(scores, {"first": none, "second": none})


def test_groups_that_both_detectors_decode_are_sides_of_their_own(folders):
    handlers = opened.handlers(folders[0])
    distiller = handlers.samples("").run.distiller
    distiller.losses["twofold"] = Twofold()
    distiller.weights["twofold"] = Twofold.weights
    display = handlers.display("image/1", "", "")
    trace, groups = display.trace, {g["id"]: g for g in handlers.scene("image/1")["groups"]}
    shown = {"first": trace.student, "second": trace.student, "teacher_second": trace.teacher}
    assert groups.keys() == {"student", "teacher", "truth", "prior", *shown}
    for side, traced in shown.items():
        p = traced.predictions[side.removeprefix("teacher_")]
        last = groups[side]["layers"][LAYERS - 1]
        assert np.allclose(last["scores"], p.logits[-1, 0].sigmoid().amax(-1), atol=1e-4)
        detector = distiller.teacher if side == "teacher_second" else distiller.student
        own = trace.teacher if side == "teacher_second" else trace.student
        (wanted, *_) = sampling_locations(detector, own.memory, own.queries[side.removeprefix("teacher_")])[-1:]
        assert len(handlers.reading("image/1", LAYERS - 1, side, 4)["places"]) == len(wanted.weights[0, 4])
        assert handlers.query("image/1", LAYERS - 1, side, 4)["matches"] == []
    assert (
        groups["teacher_second"]["role"] == "teacher" and "decoded by the teacher" in groups["teacher_second"]["says"]
    )
    assert groups["second"]["role"] == "prior" and groups["second"]["title"] == "Second"
    for name in ("first", "second"):
        assert handlers.term("image/1", f"twofold/{name}_score")["side"] == name


# The doctor -----------------------------------------------------------------------------------------------------------


def test_the_doctor_of_the_page_is_that_of_the_command_line(monkeypatch):
    run = SHIPPED / "shapes_distill"
    handlers = opened.handlers(run)
    monkeypatch.setattr(diagnosis, "ANSWER", 0.0)
    monkeypatch.setattr(diagnosis, "IMAGES", 3)
    while (found := handlers.doctor())["state"] == "working":
        time.sleep(0.01)
        assert 0 <= found["seen"] < found["of"] == 3
    told = json.loads(json.dumps(asdict(diagnose(run, limit=3))))
    assert {k: v for k, v in json.loads(json.dumps(found)).items() if k not in ("state", "run")} == {
        k: v for k, v in told.items() if k != "run"
    }
    assert handlers.diagnosis_jobs.jobs == handlers.diagnosis_jobs.images_done == {}


def test_a_run_is_examined_again_once_it_has_logged_more_and_not_before(tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(SHIPPED / "shapes", run)
    handlers, seen = opened.handlers(run), []
    monkeypatch.setattr(diagnosis, "examine", lambda opened, limit, watch: seen.append(1) or Diagnosed(len(seen)))

    def doctor() -> int:
        while (answer := handlers.doctor())["state"] == "working":
            pass
        return answer["examined"]

    assert [doctor(), doctor(), handlers.diagnosis_jobs.known(handlers.samples(""))["examined"]] == [1, 1, 1]
    os.utime(run / "metrics.jsonl", (1, 1))
    assert [doctor(), handlers.diagnosis_jobs.known(handlers.samples(""))["examined"]] == [2, 2]


@dataclass
class Diagnosed:
    """A diagnosis, and how many were made before."""

    examined: int


def test_no_doctor_for_a_run_under_another_teacher(folders):
    with pytest.raises(UserError, match="another teacher than its own here; open the run alone"):
        opened.handlers(folders[0], teacher=folders[0]).doctor()


def test_nothing_was_recorded_of_other_images(tmp_path):
    """The ids of these images may be those of others, of which the run recorded something."""
    Image.new("RGB", (64, 48)).save(tmp_path / "1.png")
    handlers = opened.handlers(SHIPPED / "shapes_distill", images=tmp_path)
    answer = handlers.epochs("image/1")
    assert answer["bands"] == answer["recorded"] == [] and answer["says"] == epochs.OTHER_IMAGES


def test_a_run_without_records_is_told(handlers, folders):
    for _ in range(2):
        with pytest.raises(UserError, match="no record of a step"):
            while handlers.doctor()["state"] == "working":
                pass
    with pytest.raises(UserError, match="file of weights"):
        opened.handlers(folders[0] / "student.safetensors").doctor()
