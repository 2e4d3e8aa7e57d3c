"""The doctor of a run: its records, and a replay of a few images, between what pages ask for."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from threading import Lock

from app.worker.desk import Desk, Job
from app.worker.samples import Samples
from core.errors import UserError
from core.runs.diagnose import IMAGES, examine

ANSWER = 1.0  # seconds after which a page that waits is told how far it is


class Doctor:
    def __init__(self, desk: Desk):
        self.desk, self.lock = desk, Lock()
        self.going: dict[tuple, Job] = {}
        self.seen: dict[tuple, int] = {}  # images

    def ask(self, samples: Samples) -> dict:
        """{"state": "working", "seen", "of"}, or "made" with the diagnosis. UserError: there is nothing to examine."""
        if not samples.run.path.is_dir():
            raise UserError(f"{samples.run.path} is a file of weights; the doctor reads what a run recorded")
        key = *samples.version, "doctor"
        with self.lock:
            if key not in self.going:
                make = {
                    key: lambda on_decoded: examine(
                        samples.run, limit=IMAGES, watch=lambda images, _: self.counted(key, images)
                    )
                }
                (self.going[key],) = self.desk.want(make, key)
            job = self.going[key]
        self.desk.wait([job], seconds=ANSWER)
        if not job.done:
            return {"state": "working", "seen": self.seen.get(key, 0), "of": min(IMAGES, len(samples.run.data))}
        with self.lock:
            self.going.pop(key, None)
            self.seen.pop(key, None)
        return {"state": "made"} | asdict(job.result())

    def counted(self, key: tuple, images: Iterable) -> Iterator:
        for count, image in enumerate(self.desk.between(images)):
            self.seen[key] = count
            yield image
