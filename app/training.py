"""A training that is started from the page: a process of its own, one at a time."""

import os
import signal
import subprocess
import sys
from collections import OrderedDict
from itertools import count
from pathlib import Path
from threading import Lock

from app.library import RUNS, Library
from app.progress import Log, report
from core.errors import UserError

EPOCHS, IMAGES = 60, 2400  # at most
LOGS = 8  # followed at once
LAST = 12  # lines of what it says


class Training:
    """What it says goes to a file in `scratch`, which ends with the program."""

    def __init__(self, library: Library, scratch: Path):
        self.library, self.scratch, self.lock = library, scratch, Lock()
        self.child: subprocess.Popen | None = None
        self.id, self.said = "", scratch / "training.log"
        self.logs: OrderedDict[Path, Log] = OrderedDict()
        self.known: list[dict] = []

    def recipes(self) -> list[dict]:
        """Those that need no file: of drawn shapes."""
        if not self.known:
            told = subprocess.run([sys.executable, "-m", "train", "list"], capture_output=True, text=True, timeout=60)
            rows = (line.split(None, 1) for line in told.stdout.splitlines() if line.startswith("  shapes"))
            self.known = [{"id": name, "title": name, "says": says} for name, says in rows]
        return self.known

    def start(self, recipe: str, epochs: int, images: int) -> str:
        """The id of the new run. UserError: one is going on, or this is no recipe or too much for a page."""
        if recipe not in (known := [r["id"] for r in self.recipes()]):
            raise UserError(f"no recipe {recipe[:40]!r}; there are {', '.join(known)}")
        if not (1 <= epochs <= EPOCHS and 8 <= images <= IMAGES):
            raise UserError(
                f"give 1 to {EPOCHS} epochs and 8 to {IMAGES} images; for more, type python -m train fit {recipe}"
            )
        with self.lock:
            if self.going():
                raise UserError(f"{self.id} is being trained; stop it first, or wait for it")
            self.id = next(f"{RUNS}/page-{k}" for k in count(1) if not Path(RUNS, f"page-{k}").exists())
            flags = ["--name", Path(self.id).name, "--optim.epochs", str(epochs), "--data.train-limit", str(images)]
            with open(self.said, "wb") as out:
                self.child = subprocess.Popen(
                    [sys.executable, "-m", "train", "fit", recipe, *flags],
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=os.environ | {"OMP_WAIT_POLICY": "passive"},
                )
        return self.id

    def stop(self) -> None:
        """It finishes its step, saves, and can be resumed."""
        with self.lock:
            if self.going():
                self.child.send_signal(signal.SIGTERM)

    def going(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def state(self) -> dict:
        """Of what was started here: {"run", "going", "code", "said"}; the run is "" where nothing was."""
        code = None if self.child is None else self.child.poll()
        said = self.said.read_text(errors="replace").splitlines()[-LAST:] if self.said.exists() else []
        return {"run": self.id, "going": self.going(), "code": code, "said": said}

    def watch(self, run: str) -> dict:
        """How a run goes; one that was just started may have written nothing yet."""
        source = self.library.sources().get(run)
        if source is None and run == self.id and run:
            return {"state": "starting"}
        if source is None or not source.path.is_dir():
            raise UserError(f"there is no run {run[:80]!r} to watch; the list of runs shows those there are")
        with self.lock:
            log = self.logs.setdefault(source.path, Log(source.path / "metrics.jsonl"))
            self.logs.move_to_end(source.path)
            while len(self.logs) > LOGS:
                self.logs.popitem(last=False)
        return report(source.path, log)

    def close(self) -> None:
        """What was started here ends with the page, saved."""
        self.stop()
        if self.child is not None:
            self.child.wait()
