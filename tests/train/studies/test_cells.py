"""The drawn photos of blood cells, and the study that finds their smallest class with the size that `--auto` takes."""

import numpy as np
import pytest
from PIL import Image

from core.data.coco.dataset import Coco
from core.data.coco.limits import Objects
from core.files import read_json
from train.studies import cells
from train.studies._cells import CLASSES, COUNTS, HEIGHT, INSIDE, WIDTH, write_photos


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_boxes_hold_the_cells_that_are_drawn(here):
    file = read_json(write_photos(here, 12, seed=3))
    assert file == read_json(write_photos(here / "again", 12, seed=3))
    counts = np.zeros((12, len(CLASSES)), int)
    for a in file["annotations"]:
        counts[a["image_id"], a["category_id"] - 1] += 1
        x, y, w, h = a["bbox"]
        assert x >= 0 and y >= 0 and x + w <= WIDTH + 0.1 and y + h <= HEIGHT + 0.1
    for name, column in zip(CLASSES, counts.T):
        assert column.max() <= COUNTS[name][1] and column.any()
    platelets = [a for a in file["annotations"] if a["category_id"] == 1 and min(a["bbox"][2:]) > 9]
    pictures = [np.asarray(Image.open(here / "images" / f"{k:04}.jpg"), float) for k in range(12)]
    for a in platelets:
        x, y, w, h = a["bbox"]
        inside = pictures[a["image_id"]][int(y + h / 2), int(x + w / 2)]
        assert max(w, h) <= 16 and np.abs(inside - INSIDE["platelet"]).max() < 50, "a platelet is purple in its middle"
    assert len(platelets) >= 12


def test_the_recipe_is_told_what_it_lacks_and_auto_takes_it(here, monkeypatch):
    monkeypatch.setattr(cells, "IMAGES", {"train": 20, "val": 2})
    cells.draw_photos()
    queries, tiny = cells.recipe_limits()
    assert "--student.queries 50" in queries and "100% of 'platelet'" in tiny
    run, own = cells.on_cells("_distill", seed=2), cells.unfitted("_distill")
    assert (run.student.queries, own.student.queries) == (50, 30) and run.losses == own.losses
    assert run.data.augment.sizes[-1] == 768 and run.seed == 2
    assert run.optim.epochs == cells.EPOCHS < cells.on_cells("_teacher").optim.epochs
    most = Objects(Coco(cells.instances("train")).instances).counts.max()
    assert 30 < most <= sum(high for _, high in COUNTS.values())


def test_a_try_leaves_no_photos_for_the_study(here, monkeypatch):
    monkeypatch.setattr(cells, "IMAGES", {"train": 9, "val": 3})
    monkeypatch.setenv("QUICK", "1")
    cells.draw_photos()
    assert len(Coco(cells.instances("train"))) == 8
    monkeypatch.delenv("QUICK")
    cells.write_photos(cells.instances("val").parent, 2, seed=1)  # of an earlier version's try
    cells.draw_photos()
    assert [len(Coco(cells.instances(part))) for part in ("train", "val")] == [9, 3]


@pytest.mark.slow  # two minutes: images of 768 x 1024 pixels
def test_the_study_ends_in_its_table_and_goes_on_where_it_was(here, monkeypatch, capsys):
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(cells, "SEEDS", (0,))
    cells.main()
    written = read_json(here / "runs/cells.json")
    assert list(written["rows"]) == ["teacher", "alone-0", "distilled-0"] and len(written["limits"]) == 1
    for row in written["rows"].values():
        assert row["per_class"].keys() == set(CLASSES)
    assert "platelet" in capsys.readouterr().out
    monkeypatch.setattr("train.studies._grid.start", None)  # called again, it trains nothing
    cells.main()
    assert read_json(here / "runs/cells.json") == written
