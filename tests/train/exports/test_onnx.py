"""ONNX files of each detector: ONNX Runtime's answers beside torch's, on images of sizes that the export never saw."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import detrdistill as dd
from core.errors import UserError
from core.files import write_json
from core.project import ROOT
from core.runs.checkpoint import save_detector
from core.runs.config import encode
from tests.helpers import in_turn, tiny
from train.exports import _onnx_graph, onnx
from train.exports._onnx_check import Runtime, compare
from train.exports._onnx_file import FILE, image_count
from train.exports._trial import Trial, trial
from train.run import Augment, Data

CATEGORIES = [{"id": k, "name": name} for k, name in enumerate(("circle", "square", "ring", "star"))]
CARD = {"categories": CATEGORIES, "data": encode(Data(kind="shapes", size=64, val_limit=3))}
SIZES = [((64, 64), (48, 64)), ((50, 77), (131, 33), (96, 96)), ((70, 65),)]
BACKBONES = ("tiny8x1", "resnet18", "timm:tf_efficientnet_lite0")
DETECTORS = (
    ("conditional", {}),
    ("adamixer", {}),
    ("deformable", {}),
    ("deformable", {"refine": True, "two_stage": True}),
)
FAST = "conditional", "tiny8x1"
CASES = [
    pytest.param((name, options | {"backbone": b}), marks=[] if (name, b) == FAST else pytest.mark.slow)
    for name, options in DETECTORS
    for b in BACKBONES
]


@pytest.fixture(scope="module", params=CASES)
def exports(request, tmp_path_factory):
    """By the form of its file, a student, the folder of its run and its file, and what was said.

    The files are written in a process of their own, as the tests' checks of shapes stop an export.
    """
    name, options = request.param
    models = {
        "onnx": tiny.detector(name, **options, layers=1, noise=0.3 if options["backbone"] != "tiny8x1" else None),
        "onnx_raw": tiny.detector(name, **options, layers=1),
    }
    with torch.no_grad():
        for key, p in models["onnx"].named_parameters():
            if "to_class" in key and p.shape == (len(CATEGORIES),):
                p.zero_()  # scores around 0.5
    folders = {form: tmp_path_factory.mktemp(form) for form in models}
    commands = []
    for form, folder in folders.items():
        save_detector(folder / "run" / "student.safetensors", models[form], CARD)
        write_json(folder / "run" / "card.json", {"teacher": {"path": "x"} if form == "onnx" else None})
        commands.append(["train", "export", str(folder / "run"), "--to", form, "--out", str(folder / "student")])
    with in_turn.start(*commands, cwd=ROOT) as process:
        said = process.communicate(timeout=600)[0]
    ended = in_turn.ends(said)
    assert [code for code, _ in ended] == [0, 0], said
    for folder in folders.values():
        assert [p.name for p in (folder / "student").iterdir()] == [FILE]
    return {form: (models[form], folders[form], text) for form, (_, text) in zip(folders, ended)}


@pytest.fixture(scope="module")
def exported(exports):
    """A student, the folder of its run and its file, and what was said."""
    return exports["onnx"]


@pytest.fixture(scope="module")
def raw(exports):
    """A student, the file with its decoder's outputs, and what was said."""
    model, folder, said = exports["onnx_raw"]
    return model, folder / "student" / FILE, said


def found_by(path: Path, picture: np.ndarray, score: float):
    """The names, scores and boxes of the detections in one image, by the file alone."""
    session = onnxruntime.InferenceSession(path)
    boxes, scores, labels = (x[0] for x in session.run(None, {"images": picture.transpose(2, 0, 1)[None]}))
    keep = scores >= score
    return [CATEGORIES[k]["name"] for k in labels[keep]], scores[keep], boxes[keep]


def test_boxes_are_those_of_predict(exported):
    """To 1e-3 pixels, for images of several sizes."""
    _, folder, _ = exported
    model, draw = dd.load(folder / "run"), np.random.default_rng(0)
    for size in ((64, 64), (50, 77), (131, 33), (32, 200)):
        blocks = draw.integers(0, 256, (-(-size[0] // 16), -(-size[1] // 16), 3), dtype=np.uint8)
        picture = blocks.repeat(16, 0).repeat(16, 1)[: size[0], : size[1]]
        expected = model.predict(picture, score=0.1)
        names, scores, boxes = found_by(folder / "student" / FILE, picture, 0.1)
        assert names == expected.labels and len(names) > 3
        np.testing.assert_allclose(scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(boxes, expected.boxes, atol=1e-3)


def test_a_batch_is_its_images(exported):
    session = onnxruntime.InferenceSession(exported[1] / "student" / FILE)
    pixels = tiny.batch(((80, 48),) * 3, (1,) * 3)[0].pixels.numpy()
    whole = session.run(None, {"images": pixels})
    assert whole[0].shape == (3, 40, 4) and whole[2].dtype == np.int64
    for k in range(3):
        for x, one in zip(whole, session.run(None, {"images": pixels[k : k + 1]})):
            np.testing.assert_allclose(x[k : k + 1], one, atol=1e-4)


def test_the_script_of_the_page_prints_what_predict_finds(exported):
    page = (ROOT / "docs/weights.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    folder = exported[1]
    picture = tiny.batch(((70, 90),), (1,), seed=4)[0].pixels[0].permute(1, 2, 0).numpy()
    Image.fromarray(picture).save(folder / "photo.png")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = dd.load(folder / "run").predict(folder / "photo.png")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == expected.labels and len(rows) > 2
    np.testing.assert_allclose([list(map(float, row[2:])) for row in rows], expected.boxes, atol=1e-3)


def test_it_says_its_classes_sizes_and_colours_and_names_what_it_takes(exported):
    session = onnxruntime.InferenceSession(exported[1] / "student" / FILE)
    about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert about["categories"] == CATEGORIES
    assert about["resize"] == {"short": None, "longest": 1333, "square": False}
    assert len(about["mean"]) == len(about["std"]) == 3 and 100 < about["mean"][0] < 130
    taken = {x.name: [d if isinstance(d, int) else "" for d in x.shape] for x in session.get_inputs()}
    assert taken == {"images": ["", 3, "", ""]}
    assert [x.name for x in session.get_outputs()] == ["boxes", "scores", "labels"]


def test_the_command_says_how_near_it_is_and_what_it_costs(exported):
    near, mine, plain, where, done = exported[2].strip().splitlines()[-5:]
    assert re.fullmatch(r"ONNX Runtime beside torch: .* within \S+ on 3 images; AP \S+ and \S+ \([+-]\S+\)", near)
    assert mine.split()[1:5] == plain.split()[1:5] and "64 x 64" in where
    assert mine.split()[1] == f"{sum(p.numel() for p in exported[0].parameters()):,}" and "InferenceSession" in done


def test_raw_answers_are_torchs_for_any_number_and_size_of_images(raw):
    model, path, said = raw
    runtime = Runtime(model, path)
    for seed, sizes in enumerate(SIZES):
        images, _ = tiny.batch(sizes, counts=(1,) * len(sizes), seed=seed)
        with torch.no_grad():
            p, want = runtime(images), model(images)
        assert p.logits.shape == want.logits[-1:].shape
        torch.testing.assert_close(p.logits, want.logits[-1:], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(p.boxes, want.boxes[-1:], rtol=1e-4, atol=1e-4)
    assert 0 < runtime.difference < 1e-4
    taken = {x.name: [d if isinstance(d, int) else "" for d in x.shape] for x in runtime.session.get_inputs()}
    assert taken == {"pixels": ["", 3, "", ""], "padding": ["", "", ""], "sizes": ["", 2]}
    assert runtime.outputs == ["logits", "boxes"] and "undistilled" not in said


def test_another_network_in_the_file_is_refused(raw):
    """The file is compared, not taken at its word."""
    model, path, _ = raw
    assert "within" in compare(model, path, on := trial(CARD, 2)) and on.own and len(on.images) == 2
    with pytest.raises(UserError, match="from torch's, more than 0.001, on 2 images"):
        compare(tiny.stir(model, 0.1), path, on)


def test_without_its_own_images_it_is_tried_on_generated_ones_of_its_size():
    augment = Augment(sizes=(32, 40), longest=60)
    gone = CARD | {"data": encode(Data(kind="coco", augment=augment))}
    for card, size in ((gone, (32, 40)), ({"categories": CATEGORIES}, ())):
        on = trial(card, 2)
        assert isinstance(on, Trial) and not on.own and "generated for it" in str(on) and on.augment.sizes == size
    assert image_count(gone) == image_count(CARD) == 24
    assert image_count(CARD | {"data": encode(Data(augment=Augment(sizes=(800,))))}) == 4


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(_onnx_graph, "find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(UserError, match=r"ONNX needs onnxscript: pip install 'detrdistill\[onnx\]'"):
        onnx.export(tiny.detector("adamixer"), CARD, tmp_path)


def test_sigterm_leaves_nothing(tmp_path):
    """Neither the folder nor a scratch folder; the exit code is that of the signal."""
    save_detector(tmp_path / "run" / "student.safetensors", tiny.detector("adamixer"), CARD)
    code = "import sys; from train.__main__ import main; from train.exports import onnx\n"
    code += "import os, signal; onnx.write = lambda *a: os.kill(os.getpid(), signal.SIGTERM)\n"
    code += "sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "export",
        str(tmp_path / "run"),
        "--to",
        "onnx",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 143 and [p.name for p in tmp_path.iterdir()] == ["run"], done.stderr
    shutil.rmtree(tmp_path / "run")
