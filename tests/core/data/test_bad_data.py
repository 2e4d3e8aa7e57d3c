"""COCO data that cannot be used for training: each fault is one sentence with file and record."""

import copy
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.coco.dataset import Coco, read_image
from core.data.loader import Loader, evaluation
from core.data.transforms import Augment
from core.errors import UserError
from core.project import ROOT
from tests.helpers.coco_folder import instances, picture, write_folder
from tests.helpers.runs import small
from train.engine.loop import fit
from train.job.build import build, dataset
from train.run import Data, Optim


def sentence(act) -> str:
    """The message of the UserError that `act` raises: one line of limited length."""
    with pytest.raises(UserError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def put(section: str, place: int, key: str, value):
    """A function that replaces a field of a record; `...` removes the field."""

    def spoil(file: dict) -> None:
        if value is ...:
            del file[section][place][key]
        else:
            file[section][place][key] = value

    return spoil


def without_outline(spoil):
    """A function that also removes the outline of the first annotation, which would give its box."""
    return lambda file: (spoil(file), file["annotations"][0].pop("segmentation"))


def twice(section: str):
    """A function that appends a copy of the first record of a list."""
    return lambda file: file[section].append(dict(file[section][0]))


def instead(section: str, value):
    """A function that replaces a list of the file."""
    return lambda file: file.update({section: value})


NAN, INF = float("nan"), float("inf")
SPOILT = {  # (the change, words that the message must contain)
    "nan": (put("annotations", 1, "bbox", [1, 2, NAN, 4]), ["annotation 0", "image 4", "bbox", "nan"]),
    "infinite": (put("annotations", 0, "bbox", [1, 2, INF, 4]), ["annotation 3", "image 12", "bbox", "inf"]),
    "huge": (put("annotations", 0, "bbox", [1, 2, 10**400, 4]), ["annotation 3", "bbox"]),
    "negative width": (put("annotations", 0, "bbox", [1, 2, -3, 4]), ["annotation 3", "image 12", "[1, 2, -3, 4]"]),
    "negative height": (put("annotations", 2, "bbox", [1, 2, 3, -4]), ["annotation 9", "[1, 2, 3, -4]"]),
    "three numbers": (put("annotations", 0, "bbox", [1, 2, 3]), ["annotation 3", "[x, y, width, height]"]),
    "five numbers": (put("annotations", 0, "bbox", [1, 2, 3, 4, 5]), ["annotation 3", "[x, y, width, height]"]),
    "texts in a box": (put("annotations", 0, "bbox", ["1", "2", "3", "4"]), ["annotation 3", "bbox"]),
    "truths in a box": (put("annotations", 0, "bbox", [True, 2, 3, 4]), ["annotation 3", "bbox"]),
    "box is null": (without_outline(put("annotations", 0, "bbox", None)), ["annotation 3", "bbox None"]),
    "no box": (without_outline(put("annotations", 0, "bbox", ...)), ["annotation 3", "no bbox"]),
    "area": (put("annotations", 0, "area", NAN), ["annotation 3", "area nan"]),
    "crowd": (put("annotations", 0, "iscrowd", 2), ["annotation 3", "iscrowd 2"]),
    "crowd is a list": (put("annotations", 0, "iscrowd", [1]), ["annotation 3", "iscrowd [1]"]),
    "category": (put("annotations", 0, "category_id", 8), ["annotation 3", "image 12", "category_id 8", "no category"]),
    "category is text": (put("annotations", 0, "category_id", "dog"), ["annotation 3", "category_id 'dog'"]),
    "no category": (put("annotations", 0, "category_id", ...), ["annotation 3", "no category_id"]),
    "image": (put("annotations", 0, "image_id", 6), ["annotation 3", "image_id 6", "no image"]),
    "image is a list": (put("annotations", 0, "image_id", [12]), ["annotation 3", "image_id [12]"]),
    "same image twice": (twice("images"), ["image id 12", "twice"]),
    "same annotation twice": (twice("annotations"), ["annotation id 3", "twice"]),
    "same category twice": (twice("categories"), ["category id 90", "twice"]),
    "same name twice": (put("categories", 0, "name", "dog"), ["category name 'dog'", "twice"]),
    "category without a name": (put("categories", 0, "name", ...), ["category 90", "no name"]),
    "image without id": (put("images", 0, "id", ...), ["image", "no id"]),
    "image id is text": (put("images", 0, "id", "a"), ["image", "id 'a'", "whole number"]),
    "image id is true": (put("images", 0, "id", True), ["image", "id True"]),
    "no width": (put("images", 0, "width", ...), ["image 12", "no width"]),
    "no height": (put("images", 1, "height", 0), ["image 5", "height 0", "above 0"]),
    "fractional width": (put("images", 0, "width", 3.5), ["image 12", "width 3.5"]),
    "no file name": (put("images", 0, "file_name", ...), ["image 12", "no file_name"]),
    "empty file name": (put("images", 0, "file_name", ""), ["image 12", "file_name ''"]),
    "absolute": (put("images", 0, "file_name", "/etc/passwd"), ["image 12", "/etc/passwd", "inside"]),
    "climbing": (put("images", 0, "file_name", "../instances.json"), ["image 12", "'../instances.json'", "inside"]),
    "climbing later": (put("images", 0, "file_name", "a/../../x.png"), ["image 12", "inside"]),
    "backslashes": (put("images", 0, "file_name", "..\\x.png"), ["image 12", "inside"]),
    "half a character": (put("images", 0, "file_name", "a\ud800/b.png"), ["image 12", "inside"]),
    "line break": (put("images", 0, "file_name", "a\n.png"), ["image 12", "inside"]),
    "long name": (put("images", 0, "file_name", "a" * 300 + "/b.png"), ["File name too long"]),
    "zero byte": (put("images", 0, "file_name", "a\0.png"), ["image 12", "inside"]),
    "missing image": (put("images", 1, "file_name", "gone.png"), ["image 5", "gone.png", "images", "add the file"]),
    "missing folder": (
        put("images", 1, "file_name", "sub/5.png"),
        ["'sub/5.png'", "data/images", "No such file or directory"],
    ),
    "no images": (lambda file: file.pop("images"), ["no list of images"]),
    "no annotations": (lambda file: file.pop("annotations"), ["no list of annotations"]),
    "categories is an object": (instead("categories", {"7": "dog"}), ["no list of categories"]),
    "empty images": (instead("images", []), ["empty list of images"]),
    "empty categories": (instead("categories", []), ["empty list of categories"]),
    "annotation is a number": (instead("annotations", [5]), ["annotations[0] is 5"]),
    "image is null": (instead("images", [None]), ["images[0] is None"]),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_record_is_named(tmp_path, what):
    spoil, words = SPOILT[what]
    value = instances()
    spoil(value)
    path = write_folder(tmp_path / "data", value)
    message = sentence(lambda: Coco(path))
    assert all(word in message for word in words), message
    assert str(path) in message


@pytest.mark.parametrize(
    "content, word",
    [
        (b"", "not a JSON file"),
        (b'{"images": [', "not a JSON file"),
        (b"\xff\xfe\x00x", "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        (b"1" * 5000, "not a JSON file"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not a JSON file"),
        (b"[1, 2]", "no list of images"),
        (b'"images"', "no list of images"),
        (b"null", "no list of images"),
        (b"{}", "no list of images"),
    ],
)
def test_a_file_of_another_shape(tmp_path, content, word):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    message = sentence(lambda: Coco(path))
    assert word in message and str(path) in message


def test_files_and_folders_that_are_not_there(tmp_path):
    path = write_folder(tmp_path / "data")
    for wrong in (tmp_path / "no.json", tmp_path, path / "below.json"):
        message = sentence(lambda: Coco(wrong))  # noqa: B023
        assert str(wrong) in message and "name the annotation file" in message
    assert str(tmp_path / "no") in sentence(lambda: Coco(path, tmp_path / "no"))
    assert "Not a directory" in sentence(lambda: Coco(path, path))
    for image in (path.parent / "images").iterdir():
        image.unlink()
    assert "3 of 3 are missing" in sentence(lambda: Coco(path))


def test_only_files_are_images(tmp_path):
    path = write_folder(tmp_path / "data")
    image = path.parent / "images" / "5.png"
    image.unlink()
    os.mkfifo(image)
    assert "5.png" in sentence(lambda: Coco(path))


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one(tmp_path, limit):
    path = write_folder(tmp_path / "data")
    assert str(limit) in sentence(lambda: Coco(path, limit=limit))


def test_records_behind_the_limit_are_checked_too(tmp_path):
    value = instances()
    value["annotations"][1]["bbox"] = [0, 0, -1, 1]
    path = write_folder(tmp_path / "data", value)
    assert "annotation 0" in sentence(lambda: Coco(path, limit=1))


JUNK = [None, True, -1, 0, 1.5, NAN, INF, 10**400, "", "x", "\0", "é" * 200, [], [1], [[]], {}, {"id": 1}]


def places(value, path=()):
    """The paths of all values inside a JSON value, as tuples of keys."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("seed", range(8))
def test_junk_anywhere_is_accepted_or_named(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = write_folder(tmp_path / "data")
    all_places = [place for place in places(instances()) if place]
    for _ in range(60):
        value = copy.deepcopy(instances())
        *above, key = all_places[rng.integers(len(all_places))]
        holder = value
        for step in above:
            holder = holder[step]
        holder[key] = JUNK[rng.integers(len(JUNK))]
        path.write_text(json.dumps(value))
        try:
            data = Coco(path)
            data.truth()
            [data[k] for k in range(len(data))]
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 600


def test_a_split_that_is_missing_is_refused(tmp_path):
    """No other split is used in its place."""
    path = write_folder(tmp_path / "data")
    data = Data(kind="coco", train=path)
    assert len(dataset(data, "train")) == 3
    assert "--data.val" in sentence(lambda: dataset(data, "val"))
    gone = path.with_name("val.json")
    assert str(gone) in sentence(lambda: dataset(replace(data, val=gone), "val"))
    assert str(gone) in sentence(lambda: build(small(data=replace(data, val=gone))))


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_training_and_evaluation_change_no_file_of_the_data(tmp_path):
    path = write_folder(tmp_path / "data")
    before = {file: (sha256(file.read_bytes()).hexdigest(), file.stat()) for file in path.parent.rglob("*.*")}
    data = Data(kind="coco", train=path, val=path, augment=Augment(flip=0.5, jitter=0.2))
    fit(small(data=data, optim=Optim(epochs=1, batch=2, warmup=0)), tmp_path / "run")
    after = {file: (sha256(file.read_bytes()).hexdigest(), file.stat()) for file in path.parent.rglob("*.*")}
    assert after.keys() == before.keys() and len(after) == 4
    assert all(
        after[file][0] == digest and after[file][1].st_mtime_ns == stat.st_mtime_ns
        for file, (digest, stat) in before.items()
    )


# Images that cannot be read


def spoil_image(path: Path, kind: str) -> None:
    """Replaces an image file by one with this fault."""
    if kind == "truncated":
        whole = path.with_suffix(".jpg")
        Image.fromarray(picture(5)).save(whole)
        path.write_bytes(whole.read_bytes()[:-200])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not found")
    elif kind == "gif":
        Image.fromarray(picture(5)).save(path, format="GIF")
    elif kind == "floats":
        Image.fromarray(np.zeros((24, 32), np.float32)).save(path, format="TIFF")
    elif kind == "other size":
        Image.fromarray(picture(5, (10, 20))).save(path)


IMAGES = {
    "truncated": "truncated",
    "empty": "cannot be read",
    "text": "cannot be read",
    "gif": "JPEG, PNG, WEBP, BMP, TIFF",
    "floats": "32-bit",
    "other size": "20 x 10 pixels, not 32 x 24",
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_that_cannot_be_read_is_named(tmp_path, kind):
    path = write_folder(tmp_path / "data")
    spoil_image(path.parent / "images" / "5.png", kind)
    data = Coco(path)
    message = sentence(lambda: data[1])
    assert all(word in message for word in (str(path), "image 5", "images/5.png", IMAGES[kind])), message
    assert data[0].id == 12 and data[2].id == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_a_truncated_image_stops_a_loader_with_the_same_sentence(tmp_path, workers):
    path = write_folder(tmp_path / "data")
    spoil_image(path.parent / "images" / "5.png", "truncated")
    data = Coco(path)
    expected = sentence(lambda: data[1])
    assert sentence(lambda: list(Loader(data, Augment(), 2, workers=workers).epoch(0))) == expected
    assert sentence(lambda: list(evaluation(data, Augment(), 2, workers))) == expected


def test_an_image_that_vanished(tmp_path):
    path = write_folder(tmp_path / "data")
    data = Coco(path)
    (path.parent / "images" / "5.png").unlink()
    assert "no such file" in sentence(lambda: data[1])


@pytest.mark.parametrize("limit", [100, 500])
def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch, limit):
    """Pillow itself only warns above its limit, and refuses above twice that. The image has 24 x 32 = 768 pixels."""
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert "decompression bomb" in sentence(lambda: read_image(tmp_path / "a.png"))


BOMB = """
import re, sys
from pathlib import Path
from core.data.decode import decode
from core.errors import UserError
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
try:
    decode(Path(sys.argv[1]))
except UserError as error:
    print(error)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process its peak of memory")
@pytest.mark.parametrize("side", [10_000, 30_000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    """The image is valid and has a few kilobytes. At 100 million pixels Pillow by itself would only warn."""
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 200_000
    done = subprocess.run(
        [sys.executable, "-c", BOMB, tmp_path / "a.png"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    message, kilobytes = done.stdout.splitlines()
    assert "decompression bomb" in message and int(kilobytes) < 30_000 and done.stderr == ""


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tiff"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_are_a_picture_or_a_sentence(tmp_path, name):
    Image.fromarray(picture(0)).save(tmp_path / name)
    whole = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(80):
        damaged = whole.copy()
        damaged[rng.integers(min(len(whole), 400), size=4)] = rng.integers(256, size=4)
        (tmp_path / name).write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)].tobytes())
        try:
            assert read_image(tmp_path / name).shape[0] == 3
        except UserError as error:
            assert name in str(error) and not re.search(r"\n", str(error))
