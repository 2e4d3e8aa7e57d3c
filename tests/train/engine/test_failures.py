"""A fault of the machine ends a command with one sentence, which the process that failed prints."""

import re
from pathlib import Path

import pytest
import torch

from core.data.loader import KILLED, WorkerDied
from core.project import ROOT
from tests.helpers import runs
from tests.helpers.coco_folder import write_folder
from train.cli.main import main
from train.engine import label, loop, predict
from train.errors import FailedHere
from train.job import store

TEACHER = str(ROOT / "assets/teacher_shapes.safetensors")
FAULTS = {
    "killed": (WorkerDied(KILLED), "a process that reads images was killed, .*; repeat the command"),
    "full": (torch.OutOfMemoryError("CUDA"), "the GPU's memory ran out; repeat the command with a smaller --batch"),
}


def failing(error: Exception):
    def fail(*arguments, **more):
        raise error

    return fail


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", ["label", "store", "predict"])
def test_a_command_ends_in_one_sentence(verb, fault, tmp_path, monkeypatch, capsys):
    error, said = FAULTS[fault]
    monkeypatch.chdir(tmp_path)
    write_folder(Path("photos"))
    for module, name in ((label, "predicted_chunk"), (predict, "predicted_chunk"), (store, "answers")):
        monkeypatch.setattr(module, name, failing(error))
    words = {
        "label": ["--images", "photos/images", "--out", "out.json"],
        "store": ["--out", "out", "--data.train-limit", "2"],
        "predict": ["photos/images", "--out", "out"],
    }[verb]
    assert main([verb, TEACHER, *words]) == 1
    assert re.search(said, capsys.readouterr().err.splitlines()[-1])


@pytest.mark.parametrize("part", ["evaluate_teacher", "build"])
def test_a_run_that_fails_before_its_folder_is_there_is_repeated(part, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, part, failing(WorkerDied(KILLED)))
    with pytest.raises(FailedHere, match="was killed, .*; repeat the command$"):
        loop.fit(runs.small(), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_as_it_goes_on_is_resumed(tmp_path, monkeypatch):
    path = loop.fit(runs.small(), tmp_path / "run")
    monkeypatch.setattr(loop, "build", failing(torch.OutOfMemoryError("CUDA")))
    with pytest.raises(FailedHere, match="run: the GPU's memory ran out; start the run again with twice"):
        loop.resume(path)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_process_that_fails_says_so(rank, tmp_path, monkeypatch, capsys):
    """Several processes may only see that another is gone; the first of them alone prints so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(label, "label", failing(FailedHere("no space left")))
    monkeypatch.setenv("RANK", rank)
    assert main(["label", TEACHER, "--images", ".", "--out", "out.json"]) == 1
    assert capsys.readouterr().err == "no space left\n"


@pytest.mark.parametrize("verb", ["label", "predict"])
def test_a_path_without_a_name_is_refused(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(Path("photos"))
    words = {"label": ["--images", "photos/images"], "predict": ["photos/images"]}[verb]
    assert main([verb, TEACHER, *words, "--out", "."]) == 2
    error = capsys.readouterr().err
    assert ". cannot be written, since it has no name of its own; give the path" in error and error.count("\n") == 1
