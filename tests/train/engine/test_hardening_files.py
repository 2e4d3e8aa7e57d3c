"""The folder of a run: removed, not writable, or its process killed at any rename."""

import errno
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core import files
from core.data.coco.instances import read_raw
from core.data.layouts.yolo import read_yaml
from core.errors import UserError
from core.files import read_bytes, read_json, sweep, write_bytes
from core.runs.checkpoint import sha256_of
from core.runs.results import read_lines
from tests.helpers import runs
from tests.helpers.processes import CONTEXT
from train.cli import verbs
from train.cli.main import main
from train.engine import loop
from train.errors import Failed
from train.run_folder import state

ONE_STEP = {"optim": replace(runs.OPTIM, epochs=1), "keep": 2, "data": replace(runs.DATA, train_limit=4, val_limit=1)}


def at_step(number: int, act):
    """`loop.step_record` that does something in a step."""
    real, calls = loop.step_record, iter(range(1, 10**6))

    def step_record(*arguments):
        if next(calls) == number:
            act()
        return real(*arguments)

    return step_record


@pytest.mark.parametrize("step", [1, 2, 3, 9])
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


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", [0, 1, 3])
def test_a_folder_that_cannot_be_written_is_named(number, call, tmp_path, monkeypatch):
    path, real, calls = tmp_path / "run", os.replace, iter(range(99))

    def refuse(source, target):
        if next(calls) == call:
            raise OSError(number, os.strerror(number), str(source))
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(Failed, match=f"{path} cannot be written .*make it writable and go on with"):
        loop.fit(runs.small(), path)
    assert path.exists() == (call > 1), "the first two renames are those of the card and of the folder"


def test_an_error_of_another_file_is_not_one_of_the_run(tmp_path):
    with pytest.raises(FileNotFoundError), loop.explain_failures(tmp_path / "runs" / "run"):
        raise FileNotFoundError(errno.ENOENT, "no such file", "/elsewhere/image.png")


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
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(UserError, match="link is a device"):
        read(tmp_path / "link")


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
    child = CONTEXT.Process(target=int)
    child.start()
    child.join()
    assert not files.is_alive(child.pid)


def begin(run, path: Path, fatal: int | None, count: Path) -> None:
    """In a child: trains, and dies at a rename, before it or after it; writes the number of renames to a file."""
    real, calls = os.replace, []

    def rename(*arguments):
        calls.append(arguments)
        if fatal and len(calls) == abs(fatal):
            if fatal < 0:
                real(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        real(*arguments)

    os.replace = rename
    loop.fit(run, path)
    count.write_text(str(len(calls)))


def finish(work, *arguments) -> int:
    child = CONTEXT.Process(target=work, args=arguments)
    child.start()
    child.join()
    return child.exitcode


def go_on(run, path: Path) -> None:
    """What a user does next: resume what is a run, start what is none."""
    loop.resume(path) if path.exists() else loop.fit(run, path)


def check_every_rename(run, folder: Path, *, after: bool) -> None:
    """Kills a run before (and `after`) each of its renames; it goes on to the same weights, and no scratch file stays."""
    assert finish(begin, run, folder / "whole", None, folder / "count") == 0
    count = int((folder / "count").read_text())
    assert count > 5
    for fatal in [sign * k for k in range(1, count + 1) for sign in ((1, -1) if after else (1,))]:
        path = folder / f"killed{fatal}" / "run"
        assert finish(begin, run, path, fatal, folder / "none") == -signal.SIGKILL
        assert finish(go_on, run, path) == 0, f"killed at rename {fatal}"
        for name in ("student.safetensors", "last/state.safetensors"):
            tensors, expected = load_file(path / name), load_file(folder / "whole" / name)
            assert tensors.keys() == expected.keys() and all(torch.equal(x, expected[n]) for n, x in tensors.items())
        assert state.read_progress(path).epoch == run.optim.epochs
        assert not [p for p in path.parent.rglob(".*") if p.name != ".claim"], f"killed at rename {fatal}"


def test_killed_at_every_rename(tmp_path):
    check_every_rename(runs.small(**ONE_STEP), tmp_path, after=False)


@pytest.mark.slow
def test_killed_at_every_rename_of_a_distilled_run(tmp_path):
    teacher = loop.fit(runs.small(), tmp_path / "teacher")
    check_every_rename(runs.small(teacher=teacher, keep=2), tmp_path, after=True)
