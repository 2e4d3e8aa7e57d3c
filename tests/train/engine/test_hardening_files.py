"""The folder of a run: removed, not writable, or its process killed at any rename."""

import errno
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file

from core import files
from core.data.coco.dataset import Coco
from core.data.coco.instances import read_raw
from core.data.layouts.yolo import read_yaml
from core.errors import UserError
from core.files import read_bytes, read_json, sweep, write_bytes
from core.runs.checkpoint import sha256_of
from core.runs.results import read_lines
from tests.helpers import runs
from tests.helpers.named import write_yolo
from tests.helpers.processes import CONTEXT
from train.cli import verbs
from train.cli.main import main
from train.engine import loop
from train.errors import Failed
from train.run_folder import state

ONE_STEP = {"optim": replace(runs.OPTIM, epochs=1), "keep": 2, "data": replace(runs.DATA, train_limit=4, val_limit=1)}


@pytest.fixture(autouse=True)
def without_estimate(monkeypatch):
    """The estimate of the memory takes half of the time of such a short run."""
    monkeypatch.setattr(loop, "summary", lambda job, path: "")


def at_step(number: int, act):
    """`loop.step_record` that does something in a step."""
    real, calls = loop.step_record, iter(range(1, 10**6))

    def step_record(*arguments):
        if next(calls) == number:
            act()
        return real(*arguments)

    return step_record


@pytest.mark.parametrize("step", [1, 3, 9])
def test_a_folder_that_disappears_stops_the_run_and_stays_away(step, tmp_path, monkeypatch):
    path = tmp_path / "run"
    monkeypatch.setattr(loop, "step_record", at_step(step, lambda: shutil.rmtree(path)))
    with pytest.raises(Failed, match="is gone.*start the run again"):
        loop.fit(runs.small(), path)
    assert not path.exists()


def test_a_log_that_disappears_stops_the_run(tmp_path, monkeypatch):
    path = tmp_path / "run"
    monkeypatch.setattr(loop, "step_record", at_step(2, (path / "metrics.jsonl").unlink))
    with pytest.raises(Failed, match="metrics.jsonl is gone"):
        loop.fit(runs.small(), path)


def test_the_exit_code_of_a_run_without_a_folder_is_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "step_record", at_step(1, lambda: shutil.rmtree("runs/small")))
    monkeypatch.setattr(verbs.recipes, "recipe", lambda name: runs.small())
    assert main(["fit", "shapes"]) == 1
    printed = capsys.readouterr()
    assert "is gone" in printed.err and "done:" not in printed.out


@pytest.mark.parametrize("call, number", [(0, errno.EROFS), (1, errno.EACCES), (3, errno.EIO), (3, errno.EROFS)])
def test_a_folder_that_cannot_be_written_is_named(call, number, tmp_path, monkeypatch):
    path, real, calls = tmp_path / "run", os.replace, iter(range(99))
    on = "go on with" if call > 1 else "repeat the command"

    def refuse(source, target):
        if next(calls) == call:
            raise OSError(number, os.strerror(number), str(source))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(Failed, match=f"{path} cannot be written .*make it writable and {on}"):
        loop.fit(runs.small(), path)
    assert path.exists() == (call > 1), "the first two renames are those of the card and of the folder"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO])
def test_an_error_of_another_file_is_not_one_of_the_run(number, tmp_path):
    with pytest.raises(OSError, match="elsewhere"), loop.explain_failures(tmp_path / "runs" / "run"):
        raise OSError(number, os.strerror(number), "/elsewhere/image.png")


def test_a_device_that_fails_while_it_is_written_is_that_of_the_run(tmp_path):
    with (
        pytest.raises(Failed, match="run cannot be written .*repeat the command"),
        loop.explain_failures(tmp_path / "run"),
    ):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_folder_that_must_exist_is_not_made(tmp_path):
    for name in ("a", "b/a"):
        with pytest.raises(FileNotFoundError):
            write_bytes(tmp_path / "run" / name, b"", within=tmp_path / "run")
    assert not list(tmp_path.iterdir())
    (tmp_path / "run").mkdir()
    write_bytes(tmp_path / "run" / "b" / "a", b"1", within=tmp_path / "run")
    assert (tmp_path / "run" / "b" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("read", [read_bytes, read_json, sha256_of, read_raw, read_yaml, read_lines])
def test_a_device_is_no_file(read, tmp_path):
    """Some devices never end, so they are not read; this one would be empty."""
    for name in ("link", "link.json.gz"):
        (tmp_path / name).symlink_to("/dev/null")
        with pytest.raises(UserError, match=f"{name} is a device"):
            read(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.json.gz")
    with pytest.raises(UserError, match="is a device or a pipe"):
        read(tmp_path / "pipe.json.gz")


def test_a_device_is_no_label_of_yolo(tmp_path):
    write_yolo(tmp_path)
    label = next((tmp_path / "labels").rglob("*.txt"))
    label.unlink()
    label.symlink_to("/dev/null")
    with pytest.raises(UserError, match="is a device"):
        Coco(tmp_path, split="train")


def test_only_what_dead_processes_left_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "is_alive", lambda process: process == 12)
    for name in (".a.11", ".a.12", ".b.11", ".claim", ".a.0", "a.11", ".a.x"):
        (tmp_path / name).touch()
    (tmp_path / ".c.11").mkdir()
    sweep(tmp_path, "a")
    assert {p.name for p in tmp_path.iterdir()} == {".a.12", ".b.11", ".claim", ".a.0", "a.11", ".a.x", ".c.11"}
    sweep(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {".a.12", ".claim", ".a.0", "a.11", ".a.x"}


def test_a_process_is_alive_until_it_ends():
    assert files.is_alive(os.getpid()) and files.is_alive(1) and not files.is_alive(2**40)
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert not files.is_alive(child.pid)


def fit_and_copy(run, path: Path, copies: Path, *, after: bool, dead: int = 2**40) -> list[Path]:
    """Trains, and copies the folder around the run before (and `after`) each rename: what SIGKILL leaves there.

    Returns the copies. Scratch files bear the number `dead`, of no process, as those of a killed one do.
    """
    real, found = os.replace, []

    def copy() -> None:
        found.append(copies / str(len(found)))
        shutil.copytree(path.parent, found[-1])

    def rename(source, target) -> None:
        copy()
        real(source, target)
        if after:
            copy()

    with mock.patch.object(os, "getpid", lambda: dead), mock.patch.object(os, "replace", rename):
        loop.fit(run, path)
    return found


def go_on(run, path: Path) -> Path:
    """What a user does next: resume what is a run, start what is none."""
    return loop.resume(path) if path.exists() else loop.fit(run, path)


def check_same_end(run, path: Path, whole: Path) -> None:
    """Checks that a run that went on has the weights of the one that was never stopped, and no scratch file."""
    for name in ("student.safetensors", "last/state.safetensors"):
        tensors, expected = load_file(path / name), load_file(whole / name)
        assert tensors.keys() == expected.keys() and all(torch.equal(x, expected[n]) for n, x in tensors.items())
    assert state.read_progress(path).epoch == run.optim.epochs
    assert not [p for p in path.parent.rglob(".*") if p.name != ".claim"]


def test_killed_at_every_rename(tmp_path):
    run, whole = runs.small(**ONE_STEP), tmp_path / "whole" / "run"
    copies = fit_and_copy(run, whole, tmp_path / "copies", after=False)
    assert len(copies) > 5 and [p for copy in copies for p in copy.rglob(".*safetensors*")], "kills in mid-write"
    for copy in copies:
        check_same_end(run, go_on(run, copy / "run"), whole)


def begin(run, path: Path, fatal: int) -> None:
    """In a child: trains, and dies at a rename, before it (a number from 1) or after it (a negative number)."""
    real, calls = os.replace, iter(range(1, 10**6))

    def rename(*arguments):
        if (number := next(calls)) == -fatal:
            real(*arguments)
        if number == abs(fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)

    os.replace = rename
    loop.fit(run, path)


def finish(work, *arguments) -> tuple[int, int]:
    """The exit code of the work in a child, and the child's number."""
    child = CONTEXT.Process(target=work, args=arguments)
    child.start()
    child.join()
    return child.exitcode, child.pid


def shape_of(folder: Path, process: int) -> dict[str, bytes]:
    """Names of all files that a run of this process has left, and the tensors within them.

    Logs and cards say when, and the header of a checkpoint how long the logs are: those differ from run to run.
    """
    found = [p for p in folder.rglob("*") if p.is_file()]
    return {
        str(p.relative_to(folder)).replace(str(process), "PROCESS"): tensors_of(p) if "safetensors" in p.name else b""
        for p in found
    }


def tensors_of(path: Path) -> bytes:
    """The bytes of the tensors in a safetensors file: all but its header."""
    raw = path.read_bytes()
    return raw[8 + int.from_bytes(raw[:8], "little") :]


@pytest.mark.slow
def test_killed_at_every_rename_of_a_distilled_run(tmp_path):
    """By SIGKILL, before and after each rename; and each leaves what the copies of the quick form hold."""
    run = runs.small(teacher=loop.fit(runs.small(), tmp_path / "teacher"), keep=2)
    whole = tmp_path / "whole" / "run"
    copies = fit_and_copy(run, whole, tmp_path / "copies", after=True)
    for k, copy in enumerate(copies):
        path = tmp_path / f"killed{k}" / "run"
        code, process = finish(begin, run, path, (k // 2 + 1) * (-1) ** k)
        assert code == -signal.SIGKILL and shape_of(path.parent, process) == shape_of(copy, 2**40), f"killed {k}"
        check_same_end(run, go_on(run, path), whole)
