"""Studies in their short form: what their rows are, and that they end in their table and their file."""

from dataclasses import replace

import pytest

from core.files import read_json
from tests.helpers.coco_folder import write_folder
from train.studies import depths, photos
from train.studies._grid import row_folder

DEEP = {"e4d4": (4, 4), "e4d2": (4, 2), "e2d4": (2, 4), "e2d2": (2, 2)}


@pytest.fixture(autouse=True)
def quick_and_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")


def test_rows_of_table_4_differ_by_depth_and_by_losses_and_teacher():
    alone, ours = depths.students("alone"), depths.students("ours")
    assert len({row_folder(run) for run in (alone | ours).values()}) == 24
    shallow = {run.seed: run for name, run in alone.items() if name.startswith("e2d2")}
    for name, run in ours.items():
        mine = alone[name.replace("ours", "alone")]
        assert run.teacher == row_folder(depths.teacher())
        assert replace(run, name=mine.name, losses=mine.losses, teacher=None) == mine
        assert (mine.student.encoder_layers, mine.student.layers) == DEEP[name[:4]]
        student = replace(mine.student, encoder_layers=2, layers=2)
        assert replace(mine, name="shapes_conditional_e2d2", student=student) == shallow[run.seed]


def test_the_study_of_depths_ends_in_its_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(depths, "SEEDS", (3,))
    monkeypatch.setattr(depths, "DEPTHS", ("e2d2",))
    depths.main(out=tmp_path / "depths.json")
    rows = read_json(tmp_path / "depths.json")["rows"]
    assert list(rows) == ["teacher", "e2d2, alone-3", "e2d2, ours-3"]
    said = capsys.readouterr().out.splitlines()
    gain = 100 * (rows["e2d2, ours-3"]["ap"] - rows["e2d2, alone-3"]["ap"])
    assert f"distilled {100 * rows['e2d2, ours-3']['ap']:.1f}  {gain:+.1f}" in said[-2]
    assert rows["e2d2, alone-3"]["teacher"] is None and rows["e2d2, ours-3"]["teacher"] >= 0
    monkeypatch.setattr("train.studies._grid.start", None)  # called again, it trains nothing and writes the same
    depths.main(out=tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "depths.json").read_bytes()


# One detector in CI: the other two take two more minutes there.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("adamixer", "deformable")]


@pytest.mark.parametrize("detector", [*SLOW, "conditional"])
def test_photos_teach_a_student_of_every_detector(detector, one_step_each, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(photos, "SEEDS", (0,))
    data = write_folder(tmp_path / "photos")
    photos.main(data, data, data.parent / "images", detector, epochs=1, out=tmp_path / "photos.json")
    written = read_json(tmp_path / "photos.json")
    assert written["command"].endswith(f"--detector {detector} --epochs 1")
    assert set(written["step_seconds"]) == {"alone", "distilled"}
    epochs = {name: row["epochs"] for name, row in written["rows"].items()}
    assert epochs == {"teacher": 1, "alone-0": 1, "distilled-0": 1}
    cards = [read_json(path) for path in tmp_path.glob("runs/rows/*/card.json")]
    assert {card["run"]["student"]["detector"] for card in cards} == {detector} and len(cards) == 3
    assert f"written to {tmp_path / 'photos.json'}" in capsys.readouterr().out
    monkeypatch.setattr("train.studies._grid.start", None)  # called again, it trains nothing
    photos.main(data, data, data.parent / "images", detector, epochs=1, out=tmp_path / "again.json")
    assert read_json(tmp_path / "again.json")["rows"].keys() == written["rows"].keys()
