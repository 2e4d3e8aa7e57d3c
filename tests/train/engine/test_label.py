"""The command `label`: predictions with scores as a COCO file, resumable, by any number of processes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.data.batch import collate
from core.data.coco.dataset import Coco
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment, eval_transform
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.predicted import read_predicted
from core.errors import UserError
from core.files import read_json
from core.metrics.detections import select
from core.runs.checkpoint import load_detector
from tests.helpers import processes
from train.cli.main import main
from train.engine import chunks
from train.engine import label as module
from train.engine.label import Label, label

TEACHER = Path("assets/teacher_shapes.safetensors").absolute()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Seven images in chunks of three."""
    monkeypatch.setattr(chunks, "CHUNK", 3)
    shapes = Shapes("train", 7)
    (tmp_path / "photos").mkdir()
    for k in range(7):
        Image.fromarray(shapes.pixels[k].permute(1, 2, 0).numpy()).save(tmp_path / "photos" / f"{k}.png")
    (tmp_path / "photos" / "6.png").unlink()
    Image.new("RGB", (40, 60)).save(tmp_path / "photos" / "6.png")  # nothing to find, and another size
    return tmp_path


def written(folder: Path, out: str = "out.json", **more) -> dict:
    label(TEACHER, Label(images=folder / "photos", out=folder / out, **more), torch.device("cpu"))
    return read_json(folder / out)


def test_it_holds_what_the_detector_finds(photos):
    """Each query with its best class, from the given score on; every image, also without boxes."""
    value = written(photos, score=0.4)
    detector, card = load_detector(TEACHER)
    files = ImageFiles(photos / "photos", Shapes.categories)
    assert [i["file_name"] for i in value["images"]] == [f"{k}.png" for k in range(7)]
    assert (
        value["categories"] == card["categories"]
        and value["images"][6] | {"height": 60, "width": 40} == value["images"][6]
    )
    for k in range(7):
        sample = replace(files[k], truth="given")
        images, _ = collate([eval_transform(sample, Augment())])
        with torch.no_grad():
            detections = select(detector(images), images)
        best = {}
        for row, query in enumerate(detections.queries.tolist()):
            if detections.scores[row] >= 0.4:
                best.setdefault(query, row)
        found = [a for a in value["annotations"] if a["image_id"] == k + 1]
        assert [a["score"] for a in found] == pytest.approx(detections.scores[list(best.values())].tolist(), abs=1e-5)
        assert [a["category_id"] - 1 for a in found] == detections.labels[list(best.values())].tolist()
        for record, row in zip(found, best.values()):
            x0, y0, x1, y1 = detections.boxes[row].tolist()
            width, height = sample.size[1], sample.size[0]
            x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
            assert record["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0], abs=1e-3)
    assert len({a["id"] for a in value["annotations"]}) == len(value["annotations"]) > 10
    assert len(Coco(photos / "out.json", photos / "photos")) == 7, "it is a COCO file"
    assert not (photos / "out.json.parts").exists()


def test_the_folder_of_photos_is_found_through_links(photos):
    """On another disk, from a folder that is a link itself, so that a path of `..` would lead elsewhere."""
    (photos / "deep" / "disk").mkdir(parents=True)
    (photos / "results").symlink_to(photos / "deep" / "disk")
    value = written(photos, "results/out.json")
    assert len(value["images"]) == 7
    predicted = read_predicted(photos / "results" / "out.json", Shapes.categories)
    assert predicted.folder.resolve() == (photos / "photos").resolve()


def test_a_lower_score_lists_more(photos):
    few, many = written(photos, "a.json", score=0.6), written(photos, "b.json")
    assert 0 < len(few["annotations"]) < len(many["annotations"])
    assert min(a["score"] for a in many["annotations"]) >= 0.05 and min(a["score"] for a in few["annotations"]) >= 0.6


def test_it_goes_on_where_it_was_stopped(photos, monkeypatch, capfd):
    whole = written(photos, "whole.json")
    real, calls = module.predicted_chunk, []

    def cut(work, indices, options):
        if len(calls) == 2:
            raise RuntimeError("power cut")
        calls.append(indices)
        return real(work, indices, options)

    monkeypatch.setattr(module, "predicted_chunk", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        written(photos)
    assert not (photos / "out.json").exists() and len(calls) == 2
    monkeypatch.setattr(module, "predicted_chunk", lambda *x: calls.append(x[1]) or real(*x))
    assert written(photos) == whole and calls == [range(0, 3), range(3, 6), range(6, 7)]
    assert written(photos) == whole and len(calls) == 3, "a finished file is not made again"
    with pytest.raises(UserError, match="out.json exists, and is not what this command writes"):
        written(photos, score=0.5)


def test_chunks_of_something_else_are_not_used(photos, monkeypatch):
    real = module.merge
    monkeypatch.setattr(module, "merge", lambda *x: (_ for _ in ()).throw(RuntimeError("power cut")))
    with pytest.raises(RuntimeError):
        written(photos, score=0.5)
    monkeypatch.setattr(module, "merge", real)
    assert written(photos, score=0.3) == written(photos, "other.json", score=0.3)


def label_small_chunks(folder: Path) -> int:
    chunks.CHUNK = 3
    return label(TEACHER, Label(images=folder / "photos", out=folder / "two.json"), torch.device("cpu"))


def test_two_processes_write_what_one_writes(photos):
    count = len(written(photos)["annotations"])
    assert processes.start(label_small_chunks, photos, into=photos / "said") == [str(count)] * 2
    two, one = read_json(photos / "two.json"), read_json(photos / "out.json")
    for said, wanted in zip(two.pop("annotations"), one.pop("annotations"), strict=True):
        near = {key: pytest.approx(wanted.pop(key), rel=1e-4, abs=1e-3) for key in ("bbox", "area", "score")}
        assert {key: said.pop(key) for key in near} == near  # on some machines batches of another size round otherwise
        assert said == wanted
    assert two == one


def test_the_ids_of_a_file_are_kept(photos):
    images = [{"id": 70 + k, "file_name": f"{k}.png", "height": 96, "width": 96} for k in (2, 1)]
    (photos / "list.json").write_text(json.dumps({"images": images}))
    value = written(photos, data=photos / "list.json")
    assert [(i["id"], i["file_name"]) for i in value["images"]] == [(72, "2.png"), (71, "1.png")]
    assert {a["image_id"] for a in value["annotations"]} == {71, 72}


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "say which images to label and which file to write"),
        (["--images", "photos", "--out", "o.json", "--score", "2"], "--score is 2.0; it must be a number from 0 to 1"),
        (["--images", "nowhere", "--out", "o.json"], "nowhere is no folder"),
    ],
)
def test_mistakes_are_one_sentence(words, said, capsys, photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert main(["label", str(TEACHER), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (photos / "o.json").exists()


def test_a_damaged_image_is_named(photos, capsys, monkeypatch):
    (photos / "photos" / "4.png").write_bytes(b"nothing")
    monkeypatch.chdir(photos)
    assert main(["label", str(TEACHER), "--images", "photos", "--out", "o.json"]) == 2
    assert "4.png cannot be read" in capsys.readouterr().err and not (photos / "o.json").exists()


def test_it_says_what_comes_next(photos, capsys, monkeypatch):
    monkeypatch.chdir(photos)
    assert main(["label", str(TEACHER), "--images", "photos", "--out", "o.json"]) == 0
    out = capsys.readouterr().out
    assert "train with: --data.unlabelled o.json" in out and "--data o.json --images photos" in out
