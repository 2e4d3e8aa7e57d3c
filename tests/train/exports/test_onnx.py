"""An ONNX file of each detector: ONNX Runtime's answers beside torch's, on images of sizes that the export never saw."""

import json
import re
import subprocess
import sys

import onnxruntime
import pytest
import torch

from core.errors import UserError
from core.project import ROOT
from core.runs.checkpoint import save_detector
from core.runs.config import encode
from tests.helpers import tiny
from train.exports import onnx
from train.exports._trial import Trial, trial
from train.run import Data

CATEGORIES = [{"id": k, "name": name} for k, name in enumerate(("circle", "square", "ring", "star"))]
CARD = {"categories": CATEGORIES, "data": encode(Data(kind="shapes", size=64, val_limit=3))}
SIZES = [((64, 64), (48, 64)), ((50, 77), (131, 33), (96, 96)), ((70, 65),)]
CASES = [
    ("conditional", {}),
    pytest.param(("adamixer", {}), marks=pytest.mark.slow),
    pytest.param(("deformable", {}), marks=pytest.mark.slow),
    pytest.param(("deformable", {"refine": True, "two_stage": True}), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    """A student, its file, and what was said; by a process of its own, as the tests' checks of shapes stop an export."""
    folder = tmp_path_factory.mktemp("onnx")
    model = tiny.detector(request.param[0], **request.param[1], layers=1)
    save_detector(folder / "run" / "student.safetensors", model, CARD)
    command = [sys.executable, "-m", "train", "export", folder / "run", "--to", "onnx", "--out", folder / "out"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return model, folder / "out" / onnx.FILE, done.stdout


def test_answers_are_torchs_for_any_number_and_size_of_images(exported):
    model, path, _ = exported
    assert [p.name for p in path.parent.iterdir()] == [onnx.FILE]
    runtime = onnx.Runtime(model, path)
    for seed, sizes in enumerate(SIZES):
        images, _ = tiny.batch(sizes, counts=(1,) * len(sizes), seed=seed)
        with torch.no_grad():
            p, want = runtime(images), model(images)
        assert p.logits.shape == want.logits[-1:].shape
        torch.testing.assert_close(p.logits, want.logits[-1:], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(p.boxes, want.boxes[-1:], rtol=1e-4, atol=1e-4)
    assert 0 < runtime.difference < 1e-4


def test_it_says_its_classes_and_names_what_it_takes(exported):
    session = onnxruntime.InferenceSession(exported[1])
    assert json.loads(session.get_modelmeta().custom_metadata_map["categories"]) == CATEGORIES
    taken = {x.name: [d if isinstance(d, int) else "" for d in x.shape] for x in session.get_inputs()}
    assert taken == {"pixels": ["", 3, "", ""], "padding": ["", "", ""], "sizes": ["", 2]}
    assert [x.name for x in session.get_outputs()] == ["logits", "boxes"]


def test_the_command_says_how_near_it_is_and_what_it_costs(exported):
    near, mine, plain, where, done = exported[2].strip().splitlines()[-5:]
    assert re.fullmatch(r"ONNX Runtime beside torch: .* within \S+ on 3 images; AP \S+ and \S+ \([+-]\S+\)", near)
    assert mine.split()[1:5] == plain.split()[1:5] and "64 x 64" in where
    assert mine.split()[1] == f"{sum(p.numel() for p in exported[0].parameters()):,}" and "InferenceSession" in done


def test_another_network_in_the_file_is_refused(exported):
    """The file is compared, not taken at its word."""
    model, path, _ = exported
    assert "within" in onnx.compare(model, path, on := trial(CARD, 2)) and on.own and len(on.images) == 2
    with pytest.raises(UserError, match="from torch's, more than 0.001, on 2 images"):
        onnx.compare(tiny.stir(model, 0.1), path, on)


def test_without_its_own_images_it_is_tried_on_generated_ones():
    gone = CARD | {"data": encode(Data(kind="coco"))}
    for card in (gone, {"categories": CATEGORIES}):
        on = trial(card, 2)
        assert isinstance(on, Trial) and not on.own and "generated for it" in str(on)


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(UserError, match=r"ONNX needs onnxscript: pip install 'detrdistill\[onnx\]'"):
        onnx.export(tiny.detector("adamixer"), CARD, tmp_path)
