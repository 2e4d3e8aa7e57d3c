"""Diagnosis of a run: what each loss contributes, whether student and teacher agree, and which settings to change.

It uses the run's own log, and replays a few images through the Distiller that trained the run.
"""

from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.metrics.pseudo_truth.counts import PseudoCounts
from core.runs.diagnose.ap_findings import is_early
from core.runs.diagnose.data_limits import data_findings
from core.runs.diagnose.finding import Finding
from core.runs.diagnose.findings import findings
from core.runs.diagnose.history import Epoch, History, LossShare, Term, read_history
from core.runs.diagnose.replay import ReplayStatistics, TeacherLabels, Watch, replay_statistics
from core.runs.open import OpenRun, open_run

IMAGES = 32  # images to replay: at most a minute on two cores for a full-size pair, and some 200 objects of COCO


@dataclass(frozen=True)
class Diagnosis:
    """All that was measured of a run; `dataclasses.asdict` of it is JSON. Shares are 0 to 1; None is an unknown value."""

    run: str
    steps: int  # trained steps
    terms: tuple[Term, ...]
    pulls: tuple[LossShare, ...]  # the share of each loss in the loss and in the gradient
    epochs: tuple[Epoch, ...]
    teacher: float | None  # AP of the teacher
    naming: TeacherLabels | None  # of the objects that the teacher finds, how many it gives their class
    agreement: dict[str, list[float | None]]  # of student and teacher, for each decoder layer of the student
    findings: tuple[Finding, ...]  # most important first
    verdict: str  # one sentence
    pseudo: PseudoCounts | None = None  # the objects of images without labels; None: all images had labels


def diagnose(
    run: Path,
    data: Path | None = None,
    images: Path | None = None,
    *,
    limit: int = IMAGES,
    watch: Watch = lambda images, count: images,
) -> Diagnosis:
    """Diagnoses a run's folder. UserError: it cannot be read, or it has no trained step.

    `data` and `images` replace the run's validation images, as in `open_run`; `limit` is the number of images to replay.
    """
    run = Path(run)
    if not run.is_dir():
        raise UserError(f"{run} is no folder of a run; give one that `python -m train fit` made")
    return examine(open_run(run, data, images), limit=limit, watch=watch)


def examine(opened: OpenRun, *, limit: int = IMAGES, watch: Watch = lambda images, count: images) -> Diagnosis:
    """Diagnoses a run that is already open."""
    history = read_history(opened.path)
    replayed = replay_statistics(opened, limit, watch)
    severe, mild = data_findings(opened.card["run"], opened.data)
    causes = (*severe, *findings(history, replayed, opened.card["run"]), *mild)
    return Diagnosis(
        run=str(Path(opened.path)),
        steps=len(history.steps),
        terms=history.terms,
        pulls=history.loss_shares,
        epochs=history.epochs,
        teacher=history.teacher_ap,
        naming=replayed.teacher_labels if replayed else None,
        agreement=replayed.agreement if replayed else {},
        findings=causes,
        verdict=verdict(history, replayed, causes),
        pseudo=history.pseudo,
    )


def verdict(history: History, replayed: ReplayStatistics | None, causes: tuple[Finding, ...]) -> str:
    """The diagnosis in one sentence: the most important finding in full, the others by title."""
    if causes:
        first, *others = causes
        rest = f"; after that, see to: {', '.join(x.title for x in others)}" if others else ""
        return f"{first.title[:1].upper()}{first.title[1:]}: {first.evidence}; {first.setting}{rest}."
    if is_early(history):
        return (
            f"Too early to tell: the student's AP is {100 * history.best_ap:.1f} after {len(history.steps)} steps; nothing is "
            "wrong so far. Train it for longer."
        )
    if replayed is None:
        return "Healthy, without a teacher: the student learns."
    return f"Healthy: {healthy_evidence(history, replayed)}; no setting needs a change."


def healthy_evidence(history: History, replayed: ReplayStatistics) -> str:
    """The evidence that a distillation works: AP of teacher and student, the share of each loss, and the agreement."""
    shares = [f"{loss.loss} {loss.text}" for loss in history.loss_shares]
    same_class = [x for x in replayed.agreement["class"] if x is not None][-1:]
    parts = [f"every loss contributes ({', '.join(shares)})"]
    if history.teacher_ap is not None:
        parts.insert(
            0, f"the teacher has AP {100 * history.teacher_ap:.1f} and its student {100 * history.best_ap:.1f}"
        )
    if same_class:
        parts.append(
            f"student and teacher agree on the class of {100 * same_class[0]:.0f}% of matched pairs in the last layer"
        )
    return ", ".join(parts)
