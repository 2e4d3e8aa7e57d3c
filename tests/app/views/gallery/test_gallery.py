"""Images sorted by what matters: against facts counted here by hand, and kept on disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.bench._random_runs import random_run
from app.replay.facts import changes, object_scores
from app.server.handlers import Handlers
from app.views.gallery import gallery
from app.worker import survey as surveys
from app.worker.survey import Survey
from core.boxes import corners, iou
from core.data.batch import collate_targets
from core.errors import UserError
from core.runs.open import replay
from tests.helpers import opened

LAYERS, IMAGES = 3, 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    sizes = dict(queries=12, layers=LAYERS, size=64, images=IMAGES)
    return [random_run(tmp_path_factory.mktemp(f"run{k}"), seed=3 * k, with_teacher=k == 0, **sizes) for k in range(2)]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "detrdistill" / "surveys"


@pytest.fixture
def handlers(folders, cache) -> Handlers:
    return opened.handlers(*folders)


def survey(handlers: Handlers, run: str = "") -> Survey:
    """All of it, at once."""
    found = Survey(handlers.samples(run))
    for _ in found.steps():
        pass
    handlers.surveys.surveys[found.samples.version] = found
    return found


def by_hand(run, place: int) -> dict:
    """Facts of one image without the code under test."""
    trace = replay(run, run.data[place])
    a, objects = trace.student.assignment, len(trace.targets)
    held = [dict(zip(x.target.tolist(), x.query.tolist())) for x in (a.of(layer=k, image=0) for k in range(LAYERS))]
    flips = sum(held[k][t] != held[k - 1][t] for k in range(1, LAYERS) for t in range(objects))
    answer = [dict(zip(h.values(), h.keys())) for h in held]
    unstable = [sum(x.get(q, -1) != y.get(q, -1) for q in range(12)) for x, y in zip(answer, answer[1:])]
    seen = scores_by_hand(trace.student.own, run.data[place])
    return {"loss": trace.total.item(), "flips": flips, "unstable": unstable, "found": seen}


def scores_by_hand(p, sample) -> np.ndarray:
    truth, objects = collate_targets([sample]), len(sample.labels)
    scores, found = p.logits[-1, 0].sigmoid(), np.zeros(len(sample.labels))
    order = [(float(scores[q, c]), q, c) for q in range(12) for c in range(8)]
    for score, q, c in sorted(order, reverse=True)[:100]:
        near = (
            iou(p.boxes[-1, 0, q].expand(objects, 4), truth.boxes).numpy() * (truth.labels == c).numpy() * (found == 0)
        )
        if objects and near.max() >= 0.5:
            found[near.argmax()] = score
    return found


def test_the_facts_of_an_image_are_those_counted_by_hand(handlers):
    known = survey(handlers).known
    assert sorted(known) == list(range(IMAGES))
    run = handlers.samples("").run
    for place, facts in known.items():
        mine = by_hand(run, place)
        assert facts.loss == mine["loss"] and facts.flips == mine["flips"]
        assert list(facts.student_instability) == mine["unstable"]
        assert facts.object_scores == pytest.approx(mine["found"], abs=1e-6)
        dearest = max(p[2] for line in handlers.scene(f"image/{place + 1}")["lines"][:1] for p in line["layers"][-1])
        assert facts.highest_cost == pytest.approx(dearest, abs=1e-4)
    assert sum(f.flips for f in known.values()) > 0


def test_an_object_is_found_by_the_surest_box_of_its_class_on_it(handlers):
    """Objects that are put where boxes of random weights lie, one of them under a wrong name."""
    run = handlers.samples("").run
    p = replay(run, run.data[0]).student.own
    score, label = p.logits[-1, 0].sigmoid().max(-1)
    few = score.argsort(descending=True)[[0, 3, 6]]
    boxes = corners(p.boxes[-1, 0, few]).clamp(0, 1) * 64
    names = torch.stack([label[few[0]], label[few[1]], (label[few[2]] + 1) % 8])
    sample = replace(run.data[0], boxes=boxes, labels=names)
    assert scores_by_hand(p, sample) == pytest.approx(object_scores(p, sample), abs=1e-6)
    assert all(a >= b - 1e-6 for a, b in zip(object_scores(p, sample), score[few[:2]].tolist()))


def test_the_instability_of_a_set_is_the_mean_over_its_images(handlers):
    found = survey(handlers)
    rows = torch.tensor([f.student_instability for f in found.known.values()])
    assert (
        found.mean_instability() == pytest.approx(rows.mean(0).tolist()) and len(found.mean_instability()) == LAYERS - 1
    )


def test_images_come_in_the_order_that_is_asked_for(handlers):
    known = survey(handlers).known
    for sort, value in (("flips", "flips"), ("cost", "highest_cost"), ("loss", "loss")):
        keys = [item["key"] for item in handlers.gallery(sort=sort)["items"]]
        values = [getattr(known[int(key.split("/")[1]) - 1], value) for key in keys]
        assert len(keys) == IMAGES and values == sorted(values, reverse=True)
    assert [i["key"] for i in handlers.gallery()["items"]] == [f"image/{k}" for k in range(1, IMAGES + 1)]


def test_gained_and_lost_are_what_only_one_of_the_two_finds(handlers, folders):
    mine, other = survey(handlers), survey(handlers, str(folders[1]))
    for sort, a, b in (("gained", mine, other), ("lost", other, mine)):
        counts = {
            p: sum(x >= 0.3 > y for x, y in zip(a.known[p].object_scores, b.known[p].object_scores))
            for p in range(IMAGES)
        }
        page = handlers.gallery(compare=str(folders[1]), sort=sort)
        badges = {int(i["key"].split("/")[1]) - 1: int(i["badge"]) for i in page["items"]}
        assert badges == counts and list(badges.values()) == sorted(badges.values(), reverse=True)
    assert changes([0.2, 0.4, 0.1, 0.9], [0.5, 0.6, 0.2, 0.29]) == ["gained", "kept", "missed", "lost"]


def test_a_class_keeps_the_images_that_have_it(handlers):
    run = handlers.samples("").run
    for label, name in enumerate(run.classes):
        wanted = [f"image/{s.id}" for s in (run.data[k] for k in range(IMAGES)) if label in s.labels]
        assert [i["key"] for i in handlers.gallery(category=name)["items"]] == wanted
    with pytest.raises(UserError, match="no class"):
        handlers.gallery(category="<img>")


def test_pages_are_as_long_as_they_say(handlers, monkeypatch):
    monkeypatch.setattr(gallery, "PAGE", 4)
    found = [item["key"] for page in range(2) for item in handlers.gallery(page=page)["items"]]
    assert found == [f"image/{k}" for k in range(1, IMAGES + 1)] and handlers.gallery()["pages"] == 2
    assert handlers.gallery(page=99)["page"] == 1 and handlers.gallery(page=-5)["page"] == 0
    assert handlers.gallery()["where"] == "1–4 of 6"


def test_what_was_looked_at_is_kept_on_disk(handlers, folders, cache, monkeypatch):
    before = survey(handlers).known
    (file,) = cache.glob("*.jsonl")
    file.write_text(file.read_text() + '{"place": 5, "los')  # the power went
    fresh = Survey(opened.handlers(*folders).samples(""))
    steps = fresh.steps()
    next(steps)
    assert fresh.known == before and list(steps) == []
    other = Survey(opened.handlers(folders[1]).samples(""))
    next(other.steps())
    assert other.known == {}  # another run has facts of its own
    monkeypatch.setattr(surveys, "FILES", 2)
    for k in range(5):
        (cache / f"{k}.jsonl").write_text(json.dumps({"place": 0}))
    surveys.make_room(cache)
    assert len(list(cache.glob("*.jsonl"))) == 2


def test_a_survey_that_is_not_asked_for_any_more_ends(handlers, folders, monkeypatch):
    monkeypatch.setattr(surveys, "SURVEYS", 1)
    first = handlers.surveys.survey(handlers.samples(""))
    handlers.surveys.survey(handlers.samples(str(folders[1])))
    assert first.stopped and len(handlers.surveys.surveys) == 1


def test_the_page_of_an_image_is_the_one_that_has_it(handlers, monkeypatch):
    monkeypatch.setattr(gallery, "PAGE", 2)
    known = survey(handlers).known
    order = sorted(known, key=lambda k: -known[k].loss)
    for rank, index in enumerate(order):
        page = handlers.gallery(sort="loss", near=f"image/{index + 1}")
        assert page["page"] == rank // 2 and f"image/{index + 1}" in [item["key"] for item in page["items"]]
    label = int(handlers.samples("").run.data[0].labels[0])
    run = handlers.samples("").run
    without = next(k for k in range(IMAGES) if label not in run.data[k].labels)
    assert handlers.gallery(category=run.classes[label], page=1, near=f"image/{without + 1}") == handlers.gallery(
        category=run.classes[label], page=1
    )
    with pytest.raises(UserError, match="no image '99'"):
        handlers.gallery(near="image/99")


def test_an_image_is_found_by_its_id_and_by_its_file_name(handlers, monkeypatch):
    samples = handlers.samples("")
    monkeypatch.setattr(samples, "names", {k: f"Photo_{10 * k}.png" for k in range(1, IMAGES + 1)} | {4: "2"})
    assert handlers.find(" 3 ") == "image/3" and handlers.find("2") == "image/2"  # an id before a name
    assert handlers.find("Photo_50.png") == "image/5" and handlers.find("photo_6") == "image/6"
    for text in ("", "  ", "nothing", "<img>"):
        with pytest.raises(UserError, match="no image has the id"):
            handlers.find(text)
