"""What a student starts from, and the run of the large teacher as it is shipped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.data.shapes.dataset import Shapes
from core.detectors import adamixer
from core.errors import UserError
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
