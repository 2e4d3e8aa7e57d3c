"""Diagnoses of runs for the page: each reads what a run recorded, and replays a few images between other requests."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from threading import Lock

from app.worker.forward_queue import ForwardQueue, Job
from app.worker.samples import Samples
from core.errors import UserError
from core.runs.diagnose import IMAGES, Diagnosis, examine

ANSWER = 1.0  # seconds after which a page that waits gets an answer, whether or not the diagnosis is done

Key = tuple[object, ...]


class DiagnosisJobs:
    """The diagnoses that are being made."""

    def __init__(self, queue: ForwardQueue) -> None:
        self.queue, self.lock = queue, Lock()
        self.jobs: dict[Key, Job] = {}  # by `diagnosis_key`, as all of these
        self.images_done: dict[Key, int] = {}
        self.made: dict[Key, dict] = {}

    def known(self, samples: Samples) -> dict:
        """The diagnosis of a run as it was made last, or how far it is, without waiting; see `diagnose`.

        {"state": "failed", "said"} where it cannot be made.
        """
        key = diagnosis_key(samples)
        if key not in self.made:
            try:
                answer = self.diagnose(samples, seconds=0.0)
            except UserError as error:
                answer = {"state": "failed", "said": str(error)}
            if answer["state"] == "working":
                return answer
            self.made[key] = answer
        return self.made[key]

    def diagnose(self, samples: Samples, seconds: float = ANSWER) -> dict:
        """The diagnosis of a run, or how far it is: {"state": "made", ...} or {"state": "working", "seen", "of"}.

        It is waited for so many seconds. UserError: the run recorded nothing that could be examined.
        """
        if not samples.run.path.is_dir():
            raise UserError(f"{samples.run.path} is a file of weights; the doctor reads what a run recorded")
        if "losses" not in samples.run.card["run"]:
            raise UserError(f"{samples.run.path} has another teacher than its own here; open the run alone")
        key = diagnosis_key(samples)
        with self.lock:
            if key not in self.jobs:
                (self.jobs[key],) = self.queue.request({key: lambda on_decoded: self.examine(key, samples)}, key)
            job = self.jobs[key]
        self.queue.wait([job], seconds=seconds)
        if not job.done:
            images = min(IMAGES, len(samples.run.data))
            return {"state": "working", "seen": self.images_done.get(key, 0), "of": images}
        with self.lock:
            self.jobs.pop(key, None)
            self.images_done.pop(key, None)
        return {"state": "made"} | asdict(job.result())

    def examine(self, key: Key, samples: Samples) -> Diagnosis:
        """Makes the diagnosis, in the thread of the queue."""
        return examine(samples.run, limit=IMAGES, watch=lambda images, count: self.counted(key, images))

    def counted(self, key: Key, images: Iterable) -> Iterator:
        """The images, counted as they are taken; other requests are answered between two of them."""
        for count, image in enumerate(self.queue.between(images)):
            self.images_done[key] = count
            yield image


def diagnosis_key(samples: Samples) -> Key:
    """A key that changes when the run has new weights or has logged more."""
    log = samples.run.path / "metrics.jsonl"
    return *samples.version, "diagnosis", log.stat().st_mtime_ns if log.is_file() else 0
