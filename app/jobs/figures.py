"""Figures and tables of the paper, made by `python -m analysis` in a process of its own: one at a time, kept as files."""

import json
import subprocess
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from threading import Lock
from time import monotonic

from analysis.catalogue import FIGURES, TABLES, in_order, title
from app.worker.library import Library
from core.errors import UserError
from core.project import ASSETS, command

KEPT = 24  # pages, the latest made
LIMIT = 500  # images that a figure looks at
PATIENCE = 3.0  # seconds after which nobody is taken to wait for a page any more
FORMS = ("pdf", "svg", "png", "csv", "tex", "md", "txt")
OF_ONE_IMAGE = ("figure2", "figure4", "image")
WAITING = "another figure is being made; this one is next"


class Studio:
    def __init__(self, library: Library, scratch: Path):
        self.library, self.scratch, self.lock = library, scratch / "figures", Lock()
        self.child: subprocess.Popen | None = None
        self.page, self.name, self.begun, self.said = "", "", 0.0, scratch / "figures.log"
        self.asked = 0.0  # for the page that is being made, last
        self.failed: dict[str, str] = {}  # why, by page

    def catalogue(self) -> list[dict]:
        """{"kind", "name", "title", "image" for one that is of one image} of every figure and table that there is."""
        pages = [("figure", name, title(FIGURES, name)) for name in in_order(FIGURES)]
        pages += [("table", name, title(TABLES, name)) for name in in_order(TABLES)]
        return [{"kind": k, "name": n, "title": title, "image": n in OF_ONE_IMAGE} for k, n, title in pages]

    def ask(self, name: str, runs: list[str], shipped: bool, image: int | None) -> dict:
        """{"state": "made" with what there is of it, "working" with what is said, or "failed" with the reason}.

        One is made at a time, and left once nobody asks for it. UserError: no such page or run.
        """
        page, words = self.wanted(name, runs, shipped, image)
        with self.lock:
            self.settle()
            if (folder := self.scratch / page).is_dir():
                return {"state": "made"} | told(name, folder)
            if page != self.page and self.child is not None and monotonic() - self.asked < PATIENCE:
                return {"state": "working", "said": WAITING, "seconds": 0.0}
            if page == self.page and page in self.failed:
                return {"state": "failed", "said": self.failed[page]}
            if page != self.page or self.child is None:
                self.begin(page, name, words)
            self.asked = monotonic()
            return {"state": "working", "said": self.last(), "seconds": monotonic() - self.begun}

    def wanted(self, name: str, runs: list[str], shipped: bool, image: int | None) -> tuple[str, list[str]]:
        """The name of a page's folder, and the words that make it."""
        if name not in (*FIGURES.names(), *TABLES.names()):
            raise UserError(
                f"no figure or table {name[:40]!r}; there are {', '.join(p['name'] for p in self.catalogue())}"
            )
        paths = [self.path(run) for run in dict.fromkeys(runs)]
        given = [str(p) for p in paths]
        if shipped and given:  # without any run they are what is taken
            given += [str(p) for p in (ASSETS / "runs", ASSETS / "results") if p.is_dir()]
        words = [name, *given]
        if name in FIGURES.names():
            words += ["--limit", str(LIMIT)]
        if name in OF_ONE_IMAGE and image is not None:
            words += ["--image", str(image)]
        times = [(p / "metrics.jsonl").stat().st_mtime for p in paths if (p / "metrics.jsonl").exists()]
        return sha256(json.dumps([words, times]).encode()).hexdigest()[:24], words

    def path(self, run: str) -> Path:
        source = self.library.sources().get(run)
        if source is None or not source.path.is_dir():
            raise UserError(f"there is no run {run[:80]!r} to make figures of; the list of runs shows those there are")
        return source.path

    def begin(self, page: str, name: str, words: list[str]) -> None:
        self.leave()
        self.failed.pop(page, None)
        self.page, self.name, self.begun = page, name, monotonic()
        self.said.parent.mkdir(parents=True, exist_ok=True)
        with open(self.said, "wb") as out:
            started = command("analysis", *words, "--out", str(self.scratch / "work"))
            self.child = subprocess.Popen(started, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def settle(self) -> None:
        """Keeps what was written once it is made; tables collected of runs stay for the next figure."""
        if self.child is None or self.child.poll() is None:
            return
        code, self.child = self.child.returncode, None
        files = [f for f in (self.scratch / "work").glob(f"{self.name}.*") if f.suffix[1:] in FORMS]
        if code or not files:
            self.failed = {self.page: self.last().removeprefix("error: ") or f"it ended with code {code}"}
            return
        folder = self.scratch / self.page
        folder.mkdir(parents=True)
        for file in files:
            file.rename(folder / file.name)
        self.make_room()

    def make_room(self) -> None:
        pages = [f for f in self.scratch.iterdir() if f.is_dir() and f.name != "work"]
        for old in sorted(pages, key=lambda f: f.stat().st_mtime)[:-KEPT]:
            rmtree(old, ignore_errors=True)

    def last(self) -> str:
        lines = self.said.read_text(errors="replace").strip().splitlines() if self.said.exists() else []
        return lines[-1][:400] if lines else ""

    def file(self, name: str, form: str, runs: list[str], shipped: bool, image: int | None) -> dict:
        """A page's file, {"name", "data" in base64}. UserError: it is not made, or has no such form."""
        page, _ = self.wanted(name, runs, shipped, image)
        path = self.scratch / page / f"{name}.{form}"
        if form not in FORMS or not path.is_file():
            raise UserError(f"{name} is not there as {form[:10]}; make it first, and choose one of {', '.join(FORMS)}")
        return {"name": path.name, "data": b64encode(path.read_bytes()).decode()}

    def leave(self) -> None:
        """Ends what is being made."""
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()
            self.child.wait()
        self.child = None


def told(name: str, folder: Path) -> dict:
    """What the page shows of a figure or a table, and the forms it can be had in."""
    forms = [form for form in FORMS if (folder / f"{name}.{form}").is_file()]
    found = {"forms": forms, "caption": "", "picture": "", "table": []}
    if "png" in forms:
        found["picture"] = "data:image/png;base64," + b64encode((folder / f"{name}.png").read_bytes()).decode()
    if "txt" in forms:
        found["caption"] = (folder / f"{name}.txt").read_text(encoding="utf-8").strip()
    if "md" in forms:
        found |= markdown((folder / f"{name}.md").read_text(encoding="utf-8"))
    return found


def markdown(text: str) -> dict:
    """The rows of a table in Markdown, and what stands around it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [row for row in rows if not all(set(cell) <= set("-: ") for cell in row)]
    return {"table": rows, "caption": " ".join(line.lstrip("# ") for line in lines if not line.startswith("|"))}
