"""A training that is started from the page: a process of its own, one at a time."""

import os
import signal
import subprocess
from collections import OrderedDict
from itertools import count
from pathlib import Path
from threading import Lock

from app.jobs.training_log import Log, report
from app.worker.library import RUNS, Library
from core.drop_ins import DropIns, summary
from core.errors import UserError
from core.project import ROOT, command

RECIPES = DropIns(ROOT / "train" / "recipes" / "on_shapes", "train.recipes.on_shapes", "recipe", ("run",))
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

    def recipes(self) -> list[dict]:
        """The recipes that need no files of the user's: those on the generated shapes."""
        return [{"id": name, "title": name, "says": summary(RECIPES.docstring(name))} for name in RECIPES.names()]

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
                    command("train", "fit", recipe, *flags),
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
