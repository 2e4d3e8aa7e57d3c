"""From a downloaded file to a deployed student, as a user goes: import, teacher, student, predict, ONNX and transformers.

Each for a detector, from the original project's file or a folder of transformers, with 91 or 80 classes, to a student of six
classes with a ResNet or an EfficientNet-Lite; the boxes of one photo are equal to 1e-3 pixels in all forms.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from core.project import ROOT
from core.runs.checkpoint import save_detector
from tests.core.convert.test_convert import run_command
from tests.helpers import foreign, in_turn, tiny
from tests.helpers.coco_folder import instances, write_folder
from train.exports._onnx_file import FILE

CLASSES = ("cat", "none", "dog", "person", "car", "kite")  # some of COCO's, some not
FEW = "--optim.epochs 1 --optim.batch 2 --threads 1 --data.augment.sizes 64 --data.augment.longest 96".split()
RECIPES = {"adamixer": "coco", "conditional": "coco_conditional", "deformable": "coco_deformable"}
RESNET, LITE = "resnet18", "timm:tf_efficientnet_lite0"
# The student decodes the teacher's queries, so it has their width; and proposals of its own, if the teacher has them.
WIDTH = "--student.frozen 0 --student.width 64 --student.heads 4".split()
LIKE_THE_TEACHER = dict.fromkeys(foreign.KEYS, WIDTH)
LIKE_THE_TEACHER["deformable twostage"] = [*WIDTH, "--student.refine", "--student.two-stage"]
JOURNEYS = [
    ("conditional", "pth", RESNET),
    ("adamixer", "pth", RESNET),
    ("adamixer", "pth", LITE),
    ("conditional", "hf", LITE),
    ("deformable plain", "pth", RESNET),
    ("deformable twostage", "hf", LITE),
    ("deformable plain", "hf", RESNET),
]


def photos_of_six_classes(folder: Path) -> Path:
    """A COCO folder of three photos with these classes."""
    file = instances()
    ids = [90, 0, 7, 1, 2, 3]
    file["categories"] = [{"id": id, "name": name} for id, name in zip(ids, CLASSES)]
    return write_folder(folder, file)


def downloaded(case: str, form: str) -> Path:
    """The file or the folder that somebody has downloaded, with random weights."""
    model = foreign.source_detector(case)
    if form == "pth":
        return foreign.write_pth(Path("download.pth"), case, model)
    classes = [{"id": k, "name": f"class {k}"} for k in range(model.config.classes)]
    save_detector(Path("made/student.safetensors"), model, {"categories": classes})
    assert run_command("export", "made", "--to", "hf", "--out", "download") == 0
    return Path("download")


def export(*forms: str) -> None:
    """Exports the student in a process of its own, where no check of shapes stops that; each form to a folder of its name."""
    commands = [["train", "export", "runs/student", "--to", form, "--out", form] for form in forms]
    with in_turn.start(*commands, cwd=Path.cwd(), PYTHONPATH=str(ROOT)) as process:
        said = process.communicate(timeout=600)[0]
    assert [code for code, _ in in_turn.ends(said)] == [0] * len(forms), said


@pytest.mark.parametrize(
    "case, form, backbone",
    [pytest.param(*journey, marks=[pytest.mark.slow] if k else []) for k, journey in enumerate(JOURNEYS)],
)
def test_from_a_download_to_a_deployed_student(case, form, backbone, here, capsys):
    photos, kind = photos_of_six_classes(here / "photos"), case.split()[0]
    data = ["--data.train", photos, "--data.val", photos, *FEW]
    assert run_command("import", downloaded(case, form), "--out", "runs/pretrained") == 0
    capsys.readouterr()
    assert run_command("fit", f"{RECIPES[kind]}_teacher", "--init", "runs/pretrained", "--name", "teacher", *data) == 0
    said = capsys.readouterr().out
    assert "classes get new rows" in said and "its architecture replaces the recipe's" in said
    small = ["--student.backbone", backbone, *LIKE_THE_TEACHER[case], "--init", "None", "--name", "student"]
    distil = [f"{RECIPES[kind]}_distill", "--teacher", "runs/teacher", "--force", *small, *data]
    assert run_command("fit", *distil) == 0

    # Of a size that needs no resizing, which programs do differently.
    photo = tiny.batch(((64, 80),), (1,), seed=4)[0].pixels[0].permute(1, 2, 0).numpy()
    Image.fromarray(photo).save("photo.png")
    assert run_command("predict", "runs/student", "photo.png", "--score", "0", "--out", "found") == 0
    predictions = json.loads(Path("found/predictions.json").read_text())
    boxes = {tuple(np.round(d["bbox"], 2)) for d in predictions}
    assert len(boxes) > 3
    to_transformers = backbone == RESNET and kind != "adamixer"
    export("onnx", *(["hf"] if to_transformers else []))
    assert_equal(predictions, by_onnx(photo))
    if to_transformers:
        assert_equal(predictions, by_transformers(photo))


def assert_equal(predictions: list[dict], other: dict[str, np.ndarray]) -> None:
    """Each prediction is, to 1e-3 pixels and with its score, among the others, and they are as many."""
    assert len(predictions) == len(other["scores"])
    order = np.argsort([-d["score"] for d in predictions], kind="stable")
    scores = np.array([predictions[k]["score"] for k in order])
    np.testing.assert_allclose(scores, other["scores"], atol=1e-4)
    x, y, w, h = np.array([predictions[k]["bbox"] for k in order]).T
    mine = np.stack([x, y, x + w, y + h], 1)
    for box, score in zip(mine, scores):  # equal scores may have another order
        near = np.abs(other["scores"] - score) < 2e-4
        assert np.abs(other["boxes"][near] - box).max(1).min() < 1e-3


def by_onnx(photo: np.ndarray) -> dict[str, np.ndarray]:
    """What the exported file finds, best first."""
    session = onnxruntime.InferenceSession(Path("onnx", FILE))
    boxes, scores, _ = (x[0] for x in session.run(None, {"images": photo.transpose(2, 0, 1)[None]}))
    return ranked(boxes, scores)


def by_transformers(photo: np.ndarray) -> dict[str, np.ndarray]:
    """What transformers finds with its own processor, best first."""
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    processor = AutoImageProcessor.from_pretrained("hf", local_files_only=True)
    model = AutoModelForObjectDetection.from_pretrained("hf", local_files_only=True).eval()
    with torch.no_grad():
        out = model(**processor(images=Image.fromarray(photo), return_tensors="pt"))
    size = torch.tensor([photo.shape[:2]])
    detections = processor.post_process_object_detection(out, threshold=0.0, target_sizes=size)[0]
    return ranked(detections["boxes"].numpy(), detections["scores"].numpy())


def ranked(boxes: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Boxes and scores, best first."""
    order = np.argsort(-scores, kind="stable")
    return {"boxes": boxes[order], "scores": scores[order]}
