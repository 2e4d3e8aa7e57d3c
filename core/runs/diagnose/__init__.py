"""The doctor of a run: what a distillation does to its student, and what is wrong with it.

Its numbers are the run's own records, and a replay of a few images through the Distiller that trained it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.runs.diagnose.findings import Finding, findings
from core.runs.diagnose.history import Epoch, History, LossShare, Term, read_history
from core.runs.diagnose.replay import ReplayStatistics, TeacherLabels, replay_statistics
from core.runs.open import OpenRun, open_run

IMAGES = 32  # replayed: on two cores a minute at most for a full-size pair, and some 200 objects of COCO
Watch = Callable[[Iterable, int], Iterable]  # yields what it is given, so many items, and may show the progress


@dataclass(frozen=True)
class Diagnosis:
    """`dataclasses.asdict` of it is JSON. Shares are 0..1; what is not known is None."""

    run: str
    steps: int  # that were trained
    terms: tuple[Term, ...]
    pulls: tuple[LossShare, ...]  # of each loss
    epochs: tuple[Epoch, ...]
    teacher: float | None  # its AP
    naming: TeacherLabels | None
    agreement: dict[str, list[float | None]]  # of student and teacher, in each layer of the student
    findings: tuple[Finding, ...]  # the first to be mended first
    verdict: str  # one sentence


def diagnose(
    run: Path,
    data: Path | None = None,
    images: Path | None = None,
    *,
    limit: int = IMAGES,
    watch: Watch = lambda images, count: images,
) -> Diagnosis:
    """Of a run folder with at least one evaluation. UserError, in one sentence, where it cannot be read.

    `data` and `images` take the place of what the run was measured on, as in `open_run`; `limit` counts images.
    """
    run = Path(run)
    if not run.is_dir():
        raise UserError(f"{run} is no folder of a run; give one that `python -m train fit` made")
    return examine(open_run(run, data, images), limit=limit, watch=watch)


def examine(opened: OpenRun, *, limit: int = IMAGES, watch: Watch = lambda images, count: images) -> Diagnosis:
    """The same of a run that is open already."""
    run, told = Path(opened.path), read_history(opened.path)
    found = replay_statistics(opened, limit, watch)
    ills = findings(told, found, opened.card["run"])
    parts = {"terms": told.terms, "pulls": told.pulls, "epochs": told.epochs, "teacher": told.teacher}
    seen_of = {"naming": found and found.naming, "agreement": found.agreement if found else {}}
    return Diagnosis(str(run), len(told.steps), **parts, **seen_of, findings=ills, verdict=verdict(told, found, ills))


def verdict(told: History, found: ReplayStatistics | None, ills: tuple[Finding, ...]) -> str:
    if ills:
        first, *more = ills
        after = f"; after that, see to: {', '.join(x.title for x in more)}" if more else ""
        return f"{first.title.capitalize()}: {first.evidence}; {first.setting}{after}."
    if found is None:
        return "Healthy, and alone: the student learns, and it has no teacher to learn from."
    return f"Healthy: {healthy(told, found)}; no setting needs a change."


def healthy(told: History, found: ReplayStatistics) -> str:
    said = [f"{p.loss} {p.said}" for p in told.pulls]
    last = [x for x in found.agreement["class"] if x is not None][-1:]
    parts = [f"every loss takes part ({', '.join(said)})"]
    if told.teacher is not None:
        parts.insert(0, f"the teacher has AP {100 * told.teacher:.1f} and its student {100 * told.best:.1f}")
    if last:
        parts.append(f"student and teacher name {100 * last[0]:.0f}% of matched pairs alike in the last layer")
    return ", ".join(parts)
