"""The teacher store: a teacher that is asked once says what the live one says of the same view."""

from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest
import torch
from PIL import Image
from safetensors.torch import load

from core.data.loader import evaluation
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.mixed import Mixed, Part
from core.errors import UserError
from core.files import read_json
from core.runs.checkpoint import save_detector
from core.runs.open import open_run, replay
from tests.helpers import processes, runs, tiny
from train.cli.main import main
from train.distributed.parallel import ranks
from train.engine import loop
from train.job import store as module
from train.job.build import build
from train.job.stored_teacher import Store, new_store, open_store
from train.recipes.on_shapes.shapes_distill import LOSSES
from train.run import Distil, Losses

CATEGORIES = [vars(c) for c in Shapes("val", 1).categories]
WHOLE = Augment(flip=0.0)
BY_STORE = replace(LOSSES, features=Losses().features)  # logits and prior, which need no live teacher


@pytest.fixture
def run(tmp_path):
    """Distilled by a teacher of one kind or another, whose outputs are stored in single precision."""

    def of(
        kind: str = "adamixer", losses=BY_STORE, augment=WHOLE, precision="single", hidden=False, layers="all", **more
    ):
        path = tmp_path / f"{kind}.safetensors"
        save_detector(path, tiny.detector(kind, classes=8, **more), {"categories": CATEGORIES})
        data = replace(runs.DATA, augment=augment)
        student = tiny.config(kind, classes=8, **more)
        options = Store(tmp_path / "store", data, layers=layers, precision=precision, hidden=hidden)
        opened = new_store(path, options, torch.device("cpu"))
        opened.complete(4, 0)
        optim = replace(runs.OPTIM, epochs=2)
        return runs.small(
            optim=optim, student=student, losses=losses, teacher=path, data=data, teacher_store=tmp_path / "store"
        )

    return of


def live(run):
    return replace(run, teacher_store=None)


def trained(run, path):
    loop.fit(run, path)
    return [r["total"] for r in runs.steps(path)]


KINDS = [("adamixer", {}), ("conditional", {}), ("deformable", {}), ("deformable", {"refine": True, "two_stage": True})]


@pytest.mark.parametrize("kind, more", KINDS)
def test_what_is_stored_is_what_the_live_teacher_says(kind, more, run, monkeypatch):
    """In single precision to the bit; in half, scores to 1e-3, and boxes, which stay in single, to the bit."""
    said, real = [], module.answers

    def recorded(*arguments):
        for answer in real(*arguments):
            said.append(answer)
            yield answer

    monkeypatch.setattr(module, "answers", recorded)
    for precision, near in (("single", 0.0), ("half", 1e-3)):
        said.clear()
        wanted = run(kind, precision=precision, **more)
        opened = open_store(build(wanted))
        batches = list(evaluation(opened.store.data, WHOLE, 4))
        for (images, _), expected in zip(batches, said):
            found = opened.store.decoded(images, torch.device("cpu"))
            a, b = found.predictions["own"], expected.predictions["own"]
            assert torch.allclose(a.logits.sigmoid(), b.logits.sigmoid(), atol=near, rtol=0)
            assert torch.equal(a.boxes, b.boxes) and found.valid is None
            for name in ("content", "position", "anchors"):
                x, y = (getattr(d.queries["own"], name) for d in (found, expected))
                assert (x is None) == (y is None) and (x is None or torch.allclose(x, y, atol=near, rtol=near))
        for path in opened.store.folder.iterdir():
            path.unlink()


@pytest.mark.parametrize("kind, more", KINDS)
def test_it_trains_as_with_the_live_teacher(kind, more, run, tmp_path, capsys, monkeypatch):
    stored = run(kind, **more)
    expected = trained(live(stored), tmp_path / "live")
    found = trained(stored, tmp_path / "stored")
    assert found[0] == pytest.approx(expected[0], rel=1e-5) and found == pytest.approx(expected, rel=1e-2)
    assert "10 images, within" in capsys.readouterr().out


def test_a_store_in_half_precision_trains_in_bf16(run, tmp_path):
    """Autocast to bf16 knows no float16, in which a store's numbers are; they reach the losses in float32."""
    wanted = run(precision="half")
    expected, found = (trained(replace(wanted, amp=amp), tmp_path / amp) for amp in ("off", "bf16"))
    assert found[0] == pytest.approx(expected[0], rel=3e-2)


def test_the_teacher_is_needed_only_where_a_loss_reads_its_features(run, tmp_path):
    calls = []
    for losses, expected in ((BY_STORE, 0), (LOSSES, 6)):
        wanted = run(losses=losses, hidden=True)
        job = build(wanted)
        training = loop.Training(job, tmp_path, None, loop.Interrupt())
        calls.clear()
        teacher = job.distiller.teacher
        teacher.encode = lambda *x, real=teacher.encode: calls.append(1) or real(*x)
        teacher.decode = None
        for batch in training.batches:
            passes, answers = training.with_objects(batch)
            training.training_pass(*passes[0], answers[0])
        assert len(calls) == expected


def test_the_teacher_computes_no_features_after_the_last_step_that_reads_them(run, tmp_path, monkeypatch):
    wanted, steps = run(losses=LOSSES, hidden=True), []
    real = module.TeacherStore.decoded

    def decoded(store, images, device, memory=None):
        steps.append(memory is not None)
        return real(store, images, device, memory)

    monkeypatch.setattr(module.TeacherStore, "decoded", decoded)
    loop.fit(replace(wanted, distil=Distil(until=0.5)), tmp_path / "run")
    assert steps == [True] * 3 + [False] * 3


def test_hidden_vectors_that_are_not_stored_are_asked_for_in_one_sentence(run, tmp_path):
    with pytest.raises(UserError, match="the loss 'features' reads hidden vectors of the teacher, which .* lacks"):
        loop.fit(run(losses=LOSSES), tmp_path / "out")


def test_pseudo_truth_comes_from_the_store_too(run, tmp_path, monkeypatch):
    from core.data.shapes import dataset

    monkeypatch.setitem(dataset.COUNTS, "train", 10)
    wanted = run()
    data = replace(wanted.data, train_limit=4, unlabelled=("rest",))
    pseudo = replace(wanted.pseudo, score=0.02)
    both = replace(wanted, data=data, pseudo=pseudo)
    a, b = (runs.steps(loop.fit(r, tmp_path / n)) for r, n in ((both, "stored"), (live(both), "live")))
    assert [r["pseudo"] for r in a] == [r["pseudo"] for r in b] and sum(r["pseudo"]["objects"] for r in a) > 5
    assert a[0]["total"] == pytest.approx(b[0]["total"], rel=1e-5)


def test_augmented_images_have_their_stored_boxes_carried(run):
    job = build(run(augment=Augment(flip=1.0, jitter=0.4)))
    images, _ = next(job.loader.epoch(0))
    plain = build(run(augment=WHOLE))
    by_id = {}
    for whole, _ in plain.loader.epoch(0):
        boxes = open_store(plain).store.decoded(whole, plain.device).predictions["own"].boxes
        by_id |= dict(zip(whole.ids.tolist(), boxes.transpose(0, 1)))
    found = open_store(job).store.decoded(images, job.device).predictions["own"].boxes.transpose(0, 1)
    for id, boxes in zip(images.ids.tolist(), found):
        mirrored = by_id[id].clone()
        mirrored[..., 0] = 1 - mirrored[..., 0]
        assert torch.allclose(boxes, mirrored, atol=1e-6)


def test_a_crop_removes_queries_and_training_goes_on(run, tmp_path):
    wanted = run(augment=Augment(flip=0.5, sizes=(48, 64), crop=True))
    job = build(wanted)
    opened = open_store(job)
    valid = [opened.store.decoded(images, job.device).valid for e in range(4) for images, _ in job.loader.epoch(e)]
    assert any(v is not None and not v.all() for v in valid)
    assert all(torch.isfinite(torch.tensor(trained(wanted, tmp_path / "run"))))


def test_the_last_layer_alone(run, tmp_path):
    """A third of the size; the app's replay of the run computes what the run logged."""
    wanted = run(layers="last")
    job = build(wanted)
    assert job.distiller.teacher.config.layers == 1
    images, _ = next(job.loader.epoch(0))
    assert open_store(job).store.decoded(images, job.device).predictions["own"].logits.shape[0] == 1
    expected = trained(live(wanted), tmp_path / "live")
    assert trained(wanted, tmp_path / "run") != pytest.approx(expected, rel=1e-2)
    assert read_json(tmp_path / "run" / "card.json")["teacher"]["layers"] == "last"
    opened = open_run(tmp_path / "run")
    logged = [r for r in runs.lines(tmp_path / "run") if "witness" in r][-1]
    best = opened.data.ids.index(logged["witness"])
    assert float(replay(opened, opened.data[best]).total) == pytest.approx(logged["total"], rel=1e-5)


def test_a_run_may_use_a_part_of_a_store_and_completes_another(run, tmp_path, monkeypatch):
    asked = []
    real = module.answers
    monkeypatch.setattr(
        module, "answers", lambda t, data, indices, *x: asked.append(list(indices)) or real(t, data, indices, *x)
    )
    wanted = run()
    asked.clear()
    trained(replace(wanted, data=replace(wanted.data, train_limit=5)), tmp_path / "part")
    assert [len(x) for x in asked] == [4], "the images that are checked, and no others"
    asked.clear()
    trained(replace(wanted, data=replace(wanted.data, train_limit=13)), tmp_path / "more")
    assert asked[0] == [10, 11, 12] and len(asked) == 2


def test_the_former_name_means_the_store(run, tmp_path):
    wanted = run()
    old = replace(wanted, teacher_store=None, teacher_cache=wanted.teacher_store)
    assert trained(old, tmp_path / "a") == trained(wanted, tmp_path / "b")


def test_a_damaged_or_half_written_store_is_completed(run, tmp_path):
    wanted = run()
    (file,) = wanted.teacher_store.glob("part-*.safetensors")
    data = file.read_bytes()
    whole = load(data)
    file.write_bytes(data[: len(data) // 2])
    (wanted.teacher_store / ".part-x.safetensors.77").write_bytes(b"scratch")
    trained(wanted, tmp_path / "run")
    again = load(file.read_bytes())
    assert again.keys() == whole.keys() and all(torch.allclose(x, whole[name], atol=1e-5) for name, x in again.items())


def test_a_resumed_run_is_bit_equal(run, tmp_path, monkeypatch):
    wanted = run(augment=Augment(flip=0.5, jitter=0.2))
    whole = trained(wanted, tmp_path / "whole")
    runs.fit_until_power_cut(wanted, tmp_path / "broken", monkeypatch)
    loop.resume(tmp_path / "broken")
    assert [r["total"] for r in runs.steps(tmp_path / "broken")] == whole


def other_teacher(wanted, tmp_path):
    path = tmp_path / "other.safetensors"
    save_detector(path, tiny.detector("adamixer", classes=8, seed=7), {"categories": CATEGORIES})
    return replace(wanted, teacher=path)


@pytest.mark.parametrize(
    "change, said",
    [
        (other_teacher, "was stored for another teacher"),
        (lambda r, p: replace(r, data=replace(r.data, augment=Augment(sizes=(64,)))), "images at another size"),
        (lambda r, p: replace(r, teacher=None, losses=Losses()), "--teacher-store needs a --teacher"),
    ],
)
def test_a_store_of_something_else_is_refused(change, said, run, tmp_path):
    with pytest.raises(UserError, match=said):
        loop.fit(change(run(), tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_classes_are_refused(run, tmp_path):
    stored = run()
    settings = module.read_settings(stored.teacher_store)
    with pytest.raises(UserError, match="was stored for other classes"):
        module.refuse_other_store(stored.teacher_store, settings, replace(settings, classes=("a",)))
    (stored.teacher_store / "store.json").write_text("{}")
    with pytest.raises(UserError, match="is not that of a teacher store"):
        module.read_settings(stored.teacher_store)


def test_an_image_that_has_changed_is_noticed(run, tmp_path, monkeypatch):
    wanted = run()
    monkeypatch.setattr(Shapes, "__getitem__", lambda self, k, real=Shapes.__getitem__: real(self, (k + 1) % len(self)))
    with pytest.raises(UserError, match="from what the teacher says, more than"):
        loop.fit(wanted, tmp_path / "out")


def store_by(path: Path, folder: Path) -> int:
    """Stores in a process of two, the second of which comes late: the first could have written files by then."""
    module.CHUNK = 2
    sleep(0.5 * ranks().rank)
    opened = new_store(path, Store(folder, runs.DATA, precision="single"), torch.device("cpu"))
    opened.complete(2, 0)
    return len(opened.store.places) + 100 * ranks().rank


def test_two_processes_store_what_one_stores(run, tmp_path):
    wanted = run(augment=runs.DATA.augment)
    assert processes.start(store_by, wanted.teacher, tmp_path / "two", into=tmp_path / "said") == ["10", "110"]
    folders = wanted.teacher_store, tmp_path / "two"
    one, two = (module.TeacherStore(f, module.read_settings(f), Shapes("train", 10, 48)) for f in folders)
    assert len(list((tmp_path / "two").glob("part-*"))) == 5 and not two.missing
    assert all(torch.allclose(x, two.row(key)[name], atol=1e-6) for key in one.keys for name, x in one.row(key).items())


def test_two_images_of_one_key_are_refused(tmp_path):
    """The key is the name and the size in bytes; a copy has the same answer."""
    for folder, colour in (("a", 0), ("b", 9), ("copy", 0)):
        (tmp_path / folder).mkdir()
        Image.new("L", (8, 8), colour).save(tmp_path / folder / "1.bmp")
    a, b, copy = (ImageFiles(tmp_path / name, Shapes.categories) for name in ("a", "b", "copy"))

    def mixed(*files):
        return Mixed([Part(file, range(1), "unknown") for file in files], Shapes.categories, 0)

    assert len(set(module.image_keys(mixed(a, copy)))) == 1
    with pytest.raises(
        UserError, match=r"cannot tell .*a/1.bmp from .*b/1.bmp, which have one name and one size; rename"
    ):
        module.image_keys(mixed(a, b))


def test_the_command(run, tmp_path, capsys):
    wanted = run()
    words = [
        "store",
        str(wanted.teacher),
        "--out",
        str(tmp_path / "new"),
        "--data.train-limit",
        "3",
        "--data.size",
        "48",
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "for 1,000 images; 3 of 3 images are missing" in out and f"--teacher-store {tmp_path / 'new'}" in out
    assert out.index("for 1,000 images") < out.index("done:")
    size = sum(p.stat().st_size for p in (tmp_path / "new").glob("part-*"))
    said = module.bytes_per_image(tiny.detector("adamixer", classes=8), module.read_settings(tmp_path / "new"))
    assert 3 * said == pytest.approx(size, rel=0.3)
    assert main([*words, "--precision", "single"]) == 2
    assert "was begun with other options" in capsys.readouterr().err
