"""Several processes train as one: the same losses and weights, and the same end."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.data.shapes.dataset import Shapes
from core.errors import UserError
from tests.helpers import processes, runs, tiny
from train.distributed import parallel
from train.engine import loop
from train.errors import NotFinite
from train.job import optim
from train.run_folder import state

DATA = replace(runs.DATA, train_limit=15)  # four steps of four images an epoch, the last of three
OPTIM = replace(runs.OPTIM, epochs=5)
UNEQUAL = ("contrast", "mgd", "kd_detr")  # the first sees the queries of its process, the others draw as dropout does


def case(kind: str, teacher: Path | None = None, **more):
    student = tiny.config(kind, classes=8, dropout=0.0)
    given = {"student": student, "data": DATA, "optim": OPTIM, "teacher": teacher, "eval_every": 10, "recorded": 0}
    run = runs.small(**given | more)
    off = {name: replace(getattr(run.losses, name), weight=0.0) for name in UNEQUAL}
    return replace(run, losses=replace(run.losses, **off))


def emptied(real):
    """Two images of three have no objects, so often one of two processes has none."""

    def sample(self, index):
        found = real(self, index)
        return found if index % 3 == 0 else replace(found, boxes=found.boxes[:0], labels=found.labels[:0])

    return sample


def stirred(real):
    """The queries of new networks are alike, so whom they are matched with is a matter of the last bits."""

    def build(run):
        job = real(run)
        torch.manual_seed(0)
        for network in filter(None, (job.distiller.student, job.distiller.teacher)):
            tiny.stir(network, 0.3)
        return job

    return build


def train_all(cases: dict, folder: Path, double: bool) -> None:
    """In a process of its own: everything it changes goes with it."""
    Shapes.__getitem__ = emptied(Shapes.__getitem__)
    loop.build = stirred(loop.build)
    if double:
        torch.set_default_dtype(torch.float64)
        torch.Tensor.float, torch.float32 = torch.Tensor.double, torch.float64
        optim.AdamW = lambda groups, lr, **_: torch.optim.SGD(groups, lr=lr)
    for name, run in cases.items():
        loop.fit(run, folder / name)


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    return loop.fit(runs.small(), tmp_path_factory.mktemp("teacher") / "run")


@pytest.mark.parametrize("double, near", [(True, 1e-5), (False, 1e-4)])
def test_two_processes_are_one(double, near, taught, tmp_path):
    """20 steps: alone and distilled, with images without objects, uneven parts of a step, and two passes of a process."""
    cases = {"alone": case("adamixer"), "distilled": case("adamixer", taught)}
    passes = replace(OPTIM, epochs=10, batch=8, passes=2)
    if double:
        cases["conditional"] = case("conditional", optim=passes)
    whole = {name: replace(run, optim=replace(run.optim, passes=1)) for name, run in cases.items()}
    for k, given in ((1, whole), (2, cases)):
        said = processes.start(train_all, given, tmp_path / str(k), double, size=k, into=tmp_path / f"said{k}")
        assert said == ["None"] * k
    for name in cases:
        one, two = tmp_path / "1" / name, tmp_path / "2" / name
        for a, b in zip(runs.steps(one), runs.steps(two), strict=True):
            assert b["terms"] == pytest.approx(a["terms"], rel=near, abs=near), (name, a["step"])
        if double:
            mine, theirs = (load_file(state.path(path)) for path in (one, two))
            assert mine.keys() == theirs.keys()
            for key, x in mine.items():
                torch.testing.assert_close(theirs[key], x, rtol=near, atol=near)
        assert len(runs.steps(two)) == 20


def fail_in_one(run, path: Path, how: str):
    """The second process meets a fault at its fourth batch."""
    real, calls = loop.Training.next_passes, iter(range(1, 99))

    def next_passes(training):
        if next(calls) == 4 and training.ranks.rank == 1:
            FAULTS[how](training)
        return real(training)

    loop.Training.next_passes = next_passes
    try:
        return loop.fit(run, path)
    except (loop.Stopped, NotFinite, UserError, loop.Failed) as error:
        return f"{type(error).__name__}: {error}"


def unreadable(training):
    def batches():
        raise UserError("image 7 is broken; mend it")
        yield

    training.batches = batches()


def nonsense(training):
    with torch.no_grad():
        training.job.distiller.student.neck[0].bias.fill_(torch.nan)


FAULTS = {
    "unreadable": unreadable,
    "signal": lambda training: os.kill(os.getpid(), signal.SIGTERM),
    "nan": nonsense,
    "killed": lambda training: os.kill(os.getpid(), signal.SIGKILL),
}


@pytest.mark.parametrize(
    "how, said",
    [
        ("unreadable", "UserError: image 7 is broken; mend it; saved after step 3; go on with: python -m train resume"),
        ("signal", "Stopped: stopped and saved after step 3; go on with: python -m train resume"),
        ("nan", "NotFinite: the cost of matching (truth student) is not finite: layer 0, image 0"),
    ],
)
def test_what_one_process_meets_ends_both(how, said, tmp_path):
    first, second = processes.start(fail_in_one, case("adamixer"), tmp_path / "run", how, into=tmp_path / "said")
    assert first == second and first.startswith(said)
    if how == "nan":
        report = json.loads((tmp_path / "run" / "faults" / "step-4-1.json").read_text())
        assert report["process"] == 1 and "student.neck.0.bias" in report["weights"]
    else:
        assert state.read_progress(tmp_path / "run").step == 3


def test_a_lost_process_is_told(tmp_path):
    first, second = processes.start(fail_in_one, case("adamixer"), tmp_path / "run", "killed", into=tmp_path / "said")
    assert second == f"exit {-signal.SIGKILL}"
    assert first == "Lost: another process of this run is gone; go on with: python -m train resume RUN"


def say_one_word():
    rank = parallel.ranks().rank
    words = [parallel.first_text(""), parallel.first_text("é" * 5 if rank else ""), parallel.first_text(f"from {rank}")]
    rows = parallel.gather_rows(torch.full((2 * rank, 3), float(rank)))
    return words, rows.tolist(), parallel.average_in_place(torch.tensor([1.0 + rank])).tolist()


def test_words_and_rows_of_all(tmp_path):
    said = processes.start(say_one_word, into=tmp_path)
    assert said == [str((["", "é" * 5, "from 0"], [[1.0] * 3] * 2, [1.5]))] * 2
