"""`check --fix-to` never destroys: what it drops is counted, and more than a tenth only with --force."""

import json
from pathlib import Path

import pytest
from numpy.random import default_rng

from core.data import check
from tests.helpers import mutators
from train.__main__ import main


@pytest.fixture
def data(tmp_path) -> Path:
    """The instances file of a folder without faults: 40 objects, 10 images."""
    return mutators.write_sound(tmp_path / "data", default_rng(0), images=10)


def fix(path: Path, *words: str) -> int:
    """The exit code of a check that writes a repaired copy, `fixed.json` beside the file."""
    return main(["check", str(path), "--fix-to", str(path.with_name("fixed.json")), *words])


def spoil(path: Path, change) -> None:
    """Changes the records of a file."""
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))


def move_out(count: int):
    """A function that moves the first boxes out of their images."""

    def change(file: dict) -> None:
        for a in file["annotations"][:count]:
            a["bbox"][0] = 1000

    return change


@pytest.mark.parametrize("text", ["{}", "\n\n{} "])
def test_a_repair_of_a_sound_file_is_the_same_file(data, capsys, text):
    data.write_text(text.format(data.read_text()))
    assert fix(data) == 0 and data.with_name("fixed.json").read_bytes() == data.read_bytes()
    assert "is the same file" in capsys.readouterr().out


@pytest.mark.parametrize("count, words, written", [(4, [], True), (5, [], False), (5, ["--force"], True)])
def test_more_than_a_tenth_goes_only_by_force(data, capsys, count, words, written):
    spoil(data, move_out(count))
    assert fix(data, *words) == 1
    shown, fixed = capsys.readouterr().out, data.with_name("fixed.json")
    assert fixed.exists() == written and f"{count} of 40 objects" in shown
    assert ("add --force" in shown.splitlines()[-1]) != written
    if written:
        sound = json.loads(data.read_text())
        assert json.loads(fixed.read_text())["annotations"] == sound["annotations"][count:]


@pytest.mark.parametrize(
    "what, change",
    [
        ("annotations", lambda file: [a.update(category_id=None) for a in file["annotations"]]),
        ("annotations", move_out(40)),
        ("images", lambda file: [i.update(id=f"x{k}") for k, i in enumerate(file["images"])]),
        ("categories", lambda file: [c.update(id=None) for c in file["categories"]]),
    ],
)
def test_a_whole_list_is_never_dropped(data, capsys, what, change):
    spoil(data, change)
    assert fix(data, "--force") == 1 and not data.with_name("fixed.json").exists()
    assert f"nothing would be left of the {what}" in capsys.readouterr().out


def test_copies_are_not_counted_as_objects_that_were_dropped(data, capsys):
    def repeat(file: dict) -> None:
        file["annotations"] += [dict(a) for a in file["annotations"][:10]]
        file["annotations"] += [a | {"id": 5000 + k} for k, a in enumerate(file["annotations"][10:20])]

    sound = json.loads(data.read_text())
    spoil(data, repeat)
    assert fix(data) == 1 and "dropped: 0 of 60 objects" in capsys.readouterr().out
    assert json.loads(data.with_name("fixed.json").read_text()) == sound


def test_objects_that_the_other_split_has_are_not_lost(data, capsys):
    file = json.loads(data.read_text())
    val = data.with_name("val.json")
    images = file["images"][:5]
    ids = {i["id"] for i in images}
    val.write_text(
        json.dumps(file | {"images": images, "annotations": [a for a in file["annotations"] if a["image_id"] in ids]})
    )
    assert fix(data, "--against", str(val)) == 1 and "dropped: 0 of 40 objects" in capsys.readouterr().out
    assert len(json.loads(data.with_name("fixed.json").read_text())["images"]) == 5


def test_images_that_are_gone_count_with_their_objects(data, capsys):
    for name in ("1.png", "3.png"):
        (data.parent / "images" / name).unlink()
    assert fix(data) == 1 and "8 of 40 objects would be dropped" in capsys.readouterr().out


def test_a_clipped_box_is_not_dropped(data):
    spoil(data, lambda file: [a["bbox"].__setitem__(0, -2) for a in file["annotations"]])
    case = check.open_case(data, segmentations=True)
    _, loss = check.repair_and_count(case)
    assert (loss.dropped, loss.objects, loss.emptied) == (0, 40, "")
