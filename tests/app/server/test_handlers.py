"""The app without a browser: every number that it shows is the trace's."""

import ast
import json
import math
import re
import struct
import zlib
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_convert, generalized_box_iou

from analysis.bench._random_runs import random_run
from analysis.drawing.style import DARK_COLOURS, PAGE_COLOURS
from app.arguments import checked
from app.replay import pictures
from app.replay.display import Display
from app.server.handlers import Handlers
from app.server.page import answer as reply
from app.views import matches as matches_view
from app.views import sampling
from app.views import scene as scene_view
from app.words import term
from app.worker import uploads
from core.data.batch import collate
from core.data.shapes.dataset import Shapes
from core.data.transforms import eval_transform
from core.errors import UserError
from core.metrics.sampling_locations import sampling_locations
from core.project import ROOT
from core.runs.checkpoint import open_distiller
from core.runs.open import OpenRun, open_run, replay
from tests.helpers import opened

APP = ROOT / "app"
LAYERS, QUERIES, IMAGES = 3, 12, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return random_run(tmp_path_factory.mktemp("taught"), queries=QUERIES, layers=LAYERS, size=64, images=IMAGES)


@pytest.fixture(scope="module")
def lonely(tmp_path_factory) -> Path:
    return random_run(
        tmp_path_factory.mktemp("alone"), queries=QUERIES, layers=LAYERS, size=64, images=IMAGES, with_teacher=False
    )


@pytest.fixture(scope="module")
def handlers(folder, lonely) -> Handlers:
    return opened.handlers(folder, lonely)


@pytest.fixture(scope="module")
def alone(lonely) -> Handlers:
    return opened.handlers(lonely)


@pytest.fixture(scope="module")
def run(handlers) -> OpenRun:
    return handlers.samples("").run


@pytest.fixture(params=range(1, IMAGES + 1))
def display(handlers, request) -> Display:
    """Each image of the run in turn, as the page displays it."""
    return handlers.display(f"image/{request.param}", "", "")


@pytest.fixture(autouse=True)
def kept_apart(tmp_path, monkeypatch):
    """Uploads come in through this folder."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


@pytest.fixture
def upload(tmp_path):
    """The path of an image file of the given pixels."""

    def make(pixels, name="image.png", **options) -> str:
        Image.fromarray(pixels).save(tmp_path / name, **options)
        return str(tmp_path / name)

    return make


def noise(height=48, width=64):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


# Replay ---------------------------------------------------------------------------------------------------------------


def test_replay_has_no_model_matching_loss_or_box_code():
    tree = ast.parse((ROOT / "core" / "runs" / "open.py").read_text())
    found = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    ours = {name for name in found if name.split(".")[0] in ("app", "core", "train", "analysis")}
    allowed = {"runs.checkpoint", "runs.class_mapping", "runs.config", "runs.side_by_side"}
    allowed |= {"distiller", "errors", "limits", "types"}
    assert {name for name in ours if not name.startswith("core.data.")} <= {f"core.{name}" for name in allowed}


def test_replay_is_the_step_of_the_distiller_bit_for_bit(run):
    distiller, _ = open_distiller(run.path)
    for index in range(IMAGES):
        images, targets = collate([eval_transform(run.data[index], run.augment)])
        with torch.no_grad():  # with a graph to build, torch folds some products another way: the last bit may differ
            trained = distiller(images, targets)
        seen = replay(run, run.data[index])
        assert torch.equal(seen.total, trained.total)
        assert torch.equal(seen.student.own.boxes, trained.student.own.boxes)
        assert all(torch.equal(seen.parts()[name], part) for name, part in trained.parts().items())


def test_whoever_listens_hears_each_detector_when_it_is_done(run):
    heard = {}
    trace = replay(run, run.data[0], lambda who, found: heard.setdefault(who, found))
    assert list(heard) == ["teacher", "student"]
    for who, found in heard.items():
        assert found.predictions["own"] is getattr(trace, who).own


def test_data_of_other_classes_is_refused(run, tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
    file = tmp_path / "instances.json"
    box = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0}
    file.write_text(json.dumps({"images": [image], "annotations": [box], "categories": [{"id": 7, "name": "cat"}]}))
    with pytest.raises(UserError, match="cat"):
        open_run(run.path, file, tmp_path)


# The canvas -----------------------------------------------------------------------------------------------------------


def test_boxes_scores_and_classes_are_the_traces(display):
    scene = scene_view.scene(display)
    found = {g["id"]: g for g in scene["groups"]}
    trace = display.trace
    expected = {"student": trace.student.own, "teacher": trace.teacher.own, "prior": trace.student.predictions["prior"]}
    assert found.keys() == {*expected, "truth"} and scene["layers"] == LAYERS
    for side, p in expected.items():
        for layer, frame in enumerate(found[side]["layers"]):
            corners = box_convert(p.boxes[layer, 0], "cxcywh", "xyxy")
            assert torch.allclose(torch.tensor(frame["boxes"]), corners, atol=1e-4)
            chance = p.logits[layer, 0].sigmoid()
            assert torch.allclose(torch.tensor(frame["scores"]), chance.max(-1).values, atol=1e-4)
            assert frame["labels"] == chance.argmax(-1).tolist()
    truth = found["truth"]["layers"]
    assert len(truth) == 1 and truth[0]["labels"] == display.main.sample.labels.tolist()
    assert torch.allclose(torch.tensor(truth[0]["boxes"]) * 64, display.main.sample.boxes, atol=0.01)


def test_lines_are_the_assignments(display):
    lines = {line["id"]: line for line in scene_view.scene(display)["lines"]}
    trace = display.trace
    expected = {
        "student-truth": (trace.student.assignment, "student", "truth"),
        "teacher-truth": (trace.teacher.assignment, "teacher", "truth"),
        "prior-truth": (trace.teacher.assignment, "prior", "truth"),
        "positive": (trace.outcomes["logits"].pairs["positive"], "student", "teacher"),
        "negative": (trace.outcomes["logits"].pairs["negative"], "student", "teacher"),
    }
    assert lines.keys() == expected.keys()
    for name, (a, start, end) in expected.items():
        assert (lines[name]["from"], lines[name]["to"]) == (start, end)
        rows = sorted(zip(a.layer.tolist(), a.query.tolist(), a.target.tolist()))
        drawn = [(layer, *pair[:2]) for layer, pairs in enumerate(lines[name]["layers"]) for pair in pairs]
        assert sorted(drawn) == rows and len(rows) > 0
        for layer, pairs in enumerate(lines[name]["layers"]):
            for query, _, cost in pairs[::3]:
                matches = matches_view.query(display, layer, start, query)["matches"]
                assert cost == pytest.approx(next(m["total"] for m in matches if m["line"] == name), abs=2e-4)


def test_without_a_teacher_its_boxes_are_absent_and_the_page_says_so(alone):
    scene = alone.scene("image/1")
    assert [g["id"] for g in scene["groups"]] == ["student", "truth"]
    assert [line["id"] for line in scene["lines"]] == ["student-truth"]
    assert "no teacher" in scene["notes"][0] and alone.about()["teacher"] is None


def test_beside_a_second_student_its_own_step_is_shown(handlers, lonely):
    scene = handlers.scene("image/2", compare=str(lonely))
    other = open_run(lonely)
    trace = replay(other, other.data[1])
    group = next(g for g in scene["groups"] if g["id"] == "other")
    assert group["title"] == lonely.name and (group["role"], scene["groups"][0]["role"]) == ("student", "distilled")
    for layer, frame in enumerate(group["layers"]):
        corners = box_convert(trace.student.own.boxes[layer, 0], "cxcywh", "xyxy")
        assert torch.allclose(torch.tensor(frame["boxes"]), corners, atol=1e-4)
    line = next(line for line in scene["lines"] if line["id"] == "other-truth")
    a = trace.student.assignment.of(layer=LAYERS - 1, image=0)
    assert sorted(p[:2] for p in line["layers"][-1]) == sorted(zip(a.query.tolist(), a.target.tolist()))
    view = handlers.query("image/2", 1, "other", 3, compare=str(lonely))
    assert view["scores"][0]["score"] == pytest.approx(trace.student.own.logits[1, 0, 3].sigmoid().max().item())
    assert len(scene["changes"]) == len(trace.targets)


# Depths ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[(2, 4, "each"), (4, 2, "each"), (3, 3, "from_last"), (3, 2, "last")], ids=str)
def uneven(request, tmp_path_factory) -> tuple[Handlers, int, int]:
    """Student and teacher of other depths, with the layers that the loss brings together."""
    mine, theirs, stages = request.param
    folder = tmp_path_factory.mktemp("uneven")
    random_run(folder, queries=QUERIES, layers=mine, depth=theirs, size=64, images=2, stages=stages)
    return opened.handlers(folder), mine, theirs


def test_pairs_of_unequal_depth_are_drawn_between_the_boxes_that_met(uneven):
    handlers, mine, theirs = uneven
    display = handlers.display("image/1", "", "")
    scene, a = scene_view.scene(display), display.trace.outcomes["logits"].pairs["positive"]
    teacher = next(g for g in scene["groups"] if g["id"] == "teacher")
    line = next(line for line in scene["lines"] if line["id"] == "positive")
    assert len(teacher["layers"]) == mine == len(line["layers"])
    met = 0
    for layer in range(mine):
        at = display.layer_of("teacher", layer)
        boxes = box_convert(display.trace.teacher.own.boxes[at, 0], "cxcywh", "xyxy")
        assert torch.allclose(torch.tensor(teacher["layers"][layer]["boxes"]), boxes, atol=1e-4)
        here = a.at((a.layer == layer) & (a.target_layer == at))
        assert sorted(p[:2] for p in line["layers"][layer]) == sorted(zip(here.query.tolist(), here.target.tolist()))
        met += len(here)
    assert met > 0


def test_the_cost_of_a_pair_of_unequal_depth_is_that_of_its_own_layers(uneven):
    handlers, mine, theirs = uneven
    display = handlers.display("image/1", "", "")
    s, t = display.trace.student.own, display.trace.teacher.own
    for name in ("positive", "negative"):
        a = display.trace.outcomes["logits"].pairs[name]
        rows = zip(a.layer.tolist(), a.target_layer.tolist(), a.query.tolist(), a.target.tolist())
        for layer, other, q, k in list(rows)[::5]:
            on_this_line = [m for m in matches_view.query(display, layer, "student", q)["matches"] if m["line"] == name]
            boxes = (box_convert(x[[i]], "cxcywh", "xyxy") for x, i in ((s.boxes[layer, 0], q), (t.boxes[other, 0], k)))
            l1 = torch.cdist(*boxes, p=1).item()
            match = min(on_this_line, key=lambda m: abs(m["parts"][-2]["cost"] - l1))
            seen = {row["part"]: row["cost"] for row in match["parts"]}
            assert seen["l1"] == pytest.approx(l1, rel=1e-4, abs=1e-5) and match["other"]["index"] == k
            assert match["total"] == pytest.approx(sum(r["weighted"] for r in match["parts"]), rel=1e-4, abs=1e-5)
            assert ("class" in seen) == (name == "positive")
            if mine != theirs:
                assert f"layer {other + 1}." in match["says"]


# One query ------------------------------------------------------------------------------------------------------------


def naive_costs(p, layer, targets, matching):
    """Class, L1 and GIoU of every pair, without the code under test."""
    chance = p.logits[layer, 0].sigmoid().double()
    a, g, eps = matching.alpha, matching.gamma, matching.eps
    hit = a * (1 - chance) ** g * -(chance + eps).log()
    miss = (1 - a) * chance**g * -(1 - chance + eps).log()
    mine, true = (box_convert(x.double(), "cxcywh", "xyxy") for x in (p.boxes[layer, 0], targets.boxes))
    return {
        "class": (hit - miss)[:, targets.labels],
        "l1": torch.cdist(mine, true, p=1),
        "giou": -generalized_box_iou(mine, true),
    }


def test_the_cost_of_a_match_is_the_one_that_was_solved(display):
    trace = display.trace
    for side, of in (("student", trace.student), ("teacher", trace.teacher)):
        matching = getattr(display.main.distiller, side).matching
        for layer in range(LAYERS):
            parts = naive_costs(of.own, layer, trace.targets, matching)
            price = sum(matching.weights[name] * part for name, part in parts.items())
            here = of.assignment.of(layer=layer, image=0)
            total = 0.0
            for q, t in zip(here.query.tolist(), here.target.tolist()):
                match = matches_view.query(display, layer, side, q)["matches"][0]
                assert match["line"] == f"{side}-truth" and match["other"]["index"] == t
                for row in match["parts"]:
                    assert row["cost"] == pytest.approx(parts[row["part"]][q, t].item(), rel=1e-3, abs=1e-5)
                    assert row["weighted"] == pytest.approx(row["weight"] * row["cost"], rel=1e-6)
                assert match["total"] == pytest.approx(
                    sum(row["weighted"] for row in match["parts"]), rel=1e-5, abs=1e-6
                )
                assert match["plain"] == pytest.approx(sum(row["cost"] for row in match["parts"]))
                total += match["total"]
            best = price.numpy()[linear_sum_assignment(price.numpy())].sum()
            assert total == pytest.approx(best, rel=1e-4)


def test_the_cost_of_a_pair_with_a_teacher_query_is_the_one_that_was_solved(display):
    """The class part is a divergence of sigmoid scores; negatives have none."""
    s, t, matching = display.trace.student.own, display.trace.teacher.own, display.main.distiller.student.matching
    for name in ("positive", "negative"):
        a = display.trace.outcomes["logits"].pairs[name]
        for layer, q, k in list(zip(a.layer.tolist(), a.query.tolist(), a.target.tolist()))[::3]:
            match = next(m for m in matches_view.query(display, layer, "student", q)["matches"] if m["line"] == name)
            assert match["other"] == {"side": "teacher", "index": k, "role": "teacher"}
            seen = {row["part"]: row["cost"] for row in match["parts"]}
            mine, theirs = (box_convert(p.boxes[layer, 0, [i]], "cxcywh", "xyxy") for p, i in ((s, q), (t, k)))
            assert seen["l1"] == pytest.approx((mine - theirs).abs().sum().item(), rel=1e-4, abs=1e-5)
            assert seen["giou"] == pytest.approx(-generalized_box_iou(mine, theirs).item(), abs=1e-4)
            assert match["total"] == pytest.approx(sum(r["weighted"] for r in match["parts"]), rel=1e-4, abs=1e-5)
            if name == "negative":
                assert "class" not in seen
            else:
                x, y = (
                    torch.distributions.Bernoulli(logits=p.logits[layer, 0, i].double()) for p, i in ((s, q), (t, k))
                )
                assert seen["class"] == pytest.approx(torch.distributions.kl_divergence(y, x).sum().item(), abs=1e-3)
            other = next(m for m in matches_view.query(display, layer, "teacher", k)["matches"] if m["line"] == name)
            assert other["total"] == match["total"] and other["other"]["index"] == q
    assert matching.weights == {"class": 2.0, "l1": 5.0, "giou": 2.0}


def test_a_prior_query_answers_for_what_it_answered_for_in_the_teacher(display):
    a = display.trace.teacher.assignment.of(layer=1, image=0)
    for q, t in zip(a.query.tolist(), a.target.tolist()):
        match = matches_view.query(display, 1, "prior", q)["matches"][0]
        parts = naive_costs(
            display.trace.student.predictions["prior"],
            1,
            display.trace.targets,
            display.main.distiller.student.matching,
        )
        assert match["other"]["index"] == t
        assert match["parts"][0]["cost"] == pytest.approx(parts["class"][q, t].item(), rel=1e-3, abs=1e-5)


def test_every_query_has_scores_a_box_and_says_when_it_has_no_match(display):
    matched = set(display.trace.student.assignment.of(layer=0, image=0).query.tolist())
    pairs = display.trace.outcomes["logits"].pairs.values()
    paired = {q for a in pairs for q in a.of(layer=0, image=0).query.tolist()}
    for q in range(QUERIES):
        view = matches_view.query(display, 0, "student", q)
        values = [s["score"] for s in view["scores"]]
        assert values == sorted(values, reverse=True) and len(values) == 5
        assert values[0] == pytest.approx(display.trace.student.own.logits[0, 0, q].sigmoid().max().item())
        assert re.fullmatch(r"x -?\d+ to -?\d+, y -?\d+ to -?\d+: \d+ × \d+ of 64 × 64 pixels", view["box"])
        assert bool(view["says"]) == (q not in matched | paired)
        ranking = view["rankings"][0]
        totals = [row["total"] for row in ranking["rows"]]
        assert totals == sorted(totals) and any(row["matched"] for row in ranking["rows"]) == (q in matched)
        assert all(sum(row["parts"]) == pytest.approx(row["total"], rel=1e-5, abs=1e-5) for row in ranking["rows"])


@pytest.mark.parametrize("side", ["student", "teacher", "prior"])
def test_where_a_query_reads_is_what_its_detector_tells(handlers, run, side):
    trace = handlers.display("image/2", "", "").trace
    mine, detector = (
        (trace.teacher, run.distiller.teacher) if side == "teacher" else (trace.student, run.distiller.student)
    )
    group = "prior" if side == "prior" else "own"
    for layer in range(LAYERS):
        wanted = sampling_locations(detector, mine.memory, mine.queries[group])[layer]
        for query in (0, QUERIES - 1):
            told = handlers.reading("image/2", layer, side, query)
            places, weights = wanted.places[0, query].tolist(), wanted.weights[0, query].tolist()
            assert sorted(told["places"]) == sorted([round(x, 4), round(y, 4), w] for (x, y), w in zip(places, weights))
            cx, cy, w, h = mine.predictions[group].boxes[layer, 0, query].tolist()
            inside = sum(
                weight for (x, y), weight in zip(places, weights) if abs(x - cx) <= w / 2 and abs(y - cy) <= h / 2
            )
            assert (
                told["share"] == pytest.approx(inside, abs=1e-5)
                and f"({len(places)} sampling locations)" in told["says"]
            )


def test_of_many_places_the_weightiest_are_told(handlers, monkeypatch):
    whole = handlers.reading("image/1", 0, "student", 0)
    monkeypatch.setattr(sampling, "MOST", 3)
    few = handlers.reading("image/1", 0, "student", 0)
    assert few["places"] == whole["places"][-3:] and few["share"] == whole["share"]
    assert f"{100 * sum(p[2] for p in few['places']):.0f}% of the weight)" in few["says"]
    weights = [p[2] for p in whole["places"]]
    assert weights == sorted(weights)


def test_an_object_and_the_overview_show_the_costs_of_its_queries(display):
    for layer in range(LAYERS):
        overview = matches_view.overview(display, layer)
        assert [side["title"] for side in overview["sides"]] == ["Student", "Teacher", "Prior"]
        for index, row in enumerate(overview["rows"]):
            matches = matches_view.target(display, layer, index)["matches"]
            assert [(m["other"], m["total"]) for m in matches] == [(a["other"], a["total"]) for a in row["answers"]]
            for answer in row["answers"]:
                other = answer["other"]
                view = matches_view.query(display, layer, other["side"], other["index"])
                assert view["matches"][0]["total"] == answer["total"]


# Margins --------------------------------------------------------------------------------------------------------------


def cheapest(cost, forbidden=None) -> tuple[float, tuple]:
    """The least total and its rows, column by column, by trying every assignment."""
    tries = permutations(range(cost.shape[0]), cost.shape[1])
    allowed = (p for p in tries if forbidden is None or p[forbidden[1]] != forbidden[0])
    return min(((sum(cost[r, c] for c, r in enumerate(p)), p) for p in allowed), default=(math.inf, ()))


def test_the_margin_of_a_match_and_its_runner_up_are_those_of_every_other_assignment(handlers):
    """Brute force over all assignments of few queries to few objects."""
    checked_ = 0
    for key in (f"image/{k}" for k in range(1, IMAGES + 1)):
        display = handlers.display(key, "", "")
        if len(display.trace.targets) > 4:
            continue
        for side in ("student", "teacher"):
            for layer in range(LAYERS):
                matched = display.sides[side]
                price, a = matched.cost[layer, 0].numpy().astype(float), matched.assignment
                best, _ = cheapest(price)
                here = a.of(layer=layer, image=0)
                for q, t in zip(here.query.tolist(), here.target.tolist()):
                    match = matches_view.query(display, layer, side, q)["matches"][0]
                    second, rows = cheapest(price, forbidden=(q, t))
                    assert match["margin"] == pytest.approx(second - best, abs=1e-4) and match["margin"] >= 0
                    assert match["runner_up"]["other"]["index"] == rows[t] != q
                    checked_ += 1
    assert checked_ > 10


def test_the_margin_of_a_pair_counts_only_the_queries_that_were_to_be_had(display):
    for name, solved in display.main.solved_pairs.items():
        for k in range(0, len(solved.assignment), 7):
            a = solved.assignment.at(slice(k, k + 1))
            margin, runner_up = solved.margin(a)
            positive = display.trace.outcomes["logits"].pairs["positive"]
            taken = positive.query[positive.layer == a.layer].tolist() if name == "negative" else []
            assert margin >= 0 and runner_up not in taken and runner_up != int(a.query)


def test_what_keeps_its_object_has_no_margin(display):
    a = display.trace.teacher.assignment.of(layer=1, image=0)
    assert all(matches_view.query(display, 1, "prior", q)["matches"][0]["margin"] is None for q in a.query.tolist())


# Uploads --------------------------------------------------------------------------------------------------------------


def test_an_upload_has_the_sure_teacher_queries_as_pseudo_truth(handlers, upload):
    handlers.library.uploads.samples.clear()
    counts = []
    for score in (0.0, 0.2, 0.4, 1.0):
        path = upload(noise())
        key = handlers.upload({"path": path}, score)
        assert not Path(path).exists()  # what is kept is in memory
        display = handlers.display(key, "", "")
        p = display.trace.teacher.own
        chance = p.logits[-1, 0].sigmoid().max(-1)
        sure = (chance.values >= score).nonzero().flatten()
        targets = display.trace.targets
        order = chance.values[sure].argsort(descending=True)
        assert torch.allclose(targets.boxes, p.boxes[-1, 0, sure[order]], atol=1e-5)
        assert torch.equal(targets.labels, chance.indices[sure[order]])
        scene = handlers.scene(key)
        assert scene["truth"] == "pseudo" and f"{score:.2f}" in scene["banner"] and "pseudo truth" in scene["banner"]
        assert scene["groups"][-1]["title"] == "Pseudo truth" and scene["changes"] == []
        counts.append(len(targets))
    assert counts == sorted(counts, reverse=True) and counts[0] == QUERIES and counts[-1] == 0 and len(set(counts)) > 2
    assert len(handlers.library.uploads.samples) == 1
    assert handlers.scene(key[:-4] + "0.25")["key"] == key[:-4] + "0.25"


def test_an_upload_to_a_run_without_teacher_has_no_truth(alone, upload):
    key = alone.upload({"path": upload(noise())})
    scene = alone.scene(key)
    assert [g["id"] for g in scene["groups"]] == ["student"] and not scene["lines"]
    assert "No ground truth" in scene["banner"]
    assert alone.query(key, 0, "student", 0)["matches"] == [] and alone.matches(key, 0)["rows"] == []


def test_who_gives_the_same_picture_at_the_same_time_finds_it_kept(handlers, upload, monkeypatch):
    """The page's server keeps one file for one content, and the first to be read has it removed."""
    handlers.library.uploads.samples.clear()
    path, other = upload(noise()), upload(noise(20, 30), "other.png")
    key = handlers.upload({"path": path})
    assert not Path(path).exists() and handlers.upload({"path": path}, 0.4) == key[:-4] + "0.40"
    monkeypatch.setattr(uploads, "KEPT", 1)
    handlers.upload({"path": other})
    with pytest.raises(UserError, match="no file that was uploaded"):  # it is no longer kept
        handlers.upload({"path": path})


def test_only_what_was_received_is_read(handlers, tmp_path_factory, upload):
    outside = tmp_path_factory.mktemp("outside") / "mine.png"
    Image.fromarray(noise()).save(outside)
    link = Path(upload(noise(), "link.png"))
    link.unlink()
    link.symlink_to(outside)
    for path in (str(outside), str(link), "/etc/passwd", "/proc/self/environ", "no such", "", "\0", "../../etc/passwd"):
        with pytest.raises(UserError, match="no file that was uploaded"):
            handlers.upload({"path": path})
    assert outside.exists()


def bomb(path: Path, side: int) -> Path:
    """A whole PNG of side x side white pixels, of a bit each, in a few kB."""
    lines = zlib.compress((b"\0" + b"\xff" * (side // 8)) * side, 1)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", lines), (b"IEND", b""))
    whole = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))
    return path


def test_what_is_no_image_is_refused_in_one_sentence(handlers, tmp_path, upload):
    whole = Path(upload(noise(), "whole.jpg")).read_bytes()
    bad = {
        "text": (b"hello", "not an image"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        "cut.jpg": (whole[: len(whole) // 2], "damaged"),
        "text.jpg": (b"not a picture at all\n" * 50, "not an image"),
        "gif": (Path(upload(noise(), "a.gif")).read_bytes(), "not an image"),
        "heavy": (whole + bytes(pictures.UPLOAD_BYTES), "MB"),
    }
    for name, (data, reason) in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=reason):
            handlers.upload({"path": str(tmp_path / name)})
    with pytest.raises(UserError, match="more than 40 million pixels"):
        handlers.upload({"path": str(bomb(tmp_path / "bomb.png", 30_000))})


def test_uploads_are_bounded(handlers, upload, monkeypatch):
    monkeypatch.setattr(uploads, "KEPT", 3)
    keys = [handlers.upload({"path": upload(noise(20 + i))}) for i in range(5)]
    assert len(handlers.library.uploads.samples) == 3
    with pytest.raises(UserError, match="upload the image again"):
        handlers.scene(keys[0])
    assert handlers.image(keys[-1])["width"] == 64


def test_a_large_upload_is_kept_small(handlers, upload):
    wide = handlers.image(handlers.upload({"path": upload(noise(1000, 4000))}))
    assert (wide["width"], wide["height"]) == (pictures.UPLOAD_SIDE, pictures.UPLOAD_SIDE // 4)


# Strangers ------------------------------------------------------------------------------------------------------------


KEYS = [
    "",
    "image/",
    "image/99",
    "image/-1",
    "image/1/2",
    "image/../../etc/passwd",
    "/etc/passwd",
    "upload/x/0.5",
    "upload/",
]


@pytest.mark.parametrize("key", [*KEYS, "upload/x/nan", "image/١", "image/" + "9" * 5000])
def test_unknown_keys_are_refused(handlers, key):
    for ask in (handlers.scene, handlers.image):
        with pytest.raises(UserError):
            ask(key)


@pytest.mark.parametrize(
    "layer, side, index",
    [(-1, "student", 0), (LAYERS, "student", 0), (0, "student", QUERIES), (0, "student", -1), (0, "own", 0), (0, "", 0)]
    + [(0.0, "student", 0), (True, "student", 0), (0, "truth", 50), ("0", "student", 0), (0, "<img>", 0), (0, None, 0)],
)
def test_queries_that_are_not_there_are_refused(handlers, layer, side, index):
    with pytest.raises(UserError):
        checked(handlers.query)("image/1", layer, side, index)
    with pytest.raises(UserError):
        checked(handlers.reading)("image/1", layer, side, index)


def test_an_object_reads_nothing(handlers):
    with pytest.raises(UserError, match="no side 'truth'"):
        handlers.reading("image/1", 0, "truth", 0)


def test_a_question_that_makes_no_sense_is_answered_in_a_sentence(handlers):
    known = {name: checked(getattr(handlers, name)) for name in ("scene", "query", "gallery")}
    for asked in (
        None,
        [],
        "scene",
        {},
        {"name": "__init__"},
        {"name": ["scene"], "with": {}},
        {"name": "scene", "with": 3},
        {"name": "scene", "with": {}},
        {"name": "scene", "with": {"key": "image/1", "more": 1}},
        {"name": "scene", "with": {"key": "x" * 5000}},
        {"name": "gallery", "with": {"page": float("nan")}},
        {"name": "gallery", "with": {"sort": "gained"}},
        {"name": "scene", "with": {"key": "image/1", "run": "../../etc"}},
    ):
        found = reply(known, asked)
        assert list(found) == ["error"] and len(found["error"]) < 400


def test_scripts_and_styles_insert_text_only_and_fetch_nothing():
    files = [*APP.glob("web/*.js"), *APP.glob("web/*.css")]
    assert len(files) > 5
    for file in files:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://|//[a-z]+\.|@import", text
        )


def test_colours_by_meaning_are_distinct_and_on_the_page():
    from app.server.theme import css

    assert len(set(PAGE_COLOURS.values())) == len(PAGE_COLOURS) >= 7
    assert all(f"--dd-{name}: {colour};" in css() for name, colour in PAGE_COLOURS.items())
    dark = PAGE_COLOURS | DARK_COLOURS
    assert len(set(dark.values())) == len(dark) and set(DARK_COLOURS) <= set(PAGE_COLOURS)
    assert f".dark {{{''.join(f'--dd-{name}: {colour};' for name, colour in DARK_COLOURS.items())}}}" in css()


def test_a_stranger_s_mistake_on_the_command_line_is_one_sentence(tmp_path, capsys):
    from app.__main__ import main

    for words in ([str(tmp_path)], [str(tmp_path), "--port", "70000"]):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
    with pytest.raises(SystemExit) as stopped:
        main(["--prot", "1"])
    assert stopped.value.code == 2


def test_shapes_of_the_run_are_those_that_it_was_measured_on(run):
    assert torch.equal(run.data[1].pixels, Shapes("val", IMAGES, 64)[1].pixels)


def test_a_map_of_a_level_is_titled_by_its_part_and_stride():
    assert [term(name)[0] for name in ("stride8", "foreground_stride16")] == ["stride 8", "foreground, stride 16"]
    assert term("stride8")[1] == term("foreground_stride16")[1] != ""
    assert term("channels") == ("channels", "")
