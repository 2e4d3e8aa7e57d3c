"""Probes of the app: wrong values in every argument of its endpoints, hosts of others, and files that are not the visitor's."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

from starlette.datastructures import Headers

from analysis.bench._random_runs import random_run
from app.arguments import checked
from app.server.handlers import Handlers
from app.server.local import is_local
from app.server.page import VIEWS, answer
from tests.helpers import opened
from tests.helpers.hostile import VALUES

ARGUMENTS = {
    "masks": ("gamma", "layer"),
    "epochs": ("layer",),
    "matches": ("layer",),
    "scene": ("key", "run"),
    "query": ("index",),
    "image": ("key",),
    "file": ("name",),
    "figure": ("name",),
    "watch": ("run",),
    "recipes": ("unknown",),
}
ODD = [value for value in VALUES if value not in (True, 1, 0)][:14]
HOSTS = ("[", "[::1", "]", "127.0.0.1:x:y[", "", "evil.example", "127.0.0.1.evil.example", "0.0.0.0:80\r\nx: y")


@cache
def handlers() -> Handlers:
    """The endpoints of the app for a run of random weights."""
    return opened.handlers(random_run(Path(tempfile.mkdtemp()) / "run", queries=12, layers=2, size=48, images=2))


def asked(view: str, argument: str, value: object) -> Callable[[Path], None]:
    """A probe: a request with this value is answered, or refused in a sentence; the answer is JSON, and no file is written."""

    def probe(folder: Path) -> None:
        known = {name: checked(getattr(handlers(), name)) for name in VIEWS}
        given = {"key": "image/1"} if view in ("masks", "epochs", "matches", "query") else {}
        reply = answer(known, {"name": view, "with": given | {argument: value}})
        assert ("ok" in reply) != bool(reply.get("error")), reply
        assert len(reply.get("error", "")) < 1000
        json.dumps(reply, allow_nan=False)
        assert not list(folder.iterdir())

    return probe


def foreign_host(host: str) -> Callable[[Path], None]:
    """A probe: a request to this host, or from a page of it, is refused."""

    def probe(folder: Path) -> None:
        assert not is_local(Headers({"host": host}))
        assert not is_local(Headers({"host": "127.0.0.1:7860", "origin": f"http://{host}"}))

    return probe


def own_file(path: str) -> Callable[[Path], None]:
    """A probe: a file of the program, or of the machine, is no upload, and stays."""

    def probe(folder: Path) -> None:
        for name in ("uploads", "jobs"):
            (folder / name).mkdir()
        (folder / "jobs" / "training.log").write_text("log")
        with mock.patch.dict("os.environ", {"GRADIO_TEMP_DIR": str(folder / "uploads")}):
            known = {"upload": checked(handlers().upload)}
            reply = answer(known, {"name": "upload", "with": {"file": {"path": path.replace("HERE", str(folder))}}})
        assert reply.get("error") and (folder / "jobs" / "training.log").read_text() == "log"

    return probe


PROBES = {
    f"{view}, {argument} {str(value)[:12]!a} of type {type(value).__name__}": asked(view, argument, value)
    for view, arguments in ARGUMENTS.items()
    for argument in arguments
    for value in ODD
}
PROBES |= {f"host {host!a}": foreign_host(host) for host in HOSTS}
PROBES |= {
    f"upload of {path}": own_file(path)
    for path in ("HERE/jobs/training.log", "HERE/uploads/../jobs/training.log", "/etc/passwd", "HERE/uploads", "")
}
