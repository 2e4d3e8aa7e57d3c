"""The study of a GPU: its rows, and that a row which is stopped goes on; at tiny sizes on the CPU."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from core.data.coco.dataset import Coco
from core.data.shapes.dataset import Shapes
from core.errors import UserError
from core.project import ROOT
from train.studies import _drawn, gpu


@pytest.fixture(autouse=True)
def quick_and_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="^no CUDA device here$"):
        gpu.main()
    assert not (tmp_path / "runs").exists()


def test_rows_are_those_of_the_issue(monkeypatch):
    monkeypatch.delenv("QUICK")
    rows = gpu.rows()
    assert len(rows) == 14 and next(iter(rows)) == "adamixer-teacher"
    assert all(run.optim.batch == 64 and run.amp == "bf16" for run in rows.values())
    for name, run in rows.items():
        if run.teacher:
            assert run.teacher.name in list(rows)[: list(rows).index(name)], "its teacher is trained before"
    assert {run.data.train_limit for run in rows.values()} == {5_000, None}
    assert rows["adamixer-unlabelled"].data.unlabelled == ("rest",)
    assert rows["adamixer-few-labels"].optim.epochs * 5_000 == rows["adamixer-alone"].optim.epochs * 50_000
    assert rows["resnet18-distilled"].student.backbone == "resnet18" and rows["resnet18-distilled"].init is None


@pytest.mark.slow
def test_a_call_trains_one_row_and_the_next_one_goes_on(capsys, monkeypatch):
    """All rows but the last three of the twins' would take minutes; those chosen have a teacher, a store and no labels."""
    names = ("adamixer-teacher", "adamixer-stored", "adamixer-unlabelled", "resnet18-alone")
    real = gpu.rows()
    monkeypatch.setattr(gpu, "rows", lambda: {name: real[name] for name in names})
    for number, name in enumerate(names, start=1):
        gpu.main(device="cpu")
        written = json.loads((gpu.RUNS / "gpu.json").read_text())
        assert list(written["rows"]) == list(names[:number]) and written["device"] == "cpu"
        assert written["unfinished"] == list(names[number:])
        assert written["rows"][name]["seconds"] > 0 and written["rows"][name]["ap"] is not None
        said = capsys.readouterr().out
        assert ("repeat the command" in said) == (number < len(names))
    gpu.main(device="cpu")
    assert "not finished" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_row_that_takes_too_long_is_saved_and_resumed(monkeypatch, capsys):
    run = gpu.replace(gpu.rows()["adamixer-alone"], device="cpu", workers=0, checkpoint_every=1)
    run = gpu.replace(run, optim=gpu.replace(run.optim, epochs=400), eval_every=400)
    gpu.draw_images()
    path = gpu.folder() / "long"
    monkeypatch.delenv("QUICK")
    for _ in range(2):  # the second call goes on, however far the first has come
        gpu.train_for(path, run, seconds=20)
        assert not gpu.is_finished(path, run)
    assert "failed" not in capsys.readouterr().out


def test_the_files_are_the_images_of_shapes(tmp_path, monkeypatch):
    monkeypatch.setattr(_drawn, "CHUNK", 2)
    monkeypatch.setattr(_drawn, "ProcessPoolExecutor", lambda workers, context: ThreadPoolExecutor(workers))
    path = _drawn.draw(tmp_path / "drawn", "train", 5, 64, workers=1)
    files, shapes = Coco(path, tmp_path / "drawn"), Shapes("train", 5, 64)
    assert len(files) == 5 and [c.name for c in files.categories] == [c.name for c in shapes.categories]
    for one, other in zip((files[k] for k in range(5)), (shapes[k] for k in range(5))):
        assert one.labels.tolist() == other.labels.tolist()
        assert torch.allclose(one.boxes, other.boxes, atol=1e-3)
        assert (one.pixels.float() - other.pixels.float()).abs().mean() < 12, "but for what JPEG loses"
    before = path.read_bytes()
    path.unlink()
    for file in (tmp_path / "drawn" / "train").iterdir():
        file.unlink()
    assert _drawn.draw(tmp_path / "drawn", "train", 5, 64, workers=1).read_bytes() == before, "chunks are drawn once"
    few = json.loads(_drawn.draw(tmp_path / "drawn", "train", 3, 64, workers=1).read_text())
    assert len(few["images"]) == 3, "a file of another number of images is not taken"


def test_a_try_has_a_folder_of_its_own(monkeypatch):
    quick = gpu.folder(), gpu.rows()["adamixer-alone"].data.train
    monkeypatch.delenv("QUICK")
    assert not {gpu.folder(), gpu.rows()["adamixer-alone"].data.train} & {*quick}
