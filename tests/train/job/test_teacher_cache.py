"""The teacher cache: training equals that with the teacher itself, and cases where it would not are refused."""

from dataclasses import replace

import pytest
import torch

from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.errors import UserError
from core.runs.checkpoint import save_detector
from tests.helpers import runs, tiny
from train.engine import loop
from train.job import teacher_cache as module
from train.job.build import build
from train.job.teacher_cache import TeacherCache, open_cache
from train.recipes.on_shapes.shapes_distill import LOSSES

CATEGORIES = [vars(c) for c in Shapes("val", 1).categories]


@pytest.fixture
def run(tmp_path):
    """Distilled by a teacher of one kind or another, with images that are mirrored at most."""

    def of(kind: str = "adamixer", **more):
        path = tmp_path / f"{kind}.safetensors"
        save_detector(path, tiny.detector(kind, classes=8, **more), {"categories": CATEGORIES})
        data = replace(runs.DATA, augment=Augment(flip=0.5))
        student = tiny.config(kind, classes=8, **more)
        optim = replace(runs.OPTIM, epochs=2)
        return runs.small(
            optim=optim, student=student, losses=LOSSES, teacher=path, data=data, teacher_cache=tmp_path / "cache"
        )

    return of


def trained(run, path):
    loop.fit(run, path)
    return [r["total"] for r in runs.steps(path)]


@pytest.mark.parametrize("kind", ["adamixer", "conditional", "deformable"])
def test_it_trains_as_with_the_teacher_itself(run, kind, tmp_path, capsys):
    cached = run(kind)
    live = trained(replace(cached, teacher_cache=None), tmp_path / "live")
    assert trained(cached, tmp_path / "first") == pytest.approx(live, rel=1e-4)
    assert "images, within" in capsys.readouterr().out
    assert trained(cached, tmp_path / "second") == pytest.approx(live, rel=1e-4)


def test_what_is_known_is_not_asked_again_and_not_written_again(run, tmp_path, monkeypatch):
    cached = run()
    trained(cached, tmp_path / "first")
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")}
    job = build(cached)
    asked = []
    decode = job.distiller.teacher.decode
    job.distiller.teacher.decode = lambda *x: asked.append(1) or decode(*x)
    known = open_cache(job)
    for epoch in range(cached.optim.epochs):
        for images, targets in job.loader.epoch(epoch):
            known.set_images(images)
            job.distiller(images, targets)
    assert not asked and files == {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")}
    job.distiller(images, targets)
    assert asked == [1]  # nothing was expected


def test_a_resumed_run_is_bit_equal_to_an_unbroken_one(run, tmp_path, monkeypatch):
    cached = run()
    whole = trained(replace(cached, teacher_cache=tmp_path / "one"), tmp_path / "whole")
    broken = replace(cached, teacher_cache=tmp_path / "two")
    monkeypatch.setattr(loop.optim, "set_rate", stop_at(5))
    with pytest.raises(RuntimeError, match="power cut"):
        trained(broken, tmp_path / "broken")
    monkeypatch.undo()
    loop.resume(tmp_path / "broken")
    assert [r["total"] for r in runs.steps(tmp_path / "broken")] == whole


def stop_at(step: int):
    from train.job.optim import set_rate

    steps = []

    def cut(optimizer, rate):
        steps.append(rate)
        if len(steps) == step:
            raise RuntimeError("power cut")
        set_rate(optimizer, rate)

    return cut


def test_a_flipped_image_is_another_one():
    images, _ = tiny.batch(((48, 64), (48, 64)), (1, 1))
    one, two = module.unpadded(images)
    mirrored = replace(one, pixels=one.pixels.flip(-1))
    assert len({module.image_key(x) for x in (one, two, mirrored)}) == 3 and module.image_key(one) == module.image_key(
        next(module.unpadded(one))
    )
    padded, _ = tiny.batch(((48, 64), (64, 80)), (1, 1))
    small = next(module.unpadded(padded))
    assert small.pixels.shape == (1, 3, 48, 64) and not small.padding.any()


def test_other_queries_than_its_own_are_decoded(tmp_path):
    teacher, (images, _) = tiny.detector("adamixer"), tiny.batch()
    other = tiny.detector("adamixer", seed=5)
    with torch.no_grad():
        memory = teacher.encode(images)
        want = teacher.decode(memory, queries := other.propose(memory))
        cache = TeacherCache(tmp_path, teacher)
        cache.set_images(images)
        teacher.propose(memory)
        assert torch.equal(teacher.decode(memory, queries).logits, want.logits)


def test_outputs_that_depend_on_the_padding_are_refused(tmp_path):
    """A batch of mixed sizes, whose padding changes the outputs; and files of another teacher."""
    images, _ = tiny.batch(((64, 64), (48, 40)), (1, 1))
    with pytest.raises(UserError, match="the cached outputs of image 8 .* take images of one size"):
        TeacherCache(tmp_path / "a", tiny.detector("conditional")).check([images], torch.device("cpu"))
    even, _ = tiny.batch(((64, 64), (64, 64)), (1, 1))
    assert "2 images" in TeacherCache(tmp_path / "b", tiny.detector("adamixer")).check([even], torch.device("cpu"))
    with pytest.raises(UserError, match="from the teacher's own, more than 0.001"):
        TeacherCache(tmp_path / "b", tiny.detector("adamixer", seed=2)).check([even], torch.device("cpu"))


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(augment=Augment(jitter=0.2)), "with --data.augment.jitter no image comes twice"),
        (dict(augment=Augment(sizes=(64, 80), crop=True)), "--data.augment.sizes and --data.augment.crop"),
    ],
)
def test_what_shows_no_image_twice_is_refused(run, change, said, tmp_path):
    cached = run()
    with pytest.raises(UserError, match=said):
        loop.fit(replace(cached, data=replace(cached.data, **change)), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "cache").exists()


def test_a_teacher_that_cannot_be_cached_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="proposes its queries from each image"):
        loop.fit(run("deformable", refine=True, two_stage=True), tmp_path / "out")
    with pytest.raises(UserError, match="needs a --teacher"):
        loop.fit(runs.small(teacher_cache=tmp_path / "cache"), tmp_path / "out")


def test_the_folder_is_of_the_teachers_weights_and_the_precision(run):
    cached = run()
    places = {open_cache(build(x)).folder for x in (cached, replace(cached, amp="bf16"), run("conditional"))}
    assert len(places) == 3
