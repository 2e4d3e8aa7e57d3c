"""A folder of pictures without truth: sorted by disagreement, with the teacher's objects as pseudo truth."""

import json
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.bench._random_runs import random_run
from app.replay.facts import disagreement
from app.server.handlers import Handlers
from app.server.serve import first_selection
from app.worker.samples import nothing
from app.worker.survey import Survey
from core.data.sample import Sample
from core.errors import UserError
from core.types import Predictions
from tests.helpers import opened

IMAGES = 4


@pytest.fixture
def folder(tmp_path) -> Path:
    pictures = tmp_path / "pictures" / "deep"
    pictures.mkdir(parents=True)
    for k in range(IMAGES):
        pixels = np.random.default_rng(k).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"<b>{k}.png")
    return tmp_path / "pictures"


@pytest.fixture
def handlers(folder, tmp_path, monkeypatch) -> Handlers:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = random_run(tmp_path / "run", queries=6, layers=2, size=48, images=2)
    return opened.handlers(run, images=folder)


def sample() -> Sample:
    return Sample(torch.zeros(3, 100, 100, dtype=torch.uint8), torch.zeros(0, 4), torch.zeros(0).long(), 1, (100, 100))


def predicted(*objects: tuple[float, int, float]) -> Predictions:
    """Boxes of a tenth of the image at (x, 0.5), with a class of three and a score."""
    boxes = torch.tensor([[[[x, 0.5, 0.1, 0.1] for x, _, _ in objects]]])
    logits = torch.full((1, 1, len(objects), 3), -9.0)
    for k, (_, label, score) in enumerate(objects):
        logits[0, 0, k, label] = torch.logit(torch.tensor(score))
    return Predictions(logits, boxes, torch.zeros(1, 1, len(objects), 4))


def test_detections_that_only_one_has_are_counted():
    both = predicted((0.2, 0, 0.9), (0.7, 1, 0.8))
    assert disagreement(both, both, sample()) == 0
    assert disagreement(both, predicted((0.2, 0, 0.5), (0.7, 1, 0.2)), sample()) == 1  # the second is not confident
    assert disagreement(both, predicted((0.2, 1, 0.9), (0.7, 1, 0.8)), sample()) == 2  # another class: one on each side
    assert disagreement(both, predicted((0.5, 0, 0.9), (0.7, 1, 0.8)), sample()) == 2  # another place
    assert disagreement(predicted((0.2, 0, 0.1)), predicted((0.2, 0, 0.1)), sample()) == 0


def test_pictures_are_shown_with_pseudo_truth_and_sorted(handlers):
    survey = Survey(handlers.samples(""))
    assert len(list(survey.steps())) == IMAGES + 1 and survey.done == IMAGES
    handlers.surveys.surveys[survey.samples.version] = survey
    items = handlers.gallery(sort="disagreement")["items"]
    values = [int(item["badge"]) for item in items]
    assert len(items) == IMAGES and values == sorted(values, reverse=True)
    assert [x.disagreement for x in survey.known.values()] == [
        int(next(i["badge"] for i in items if i["key"] == f"image/{k + 1}")) for k in survey.known
    ]
    scene = handlers.scene("image/1")
    assert "pseudo truth" in scene["banner"] and handlers.image("image/1")["name"] == "<b>0.png"
    shown = first_selection(handlers.library, None)
    assert (shown["sort"], shown["apart"]) == ("disagreement", True)


def test_pseudo_truth_is_by_the_rule_of_the_run(handlers, folder, tmp_path):
    """A run that learnt from images without labels shows the objects that it would have learnt."""
    card = tmp_path / "run" / "card.json"
    content = json.loads(card.read_text())
    teacher = handlers.samples("").replay_without_truth("x", handlers.samples("").sample("image/1"), nothing).teacher
    scores = sorted(teacher.own.logits[-1].sigmoid().amax(-1).flatten().tolist())
    rule = {"scores": [(scores[2] + scores[3]) / 2] * 8, "soft": False, "overlap": 1.0, "origin": "a test"}
    card.write_text(json.dumps(content | {"pseudo": rule}))
    learnt = opened.handlers(tmp_path / "run", images=folder)
    scene = learnt.scene("image/1")
    assert "(here 3)" in scene["banner"] and f"at least {rule['scores'][0]:.2f}" in scene["banner"]
    card.write_text(json.dumps(content | {"pseudo": rule | {"scores": "many"}}))
    with pytest.raises(UserError, match="card.json: pseudo"):
        opened.handlers(tmp_path / "run", images=folder).scene("image/1")


def test_pictures_need_none_of_the_images_of_the_run(folder, tmp_path):
    run = random_run(tmp_path / "run", queries=6, layers=2, size=48, images=2)
    content = json.loads((run / "card.json").read_text())
    content["run"]["data"] |= {"kind": "coco", "val": str(tmp_path / "gone.json"), "images": None}
    (run / "card.json").write_text(json.dumps(content))
    assert len(opened.handlers(run, images=folder).samples("").run.data) == IMAGES
    with pytest.raises(UserError, match="gone.json"):
        opened.handlers(run).samples("")


def test_the_choice_is_a_coco_file_to_label(handlers, folder):
    handlers.note("image/3", "", ["label"])
    handlers.note("image/2", "no", [])
    made = handlers.exported("coco", tag="label")
    content = json.loads(b64decode(made["data"]))
    assert [x["file_name"] for x in content["images"]] == ["deep/<b>2.png"] and content["annotations"] == []
    assert (folder / content["images"][0]["file_name"]).exists() and len(content["categories"]) == 8
    assert made["name"] == "to_label.json"


def test_a_folder_without_pictures_is_refused(tmp_path, handlers):
    (tmp_path / "empty").mkdir()
    for images in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(UserError, match="image|folder"):
            opened.handlers(tmp_path / "run", images=images).samples("")


def test_other_runs_than_of_pictures_open_as_before(tmp_path, handlers):
    shown = first_selection(opened.handlers(tmp_path / "run").library, None)
    assert (shown["sort"], shown["apart"]) == ("order", False)
