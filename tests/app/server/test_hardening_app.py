"""Requests of strangers to the app: none takes what is not theirs, and each wrong one is answered in a sentence."""

import os

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.datastructures import Headers

from analysis.bench._random_runs import random_run
from app.arguments import checked
from app.server.handlers import Handlers
from app.server.local import is_local
from app.server.page import UNUSED, VIEWS, answer
from app.worker.uploads import KEPT, drop_unused
from core.errors import UserError
from tests.helpers import opened
from tests.helpers.hostile import VALUES

LAYERS = 2


@pytest.fixture(scope="module")
def handlers(tmp_path_factory) -> Handlers:
    runs = [
        random_run(tmp_path_factory.mktemp(f"run{k}"), queries=queries, layers=LAYERS, size=48, images=2, seed=5 * k)
        for k, queries in enumerate((12, 20))
    ]
    return opened.handlers(*runs)


@pytest.fixture(autouse=True)
def kept_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))


def upload(handlers: Handlers, tmp_path, score: float) -> str:
    """The key of an image that was uploaded as gradio does it: in a folder of its own."""
    path = tmp_path / "uploads" / "digest" / "a.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return handlers.upload({"path": str(path)}, score)


@pytest.mark.parametrize("gamma", [10**400, -(10**400), 2**1023, 10**39])
def test_a_number_of_400_digits_is_refused_in_a_sentence(gamma, handlers):
    known = {"masks": checked(handlers.masks)}
    reply = answer(known, {"name": "masks", "with": {"key": "image/1", "gamma": gamma}})
    assert "gamma" in reply["error"] and len(reply["error"]) < 200


def test_every_value_in_every_argument_is_answered(handlers):
    known = {
        name: checked(getattr(handlers, name))
        for name in ("matches", "epochs", "masks", "stability", "sampling")
        if name in VIEWS
    }
    for name in known:
        for argument in ("key", "layer", "gamma", "level", "run"):
            for value in VALUES:
                reply = answer(known, {"name": name, "with": {"key": "image/1", argument: value}})
                assert "ok" in reply or reply["error"]


def test_epochs_of_a_layer_that_is_none_are_refused(handlers):
    for layer in (LAYERS, 99, -2):
        with pytest.raises(UserError, match=f"no layer {layer}: there are {LAYERS}"):
            handlers.epochs("image/1", layer=layer)
    assert (
        handlers.epochs("image/1", layer=-1)["layer"]
        == LAYERS - 1
        == handlers.epochs("image/1", layer=LAYERS - 1)["layer"]
    )


@pytest.mark.parametrize("host", ["[", "[::1", "]", "127.0.0.1:x:y[", "", "evil.example"])
def test_a_host_that_is_no_address_is_refused(host):
    assert not is_local(Headers({"host": host}))
    assert not is_local(Headers({"host": "127.0.0.1:7860", "origin": f"http://{host}"}))
    assert is_local(Headers({"host": "127.0.0.1:7860", "origin": "http://127.0.0.1:7860"}))


def test_uploads_that_nobody_used_are_removed(handlers, tmp_path):
    for k in range(40):
        file = tmp_path / "uploads" / f"{k}" / "b.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        os.utime(file, (k, k))
    drop_unused(tmp_path / "uploads" / "0" / "b.png")
    assert {int(p.parent.name) for p in (tmp_path / "uploads").glob("*/*")} == {0, *range(40 - KEPT, 40)}
    upload(handlers, tmp_path, 0.5)
    assert len(list((tmp_path / "uploads").glob("*/*"))) <= KEPT
    assert sum(UNUSED) < 3600, "seconds until gradio removes what was uploaded"


def test_a_file_of_the_program_itself_is_no_upload(handlers, tmp_path):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (tmp_path / "uploads").mkdir()
    for file in (jobs / "training.log", tmp_path / "uploads" / ".." / "jobs" / "figures.log"):
        file.write_bytes(b"log")
        with pytest.raises(UserError, match="no file that was uploaded"):
            handlers.upload({"path": str(file)})
        assert file.read_bytes() == b"log"


@pytest.mark.parametrize("score", [0.0, 0.02])
def test_both_runs_have_one_pseudo_truth(score, handlers, tmp_path):
    """That of the first run's teacher: with one truth each, objects of one were looked up among those of the other."""
    key = upload(handlers, tmp_path, score)
    first, second = handlers.library.listing()[:2]
    for run, compare in ((first["id"], second["id"]), (second["id"], first["id"])):
        display = handlers.display(key, run, compare)
        assert len(display.trace.targets) > 0
        assert torch.equal(display.second.trace.targets.boxes, display.trace.targets.boxes)
        assert torch.equal(display.main.trace.targets.boxes, handlers.display(key, run, "").trace.targets.boxes)
        assert handlers.scene(key, run, compare) and handlers.stability(key, run, compare)
        for index in range(len(display.trace.targets)):
            assert handlers.query(key, 0, "truth", index, run, compare)


@pytest.mark.parametrize("queries", [1, 2, 3])
def test_masks_of_a_detector_with_few_queries(queries, tmp_path):
    handlers = opened.handlers(random_run(tmp_path / "run", queries=queries, layers=LAYERS, size=48, images=2))
    for key in ("image/1", "image/2"):
        letters = [panel["letter"] for panel in handlers.masks(key)["panels"]]
        assert letters and set(letters) <= set("bcdef")
        assert handlers.figure4(key, "svg")["data"]
