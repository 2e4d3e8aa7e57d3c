"""Training with images without labels: which images they are, what score their objects need, and what is logged."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.data.shapes import dataset
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.errors import UserError
from core.files import read_json, write_json
from core.metrics.hits import hits, objects
from core.metrics.pseudo_truth.least_score import best_scores
from core.runs.checkpoint import load_detector
from core.runs.diagnose import diagnose
from tests.helpers import processes, runs
from train.cli import report_run
from train.engine import loop
from train.engine.label import Label, label
from train.job import images as module
from train.job.build import build
from train.job.images import teacher_detections, truth_of
from train.job.summary import summary
from train.run import Pseudo

SHIPPED = Path("assets/teacher_shapes.safetensors")


def small(**more):
    """Four images with labels and six without, whose objects a shipped teacher finds."""
    data = replace(runs.DATA, train_limit=4, unlabelled=("rest",), size=96)
    return runs.small(data=data, teacher=SHIPPED, losses=runs.small().losses, pseudo=Pseudo(score=0.4), **more)


@pytest.fixture(autouse=True)
def ten_images(monkeypatch):
    """The set of shapes has ten training images, so that the rest is six."""
    monkeypatch.setitem(dataset.COUNTS, "train", 10)


def test_the_rest_has_no_labels():
    job = build(small())
    data = job.loader.dataset
    assert (len(data), data.labelled) == (10, 4) and [data[k].truth for k in range(10)] == ["given"] * 4 + [
        "withheld"
    ] * 6
    plain = Shapes("train", 10)
    assert all(torch.equal(data[k].pixels, plain[k].pixels) for k in range(10))
    assert "10 training images, 4 with labels and 6 without" in summary(job, Path("x"))
    assert "a score of at least 0.4, as given; each counts 1" in summary(job, Path("x"))
    found = re.search(r"; each counts 1; (.*) an image\n", summary(job, Path("x")))[1]
    detections = teacher_detections(job.distiller.teacher, plain, range(4, 10), job.run, job.device)
    assert found == f"{(detections.scores >= 0.4).sum() / 6:.1f}" != "0.0" and "warning" not in summary(job, Path("x"))
    blind = build(replace(small(), pseudo=Pseudo(score=1.0)))
    assert "; 0.0 an image\n" in summary(blind, Path("x")) and "warning   the teacher finds hardly" in summary(
        blind, Path("x")
    )
    alone = build(replace(small(), data=replace(small().data, train_limit=0)))
    assert alone.loader.dataset.labelled == 0 and len(alone.loader.dataset) == 10


@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda r: replace(r, data=replace(r.data, train_limit=None)),
            "rest takes the images after --data.train-limit",
        ),
        (lambda r: replace(r, teacher=None), "has images without predictions: give a --teacher"),
        (lambda r: replace(r, pseudo=Pseudo(score=40.0)), "--pseudo.score is 40; a score is from 0 to 1"),
        (lambda r: replace(r, data=replace(r.data, labelled_share=1.0)), "--data.labelled-share is between 0 and 1"),
        (lambda r: replace(r, data=replace(r.data, labelled_share=0.5, train_limit=0)), "needs images with labels"),
        (lambda r: replace(r, data=replace(r.data, labelled_share=0.5, aspect_groups=1)), "--data.aspect-groups 0"),
        (lambda r: replace(r, data=replace(r.data, unlabelled=("nowhere",))), "nowhere is no folder"),
    ],
)
def test_mistakes_are_one_sentence(change, said, tmp_path):
    with pytest.raises(UserError, match=said):
        loop.fit(change(small()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tenth_is_held_back_to_choose_the_score(monkeypatch):
    """The best score on these images; they are learnt without labels; with few objects, none is held back."""
    monkeypatch.setitem(dataset.COUNTS, "train", 70)
    run = replace(small(), pseudo=Pseudo(), data=replace(small().data, train_limit=60))
    job = build(run)
    data, held = job.loader.dataset, [9, 19, 29, 39, 49, 59]
    assert data.labelled == 54 and [data.ids[k] - 1 for k in range(54, 60)] == held
    assert [data[k].truth for k in (53, 54, 59, 60)] == ["given", "withheld", "withheld", "withheld"]
    least = set(job.pseudo.rule.scores)
    assert len(least) == 1 and "images held back" in job.pseudo.origin and "labelled objects" in job.pseudo.origin
    source = Shapes("train", 60)
    truth = objects(truth_of(source, held), source.categories)
    detections = teacher_detections(job.distiller.teacher, source, held, run, job.device)

    def f1(score):
        right = hits(detections.at(detections.scores >= score), truth).right
        return 2 * right.sum() / (len(right) + len(truth))

    assert f1(least.pop()) >= max(f1(k / 50) for k in range(51)) - 0.01
    few = build(replace(run, data=replace(run.data, train_limit=20)))
    assert few.loader.dataset.labelled == 20
    given, truth = range(20), objects(truth_of(source, range(20)), source.categories)
    detections = teacher_detections(job.distiller.teacher, source, given, run, job.device)
    scores, text = best_scores(detections, truth, 8)
    assert few.pseudo.rule.scores == scores and few.pseudo.origin == f"{text} of 20 images that keep their labels"
    assert "the best on" in text and [few.loader.dataset[k].truth for k in (9, 19)] == ["given"] * 2
    fewer = build(replace(run, data=replace(run.data, train_limit=2)))
    assert fewer.pseudo.origin.startswith("0.4, since only") and set(fewer.pseudo.rule.scores) == {0.4}
    given = build(replace(run, pseudo=Pseudo(score=0.3)))
    assert given.loader.dataset.labelled == 60 and set(given.pseudo.rule.scores) == {0.3}


def test_training_logs_what_it_learns_from(tmp_path, capsys):
    path = loop.fit(small(), tmp_path / "run")
    records = [r["pseudo"] for r in runs.steps(path)]
    assert sum(r["images"] for r in records) == 3 * 6 and all(r["judged"] == r["objects"] for r in records)
    assert 0 < sum(r["right"] for r in records) <= sum(r["objects"] for r in records)
    truth = sum(len(Shapes("train", 10)[k].labels) for k in range(4, 10))
    assert sum(r["true"] for r in records) == 3 * truth
    assert read_json(path / "card.json")["pseudo"]["scores"] == [0.4] * 8
    found = diagnose(path, limit=1)
    text = report_run.text(found)
    last = records[len(records) // 2 :]
    objects_per_image = sum(r["objects"] for r in last) / sum(r["images"] for r in last)
    assert f"pseudo    {objects_per_image:.1f} objects in an image without labels; where the objects are known" in text


def test_a_run_with_labels_logs_as_before(tmp_path):
    path = loop.fit(runs.small(), tmp_path / "run")
    assert not any("pseudo" in r for r in runs.steps(path)) and "pseudo" not in read_json(path / "card.json")
    assert diagnose(path, limit=1).pseudo is None


def test_a_resumed_run_takes_the_score_of_its_card(tmp_path, monkeypatch):
    run = replace(small(), pseudo=Pseudo())
    whole = runs.steps(loop.fit(run, tmp_path / "whole"))
    runs.fit_until_power_cut(run, tmp_path / "broken", monkeypatch)
    monkeypatch.setattr("train.job.build.choose_rule", None)  # it is not chosen again
    loop.resume(tmp_path / "broken")
    assert runs.steps(tmp_path / "broken") == whole
    card = tmp_path / "broken" / "card.json"
    write_json(card, read_json(card) | {"pseudo": {"scores": 3}})
    with pytest.raises(UserError, match="card.json: pseudo is not what a run writes"):
        loop.resume(tmp_path / "broken")


def fit(run, path):
    return loop.fit(run, path)


def terms(path):
    return [r["terms"] for r in runs.steps(path)]


@pytest.fixture
def photos(tmp_path):
    """Ten images of shapes as files, of which a COCO file lists the first four with their objects."""
    shapes = Shapes("train", 10)
    (tmp_path / "images").mkdir()
    for k in range(10):
        Image.fromarray(shapes.pixels[k].permute(1, 2, 0).numpy()).save(tmp_path / "images" / f"{k}.png")
    truth = shapes.truth()
    for record in truth["images"]:
        record["file_name"] = f"{record['id'] - 1}.png"
    labelled = {i["id"] for i in truth["images"][:4]}
    kept = [a for a in truth["annotations"] if a["image_id"] in labelled]
    write_json(tmp_path / "train.json", truth | {"images": truth["images"][:4], "annotations": kept})
    write_json(tmp_path / "all.json", truth)
    return tmp_path


def on_photos(folder: Path, *unlabelled: str, **more):
    data = replace(
        small().data,
        kind="coco",
        train=folder / "train.json",
        val=folder / "train.json",
        unlabelled=unlabelled,
        train_limit=None,
        val_limit=None,
        augment=Augment(flip=0.0),
    )
    return replace(small(), data=data, **more)


def label_file(folder: Path, change=lambda value: None) -> Path:
    """What the teacher finds in the folder, as the command `label` writes it."""
    out = folder / "labels.json"
    label(SHIPPED, Label(images=folder / "images", out=out), torch.device("cpu"))
    value = read_json(out)
    change(value)
    write_json(out, value)
    return out


@pytest.mark.parametrize("soft", [False, True])
def test_a_teacher_asked_once_gives_what_a_live_one_gives(photos, soft, tmp_path):
    """The same view of an image has the same pseudo truth, in a file and from the teacher; so training is the same."""
    pseudo = Pseudo(score=0.4, soft=soft)
    live = on_photos(photos, str(photos / "images"), pseudo=pseudo)
    asked = replace(on_photos(photos, str(label_file(photos)), pseudo=pseudo), teacher=None)
    counts = []
    for batches in zip(*(build(run).loader.epoch(0) for run in (live, asked))):
        (images, waiting), (same, truth) = batches
        assert torch.equal(images.pixels, same.pixels) and waiting.pending and not truth.pending
        decoded = module.run_teacher(load_detector(SHIPPED)[0], images)
        full = build(live).distiller.with_objects(waiting, decoded)
        assert full.counts == truth.counts and torch.equal(full.labels, truth.labels)
        assert torch.allclose(full.boxes, truth.boxes, atol=1e-5)
        assert (full.weights is None and truth.weights is None) or torch.allclose(full.weights, truth.weights)
        counts += full.counts
    assert sum(counts) > 10
    one, two = terms(fit(live, tmp_path / "a")), terms(fit(asked, tmp_path / "b"))
    assert one[0] == pytest.approx(two[0], rel=1e-4)


def test_an_image_with_labels_is_not_taken_without(photos):
    """A folder or a file that also holds the images with labels; ids may be the same and mean other images."""
    folder = build(on_photos(photos, str(photos / "images"))).loader.dataset
    assert len(folder) == 10 and folder.labelled == 4 and len(set(folder.ids)) == 10
    assert [part.truth for part in folder.parts] == ["given", "withheld", "unknown"]
    predicted = build(on_photos(photos, str(label_file(photos)))).loader.dataset
    assert (len(predicted), predicted.labelled, len(set(predicted.ids))) == (10, 4, 10) and not predicted.pending
    assert torch.equal(predicted[4].pixels, folder[4].pixels)
    withheld = build(on_photos(photos, str(photos / "all.json"))).loader.dataset
    assert withheld.pending and [withheld[k].truth for k in range(3, 6)] == ["given", "withheld", "withheld"]
    with pytest.raises(UserError, match="every image of .*train.json has labels"):
        build(on_photos(photos, str(photos / "train.json")))


def test_a_file_with_scores_of_labelled_images_chooses_the_score(photos, monkeypatch):
    monkeypatch.setattr("core.metrics.pseudo_truth.least_score.MIN_OBJECTS", 5)
    path = label_file(photos)
    chosen = build(replace(on_photos(photos, str(path)), teacher=None, pseudo=Pseudo())).pseudo
    assert "of 4 images with labels and predictions" in chosen.origin and set(chosen.rule.scores) != {0.4}
    write_json(path, [a for a in read_json(path)["annotations"] if a["image_id"] > 4])
    bare = replace(on_photos(photos, str(photos / "all.json"), str(path)), teacher=None, pseudo=Pseudo())
    assert build(bare).pseudo.origin.startswith("0.4, since no labelled images")


def test_results_follow_the_file_of_their_images(photos):
    path = label_file(photos)
    results = photos / "results.json"
    # `label` numbers images from 1 in the order of their names, which is that of all.json.
    write_json(results, read_json(path)["annotations"])
    one = build(replace(on_photos(photos, str(photos / "all.json"), str(results)), teacher=None)).loader.dataset
    two = build(replace(on_photos(photos, str(path)), teacher=None)).loader.dataset
    assert len(one) == len(two) == 10
    assert all(torch.equal(one[k].boxes, two[k].boxes) and one[k].truth == "pseudo" for k in range(4, 10))
    rest = on_photos(photos, "rest", str(results))
    data = replace(rest.data, train=photos / "all.json", train_limit=4)
    three = build(replace(rest, data=data, teacher=None)).loader.dataset
    assert all(torch.equal(one[k].boxes, three[k].boxes) for k in range(4, 10)) and len(three) == 10


def test_a_class_that_the_student_does_not_have_is_named(photos):
    path = label_file(photos, lambda v: v["categories"][0].update(name="lemon"))
    lost = sum(a["category_id"] == 1 for a in read_json(path)["annotations"])
    job = build(replace(on_photos(photos, str(path)), teacher=None))
    assert f"({lost} predictions of other classes left out: lemon)" in summary(job, Path("x")) and lost


def fit_ten(run, path):
    """In a process of its own, where the set of shapes has to be made small again."""
    dataset.COUNTS["train"] = 10
    return loop.fit(run, path)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_two_processes_and_two_passes_equal_one(share, tmp_path):
    """Pseudo objects count in the divisor of the whole step, whichever process found them."""
    run = small(seed=5, eval_every=3, recorded=0)
    run = replace(run, data=replace(run.data, labelled_share=share))
    one = runs.steps(fit(run, tmp_path / "one"))
    passes = runs.steps(fit(replace(run, optim=replace(run.optim, passes=2)), tmp_path / "passes"))
    assert processes.start(fit_ten, run, tmp_path / "two", into=tmp_path / "said") == [str(tmp_path / "two")] * 2
    assert sum(r["pseudo"]["objects"] for r in one) > 20
    for other in (passes, runs.steps(tmp_path / "two")):
        assert [r["pseudo"] for r in other] == [r["pseudo"] for r in one]
        for a, b in zip(one, other):
            assert a["terms"] == pytest.approx(b["terms"], rel=1e-3)
