"""What a student starts from, and the run of the large teacher as it is shipped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision

from core.data.shapes.dataset import Shapes
from core.detectors import adamixer
from core.errors import UserError
from core.nn import backbones, pretrained
from core.project import ASSETS
from core.runs.checkpoint import load_detector, save_detector
from core.runs.open import open_run
from train.job.build import build_distiller
from train.recipes.on_shapes import shapes
from train.studies import large

SHIPPED = ASSETS / "runs" / "shapes_320"


def save(path: Path, **changes) -> adamixer.Model:
    torch.manual_seed(5)
    detector = adamixer.Model(replace(shapes.run().student, **changes))
    save_detector(path, detector, {"categories": [vars(c) for c in Shapes.categories]})
    return detector


def test_a_file_of_a_whole_detector_starts_all_of_it(tmp_path):
    whole = save(tmp_path / "whole.safetensors").state_dict()
    student = build_distiller(replace(shapes.run(), init=str(tmp_path / "whole.safetensors")), None).student
    assert all(torch.equal(x, whole[name]) for name, x in student.state_dict().items())
    fresh = build_distiller(shapes.run(), None).student.state_dict()
    assert any(not torch.equal(x, whole[name]) for name, x in fresh.items() if not name.startswith("backbone"))


def test_a_detector_of_another_shape_is_refused(tmp_path):
    save(tmp_path / "whole.safetensors", queries=7)
    with pytest.raises(UserError, match="whole.safetensors does not fit the model: .*7"):
        build_distiller(replace(shapes.run(), init=str(tmp_path / "whole.safetensors")), None)


def refused(init: str, says: str, backbone: str = "tiny16x1") -> None:
    run = shapes.run()
    with pytest.raises(UserError, match=says):
        build_distiller(replace(run, init=init, student=replace(run.student, backbone=backbone)), None)


def test_a_backbone_without_weights_of_imagenet_is_refused(monkeypatch):
    refused("imagenet", "there are no ImageNet weights of tiny16x1; give a file by --init FILE, or set --init None")

    def damaged(*_, **__):
        raise RuntimeError('invalid hash value (expected "f37072fd", got "ab")')

    new = backbones.build("resnet18", (8, 16), 0)
    monkeypatch.setattr(torchvision.models, "get_model", damaged)
    with pytest.raises(UserError, match="could not download ImageNet weights of resnet18 .invalid hash value"):
        pretrained.load(new, "resnet18", "imagenet")


@pytest.mark.parametrize("content", [torch.ones(3), [1], {"model": {"a": torch.ones(3)}, "epoch": 5}, {"epoch": 5}])
def test_a_file_of_anything_but_tensors_by_name_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    refused(str(tmp_path / "a.pth"), "a.pth does not hold tensors by name alone; save the state_dict of the backbone")


def test_a_shipped_run_is_the_run_in_half_precision(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    whole = save(run / "student.safetensors").state_dict()
    for name in large.SHIPPED_FILES:
        (run / name).write_text("{}")
    large.ship(run, tmp_path / "out")
    half, card = load_detector(tmp_path / "out" / "student.safetensors")
    assert card["detector"] == "adamixer" and (tmp_path / "out" / "card.json").exists()
    assert all(torch.allclose(x, whole[name], rtol=1e-3, atol=1e-6) for name, x in half.state_dict().items())
    sizes = [(folder / "student.safetensors").stat().st_size for folder in (run, tmp_path / "out")]
    assert sizes[1] < 0.55 * sizes[0]


def test_the_shipped_large_run_opens_at_its_size():
    opened = open_run(SHIPPED)
    assert opened.data.size == large.SIZE == 320 and opened.distiller.teacher is None


def test_the_shipped_students_of_its_size_are_those_of_the_study():
    teacher = open_run(SHIPPED).distiller.student.state_dict()
    alone, distilled = (open_run(ASSETS / "runs" / f"shapes_320_{name}") for name in ("alone", "distill"))
    assert alone.distiller.teacher is None and alone.data.size == distilled.data.size == large.SIZE
    assert all(torch.equal(x, teacher[name]) for name, x in distilled.distiller.teacher.state_dict().items())
    weights = [run.distiller.student.state_dict() for run in (alone, distilled)]
    assert not all(torch.equal(x, weights[1][name]) for name, x in weights[0].items())
    assert {*distilled.distiller.losses} == {"detection", "features", "logits", "prior"}
