"""`python -m train check`: it reports every fault with file and record, reports nothing else, and changes no existing file."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image

from core.data import check
from core.data.check.conventions import CONVENTIONS, EXPECTED, judge_convention
from core.data.coco.dataset import Coco
from core.data.coco.faults import KINDS, NOTICES
from core.errors import UserError
from core.progress import lines
from core.project import ROOT
from tests.helpers import mutators
from train.__main__ import main
from train.cli import check_report

DRAWS = 8
CONSEQUENCES = {"unknown", "empty-class", "unused-image", "unused-file"}  # faults that others may cause
HARMLESS = {*NOTICES, "convention", "empty-box", "outside", "same-box", "empty-class", "spelling", "same-file"}

UNREPAIRABLE = {"twice", "field", "record", "path", "missing", "size", "empty-class"}  # faults that may remain


@pytest.fixture
def data(tmp_path) -> Path:
    """The instances file of a folder without faults."""
    return mutators.write_sound(tmp_path / "data", default_rng(0))


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Asserts that no file that existed before has changed."""
    before = {path: digest(path) for path in folder.rglob("*")}
    yield
    assert {path: digest(path) for path in before} == before


def digest(path: Path) -> tuple:
    """The content, or target of a link, and the time of the last change."""
    content = sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
    return str(path.readlink()) if path.is_symlink() else content, path.lstat().st_mtime_ns


def run_check(path: Path, *words) -> int:
    """The exit code of the command with these flags."""
    return main(["check", str(path), *map(str, words)])


def examined(path: Path) -> check.Report:
    """The report on a file."""
    return check.examine(check.open_case(path))


def fault_set(report: check.Report) -> set[tuple[str, str]]:
    """The kind and the record of each fault and notice."""
    return {(fault.kind, fault.record) for fault in report.faults + report.notices}


def kinds(pairs: set[tuple[str, str]]) -> set[str]:
    """The kinds of faults."""
    return {kind for kind, _ in pairs}


# ---- sound files


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_folder_is_sound(tmp_path, capsys, seed):
    path = mutators.write_sound(tmp_path / "data", default_rng(seed))
    with untouched(tmp_path):
        assert run_check(path) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].startswith("sound") and not shown.err and "Worth knowing" not in shown.out


# ---- 300 mutated files


@pytest.mark.parametrize("what", mutators.FILES)
def test_a_mutated_file(data, what):
    sound = json.loads(data.read_text())
    for seed in range(DRAWS):
        file = copy.deepcopy(sound)
        expected = mutators.FILES[what](default_rng(seed), file)
        data.write_text(json.dumps(file))
        with untouched(data.parent):
            report = examined(data)
        faults, shown = fault_set(report), check_report.text(report)
        allowed = CONSEQUENCES | {"outside"} if what == "swapped size" else CONSEQUENCES
        assert faults >= expected and kinds(faults - expected) <= allowed, (seed, faults, expected)
        assert all(f"  {data}: {record} " in shown for _, record in expected), shown
        agrees_with_the_loader(data, faults)


@pytest.mark.parametrize("what", mutators.FILES)
def test_a_mutated_file_on_the_command_line(data, capsys, what):
    file = json.loads(data.read_text())
    expected = mutators.FILES[what](default_rng(0), file)
    data.write_text(json.dumps(file))
    assert run_check(data) == (0 if kinds(expected) <= {*NOTICES} else 1)
    shown = capsys.readouterr()
    assert all(f"  {data}: {record} " in shown.out for _, record in expected) and not shown.err


def agrees_with_the_loader(path: Path, faults: set[tuple[str, str]]) -> None:
    """Asserts that the loader refuses the file exactly if a fault is not harmless, and that its reason is one of the faults."""
    try:
        loaded = Coco(path)
        [loaded[k] for k in range(len(loaded))]
    except UserError as error:
        assert any(f"{path}: {record}" in str(error) for _, record in faults), (str(error), faults)
        return
    assert kinds(faults) <= HARMLESS, faults


@pytest.mark.parametrize("what", mutators.FILES)
def test_a_mutated_file_is_repaired_in_a_copy(data, what):
    sound = json.loads(data.read_text())
    for seed in range(3):
        file = copy.deepcopy(sound)
        expected = mutators.FILES[what](default_rng(seed), file)
        data.write_text(json.dumps(file))
        case = check.open_case(data, segmentations=True)
        with untouched(data.parent):
            repairs = list(check.repair(case))
        assert list(check.repair(case)) == [], "what can be repaired is repaired at once"
        remaining = check.examine(case)
        assert kinds({(f.kind, "") for f in remaining.faults}) <= UNREPAIRABLE and (
            repairs or expected <= fault_set(remaining)
        )
        data.write_text(json.dumps(case.file))
        agrees_with_the_loader(data, fault_set(remaining))


def repaired(path: Path, change) -> dict:
    """Changes the records of a sound file, repairs them, and returns the result."""
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))
    case = check.open_case(path, segmentations=True)
    assert list(check.repair(case))
    return case.file


@pytest.mark.parametrize("what", ["corners", "fractions", "swapped size", "same record", "same box", "area"])
def test_a_repair_that_can_be_exact_is(data, what):
    sound = json.loads(data.read_text())
    result = repaired(data, lambda file: mutators.FILES[what](default_rng(1), file))
    for a, b in zip(result["annotations"], sound["annotations"], strict=True):
        np.testing.assert_allclose(a.pop("bbox"), b.pop("bbox"), atol=1e-3)
        assert a.pop("area") == pytest.approx(b.pop("area"), rel=1e-3)
    assert result == sound


def test_a_box_of_negative_size_is_the_one_between_its_corners(data):
    sound = json.loads(data.read_text())

    def turn(file: dict) -> None:
        for k, sign in enumerate(((-1, 1), (1, -1), (-1, -1))):
            x, y, w, h = file["annotations"][k]["bbox"]
            file["annotations"][k]["bbox"] = [x + w * (sign[0] < 0), y + h * (sign[1] < 0), w * sign[0], h * sign[1]]

    assert repaired(data, turn) == sound


def test_a_clipped_box_keeps_what_is_inside_and_its_area_follows(data):
    def move(file: dict) -> None:
        for a, more in zip(file["annotations"][:2], (0, 7)):
            a["bbox"], a["area"] = [-5, 10, 15, 20], 300 + more
        file["annotations"][2]["bbox"] = [0, -1, 10, 10]

    first, second, third = repaired(data, move)["annotations"][:3]
    assert first["bbox"] == second["bbox"] == [0, 10, 10, 20]
    assert (first["area"], second["area"]) == (200, 307), "an area that is not the box's is the outline's"
    assert third["bbox"] == [0, -1, 10, 10], "a pixel is rounding"


def test_two_spellings_become_the_first(data):
    def rename(file: dict) -> None:
        file["categories"].append({"id": 900, "name": " Traffic_Light"})
        file["annotations"][2]["category_id"] = 900

    result = repaired(data, rename)
    assert result["categories"] == mutators.categories() and result["annotations"][2]["category_id"] == 40


def test_two_records_of_one_file_become_the_first(data):
    def split(file: dict) -> None:
        file["images"].append(file["images"][1] | {"id": 777})
        file["annotations"][5]["image_id"] = 777

    result = repaired(data, split)
    assert [i["id"] for i in result["images"]] == [0, 10, 20, 30] and result["annotations"][5]["image_id"] == 10


def test_two_records_of_one_file_and_two_sizes_stay(data):
    """It is unknown to which size the boxes refer."""
    file = json.loads(data.read_text())
    file["images"].append(file["images"][1] | {"id": 777, "width": 500})
    data.write_text(json.dumps(file))
    case = check.open_case(data, segmentations=True)
    assert list(check.repair(case)) == [] and len(case.file["images"]) == 5


def test_foreign_paths_lead_into_the_folder_again(data):
    sound = json.loads(data.read_text())
    root = data.parent / "images"
    names = [f"{root}/sub/é0.jpg", "C:\\me\\1.png", "sub\\é2.jpg", "../other/3.png"]

    def rename(file: dict) -> None:
        for image, name in zip(file["images"], names, strict=True):
            image["file_name"] = name

    assert repaired(data, rename) == sound


def test_ids_given_twice_become_ids_of_their_own(data):
    sound = json.loads(data.read_text())

    def repeat(file: dict) -> None:
        for k, id in ((1, 0), (2, 0), (7, None)):
            file["annotations"][k]["id"] = id

    result = repaired(data, repeat)["annotations"]
    assert len({a["id"] for a in result}) == len(result) == 16 and result[0]["id"] == 0
    assert [a["bbox"] for a in result] == [a["bbox"] for a in sound["annotations"]]


def test_repairs_leave_a_sound_file_as_it_is(data):
    case = check.open_case(data, segmentations=True)
    assert list(check.repair(case)) == [] and case.file == json.loads(data.read_text())


@pytest.mark.parametrize("what", mutators.BYTES)
def test_a_file_that_nobody_could_read(data, capsys, what):
    raw = data.read_bytes()
    for seed in range(DRAWS):
        data.write_bytes(mutators.BYTES[what](default_rng(seed), raw))
        with untouched(data.parent):
            assert run_check(data) == 2
        shown = capsys.readouterr()
        assert shown.err.startswith(f"error: {data}") and shown.err.count("\n") == 1 and not shown.out
        with pytest.raises(UserError, match="instances.json"):
            Coco(data)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 50) | st.floats() | st.text(max_size=3) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)
BOX = st.lists(st.floats(-20, 80) | st.integers(-2, 80), min_size=4, max_size=4)
NAME = st.sampled_from(["1.png", "3.png", "sub/é0.jpg", "gone.png", "/1.png", "../x", "sub", ""]) | st.text(max_size=4)
ID, SIZE = st.integers(0, 3), st.integers(38, 72)


def record(**fields) -> st.SearchStrategy:
    """Draws records with these fields, of which some are missing or junk."""
    return st.fixed_dictionaries({}, optional={key: value | JUNK for key, value in fields.items()}) | JUNK


ANNOTATION = record(
    id=st.integers(0, 30), image_id=ID, category_id=ID, bbox=BOX, area=st.floats(), iscrowd=st.integers(0, 1)
)
ANYTHING = st.fixed_dictionaries(
    {
        "images": st.lists(record(id=ID, file_name=NAME, height=SIZE, width=SIZE), max_size=4),
        "annotations": st.lists(ANNOTATION, max_size=8),
        "categories": st.lists(record(id=ID, name=st.sampled_from(["a", "A ", "b"])), max_size=4),
    }
)


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(ANYTHING)
def test_whatever_is_in_a_file_is_sound_or_named(data, file):
    data.write_text(json.dumps(file))
    report = examined(data)
    check_report.text(report), json.dumps(report.as_dict())
    agrees_with_the_loader(data, fault_set(report))
    case = check.open_case(data, segmentations=True)
    list(check.repair(case))
    assert list(check.repair(case)) == []


# ---- 100 mutated images


@pytest.mark.parametrize("what", mutators.IMAGES)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_mutated_image(data, what):
    images = json.loads(data.read_text())["images"]
    for seed in range(DRAWS + 1):
        rng = default_rng(seed)
        image = images[rng.integers(len(images))]
        path = data.parent / "images" / image["file_name"]
        raw = path.read_bytes()
        kind = mutators.IMAGES[what](rng, path)
        expected = {(kind, f"image {image['id']}")} if kind else set()
        with untouched(data.parent):
            report = examined(data)
        faults, shown = fault_set(report), check_report.text(report)
        assert faults == expected, (seed, faults)
        assert all(f"  {data}: {record} " in shown and path.name in shown for _, record in expected)
        agrees_with_the_loader(data, faults)
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(raw)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_of_images_are_read_or_named(data):
    images = json.loads(data.read_text())["images"]
    for seed in range(40):
        rng = default_rng(seed)
        image = images[seed % len(images)]
        path = data.parent / "images" / image["file_name"]
        raw = path.read_bytes()
        damaged = np.frombuffer(raw, np.uint8).copy()
        damaged[rng.integers(min(len(raw), 300), size=3)] = rng.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        faults = fault_set(examined(data))
        assert faults <= {(kind, f"image {image['id']}") for kind in ("unreadable", "size")}
        agrees_with_the_loader(data, faults)
        path.write_bytes(raw)


# ---- conventions, judged over many boxes


def drawn(rng, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (x, y, width, height) within their images, small and large."""
    sizes = rng.integers(100, 900, (count, 2))
    sides = sizes[:, ::-1] * np.exp(rng.uniform(np.log(0.02), np.log(0.9), (count, 2)))
    places = rng.uniform(0, sizes[:, ::-1] - sides)
    return np.concatenate([places, sides], 1), sizes


FROM_COCO = {  # [x, y, width, height] in each convention
    EXPECTED: lambda b: b,
    "corners [x0, y0, x1, y1]": lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1),
    "centres [cx, cy, width, height]": lambda b: np.concatenate([b[:, :2] + b[:, 2:] / 2, b[:, 2:]], 1),
}


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize("name", FROM_COCO)
def test_a_convention_is_recognised_and_undone(name, fractions):
    assert FROM_COCO.keys() == CONVENTIONS.keys()
    for seed in range(40):
        boxes, sizes = drawn(default_rng(seed), 200)
        scale = np.tile(sizes[:, ::-1], 2) if fractions else 1
        given = FROM_COCO[name](boxes) / scale
        convention = judge_convention(given, sizes)
        assert (convention.name, convention.fractions) == (name, fractions)
        assert bool(convention.evidence) == (name != EXPECTED or fractions)
        np.testing.assert_allclose(convention.convert(given, sizes), boxes, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 4, 10, 40, 1000])
def test_boxes_in_the_expected_convention_are_not_suspected(count):
    """Even if many are inaccurate and leave their image."""
    for seed in range(60):
        rng = default_rng(seed)
        boxes, sizes = drawn(rng, count)
        boxes[:, :2] += rng.uniform(-0.09, 0.09, (count, 2)) * boxes[:, 2:] * (rng.random((count, 1)) < 0.5)
        assert judge_convention(boxes, sizes).evidence == ""


def test_large_inaccurate_boxes_are_not_suspected():
    """They would fit as corners, too."""
    rng = default_rng(0)
    sizes = np.full((50, 2), 224)
    boxes = np.concatenate([rng.uniform(0, 9, (50, 2)), np.full((50, 2), 222.0)], 1)
    assert judge_convention(boxes, sizes).evidence == ""


def test_one_box_in_fractions_among_others_is_named(data):
    file = json.loads(data.read_text())
    file["annotations"][6]["bbox"] = [0.2, 0.3, 0.5, 0.25]
    data.write_text(json.dumps(file))
    assert fault_set(examined(data)) == {("convention", "annotation 102 (image 10)")}


def test_the_evidence_is_reported_and_boxes_are_judged_in_their_own_form(data, capsys):
    file = json.loads(data.read_text())
    mutators.FILES["corners"](default_rng(0), file)
    file["annotations"][3]["bbox"][2:] = file["annotations"][3]["bbox"][:2]
    data.write_text(json.dumps(file))
    assert run_check(data) == 1
    shown = capsys.readouterr().out
    assert "of 16 boxes have a tenth or more outside their image" in shown and "corners [x0, y0, x1, y1]" in shown
    assert fault_set(examined(data)) == {("convention", "the file"), ("empty-box", "annotation 3 (image 0)")}


@pytest.mark.parametrize(
    "over, kind", [(0.9, None), (1.1, "outside"), (9.9, "outside"), (10, "outside"), (50, "outside")]
)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("low", [False, True])
def test_a_pixel_outside_is_rounding(data, over, kind, axis, low):
    file = json.loads(data.read_text())
    size = (file["images"][0]["width"], file["images"][0]["height"])[axis]
    file["annotations"][0]["bbox"] = [10, 10, 10, 10]
    file["annotations"][0]["bbox"][axis] = -over if low else size - 10 + over
    data.write_text(json.dumps(file))
    faults = examined(data).faults
    assert [f.kind for f in faults] == ([kind] if kind else [])
    assert not kind or ("entirely" in faults[0].text) == (over >= 10)
    assert not kind or over >= 10 or f"by {over}" in faults[0].text


# ---- between splits


@pytest.fixture
def splits(tmp_path) -> tuple[Path, Path]:
    """The instances files of two folders without faults, with the same ids and file names but different images."""
    return tuple(mutators.write_sound(tmp_path / name, default_rng(k)) for k, name in enumerate(("train", "val")))


def between(train: Path, val: Path) -> set[tuple[str, str]]:
    """The faults of one split, checked against the other."""
    case = check.open_case(train)
    case.against = check.open_case(val)
    return fault_set(check.examine(case))


def test_equal_names_in_two_folders_are_no_fault(splits):
    assert between(*splits) == set()


def test_one_picture_in_two_splits(splits):
    """The file name and the format do not matter, as long as the pixels are equal."""
    train, val = splits
    Image.open(train.parent / "images" / "1.png").save(val.parent / "images" / "3.png", compress_level=1)
    file = json.loads(train.read_text())
    other = json.loads(val.read_text())
    for key in ("height", "width"):
        other["images"][3][key] = file["images"][1][key]
    other["annotations"] = [a for a in other["annotations"] if a["image_id"] != 30]
    val.write_text(json.dumps(other))
    assert between(train, val) == {("split", "image 10")}


def add_picture(path: Path, picture: Image.Image, **saved) -> None:
    """Adds an image with one box to a folder; `saved` are options of Pillow's save."""
    picture.save(path.parent / "images" / "new.jpg", **saved)
    file = json.loads(path.read_text())
    file["images"].append({"id": 555, "file_name": "new.jpg", "width": picture.width, "height": picture.height})
    file["annotations"].append({"id": 5550, "image_id": 555, "category_id": 3, "bbox": [1, 1, 50, 40]})
    path.write_text(json.dumps(file))


@pytest.mark.parametrize("size, quality", [((640, 480), 60), ((320, 240), 90)])
def test_a_picture_compressed_again_or_resized_is_suspected(splits, size, quality):
    picture = Image.fromarray(mutators.blurred(default_rng(7), 480, 640))
    add_picture(splits[0], picture, quality=95)
    add_picture(splits[1], picture.resize(size), quality=quality)
    assert between(*splits) == {("look-alike", "image 555")}


def test_a_picture_that_only_resembles_another_is_not_suspected(splits):
    """Two photos of a burst, say: a tenth of the second is another image."""
    one, other = (Image.fromarray(mutators.blurred(default_rng(k), 480, 640)) for k in (7, 8))
    add_picture(splits[0], one)
    add_picture(splits[1], Image.blend(one, other, 0.1))
    assert between(*splits) == set()


def test_flat_pictures_are_not_suspected(splits):
    for path, grey in zip(splits, (100, 110)):
        add_picture(path, Image.new("RGB", (100, 100), (grey,) * 3))
    assert between(*splits) == set()


def test_one_folder_of_both_splits(data, capsys):
    """Both splits may use one folder of images, as in training: then equal names mean the same image."""
    file = json.loads(data.read_text())
    parts = {}
    for name, chosen in (("train", (0, 10)), ("val", (10, 20, 30))):
        parts[name] = data.with_name(f"{name}.json")
        annotations = [a for a in file["annotations"] if a["image_id"] in chosen]
        images = [i for i in file["images"] if i["id"] in chosen]
        parts[name].write_text(json.dumps(file | {"images": images, "annotations": annotations}))
    with untouched(data.parent):
        assert run_check(parts["train"], "--against", parts["val"], "--fix-to", data.with_name("new.json")) == 1
    assert f"image 10 is '1.png', as image 10 of {parts['val']}" in capsys.readouterr().out
    assert [i["id"] for i in json.loads(data.with_name("new.json").read_text())["images"]] == [0]
    shutil.rmtree(data.parent / "images")
    assert between(parts["train"], parts["val"]) == {("split", "image 10")}, "without files, names are compared"


def test_other_classes_in_the_other_split(splits):
    file = json.loads(splits[1].read_text())
    file["categories"][0]["name"] = "kitten"
    file["categories"].append({"id": 41, "name": "bus"})
    splits[1].write_text(json.dumps(file))
    assert between(*splits) == {("classes", "category 3"), ("classes", "category 41")}


# ---- the table


@pytest.mark.parametrize("seed", range(5))
def test_the_table_counts(data, seed):
    rng = default_rng(seed)
    file = json.loads(data.read_text())
    for a in file["annotations"]:
        a["iscrowd"], a["area"] = int(rng.random() < 0.2), float(rng.choice([500, 1023, 1024, 5000, 9216, 10**5]))
    file["annotations"] = [a for a in file["annotations"] if a["image_id"] != 20]
    data.write_text(json.dumps(file))
    table = examined(data).table
    single = [a for a in file["annotations"] if not a["iscrowd"]]
    assert (table["images"], table["images_without_boxes"], table["broken"]) == (4, 1, 0)
    assert (table["boxes"], table["crowd"]) == (len(single), 12 - len(single))
    assert table["box_width"] == [f([a["bbox"][2] for a in single]) for f in (min, np.median, max)]
    for row in table["classes"]:
        own = [a for a in single if a["category_id"] == row["id"]]
        assert row["name"] == mutators.NAMES[row["id"]] and row["boxes"] == len(own)
        assert row["images"] == len({a["image_id"] for a in own})
        assert row["small"] == sum(a["area"] < 32**2 for a in own)
        assert row["large"] == sum(a["area"] >= 96**2 for a in own)
        assert row["small"] + row["medium"] + row["large"] == len(own)


# ---- the command


def test_help_names_every_kind_and_imports_neither_torch_nor_numpy():
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from train.__main__ import main
try:
    main(["check", "--help"])
finally:
    assert not {{"torch", "numpy"}} & set(sys.modules)
"""
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert all(f"{kind}: {text}"[:60] in shown for kind, text in KINDS.items())


def test_the_check_needs_no_torch(data):
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from train.__main__ import main
assert main(["check", {str(data)!r}]) == 0 and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def spoil(path: Path, *mutations: str) -> None:
    """Applies mutators of files, by name, to a file."""
    file = json.loads(path.read_text())
    for seed, name in enumerate(mutations):
        mutators.FILES[name](default_rng(seed), file)
    path.write_text(json.dumps(file))


def test_all_faults_are_found_not_only_the_first(data):
    spoil(data, "negative side", "box outside", "missing file", "crowd", "unknown class", "same box")
    assert kinds(fault_set(examined(data))) >= {"box", "outside", "missing", "field", "same-box", "unknown"}


def test_the_report_for_machines(data, tmp_path):
    spoil(data, "box outside", "image without a box")
    for _ in range(2):  # the second takes the place of the first
        assert run_check(data, "--json", tmp_path / "report.json") == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["sound"] is False and report["path"] == str(data) and report["images"] == str(data.parent / "images")
    assert [f["kind"] for f in report["faults"]] == ["outside"] and [f["kind"] for f in report["notices"]] == [
        "unused-image"
    ]
    section, place = report["faults"][0]["place"]
    annotation = json.loads(data.read_text())[section][place]
    assert report["faults"][0]["record"] == f"annotation {annotation['id']} (image {annotation['image_id']})"


def test_an_allowed_kind_is_no_fault(data, capsys):
    spoil(data, "box outside")
    assert run_check(data, "--allow", "outside") == 0
    assert "Worth knowing" in capsys.readouterr().out
    assert run_check(data, "--allow", "outsid") == 2
    assert "perhaps you meant outside" in capsys.readouterr().err


def test_a_repaired_copy(data, tmp_path, capsys):
    spoil(data, "negative side", "box outside", "area", "same record", "swapped size", "other spelling")
    with untouched(tmp_path):
        assert run_check(data, "--fix-to", tmp_path / "new" / "fixed.json") == 1
    shown = capsys.readouterr().out
    assert (
        "Repaired:" in shown
        and "made negative sizes of boxes positive" in shown
        and shown.splitlines()[-1].startswith("written: ")
    )
    assert run_check(tmp_path / "new" / "fixed.json", "--images", data.parent / "images") == 0
    fixed = json.loads((tmp_path / "new" / "fixed.json").read_text())
    assert fixed["info"] == {"year": 2024} and all(a["segmentation"] for a in fixed["annotations"]), (
        "nothing else is lost"
    )


def test_faults_that_cannot_be_repaired_are_reported(data, tmp_path, capsys):
    spoil(data, "other size", "class name")
    assert run_check(data, "--fix-to", tmp_path / "fixed.json") == 1
    rest = capsys.readouterr().out.partition("Could not be repaired:")[2]
    assert "size, 1" in rest and "field, 1" in rest and "2 faults left" in rest


def test_a_wrong_folder_of_images_takes_no_image_out(data, tmp_path):
    (tmp_path / "other").mkdir()
    case = check.open_case(data, tmp_path / "other", segmentations=True)
    assert list(check.repair(case)) == [] and len(case.file["images"]) == 4


@pytest.mark.parametrize(
    "flag, target, words",
    [
        ("--fix-to", "data/instances.json", "no file is changed"),
        ("--fix-to", "there.json", "no file is changed"),
        ("--json", "data/instances.json", "choose another place"),
        ("--json", "data/images/1.png", "choose another place"),
        ("--json", "data/images/new.json", "choose another place"),
        ("--json", "data/images/sub", "choose another place"),
        ("--images", "data/instances.json", "Not a directory"),
        ("--images", "nowhere", "No such file or directory"),
        ("--against", "nowhere.json", "cannot be read"),
        ("--imagse", "data", "perhaps you meant --images"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(data, tmp_path, capsys, flag, target, words):
    spoil(data, "box outside")
    (tmp_path / "there.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    with untouched(tmp_path):
        assert run_check(data, flag, tmp_path / target) == 2
    shown = capsys.readouterr()
    assert words in shown.err and shown.err.count("\n") == 1 and sorted(tmp_path.rglob("*")) == before


def test_a_place_that_cannot_be_written(data, tmp_path, capsys):
    spoil(data, "box outside")
    (tmp_path / "file").write_text("")
    for flag in ("--json", "--fix-to"):
        assert run_check(data, flag, tmp_path / "file" / "new.json") == 2
        assert "cannot be written" in capsys.readouterr().err


def test_without_images_only_the_records_are_checked_and_the_report_says_so(data, tmp_path, capsys):
    alone = tmp_path / "alone.json"
    shutil.copy(data, alone)
    assert run_check(alone) == 0 and "no images were checked" in capsys.readouterr().out


def test_names_cannot_send_control_characters_to_the_terminal(data, capsys):
    file = json.loads(data.read_text())
    file["categories"][0]["name"] = "\x1b[2J\ud800" + "x" * 500
    data.write_text(json.dumps(file))
    assert run_check(data) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\\x1b[2J\\ud800" in shown and max(map(len, shown.splitlines())) < 300


def test_many_faults_are_counted_and_a_few_shown(data, tmp_path, capsys):
    file = json.loads(data.read_text())
    for a in file["annotations"]:
        a["bbox"][2] = -1
    data.write_text(json.dumps(file))
    assert run_check(data, "--json", tmp_path / "report.json") == 1
    shown = capsys.readouterr().out
    assert "box, 16: " in shown and "and 11 more" in shown and shown.count("annotation ") == 5
    assert len(json.loads((tmp_path / "report.json").read_text())["faults"]) == 20, "and 4 classes without a box"


def test_output_to_a_closed_pipe_is_no_error(data):
    command = f"{sys.executable} -m train check {data} | true"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""


def test_progress_is_printed_every_few_seconds(monkeypatch, capsys):
    clock = iter(np.arange(0, 100, 0.7))
    monkeypatch.setattr("core.progress.perf_counter", lambda: next(clock))
    assert list(lines(range(20), "looking", 20, 0, 1)) == list(range(20))
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == "looking: 3 of 20" and 2 <= len(printed) <= 4


def test_links_may_lead_anywhere_within_the_folder(data, capsys):
    images = data.parent / "images"
    os.rename(images / "1.png", images / "sub" / "real.png")
    (images / "1.png").symlink_to(images / "sub" / "real.png")
    os.rename(images, data.parent / "elsewhere")
    images.symlink_to(data.parent / "elsewhere")
    assert run_check(data) == 0
    os.rename(images / "sub", data.parent / "outside")
    (images / "sub").symlink_to(data.parent / "outside")
    assert run_check(data) == 1 and capsys.readouterr().out.count("a link out of") == 3
    assert {record for kind, record in fault_set(examined(data)) if kind == "path"} == {
        "image 0",
        "image 10",
        "image 20",
    }
    with pytest.raises(UserError, match="a link out of"):
        Coco(data)
