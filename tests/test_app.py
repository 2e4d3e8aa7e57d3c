"""The app without a browser: every number that it shows is the trace's."""

import ast
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_convert, generalized_box_iou

from analysis.bench.app import random_run
from analysis.style import COLOURS
from app import pictures, queries, samples, views
from app.handlers import Handlers
from app.header import header
from app.memory import Memory, size
from app.replay import digest, find_run, open_run, replay
from app.shown import Shown
from app.words import term
from core.checkpoint import open_distiller
from core.data.batch import collate
from core.data.shapes import Shapes
from core.data.transforms import plain
from core.errors import UserError

APP = Path(__file__).parents[1] / "app"
LAYERS, QUERIES, IMAGES = 3, 12, 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return open_run(
        random_run(tmp_path_factory.mktemp("taught"), queries=QUERIES, layers=LAYERS, size=64, images=IMAGES)
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return open_run(random_run(folder, queries=QUERIES, layers=LAYERS, size=64, images=2, taught=False))


@pytest.fixture(scope="module")
def handlers(run):
    return Handlers(run)


@pytest.fixture(params=range(1, IMAGES + 1))
def shown(handlers, request) -> Shown:
    return handlers.samples.shown(f"image/{request.param}")


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


@pytest.mark.parametrize("file", [APP / "replay.py", APP.parent / "core" / "replay.py"], ids=["app", "core"])
def test_replay_has_no_model_matching_loss_or_box_code(file):
    tree = ast.parse(file.read_text())
    found = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    found |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    ours = {name for name in found if name.split(".")[0] in ("app", "core", "train", "analysis")}
    allowed = {
        "app.memory",
        "core.checkpoint",
        "core.config",
        "core.detections",
        "core.distiller",
        "core.errors",
        "core.replay",
        "core.types",
    }
    assert {name for name in ours if not name.startswith("core.data.")} <= allowed


def test_replay_is_the_step_of_the_distiller_bit_for_bit(run):
    distiller, _ = open_distiller(run.path)
    for index in range(IMAGES):
        images, targets = collate([plain(run.data[index], run.augment)])
        with torch.no_grad():  # with a graph to build, torch folds some products another way: the last bit may differ
            trained = distiller(images, targets)
        seen = replay(run, run.data[index])
        assert torch.equal(seen.total, trained.total)
        assert torch.equal(seen.student.own.boxes, trained.student.own.boxes)
        assert all(torch.equal(seen.parts()[name], part) for name, part in trained.parts().items())


def test_replay_remembers_by_what_is_in_the_sample(run):
    sample = run.data[0]
    assert replay(run, sample) is replay(run, replace(sample, pixels=sample.pixels.clone(), id=99))
    others = [
        replace(sample, pixels=sample.pixels.flip(-1)),
        replace(sample, boxes=sample.boxes + 1),
        replace(sample, labels=(sample.labels + 1) % 8),
    ]
    assert len({digest(x) for x in [sample, *others]}) == 4


def test_memory_holds_the_latest_within_its_budget():
    memory, made = Memory(100), []

    def ask(key, count):
        return memory.get(key, lambda: made.append(key) or torch.zeros(count, dtype=torch.uint8))

    ask("a", 40), ask("b", 40), ask("a", 40), ask("c", 40)
    assert list(memory.values) == ["a", "c"] and made == ["a", "b", "c"]
    ask("huge", 1000)
    assert list(memory.values) == ["huge"]


def test_size_counts_every_tensor_of_a_trace(run):
    trace = replay(run, run.data[0])
    own = trace.student.own
    assert size(own) == sum(x.numel() * x.element_size() for x in (own.logits, own.boxes, own.hidden))
    assert size(trace) > size(trace.student) + size(trace.teacher)


def test_the_newest_run_is_opened(tmp_path):
    with pytest.raises(UserError, match="make demo"):
        find_run(tmp_path / "runs", tmp_path / "shipped")
    for age, name in ((300, "old"), (100, "deep/new"), (200, "older")):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "card.json").touch()
        (folder / "student.safetensors").touch()
        os.utime(folder / "student.safetensors", (1e9 - age, 1e9 - age))
    (tmp_path / "runs" / "unfinished").mkdir()
    (tmp_path / "runs" / "unfinished" / "card.json").touch()
    assert find_run(tmp_path / "runs", tmp_path / "shipped") == tmp_path / "runs" / "deep" / "new"


def test_data_of_other_classes_is_refused(run, tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
    file = tmp_path / "instances.json"
    file.write_text(json.dumps({"images": [image], "annotations": [], "categories": [{"id": 7, "name": "cat"}]}))
    with pytest.raises(UserError, match="same classes"):
        open_run(run.path, file, tmp_path)


# The canvas -----------------------------------------------------------------------------------------------------------


def test_boxes_scores_and_classes_are_the_traces(shown):
    scene = views.scene(shown)
    found = {g["id"]: g for g in scene["groups"]}
    trace = shown.trace
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
    assert len(truth) == 1 and truth[0]["labels"] == shown.sample.labels.tolist()
    assert torch.allclose(torch.tensor(truth[0]["boxes"]) * 64, shown.sample.boxes, atol=0.01)


def test_lines_are_the_assignments(shown):
    lines = {line["id"]: line for line in views.scene(shown)["lines"]}
    trace = shown.trace
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
        drawn = [(layer, *pair) for layer, pairs in enumerate(lines[name]["layers"]) for pair in pairs]
        assert sorted(drawn) == rows and len(rows) > 0


def test_without_a_teacher_its_boxes_are_absent_and_the_page_says_so(alone):
    scene = Handlers(alone).scene("image/1")
    assert [g["id"] for g in scene["groups"]] == ["student", "truth"]
    assert [line["id"] for line in scene["lines"]] == ["student-truth"]
    assert "no teacher" in scene["notes"][0] and "none" in header(alone)


def test_the_layer_of_a_deeper_or_shallower_teacher_is_the_last_of_its_stage(shown):
    def depth(count):
        teacher = shown.trace.teacher
        p = teacher.own
        own = replace(p, **{k: v[:1].repeat(count, 1, 1, 1) for k, v in vars(p).items()})
        trace = replace(shown.trace, teacher=replace(teacher, predictions={"own": own}))
        return [replace(shown, trace=trace).layer("teacher", layer) for layer in range(LAYERS)]

    assert depth(6) == [1, 3, 5] and depth(3) == [0, 1, 2] and depth(1) == [0, 0, 0]


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


def test_the_cost_of_a_match_is_the_one_that_was_solved(shown):
    trace = shown.trace
    for side, of in (("student", trace.student), ("teacher", trace.teacher)):
        matching = getattr(shown.distiller, side).matching
        for layer in range(LAYERS):
            parts = naive_costs(of.own, layer, trace.targets, matching)
            price = sum(matching.weights[name] * part for name, part in parts.items())
            here = of.assignment.of(layer=layer, image=0)
            total = 0.0
            for q, t in zip(here.query.tolist(), here.target.tolist()):
                match = queries.query(shown, layer, side, q)["matches"][0]
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


def test_the_cost_of_a_pair_with_a_teacher_query_is_the_one_that_was_solved(shown):
    """The class part is a divergence of sigmoid scores; negatives have none."""
    s, t, matching = shown.trace.student.own, shown.trace.teacher.own, shown.distiller.student.matching
    for name in ("positive", "negative"):
        a = shown.trace.outcomes["logits"].pairs[name]
        for layer, q, k in list(zip(a.layer.tolist(), a.query.tolist(), a.target.tolist()))[::3]:
            match = next(m for m in queries.query(shown, layer, "student", q)["matches"] if m["line"] == name)
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
            other = next(m for m in queries.query(shown, layer, "teacher", k)["matches"] if m["line"] == name)
            assert other["total"] == match["total"] and other["other"]["index"] == q
    assert matching.weights == {"class": 2.0, "l1": 5.0, "giou": 2.0}


def test_a_prior_query_answers_for_what_it_answered_for_in_the_teacher(shown):
    a = shown.trace.teacher.assignment.of(layer=1, image=0)
    for q, t in zip(a.query.tolist(), a.target.tolist()):
        match = queries.query(shown, 1, "prior", q)["matches"][0]
        parts = naive_costs(
            shown.trace.student.predictions["prior"], 1, shown.trace.targets, shown.distiller.student.matching
        )
        assert match["other"]["index"] == t
        assert match["parts"][0]["cost"] == pytest.approx(parts["class"][q, t].item(), rel=1e-3, abs=1e-5)


def test_every_query_has_scores_a_box_and_says_when_it_has_no_match(shown):
    matched = set(shown.trace.student.assignment.of(layer=0, image=0).query.tolist())
    pairs = shown.trace.outcomes["logits"].pairs.values()
    paired = {q for a in pairs for q in a.of(layer=0, image=0).query.tolist()}
    for q in range(QUERIES):
        view = queries.query(shown, 0, "student", q)
        values = [s["score"] for s in view["scores"]]
        assert values == sorted(values, reverse=True) and len(values) == 5
        assert values[0] == pytest.approx(shown.trace.student.own.logits[0, 0, q].sigmoid().max().item())
        assert re.fullmatch(r"x -?\d+ to -?\d+, y -?\d+ to -?\d+: \d+ × \d+ of 64 × 64 pixels", view["box"])
        assert bool(view["says"]) == (q not in matched | paired)
        ranking = view["rankings"][0]
        totals = [row["total"] for row in ranking["rows"]]
        assert totals == sorted(totals) and any(row["matched"] for row in ranking["rows"]) == (q in matched)
        assert all(sum(row["parts"]) == pytest.approx(row["total"], rel=1e-5, abs=1e-5) for row in ranking["rows"])


def test_an_object_and_the_overview_show_the_costs_of_its_queries(shown):
    for layer in range(LAYERS):
        overview = queries.overview(shown, layer)
        assert overview["sides"] == ["Student", "Teacher", "Prior"]
        for index, row in enumerate(overview["rows"]):
            matches = queries.target(shown, layer, index)["matches"]
            assert [(m["other"], m["total"]) for m in matches] == [(a["other"], a["total"]) for a in row["answers"]]
            for answer in row["answers"]:
                other = answer["other"]
                view = queries.query(shown, layer, other["side"], other["index"])
                assert view["matches"][0]["total"] == answer["total"]


# The loss -------------------------------------------------------------------------------------------------------------


def test_the_terms_of_the_loss_add_up_to_what_trains(shown):
    table = views.losses(shown)
    terms = {t["path"]: t for loss in table["losses"] for t in loss["terms"]}
    assert terms.keys() == shown.trace.parts().keys()
    for path, part in shown.trace.parts().items():
        loss, name = path.split("/")
        assert terms[path]["sum"] == part.item() and terms[path]["weight"] == shown.distiller.weights[loss][name]
        assert sum(terms[path]["layers"]) == pytest.approx(part.item(), rel=1e-5)
        assert len(terms[path]["layers"]) == (1 if loss == "features" else LAYERS)
    assert table["total"] == shown.trace.total.item()
    assert sum(loss["weighted"] for loss in table["losses"]) == pytest.approx(table["total"], rel=1e-5)
    assert all(loss["says"] for loss in table["losses"])


# Uploads --------------------------------------------------------------------------------------------------------------


def test_an_upload_has_the_sure_teacher_queries_as_pseudo_truth(handlers, upload):
    handlers.samples.uploads.clear()
    path, counts = upload(noise()), []
    for score in (0.0, 0.2, 0.4, 1.0):
        key = handlers.upload(path, score)
        shown = handlers.samples.shown(key)
        p = shown.trace.teacher.own
        chance = p.logits[-1, 0].sigmoid().max(-1)
        sure = (chance.values >= score).nonzero().flatten()
        targets = shown.trace.targets
        order = chance.values[sure].argsort(descending=True)
        assert torch.allclose(targets.boxes, p.boxes[-1, 0, sure[order]], atol=1e-5)
        assert torch.equal(targets.labels, chance.indices[sure[order]])
        scene = handlers.scene(key)
        assert shown.truth == "pseudo" and f"{score:.2f}" in scene["banner"] and "pseudo truth" in scene["banner"]
        assert scene["groups"][-1]["title"] == "Pseudo truth" and "pseudo" in handlers.losses(key)["says"]
        counts.append(len(targets))
    assert counts == sorted(counts, reverse=True) and counts[0] == QUERIES and counts[-1] == 0 and len(set(counts)) > 2
    assert len(handlers.samples.uploads) == 1
    assert handlers.rescore(key, 0.25) == key[:-4] + "0.25" and handlers.scored(key) and not handlers.scored("image/1")


def test_an_upload_to_a_run_without_teacher_has_no_truth(alone, upload):
    handlers = Handlers(alone)
    key = handlers.upload(upload(noise()))
    scene = handlers.scene(key)
    assert (
        [g["id"] for g in scene["groups"]] == ["student"]
        and not scene["lines"]
        and "No ground truth" in scene["banner"]
    )
    assert handlers.query(key, 0, "student", 0)["matches"] == [] and handlers.matches(key, 0)["rows"] == []
    assert math.isfinite(handlers.losses(key)["total"]) and not handlers.scored(key)


def test_what_is_no_image_is_refused_in_one_sentence(handlers, tmp_path, upload, monkeypatch):
    whole = Path(upload(noise(), "whole.jpg")).read_bytes()
    bad = {
        "text": (b"hello", "not an image"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        "cut.jpg": (whole[: len(whole) // 2], "damaged"),
        "gif": (Path(upload(noise(), "a.gif")).read_bytes(), "not an image"),
        "heavy": (whole + bytes(pictures.BYTES), "MB"),
    }
    for name, (data, reason) in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=reason):
            handlers.upload(str(tmp_path / name))
    monkeypatch.setattr(pictures, "PIXELS", 1000)
    with pytest.raises(UserError, match="million pixels"):
        handlers.upload(upload(noise()))


def test_uploads_are_bounded(handlers, upload, monkeypatch):
    monkeypatch.setattr(samples, "UPLOADS", 3)
    keys = [handlers.upload(upload(noise(20 + i))) for i in range(5)]
    assert len(handlers.samples.uploads) == 3
    with pytest.raises(UserError, match="upload the image again"):
        handlers.scene(keys[0])
    assert handlers.scene(keys[-1])["width"] == 64


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
    for ask in (handlers.scene, handlers.losses):
        with pytest.raises(UserError):
            ask(key)


@pytest.mark.parametrize(
    "layer, side, index",
    [(-1, "student", 0), (LAYERS, "student", 0), (0, "student", QUERIES), (0, "student", -1), (0, "own", 0), (0, "", 0)]
    + [(0.0, "student", 0), (True, "student", 0), (0, "truth", 50), ("0", "student", 0), (0, "<img>", 0), (0, None, 0)],
)
def test_queries_that_are_not_there_are_refused(handlers, layer, side, index):
    with pytest.raises(UserError):
        handlers.query("image/1", layer, side, index)


def test_nothing_that_a_page_gets_can_open_a_tag():
    from app.canvas import pack

    view = {"name": "<img src=x onerror=alert(1)></script>", "classes": ["<b>", "ok"]}
    assert "<" not in pack(view) and json.loads(pack(view)) == view


def test_the_header_escapes_what_a_card_says(run):
    assert "<img" not in header(replace(run, path=Path("<img src=x>")))


def test_scripts_and_styles_insert_text_only_and_fetch_nothing():
    for file in [*APP.glob("*.js"), *APP.glob("*.css")]:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://|//[a-z]+\.|@import", text
        )


def test_colours_by_meaning_are_distinct_and_on_the_page():
    from app.theme import css

    assert len(set(COLOURS.values())) == 4
    assert all(f"--dd-{name}: {colour};" in css() for name, colour in COLOURS.items())


def test_the_strip_pages_through_all_images(handlers, monkeypatch):
    monkeypatch.setattr(samples, "PAGE", 3)
    found = [item["id"] for page in range(2) for item in handlers.images(page)["items"]]
    assert found == [1, 2, 3, 4] and handlers.images(0)["pages"] == 2
    assert handlers.images(99)["page"] == 1 and handlers.images(-5)["page"] == 0
    assert handlers.images(0)["where"] == "1–3 of 4"


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
