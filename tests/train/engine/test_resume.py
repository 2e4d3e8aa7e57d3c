"""Killed and resumed = never killed, bit for bit: weights, moments, best student, metrics.jsonl."""

import errno
import json
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from core.data.loader import AugmentedSamples
from core.errors import UserError
from tests.helpers import runs
from tests.helpers.processes import CONTEXT
from train.distributed import evaluate
from train.engine import gradient_checks, loop
from train.errors import Failed, Stopped
from train.run_folder import assignments, state

# With all that has to come back: a running mean of the weights, steps of two passes, looks, several checkpoints.
MORE = {"optim": replace(runs.OPTIM, ema=0.9, passes=2), "gradients_every": 2, "keep": 2}


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    return loop.fit(runs.small(), tmp_path_factory.mktemp("runs") / "teacher")


@pytest.fixture(scope="module")
def unbroken(taught) -> Path:
    return loop.fit(whole(taught), taught.parent / "unbroken")


@pytest.fixture(autouse=True)
def brief():
    """Leaves out the summary and the search for terms without gradient; `unbroken` was made with both, which change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        leave_out_checks(patch.setattr)
        yield


def leave_out_checks(replace_attribute=setattr) -> None:
    replace_attribute(loop, "summary", lambda job, path: "")
    replace_attribute(gradient_checks, "distillation_terms", lambda distiller: [])


def whole(teacher: Path, **more):
    return runs.small(teacher=teacher, **(MORE | more))


def files(path: Path) -> dict:
    """All that must be equal. A card in a header may name another commit."""
    kept = ["student.safetensors", "losses.safetensors", *(f"last/{p.name}" for p in state.numbered_copies(path))]
    found = {name: load_file(path / name) for name in kept} | {"state": load_file(state.path(path))}
    return found | {"metrics": (path / "metrics.jsonl").read_bytes()}


def assert_same(path: Path, other: Path) -> None:
    mine, theirs = files(path), files(other)
    assert mine.pop("metrics").splitlines() == theirs.pop("metrics").splitlines()
    for name, tensors in mine.items():
        assert tensors.keys() == theirs[name].keys()
        assert all(torch.equal(x, theirs[name][key]) for key, x in tensors.items()), name
    assert best(path) == best(other)
    assert pq.read_table(path / assignments.FILE).equals(pq.read_table(other / assignments.FILE))


def best(path: Path) -> tuple:
    progress = state.read_progress(path)
    return progress.epoch, progress.step, progress.best, progress.best_epoch


def begin(teacher: Path, path: Path, workers: int, fatal: int | None) -> None:
    """In a child: train, and die at the `fatal`-th of the places where it can."""
    if fatal is not None:
        leave_out_checks()
        die_at(fatal)
    loop.fit(whole(teacher, workers=workers), path)


def begin_alone(path: Path) -> None:
    """In a child: train without a teacher; two processes read the images."""
    loop.fit(runs.small(workers=2), path)


def go_on(path: Path) -> None:
    loop.resume(path)


def die_at(fatal: int) -> None:
    calls = iter(range(1, 10**6))

    def deadly(real):
        def call(*arguments):
            if next(calls) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        return call

    places = [(os, "fsync"), (os, "replace"), (loop, "step_record")]
    places += [(evaluate, "detection_rows"), (assignments, "assignment_rows")]
    for place, name in places:
        setattr(place, name, deadly(getattr(place, name)))


def start(work, *arguments):
    child = CONTEXT.Process(target=work, args=arguments)
    child.start()
    return child


def finish(work, *arguments) -> int:
    child = start(work, *arguments)
    child.join()
    return child.exitcode


def kill_after(child, path: Path, count: int) -> None:
    """SIGKILL once metrics.jsonl has `count` lines, or is about to be closed."""
    while child.is_alive() and logged(path) < count:
        time.sleep(0.002)
    child.kill()
    child.join()


def logged(path: Path) -> int:
    file = path / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_steps(workers, taught, unbroken, tmp_path):
    rng = random.Random(workers)
    path = tmp_path / "run"
    kill_after(start(begin, taught, path, workers, None), path, rng.randint(1, 6))
    kill_after(start(go_on, path), path, rng.randint(5, 12))
    assert finish(go_on, path) == 0
    assert_same(path, unbroken)


def test_a_run_that_goes_on_is_not_resumed(tmp_path):
    path = tmp_path / "run"
    child = start(begin_alone, path)
    while child.is_alive() and logged(path) < 2:
        time.sleep(0.002)
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(UserError, match="is being trained by another process"):
        loop.resume(path)
    child.kill()
    child.join()
    assert finish(go_on, path) == 0, "its workers, which live on for seconds, hold nothing"


def test_nothing_lives_on_when_a_run_is_killed(tmp_path):
    """Also where a fork server, and not the run itself, is the parent of those that read images."""
    child = start(begin_alone, tmp_path / "run")
    family: list[int] = []
    while child.is_alive() and len(family) < 3:  # the server and two that read
        family = below(child.pid)
    child.kill()
    assert len(family) >= 3
    child.join()
    until = time.monotonic() + 30
    while time.monotonic() < until and any(map(alive, family)):
        time.sleep(0.05)
    assert not any(map(alive, family))


def below(pid: int) -> list[int]:
    """Children, and theirs; none of one that is gone."""
    try:
        found = [int(x) for t in Path(f"/proc/{pid}/task").iterdir() for x in (t / "children").read_text().split()]
    except OSError:
        return []
    return [*found, *(x for child in found for x in below(child))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Calls 1 and 2 measure the teacher, 3 to 9 write its matching, the card and the folder; then steps, evaluations, files in turns.
FIRST, LAST = 10, 60


@pytest.mark.parametrize("call", random.Random(0).sample(range(FIRST, LAST), 3))
def test_killed_in_a_step_an_evaluation_or_a_file(call, taught, unbroken, tmp_path):
    path = tmp_path / "run"
    assert finish(begin, taught, path, 0, call) == -signal.SIGKILL
    assert finish(go_on, path) == 0
    assert_same(path, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_50_kills(seed, taught, unbroken, tmp_path):
    """At a random place; then, going on, at a random time from outside; then to the end."""
    rng, path = random.Random(seed), tmp_path / "run"
    assert finish(begin, taught, path, 2 * (seed % 2), rng.randrange(FIRST, LAST)) == -signal.SIGKILL
    child = start(go_on, path)
    child.join(rng.uniform(0.5, 6))
    child.kill()
    child.join()
    assert finish(go_on, path) == 0
    assert_same(path, unbroken)


def test_a_full_disk_is_told_and_costs_no_more_than_a_checkpoint(taught, unbroken, tmp_path, monkeypatch):
    path, real, calls = tmp_path / "run", os.fsync, iter(range(99))

    def fsync(file):
        if next(calls) == 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Failed, match=f"no space left for {path}; make room and go on with: python -m train resume"):
        loop.fit(whole(taught), path)
    assert not [p for p in path.rglob(".*") if p.name != ".claim"], "no scratch file stays"
    monkeypatch.undo()
    assert_same(loop.resume(path), unbroken)


def test_an_unreadable_image_in_the_middle_costs_its_step(taught, unbroken, tmp_path, monkeypatch):
    path, real, calls = tmp_path / "run", AugmentedSamples.__getitem__, iter(range(999))

    def broken(self, key):
        if next(calls) == 15:  # in the second step of the second epoch, whose images begin at 10
            raise UserError("image 7 cannot be read; save it anew")
        return real(self, key)

    monkeypatch.setattr(AugmentedSamples, "__getitem__", broken)
    with pytest.raises(UserError, match="image 7 .*; save it anew; saved after step 4; go on with: python -m train"):
        loop.fit(whole(taught), path)
    monkeypatch.undo()
    assert_same(loop.resume(path), unbroken)


def signalling(real, *, call: int, number: int):
    """The function, whose call number `call` first sends a signal to this process."""
    calls = iter(range(1, 10**6))

    def signal_and_do(*arguments, **more):
        if next(calls) == call:
            os.kill(os.getpid(), number)
        return real(*arguments, **more)

    return signal_and_do


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_a_step_is_granted_after_it(number, taught, unbroken, tmp_path, monkeypatch):
    path = tmp_path / "run"
    monkeypatch.setattr(loop, "step_record", signalling(loop.step_record, call=4, number=number))
    with pytest.raises(Stopped, match=f"after step 4; go on with: python -m train resume {path}") as stopped:
        loop.fit(whole(taught), path)
    assert stopped.value.code == 128 + number and best(path)[1] == 4
    monkeypatch.undo()
    assert_same(loop.resume(path), unbroken)


def test_a_signal_in_an_evaluation(taught, unbroken, tmp_path, monkeypatch):
    path = tmp_path / "run"
    monkeypatch.setattr(loop, "score", signalling(loop.score, call=3, number=signal.SIGTERM))  # 1 is the teacher's
    with pytest.raises(Stopped, match="after step 6"):
        loop.fit(whole(taught), path)
    assert best(path)[:2] == (1, 6)
    monkeypatch.undo()
    assert_same(loop.resume(path), unbroken)


def test_a_signal_before_the_first_step_leaves_nothing(taught, tmp_path, monkeypatch):
    real = loop.build
    monkeypatch.setattr(loop, "build", lambda run: os.kill(os.getpid(), signal.SIGTERM) or real(run))
    with pytest.raises(Stopped, match="nothing was written") as stopped:
        loop.fit(whole(taught), tmp_path / "run")
    assert stopped.value.code == 143 and not list(tmp_path.iterdir())


def test_handlers_are_put_back(tmp_path):
    """Whatever they were: started in the background, a shell's child does not hear Ctrl-C."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    loop.fit(runs.small(), tmp_path / "run")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_logs_are_cut_back_to_the_checkpoint(taught, unbroken, tmp_path):
    path = tmp_path / "run"
    kill_after(start(begin, taught, path, 0, None), path, 5)
    with open(path / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 99}\n{"torn')
    with open(path / "timing.jsonl", "ab") as file:
        file.write(b'{"step": 99}\n')
    assert_same(loop.resume(path), unbroken)
    assert [r["step"] for r in runs.steps(path, "timing.jsonl")] == list(range(1, 10))


def test_a_finished_run_resumes_to_itself(unbroken):
    before = files(unbroken)["metrics"]
    loop.resume(unbroken)
    assert files(unbroken)["metrics"] == before


def test_a_changed_teacher_is_told(taught, unbroken, tmp_path):
    path = tmp_path / "run"
    card = json.loads((unbroken / "card.json").read_text())
    card["teacher"] |= {"path": str(taught / "student.safetensors"), "sha256": "0" * 64}
    path.mkdir()
    (path / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="is gone or has changed since"):
        loop.resume(path)


def copy_of_run(path: Path, folder: Path) -> Path:
    return Path(shutil.copytree(path, folder / "run"))


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"\x80\x04pickle", lambda b: b""])
def test_a_damaged_checkpoint_is_told(spoil, taught, tmp_path):
    path = copy_of_run(taught, tmp_path)
    state.path(path).write_bytes(spoil(state.path(path).read_bytes()))
    with pytest.raises(UserError, match="is not a checkpoint"):
        loop.resume(path)


def test_a_checkpoint_of_another_model_is_told(taught, tmp_path):
    path = copy_of_run(taught, tmp_path)
    card = json.loads((path / "card.json").read_text())
    card["run"]["student"]["config"]["queries"] = 11
    (path / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="does not fit the run's card at 'student.content.weight'"):
        loop.resume(path)
