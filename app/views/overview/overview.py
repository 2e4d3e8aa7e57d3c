"""The overview of a run and of a second one: what they recorded at once, and what takes longer as far as it is known."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from app.views.overview import objects, verdict
from app.views.overview.gain import gain, partners
from app.views.overview.record import record
from app.worker.library import Library
from app.worker.measuring import Measurements
from app.worker.samples import Samples
from app.worker.survey import Survey
from core.errors import UserError


class Overview:
    """Puts together what the logs, the doctor, the surveys and the measurements of runs say."""

    def __init__(
        self,
        library: Library,
        diagnosis: Callable[[Samples], dict],
        surveys: Callable[[Sequence[Samples]], list[Survey]],
    ) -> None:
        """`diagnosis` is that of a run, and `surveys` are those of some runs, as far as they are made."""
        self.library, self.diagnosis, self.surveys = library, diagnosis, surveys
        self.measurements = Measurements(library.queue)

    def recorded(self, run: str, compare: str, others: Sequence[str]) -> dict:
        """Returns what runs recorded, in words and numbers, which is known at once.

        {"runs": the records of all, "partners": ids of runs that the first is best compared with, "clauses", "gain" of the run
        over the one that it is compared with}. UserError: there is no such run.
        """
        compared = [self.library.source(id) for id in (run, compare) if id]
        listed = self.library.sources().values()
        records = [record(x) for x in (*compared, *map(self.library.source, others))]
        difference = gain(compared[0], compared[1], listed) if compare else None
        return {
            "runs": records,
            "partners": partners(compared[0], listed),
            "clauses": verdict.recorded(records[0], records[1] if compare else None, difference),
            "gain": difference and asdict(difference) | {"significant": difference.significant},
        }

    def verdict(self, run: str, compare: str) -> dict:
        """Returns what images say, in words and numbers, as far as it is known; "done" once nothing is being computed any more.

        {"clauses", "counts", "doctor": [diagnosis of each run], "measured": [of each run], "said", "done"}. "said" is why the
        second run is not shown on the images of the first.
        """
        samples, said = self.samples(run, compare)
        counts = objects.counts(self.surveys(samples))
        doctor = [self.diagnosis(self.library.samples(id)) for id in (run, compare) if id]
        measured = [self.measurements.measurement(x).state() for x in samples]
        clauses = verdict.object_clauses(counts, compared=len(samples) > 1)
        working = any(x["state"] == "working" for x in doctor) or any(map(is_working, measured))
        return {
            "clauses": [*clauses, *verdict.measured_clauses(measured[0]), *verdict.doctor_clauses(doctor)],
            "counts": counts,
            "doctor": doctor,
            "measured": measured,
            "said": said,
            "done": counts["known"] >= counts["total"] and not working,
        }

    def samples(self, run: str, compare: str) -> tuple[list[Samples], str]:
        """The run, and the second one on its images; or why that is not possible."""
        first = self.library.samples(run)
        try:
            return [first, *([self.library.second(first, compare)] if compare else [])], ""
        except UserError as error:
            return [first], str(error)


def is_working(measured: dict) -> bool:
    """Returns whether measurements are still being made."""
    return not measured["error"] and measured["student"] is None
