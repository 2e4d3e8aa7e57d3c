"""A small training that is started from the page, in a process of its own, one at a time."""

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
LOGS = 8  # that are read at once
LAST = 12  # lines of the process's output that the page shows


class TrainingJob:
    """The training that was started last, and the logs of the runs that the page watches."""

    def __init__(self, library: Library, scratch: Path) -> None:
        """The output of the process goes to a file in `scratch`, which is removed at the program's end."""
        self.library, self.scratch, self.lock = library, scratch, Lock()
        self.process: subprocess.Popen | None = None
        self.id, self.output = "", scratch / "training.log"
        self.logs: OrderedDict[Path, Log] = OrderedDict()  # by the folder of the run, the last used last

    def recipes(self) -> list[dict]:
        """The recipes that need no files of the user's: those on generated shapes."""
        return [{"id": name, "title": name, "says": summary(RECIPES.docstring(name))} for name in RECIPES.names()]

    def start(self, recipe: str, epochs: int, images: int) -> str:
        """Starts a training and returns the id of its run.

        UserError: another training is running, there is no such recipe, or it would take too long for a page.
        """
        if recipe not in (known := [r["id"] for r in self.recipes()]):
            raise UserError(f"no recipe {recipe[:40]!r}; there are {', '.join(known)}")
        if not (1 <= epochs <= EPOCHS and 8 <= images <= IMAGES):
            raise UserError(
                f"give 1 to {EPOCHS} epochs and 8 to {IMAGES} images; for more, type python -m train fit {recipe}"
            )
        with self.lock:
            if self.is_running():
                raise UserError(f"{self.id} is being trained; stop it first, or wait for it")
            self.id = next(f"{RUNS}/page-{k}" for k in count(1) if not Path(RUNS, f"page-{k}").exists())
            flags = ["--name", Path(self.id).name, "--optim.epochs", str(epochs), "--data.train-limit", str(images)]
            with open(self.output, "wb") as out:
                self.process = subprocess.Popen(
                    command("train", "fit", recipe, *flags),
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=os.environ | {"OMP_WAIT_POLICY": "passive"},
                )
        return self.id

    def stop(self) -> None:
        """Asks the training to finish its step, save and end; it can be resumed."""
        with self.lock:
            if self.process is not None and self.is_running():
                self.process.send_signal(signal.SIGTERM)

    def is_running(self) -> bool:
        """Returns whether the process that was started last has not ended."""
        return self.process is not None and self.process.poll() is None

    def state(self) -> dict:
        """The training that was started last: {"run", "going", "code", "said"}; the run is "" before the first."""
        code = None if self.process is None else self.process.poll()
        lines = self.output.read_text(errors="replace").splitlines()[-LAST:] if self.output.exists() else []
        return {"run": self.id, "going": self.is_running(), "code": code, "said": lines}

    def watch(self, run: str) -> dict:
        """The progress of a run, from its log. A run that was just started may have written nothing yet.

        UserError: there is no such run.
        """
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
        """Stops the training, and waits until it has saved."""
        self.stop()
        if self.process is not None:
            self.process.wait()
