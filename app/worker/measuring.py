"""The measurements of figures for the runs of the overview, made while nothing else is requested, and kept on disk."""

import os
import shutil
from collections import OrderedDict
from collections.abc import Generator, Hashable
from pathlib import Path
from threading import Lock, Thread

from analysis.inputs.inputs import LIMIT
from analysis.query_table.collect import collect_parts, describe, missing_parts, start_or_resume
from analysis.query_table.measure import measure_table
from analysis.query_table.read import open_table
from app.worker import survey
from app.worker.background import requested
from app.worker.forward_queue import ForwardQueue
from app.worker.samples import Samples
from core.errors import UserError
from core.files import read_json, write_json

BATCH = 1  # image at a time, so that a request between two waits for few
FOLDERS = 12  # kept on disk, the last used
RUNS = 4  # at once: each holds its networks
MEASURING = Lock()  # one at a time: two runs may share a folder


class Measurement:
    """The measurements of a run on its first LIMIT images, or how far they are."""

    def __init__(self, samples: Samples) -> None:
        self.samples, self.total = samples, min(LIMIT, len(samples.run.data.ids))
        self.done = 0  # images
        self.values: dict | None = None  # as `measure_table` returns them
        self.error = ""  # why there are none
        self.stopped = False

    def steps(self) -> Generator:
        """Collects the query table, a few images a step, and measures it in a thread of its own."""
        if not self.samples.run.path.is_dir():
            self.error = f"{self.samples.run.path} is a file of weights; open the folder of its run"
            return
        if not self.samples.truth["annotations"]:
            self.error = "These images have no annotated objects, so nothing can be measured on them"
            return
        try:
            yield from self.collect(folder() / survey.fingerprint(self.samples))
        except (UserError, OSError) as error:
            self.error = str(error)

    def collect(self, out: Path) -> Generator:
        """Collects what the folder lacks, then begins to measure."""
        about, truth = describe(self.samples.run, self.total, BATCH)
        if self.samples.run.distiller.teacher is not None:
            about["teacher"] = about["teacher"] or "given in place of the run's own"
        start_or_resume(out, about, truth)
        os.utime(out)
        make_room(out.parent)
        lacking = missing_parts(out, about)
        self.done = self.total - sum(map(len, lacking))
        for images, _ in zip(lacking, collect_parts(self.samples.run, out, about)):
            self.done += len(images)
            yield
            if self.stopped:
                return
        Thread(target=self.measure, args=(out,), name="measurements", daemon=True).start()

    def measure(self, out: Path) -> None:
        """Takes the measurements from the folder, or makes them."""
        try:
            file = out / "measured.json"
            with MEASURING:
                if not file.exists():
                    write_json(file, measure_table(open_table(out)))
            self.values = read_json(file)
        except (UserError, OSError) as error:
            self.error = str(error)

    def state(self) -> dict:
        """How far it is, and in the end the parts of the measurements that the overview shows, by detector."""
        progress = {"done": self.done, "total": self.total, "error": self.error}
        if self.values is None:
            return progress | {"student": None, "teacher": None, "agreement": None}
        shown = {who: shown_parts(self.values[who]) for who in ("student", "teacher")}
        return progress | shown | {"agreement": self.values["agreement"]}


class Measurements:
    """The measurements that were requested last, each of which is made in the background of the queue."""

    def __init__(self, queue: ForwardQueue) -> None:
        self.queue, self.lock = queue, Lock()
        self.made: OrderedDict[Hashable, Measurement] = OrderedDict()  # by the version of the samples

    def measurement(self, samples: Samples) -> Measurement:
        """The measurements of a run, begun at the first request; those that were requested longest ago are stopped."""
        with self.lock:
            return requested(self.made, samples, begin=Measurement, most=RUNS, queue=self.queue)


def shown_parts(measured: dict | None) -> dict | None:
    """Instability by layer, and the statistics of query masks by quality, of one detector; None where there is none."""
    return measured and {"instability": measured["instability"], "masks": measured["looks"]}


def folder() -> Path:
    """The folder of the query tables, in the user's cache."""
    return survey.folder().with_name("measured")


def make_room(path: Path) -> None:
    """Removes the tables in a folder that were used longest ago."""
    for old in sorted(path.iterdir(), key=lambda f: f.stat().st_mtime)[:-FOLDERS]:
        shutil.rmtree(old, ignore_errors=True)
