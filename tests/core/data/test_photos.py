"""Photos as cameras write them: turned by EXIF with either size declared, and 10 to 14 bits in files of 16."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image

from core.data.coco.dataset import Coco, read_image
from tests.helpers import mutators
from train.__main__ import main


def write_phone(folder: Path, *, upright_boxes: bool, declared: str, turned: int = 6) -> tuple[Path, dict]:
    """Writes 6 photos, of which 4 are stored lying and shown upright. Returns the file, and the right records.

    Boxes are those of the photo as shown or as stored, and `declared` ("shown" or "stored") says whose size the file has.
    """
    rng = default_rng(0)
    (folder / "images").mkdir(parents=True)
    file = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cell"}]}
    right = json.loads(json.dumps(file))
    for k in range(6):
        shown = Image.fromarray(mutators.blurred(rng, 64, 48))
        exif, stored = Image.Exif(), shown
        if k < 4:
            exif[0x0112] = turned
            stored = shown.transpose({6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[turned])
        stored.save(folder / "images" / f"{k}.png", exif=exif)
        view = shown if upright_boxes else stored
        size = view if declared == ("shown" if upright_boxes else "stored") else (stored if upright_boxes else shown)
        size = size.size if k < 4 else shown.size
        for target, (width, height) in ((file, size), (right, view.size)):
            target["images"].append({"id": k, "file_name": f"{k}.png", "width": width, "height": height})
            box = [view.width - 12, view.height - 14, 10, 12] if k != 1 else [4, 4, 9, 9]
            target["annotations"].append({"id": k, "image_id": k, "category_id": 1, "bbox": box})
    path = folder / "instances.json"
    path.write_text(json.dumps(file))
    return path, right


@pytest.mark.parametrize("turned", [6, 8])
@pytest.mark.parametrize("upright_boxes, declared", [(True, "shown"), (True, "stored"), (False, "stored")])
def test_the_view_is_the_one_that_the_boxes_fit(tmp_path, capsys, upright_boxes, declared, turned):
    path, right = write_phone(tmp_path / "a", upright_boxes=upright_boxes, declared=declared, turned=turned)
    data = Coco(path)
    (tmp_path / "a" / "right.json").write_text(json.dumps(right))
    expected = Coco(tmp_path / "a" / "right.json")
    assert data.truth() == expected.truth()
    for k in range(6):
        assert (data[k].pixels == expected[k].pixels).all() and (data[k].boxes == expected[k].boxes).all()
        width, height = (48, 64) if upright_boxes or k > 3 else (64, 48)
        assert data[k].size == (height, width)
    noted = (upright_boxes, declared) == (True, "stored")
    assert ("EXIF" in data.instances.note) == noted
    assert main(["check", str(path), "--allow", "look-alike", "--fix-to", str(tmp_path / "a/fixed.json")]) == 0
    assert json.loads((tmp_path / "a/fixed.json").read_text()) == right
    assert ("3 more alike" in capsys.readouterr().out) == noted


def test_boxes_outside_of_photos_that_are_not_turned_change_nothing(tmp_path):
    path, _ = write_phone(tmp_path / "a", upright_boxes=True, declared="stored")
    for image in (path.parent / "images").iterdir():
        with Image.open(image) as opened:
            opened.load()
        Image.fromarray(np.asarray(opened)).save(image)
    assert Coco(path).instances.note == ""


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_picture_with_fewer_bits_than_its_file_is_not_black(tmp_path, bits, ending):
    eight = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(eight << (bits - 8)).save(tmp_path / f"a.{ending}")
    read = read_image(tmp_path / f"a.{ending}").numpy()
    assert (read == eight[None].astype(np.uint8)).all()
