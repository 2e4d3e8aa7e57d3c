"""The files that a card names: a teacher, and a folder of transformers from which the student starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.convert.open_weights import open_weights
from core.data.transforms import Augment
from core.errors import UserError
from core.files import read_json
from tests.helpers import hub, runs
from train.cli.import_weights import origin
from train.engine import loop
from train.run_folder import folder

SHORT = {
    "data": replace(runs.DATA, train_limit=4, val_limit=1, augment=Augment(sizes=(64,))),
    "optim": replace(runs.OPTIM, epochs=1),
    "recorded": 0,
}


@pytest.fixture(autouse=True)
def without_estimate(monkeypatch):
    monkeypatch.setattr(loop, "summary", lambda job, path: "")


def save_shards(path: Path) -> None:
    """A folder of transformers whose weights are in several files."""
    network = hub.save_folder(path, "detr", classes=8)
    (path / "model.safetensors").unlink()
    network.save_pretrained(path, max_shard_size="200KB")
    assert len(list(path.glob("model-*.safetensors"))) > 1 and not (path / "model.safetensors").exists()


def save_whole(path: Path) -> None:
    hub.save_folder(path, "detr", classes=8)


@pytest.mark.parametrize("save", [save_whole, save_shards])
def test_a_run_that_started_from_a_folder_of_transformers_resumes(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("large"))
    run = runs.small(student=hub.config("detr"), init="large", **SHORT)
    path = loop.fit(run, Path("runs/tuned"))
    assert loop.resume(path) == path and Path(folder.load_run(path).init).resolve() == tmp_path / "large"
    last = sorted(Path("large").glob("*.safetensors"))[-1]
    last.write_bytes(last.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=f"{last.name} is gone or has changed since runs/tuned began"):
        loop.resume(path)


def test_an_import_of_shards_names_them(tmp_path):
    save_shards(tmp_path)
    assert open_weights(tmp_path).detector.kind == "detr"
    entry = origin(tmp_path)
    assert entry["path"].endswith("model.safetensors.index.json") and len(entry["shards"]) > 1


def test_a_teacher_is_found_from_runs_on_another_disk(tmp_path, monkeypatch):
    """`runs` is a symbolic link: the teacher's place is told from where it leads."""
    (tmp_path / "disk/deep").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/runs").symlink_to(tmp_path / "disk/deep")
    monkeypatch.chdir(tmp_path / "home")
    teacher = loop.fit(runs.small(**SHORT), Path("teacher"))
    path = loop.fit(runs.small(teacher=teacher, losses=runs.small().losses, **SHORT), Path("runs/run"))
    assert read_json(path / "card.json")["teacher"]["path"] == "../../../home/teacher/student.safetensors"
    assert loop.resume(path) == path
