"""View 5 without a browser: figures and tables that are made in a process of their own, one at a time."""

import re
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from analysis.bench._random_runs import random_run
from analysis.catalogue import FIGURES, in_order
from app.jobs import figures as figures_job
from app.jobs.figures import OF_ONE_IMAGE
from app.server.handlers import Handlers
from core.errors import UserError
from core.project import ROOT
from tests.helpers import opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return random_run(tmp_path_factory.mktemp("taught"), queries=12, layers=2, size=64, images=2)


@pytest.fixture
def handlers(folder, tmp_path) -> Handlers:
    handlers = opened.handlers(folder)
    handlers.figure_jobs = figures_job.FigureJobs(handlers.library, tmp_path)
    yield handlers
    handlers.figure_jobs.stop()


@pytest.fixture
def commands(monkeypatch) -> list[list[str]]:
    """What would be run, instead of it: a process that ends when it is told to, as an analysis would."""
    seen, children, begin = [], [], subprocess.Popen

    def instead(command, **told):
        seen.append(command)
        name, out = command[3], command[-1]
        says = f"import pathlib, sys; sys.stdin.read(); p = pathlib.Path({out!r}); p.mkdir(parents=True, exist_ok=True)"
        wrote = f"{says}; (p / '{name}.csv').write_text('made')" if name != "table3" else "print('error: no'); exit(2)"
        children.append(begin([sys.executable, "-c", wrote], **told | {"stdin": subprocess.PIPE}))
        return children[-1]

    monkeypatch.setattr(figures_job.subprocess, "Popen", instead)
    yield seen
    for child in children:
        child.stdin.close()


def finish(handlers: Handlers) -> None:
    handlers.figure_jobs.process.stdin.close()
    handlers.figure_jobs.process.wait()


def test_what_is_made_is_shown_and_had_as_a_file(handlers, folder, commands):
    asked = {"name": "figure4", "runs": [str(folder)], "image": 1}
    assert handlers.figure(**asked)["state"] == "working"
    assert commands[0][1:-1] == [
        str(ROOT / "detrdistill"),
        "analysis",
        "figure4",
        str(folder),
        "--limit",
        "500",
        "--image",
        "1",
        "--out",
    ]
    finish(handlers)
    assert handlers.figure(**asked) == {"state": "made", "forms": ["csv"], "caption": "", "picture": "", "table": []}
    assert b64decode(handlers.file(form="csv", **asked)["data"]) == b"made"
    for form, image in (("pdf", 1), ("csv", 2), ("../figure4.csv", 1)):
        with pytest.raises(UserError, match="make it first"):
            handlers.file(form=form, **asked | {"image": image})


def test_a_table_in_markdown_is_rows_and_a_caption():
    found = figures_job.parse_markdown("**Main** result\n\n| a | b |\n|:--|--:|\n| 1 | **2** |\n")
    assert found == {"table": [["a", "b"], ["1", "**2**"]], "caption": "**Main** result"}


def test_one_is_made_at_a_time_and_left_once_nobody_asks_for_it(handlers, folder, commands, monkeypatch):
    first, other = ({"name": name, "runs": [str(folder)]} for name in ("table1", "table7"))
    assert handlers.figure(**first)["state"] == "working" and handlers.figure(**other)["said"] == figures_job.WAITING
    child = handlers.figure_jobs.process
    finish(handlers)
    assert handlers.figure(**other)["said"] != figures_job.WAITING  # the first is kept, and the next begins
    assert handlers.figure(**first)["state"] == "made" and len(commands) == 2
    monkeypatch.setattr(figures_job, "PATIENCE", 0.0)
    child = handlers.figure_jobs.process
    assert handlers.figure(**first | {"name": "table8"})["state"] == "working" and child.poll() is not None
    assert [command[3] for command in commands] == ["table1", "table7", "table8"]


def test_why_a_page_cannot_be_made_is_told(handlers, folder, commands):
    asked = {"name": "table3", "runs": [str(folder)]}
    handlers.figure(**asked)
    finish(handlers)
    assert handlers.figure(**asked) == {"state": "failed", "said": "no"}
    assert handlers.figure(**asked)["state"] == "working" and len(commands) == 2  # what it lacked may be there now


def test_of_other_images_or_under_another_teacher_no_figure_is_made(folder, tmp_path, commands):
    """The analysis would show the run's own images, and its own teacher."""
    handlers = opened.handlers(folder, images=tmp_path)
    with pytest.raises(UserError, match="deselect the image"):
        handlers.figure("figure4", [str(folder)], image=1)
    assert handlers.figure("figure4", [str(folder)])["state"] == "working"
    handlers.figure_jobs.stop()
    handlers = opened.handlers(folder, teacher=folder)
    with pytest.raises(UserError, match="with its own teacher; open"):
        handlers.figure("figure4", [handlers.library.first()])


def test_few_pages_are_kept_and_one_that_went_is_made_again(handlers, folder, commands, monkeypatch):
    monkeypatch.setattr(figures_job, "KEPT", 2)
    pages = [{"name": name, "runs": [str(folder)]} for name in ("table1", "table4", "table7")]
    for page in pages:
        handlers.figure(**page)
        finish(handlers)
        assert handlers.figure(**page)["state"] == "made"
    kept = [f for f in handlers.figure_jobs.scratch.iterdir() if f.name != "work"]
    assert len(kept) == 2 and handlers.figure(**pages[0])["state"] == "working"


def test_another_image_makes_anew_only_what_is_of_one_image(handlers, folder, commands):
    of_one = [name for name in in_order(FIGURES) if re.search(r"inputs\.image\b", FIGURES.files[name].read_text())]
    assert tuple(of_one) == OF_ONE_IMAGE
    assert [p["name"] for p in handlers.figures()["pages"] if p["image"]] == of_one
    for name, anew in (("figure4", True), ("figure7", False)):
        pages = {handlers.figure_jobs.arguments(name, [str(folder)], False, image)[0] for image in (1, 2)}
        assert (len(pages) == 2) == anew


@pytest.mark.parametrize(
    "name, runs", [("figure9", None), ("../figure4", None), ("figure4", ["/etc"]), ("figure4", [1])]
)
def test_strangers_arguments_become_no_command(handlers, folder, commands, name, runs):
    with pytest.raises(UserError):
        handlers.figure(name, [str(folder)] if runs is None else runs)
    assert commands == []
