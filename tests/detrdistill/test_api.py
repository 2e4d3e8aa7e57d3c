"""The Python interface: a model in a few lines, pictures of every kind, and training as the command does it."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import detrdistill as dd
from core.data.batch import collate
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment, eval_transform
from core.metrics.detections import select
from core.project import ROOT
from core.runs.checkpoint import load_detector

TEACHER = ROOT / "assets/teacher_shapes.safetensors"


@pytest.fixture(scope="module")
def model():
    return dd.load(TEACHER)


@pytest.fixture(scope="module")
def pictures():
    """Arrays of three sizes."""
    arrays = [Shapes("val", 3).pixels[k].permute(1, 2, 0).numpy().copy() for k in range(3)]
    return [arrays[0], arrays[1][:80], np.asarray(Image.fromarray(arrays[2]).resize((120, 70)))]


def same(a, b, tolerance=1e-4):
    assert [d.label for d in a] == [d.label for d in b]
    np.testing.assert_allclose(a.boxes, b.boxes, atol=tolerance * 100)
    np.testing.assert_allclose(a.scores, b.scores, atol=tolerance)


def test_detections_are_those_of_evaluation(model, pictures):
    """The same pairs of query and class, in pixels of the picture, from the least score on."""
    detector, card = load_detector(TEACHER)
    sample = Shapes("val", 1)[0]
    images, _ = collate([eval_transform(sample, Augment())])
    with torch.no_grad():
        expected = select(detector(images), images)
    expected = expected.at(expected.scores >= 0.2)
    found = model.predict(pictures[0], score=0.2)
    assert len(found) == len(expected) > 1 and found.size == (96, 96)
    names = [c["name"] for c in card["categories"]]
    assert model.classes == tuple(names)
    for d, box, score, label in zip(found, expected.boxes, expected.scores, expected.labels.tolist(), strict=True):
        assert d.label == names[label] and d.class_id == label
        assert d.score == pytest.approx(float(score), abs=1e-5) and d.box == pytest.approx(box.tolist(), abs=1e-3)
    scores = [d.score for d in found]
    assert scores == sorted(scores, reverse=True) and min(scores) >= 0.2


def test_files_images_and_arrays_are_the_same(model, pictures, tmp_path):
    file = tmp_path / "photo.png"
    Image.fromarray(pictures[2]).save(file)
    expected = model.predict(pictures[2])
    assert len(expected) and expected.size == (70, 120)
    for picture in (file, str(file), Image.open(file), Image.fromarray(pictures[2]).convert("RGBA")):
        same(model.predict(picture), expected, 1e-6)


def test_grey_arrays_are_grey_pictures(model, pictures):
    grey = pictures[0].mean(2).astype(np.uint8)
    same(model.predict(grey), model.predict(np.stack([grey] * 3, 2)), 1e-6)
    same(model.predict(grey), model.predict(Image.fromarray(grey)), 1e-6)


def test_a_list_gives_a_result_for_each(model, pictures):
    results = model.predict([*pictures, *pictures], batch=4)
    assert len(results) == 6 and [r.size for r in results[:3]] == [p.shape[:2] for p in pictures]
    for result, picture in zip(results, [*pictures, *pictures]):
        same(result, model.predict(picture))
    assert model.predict([]) == [] and len(model.predict([pictures[0]])) == 1


@pytest.mark.parametrize(
    "picture, text",
    [
        (np.zeros((4, 4, 3)), r"not an array \(4, 4, 3\) of float64"),
        (np.zeros((3, 40, 40), np.uint8), r"not an array \(3, 40, 40\)"),
        (np.zeros((0, 4, 3), np.uint8), "not an array"),
        (7, "not int"),
        ("nowhere.jpg", "nowhere.jpg: no such file"),
        (Image.new("F", (4, 4)), "that PIL image cannot be read"),
    ],
)
def test_what_is_no_picture_is_refused(model, picture, text):
    with pytest.raises(dd.UserError, match=text):
        model.predict(picture)


class Detections:
    """Stands for supervision.Detections, with its documented fields."""

    def __init__(self, xyxy, mask=None, confidence=None, class_id=None, tracker_id=None, data=None, metadata=None):
        self.xyxy, self.confidence, self.class_id, self.data = xyxy, confidence, class_id, data


def test_supervision_takes_the_detections(model, pictures, monkeypatch):
    module = ModuleType("supervision")
    module.Detections = Detections
    monkeypatch.setitem(sys.modules, "supervision", module)
    for score in (0.3, 1.0):
        found = model.predict(pictures[0], score=score)
        taken = found.to_supervision()
        assert taken.xyxy.shape == (len(found), 4) and taken.xyxy.dtype == np.float32
        assert taken.confidence.tolist() == pytest.approx([d.score for d in found])
        assert [model.classes[k] for k in taken.class_id] == taken.data["class_name"].tolist() == found.labels
        assert taken.class_id.dtype.kind == "i" and taken.class_id.shape == (len(found),)


def test_without_supervision_a_sentence_says_so(model, pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        model.predict(pictures[0]).to_supervision()


def test_importing_it_is_cheap_and_a_train_py_is_no_obstacle(tmp_path):
    """No torch before it is needed; a user's own train.py and core.py are left alone."""
    for name in ("train", "core"):
        (tmp_path / f"{name}.py").write_text('raise SystemExit("the user\'s was run")')
    code = f"""
import sys
sys.path.append({str(ROOT)!r})
import detrdistill as dd
assert "torch" not in sys.modules and "core" not in sys.modules
assert "load" in dir(dd)
before = list(sys.path)
print(dd.load({str(TEACHER)!r}))
assert sys.path == before
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("<adamixer of "), done.stderr


def test_modules_of_these_names_that_are_imported_already_are_named(tmp_path):
    (tmp_path / "core.py").write_text("")
    code = f"import sys, core; sys.path.append({str(ROOT)!r}); import detrdistill; detrdistill.load"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "which detrdistill needs for itself; rename it" in done.stderr.splitlines()[-1]


def test_fit_is_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")
    model = dd.fit("shapes", {"optim.lr": 2e-3, "data.augment.flip": 0}, seed=3, name="mine", channels_last=False)
    assert model.path == Path("runs/mine") and len(model.classes) == 8
    from core.files import read_json

    run = read_json(Path("runs/mine/card.json"))["run"]
    assert run["optim"]["lr"] == 2e-3 and run["seed"] == 3 and run["data"]["augment"]["flip"] == 0
    assert dd.fit("shapes", out=tmp_path / "other", tensorboard=False).path == tmp_path / "other"


@pytest.mark.parametrize(
    "recipe, flags, text",
    [
        ("shpes", {}, "no recipe 'shpes'; perhaps you meant shapes"),
        ("shapes", {"sed": 1}, "no flag --sed; perhaps you meant --seed"),
        ("shapes", {"seed": "x"}, "--seed: 'x' is no whole number"),
    ],
)
def test_mistakes_of_fit_are_one_sentence(recipe, flags, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dd.UserError, match=text):
        dd.fit(recipe, **flags)
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="it has load, Model"):
        dd.lod()
