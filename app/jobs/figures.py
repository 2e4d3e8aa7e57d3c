"""Figures and tables of the paper, made by `python -m analysis` in a process of its own, one at a time, and kept as files."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from threading import Lock
from time import monotonic

from analysis.catalogue import FIGURES, TABLES, in_order, title
from app.worker.library import Library
from core.errors import UserError
from core.project import ASSETS, command

KEPT = 24  # figures and tables, the last made
LIMIT = 500  # validation images from which a figure is made
PATIENCE = 3.0  # seconds without a request after which no page is taken to wait any more
FORMS = ("pdf", "svg", "png", "csv", "tex", "md", "txt")
OF_ONE_IMAGE = ("figure2", "figure4", "image")
WAITING = "another figure is being made; this one is next"


class FigureJobs:
    """The process that makes a figure or table, and the folders of those that were made, by a digest of its command."""

    def __init__(self, library: Library, scratch: Path) -> None:
        self.library, self.scratch, self.lock = library, scratch / "figures", Lock()
        self.process: subprocess.Popen | None = None
        self.log = scratch / "figures.log"  # what the process prints
        self.key, self.name, self.begun = "", "", 0.0  # of what is being made
        self.last_request = 0.0  # for what is being made
        self.failed: dict[str, str] = {}  # the reason, by key

    def catalogue(self) -> list[dict]:
        """Every figure and table: {"kind", "name", "title", "image"}; the last says whether it is of one image."""
        pages = [("figure", name, title(FIGURES, name)) for name in in_order(FIGURES)]
        pages += [("table", name, title(TABLES, name)) for name in in_order(TABLES)]
        return [{"kind": k, "name": n, "title": title, "image": n in OF_ONE_IMAGE} for k, n, title in pages]

    def request(self, name: str, runs: Sequence[str], shipped: bool, image: int | None) -> dict:
        """A figure or table, or how far it is; its "state" is "made", "working" or "failed".

        One is made at a time; it is given up once another is requested and no page waits for it. UserError: there is no
        such figure or run.
        """
        key, arguments = self.arguments(name, runs, shipped, image)
        with self.lock:
            self.collect()
            if (folder := self.scratch / key).is_dir():
                return {"state": "made"} | preview(name, folder)
            if key != self.key and self.process is not None and monotonic() - self.last_request < PATIENCE:
                return {"state": "working", "said": WAITING, "seconds": 0.0}
            if key == self.key and key in self.failed:
                return {"state": "failed", "said": self.failed.pop(key)}  # the next request tries again
            if key != self.key or self.process is None:
                self.begin(key, name, arguments)
            self.last_request = monotonic()
            return {"state": "working", "said": self.last_line(), "seconds": monotonic() - self.begun}

    def arguments(self, name: str, runs: Sequence[str], shipped: bool, image: int | None) -> tuple[str, list[str]]:
        """A key for the figure's files, and the arguments of `python -m analysis`.

        The key changes when a run has logged more. UserError: there is no such figure or run.
        """
        if name not in (*FIGURES.names(), *TABLES.names()):
            raise UserError(
                f"no figure or table {name[:40]!r}; there are {', '.join(p['name'] for p in self.catalogue())}"
            )
        paths = [self.path(run) for run in dict.fromkeys(runs)]
        if name in OF_ONE_IMAGE and image is not None and self.library.images:
            raise UserError("the app shows other images than the runs' own, of which figures are; deselect the image")
        arguments = [name, *map(str, paths)]
        if shipped and paths:  # without any run, `python -m analysis` takes them anyway
            arguments += [str(p) for p in (ASSETS / "runs", ASSETS / "results") if p.is_dir()]
        if name in FIGURES.names():
            arguments += ["--limit", str(LIMIT)]
        if name in OF_ONE_IMAGE and image is not None:
            arguments += ["--image", str(image)]
        times = [(p / "metrics.jsonl").stat().st_mtime for p in paths if (p / "metrics.jsonl").exists()]
        return sha256(json.dumps([arguments, times]).encode()).hexdigest()[:24], arguments

    def path(self, run: str) -> Path:
        """The folder of a run. UserError: there is none, or its teacher is another one here."""
        source = self.library.sources().get(run)
        if source is None or not source.path.is_dir():
            raise UserError(f"there is no run {run[:80]!r} to make figures of; the list of runs shows those there are")
        if source.teacher is not None:
            raise UserError(f"{run}: figures show a run with its own teacher; open {source.path} alone")
        return source.path

    def begin(self, key: str, name: str, arguments: Sequence[str]) -> None:
        """Starts to make a figure, and gives up what is being made."""
        self.stop()
        self.failed.clear()
        self.key, self.name, self.begun = key, name, monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as out:
            started = command("analysis", *arguments, "--out", str(self.scratch / "work"))
            self.process = subprocess.Popen(started, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def collect(self) -> None:
        """Once the process has ended, moves the figure's files to its folder, or notes why there are none.

        What it computed of the runs stays in the working folder for the next figure.
        """
        if self.process is None or self.process.poll() is None:
            return
        code, self.process = self.process.returncode, None
        files = [f for f in (self.scratch / "work").glob(f"{self.name}.*") if f.suffix[1:] in FORMS]
        if code or not files:
            self.failed = {self.key: self.last_line().removeprefix("error: ") or f"it ended with code {code}"}
            return
        folder = self.scratch / self.key
        folder.mkdir(parents=True)
        for file in files:
            file.rename(folder / file.name)
        self.make_room()

    def make_room(self) -> None:
        """Removes the figures that were made longest ago."""
        folders = [f for f in self.scratch.iterdir() if f.is_dir() and f.name != "work"]
        for old in sorted(folders, key=lambda f: f.stat().st_mtime)[:-KEPT]:
            rmtree(old, ignore_errors=True)

    def last_line(self) -> str:
        """The last line that the process printed."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1][:400] if lines else ""

    def file(self, name: str, form: str, runs: Sequence[str], shipped: bool, image: int | None) -> dict:
        """A file of a figure that was made, {"name", "data" in base64}. UserError: it is not made, or has no such form."""
        key, _ = self.arguments(name, runs, shipped, image)
        path = self.scratch / key / f"{name}.{form}"
        if form not in FORMS or not path.is_file():
            raise UserError(f"{name} is not there as {form[:10]}; make it first, and choose one of {', '.join(FORMS)}")
        return {"name": path.name, "data": b64encode(path.read_bytes()).decode()}

    def stop(self) -> None:
        """Ends the process, if there is one."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.process = None


def preview(name: str, folder: Path) -> dict:
    """A figure or table as the page shows it: a picture or the rows of a table, the caption, and the forms of its files."""
    forms = [form for form in FORMS if (folder / f"{name}.{form}").is_file()]
    shown: dict = {"forms": forms, "caption": "", "picture": "", "table": []}
    if "png" in forms:
        shown["picture"] = "data:image/png;base64," + b64encode((folder / f"{name}.png").read_bytes()).decode()
    if "txt" in forms:
        shown["caption"] = (folder / f"{name}.txt").read_text(encoding="utf-8").strip()
    if "md" in forms:
        shown |= parse_markdown((folder / f"{name}.md").read_text(encoding="utf-8"))
    return shown


def parse_markdown(text: str) -> dict:
    """The cells of a table in Markdown, and the text around it as one caption."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [row for row in rows if not all(set(cell) <= set("-: ") for cell in row)]
    return {"table": rows, "caption": " ".join(line.lstrip("# ") for line in lines if not line.startswith("|"))}
