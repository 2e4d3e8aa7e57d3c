"""The command `predict`: COCO results and pictures for images, folders, COCO files, videos and the standard input."""

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO
from PIL import Image

import detrdistill as dd
from core.data.shapes.dataset import Shapes
from core.files import read_json
from core.project import ROOT
from tests.helpers import processes
from train.cli.main import main
from train.distributed.evaluate import score
from train.engine import chunks
from train.engine import predict as module
from train.engine.pictures import picture_name, save_picture
from train.engine.predict import Predict, predict

TEACHER = ROOT / "assets/teacher_shapes.safetensors"
CPU = torch.device("cpu")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Seven images in chunks of three, of several sizes and formats, in two folders; the current folder is around them."""
    monkeypatch.setattr(chunks, "CHUNK", 3)
    monkeypatch.chdir(tmp_path)
    shapes = Shapes("val", 7)
    (tmp_path / "photos/more").mkdir(parents=True)
    for k in range(7):
        image = Image.fromarray(shapes.pixels[k].permute(1, 2, 0).numpy())
        image = image.resize((400, 30)) if k == 5 else image.resize((1, 1)) if k == 6 else image
        image.save(tmp_path / "photos" / f"{'more/' if k % 2 else ''}{k}.{'jpg' if k == 3 else 'png'}")
    return tmp_path


def run(*words) -> int:
    return main(["predict", str(TEACHER), *map(str, words)])


def results(folder: str = "predictions") -> list[dict]:
    return read_json(Path(folder) / "predictions.json")


def listed(folder: str = "predictions") -> dict:
    return read_json(Path(folder) / "images.json")


def test_it_writes_what_the_model_finds(photos, capsys):
    assert run("photos") == 0
    said = capsys.readouterr()
    assert said.out.startswith("done: predictions with ") and said.out.rstrip().endswith("images a second")
    names = {image["id"]: image["file_name"] for image in listed()["images"]}
    assert list(names.values()) == ["0.png", "2.png", "4.png", "6.png", "more/1.png", "more/3.jpg", "more/5.png"]
    model = dd.load(TEACHER)
    categories = listed()["categories"]
    for id, name in names.items():
        found = model.predict(photos / "photos" / name)
        records = [r for r in results() if r["image_id"] == id]
        assert [r["score"] for r in records] == pytest.approx(list(found.scores), abs=1e-4)
        assert [categories[d.class_id]["id"] for d in found] == [r["category_id"] for r in records]
        for record, d in zip(records, found):
            x, y, width, height = record["bbox"]
            assert (x, y, x + width, y + height) == pytest.approx(d.box, abs=2e-3) and record["file_name"] == name
    assert len(results()) > 8 and len({r["id"] for r in results()}) == len(results())
    assert not [p for p in photos.iterdir() if p.name.startswith(".")]


def test_other_tools_read_the_results(photos):
    assert run("photos", "--score", 0) == 0
    truth = COCO("predictions/images.json")
    assert len(truth.loadRes("predictions/predictions.json").anns) == len(results()) == 7 * 100
    assert run("predictions/images.json", "--score", 0) == 0, "it names its images"
    assert not Path("predictions-2").exists(), "they are the same images"


def test_a_coco_file_keeps_its_ids_and_scores_as_eval(photos):
    shapes = Shapes("val", 6)
    truth = shapes.truth()
    (photos / "coco").mkdir()
    for k, image in enumerate(truth["images"]):
        Image.fromarray(shapes.pixels[k].permute(1, 2, 0).numpy()).save(photos / "coco" / f"{k}.png")
        image |= {"file_name": f"{k}.png", "id": image["id"] + 70}
    for a in truth["annotations"]:
        a["image_id"] += 70
    (photos / "coco/truth.json").write_text(json.dumps(truth))
    assert run("coco/truth.json", "--score", 0, "--no-pictures") == 0
    index = COCO("coco/truth.json")
    assert {r["image_id"] for r in results()} == {i["id"] for i in truth["images"]}
    from faster_coco_eval import COCOeval_faster

    from core.runs.checkpoint import load_detector

    evaluation = COCOeval_faster(index, index.loadRes("predictions/predictions.json"), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    expected = score(load_detector(TEACHER)[0], shapes, module.open_predictor(TEACHER, CPU).augment, batch=8, workers=0)
    assert evaluation.stats[0] == pytest.approx(expected["ap"], abs=1e-6) and expected["ap"] > 0.3
    assert not Path("predictions/pictures").exists()


def test_a_picture_of_a_name_without_an_ending_is_a_jpg(photos):
    (photos / "photos/0.png").rename(photos / "photos/scan")
    (photos / "photos/2.png").rename(photos / "photos/scan.7")
    assert run("photos/scan", "photos/scan.7") == 0
    assert sorted(p.name for p in Path("predictions/pictures").iterdir()) == ["scan.7.jpg", "scan.jpg"]


def test_no_two_images_share_a_picture():
    names = ("a", "a.jpg", "a.png", "b", "b.tif", "c", "c.jpg", "c.jpg.jpg", "d/a", "d/E.JPG")
    pictures = [picture_name(name, names) for name in names]
    assert len(set(pictures)) == len(names)
    assert {pictures[k] for k in (0, 3, 5, 8)} == {"a.jpg.jpg", "b.jpg", "c.jpg.jpg.jpg", "d/a.jpg"}
    assert [pictures[k] for k in (1, 2, 6, 7, 9)] == [names[k] for k in (1, 2, 6, 7, 9)]


def test_pictures_show_boxes_and_change_nothing_else(photos):
    assert run("photos/0.png", "photos/more/5.png") == 0
    drawn = {name: np.asarray(Image.open(f"predictions/pictures/{name}")) for name in ("0.png", "more/5.png")}
    before = np.asarray(Image.open("photos/0.png"))
    assert drawn["more/5.png"].shape == (30, 400, 3)
    changed = (drawn["0.png"] != before).any(2)
    assert 0.01 < changed.mean() < 0.9
    for record in (r for r in results() if r["file_name"] == "0.png"):
        x, y, width, height = record["bbox"]
        edge = changed[int(np.clip(y + height, 0, 95)), max(0, int(x)) : int(x + width)]
        assert edge.mean() > 0.9, "the lower edge of the box is drawn"


def test_large_pictures_become_smaller_and_their_boxes_too(tmp_path):
    detector = dd.load(TEACHER)
    pixels = torch.zeros(3, 100, 200, dtype=torch.uint8)
    found = detector.predictor.detect_in([torch.randint(0, 256, (3, 96, 96), dtype=torch.uint8)], 0.0)[0].at([0])
    found.boxes[:] = torch.tensor([500.0, 100, 1500, 700])
    save_picture(tmp_path / "x.png", pixels, found, (1000, 2000), ["name"] * 8)
    rows, columns = (np.asarray(Image.open(tmp_path / "x.png")).any(2)).nonzero()
    assert (columns.min(), columns.max(), rows.max()) == (50, 150, 70)


def test_damaged_images_are_named_and_left_out(photos, capsys):
    """Alone in a batch, among others, and in a chunk of their own; the exit code says so, also when repeated."""
    assert run("photos", "--out", "whole") == 0
    for k in (0, 2):
        (photos / f"photos/{k}.png").write_bytes(b"nothing")
    whole = (photos / "photos/4.png").read_bytes()
    (photos / "photos/4.png").write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    assert run("photos", "--batch", 1) == 1
    error = capsys.readouterr().err
    assert [f"{k}.png cannot be read" in error for k in (0, 2, 4)] == [True] * 3 and error.count("left out") == 3
    assert [i["id"] for i in listed()["images"]] == [4, 5, 6, 7] and len(listed()["info"]["faults"]) == 3
    strip = [{k: v for k, v in r.items() if k != "id"} for r in results("whole") if r["image_id"] > 3]
    for one, other in zip([r for r in results()], strip, strict=True):
        assert one["category_id"] == other["category_id"] and one["score"] == pytest.approx(other["score"], abs=1e-4)
    assert run("photos", "--batch", 1) == 1, "nothing is made again, but it is said again"
    assert not Path("predictions-2").exists()


def test_it_goes_on_where_it_was_stopped(photos, monkeypatch):
    assert run("photos", "--out", "whole") == 0
    real, calls = module.predicted_chunk, []

    def cut(work, indices):
        if len(calls) == 2:
            raise RuntimeError("power cut")
        calls.append(indices)
        return real(work, indices)

    monkeypatch.setattr(module, "predicted_chunk", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        run("photos", "--out", "out")
    assert not Path("out").exists()
    monkeypatch.setattr(module, "predicted_chunk", lambda *x: calls.append(x[1]) or real(*x))
    assert run("photos", "--out", "out") == 0 and calls == [range(0, 3), range(3, 6), range(6, 7)]
    assert results("out") == results("whole") and listed("out") == listed("whole")
    assert sorted(os.listdir("out")) == sorted(os.listdir("whole")) == ["images.json", "pictures", "predictions.json"]
    assert run("photos", "--out", "out") == 0 and len(calls) == 3
    assert run("photos", "--out", "out", "--score", 0.5) == 2, "the folder is of another work"


def test_parts_of_another_work_are_not_used(photos, monkeypatch):
    with monkeypatch.context() as cut:
        cut.setattr(module, "merge", lambda *x: (_ for _ in ()).throw(RuntimeError("power cut")))
        with pytest.raises(RuntimeError):
            run("photos", "--out", "out")
    assert run("photos/0.png", "--out", "out", "--score", 0.5) == 0
    assert os.listdir("out/pictures") == ["0.png"] and min(r["score"] for r in results("out")) >= 0.5


def test_folders_without_a_name_are_numbered(photos):
    assert run("photos") == 0 and run("photos", "--score", 0.6) == 0 and run("photos") == 0
    assert len(results("predictions-2")) < len(results()) and not Path("predictions-3").exists()
    Image.new("RGB", (9, 9)).save("photos/0.png")
    assert run("photos") == 0 and Path("predictions-3").exists(), "an image has changed"


def predict_small_chunks(folder: Path) -> int:
    chunks.CHUNK = 3
    return predict(TEACHER, [str(folder / "photos")], Predict(out=folder / "two"), CPU).predictions


def test_two_processes_write_what_one_writes(photos, monkeypatch):
    (photos / "photos/2.png").write_bytes(b"nothing")
    assert run(photos / "photos", "--out", "one") == 1
    monkeypatch.chdir(ROOT)
    said = processes.start(predict_small_chunks, photos, into=photos / "said")
    os.chdir(photos)
    assert said == [str(len(results("one")))] * 2
    assert (
        results("two") == results("one")
        and listed("two") == listed("one")
        and len(listed("two")["info"]["faults"]) == 1
    )
    assert len(list(Path("two/pictures").rglob("*.*"))) == 6


def write_video(path: Path, count: int = 8) -> np.ndarray:
    import av

    frames = Shapes("val", count).pixels.permute(0, 2, 3, 1).numpy()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 96
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.copy(), format="rgb24")))
        container.mux(stream.encode())
    return frames


def test_a_video_is_its_frames(photos):
    frames = write_video(photos / "clip.mp4")
    assert run("clip.mp4", "--workers", 2) == 0
    assert [i["file_name"] for i in listed()["images"]] == [f"clip.mp4/{k:06}.jpg" for k in range(1, 9)]
    assert len(list(Path("predictions/pictures/clip.mp4").iterdir())) == 8
    model, best = dd.load(TEACHER), {}
    for r in results():
        best.setdefault(r["image_id"], r)
    same = [model.predict(f)[:1] for f in frames]
    agree = [bool(d) and abs(d[0].box[0] - best[k]["bbox"][0]) < 3 for k, d in enumerate(same, start=1) if k in best]
    assert sum(agree) >= 6, "frames in their order, but for what compression changes"


def test_the_frames_of_a_video_in_any_order(photos):
    from core.data.unlabelled.video import VideoFrames

    write_video(photos / "clip.mp4")
    video = VideoFrames(photos / "clip.mp4", Shapes.categories)
    order = [video[k].pixels for k in range(8)]
    assert (
        all(torch.equal(video[k].pixels, order[k]) for k in (3, 1, 1, 7, 0)) and video.sizes.tolist() == [[96, 96]] * 8
    )
    assert not torch.equal(order[0], order[1]) and video[4].id == 5 and len(video.truth()["images"]) == 8


def test_a_video_that_is_cut_off_is_predicted_up_to_there(photos, capsys):
    write_video(photos / "clip.avi", 40)
    (photos / "clip.avi").write_bytes((photos / "clip.avi").read_bytes()[:60_000])
    code = run("clip.avi", "--no-pictures")
    assert code in (0, 1) and 5 < len(listed()["images"]) < 40


def test_videos_that_cannot_be_read(photos, capsys, monkeypatch):
    (photos / "none.mp4").write_bytes(b"nothing" * 100)
    assert run("none.mp4") == 2
    assert "none.mp4 cannot be read as a video" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert run("none.mp4") == 2
    assert (
        capsys.readouterr().err == "error: none.mp4: a video needs the video extra: pip install 'detrdistill[video]'\n"
    )


def feed(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_the_standard_input_is_an_image_or_names_of_images(photos, monkeypatch, capsys):
    feed(monkeypatch, (photos / "photos/0.png").read_bytes())
    assert run("-", "--out", "image") == 0
    assert run("photos/0.png", "--out", "file") == 0
    assert [r["bbox"] for r in results("image")] == [r["bbox"] for r in results("file")] != []
    feed(monkeypatch, b"photos/0.png\nphotos/more/1.png\n")
    assert run("-", "--out", "names") == 0
    assert [i["file_name"] for i in listed("names")["images"]] == ["0.png", "more/1.png"]
    feed(monkeypatch, b"")
    assert run("-") == 2 and "nothing comes from the standard input" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "say which images: python -m train predict"),
        (["photos", "--score", "2"], "--score is 2.0; it must be a number from 0 to 1"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["photos", "photos/0.png"], "photos is no image; give it alone, or images only"),
        (["empty"], "empty holds no image"),
        (["photos", "--out", "full"], "full exists, and is not what this command writes"),
        (["photos", "--scor", "1"], "no flag --scor; perhaps you meant --score"),
    ],
)
def test_mistakes_are_one_sentence(words, said, capsys, photos):
    (photos / "empty").mkdir()
    (photos / "full").mkdir()
    (photos / "full/x").touch()
    before = sorted(photos.rglob("*"))
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and sorted(photos.rglob("*")) == before
