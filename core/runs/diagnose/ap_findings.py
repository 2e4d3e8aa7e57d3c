"""Finds an AP of 0, an AP that no longer grows, classes that are never found, and a student as good as its teacher."""

from collections.abc import Iterator

from core.runs.diagnose.finding import Finding
from core.runs.diagnose.history import UNTRAINED_AP, Epoch, History

EARLY_STEPS = 200  # the shipped students, whose backbones are trained, have found something by then
NOTHING_AP = 0.01  # a few chance hits
CLASS_AP = 0.005  # rounds to 0.0 or 0.1 of 100
MIN_EVALUATIONS = 4  # two in each half: with fewer, one noisy evaluation decides
MIN_LEAD = 0.01  # of a teacher: less than two trainings of one student with other seeds differ
SHOWN_CLASSES = 3


def is_early(history: History) -> bool:
    """Returns whether the run is too short to say anything of its result."""
    return len(history.steps) < EARLY_STEPS and history.best_ap < UNTRAINED_AP


def ap_findings(history: History) -> Iterator[Finding]:
    """Yields what is wrong with the measured AP, the worst first; nothing if the run is early or AP was never measured."""
    measured = [epoch for epoch in history.epochs if epoch.ap is not None]
    if is_early(history) or not measured:
        return
    if history.best_ap < NOTHING_AP:
        yield nothing_found(history)
        return
    yield from unfound_classes(measured[-1])
    yield from teacher_at_its_end(history)
    yield from no_growth(measured)


def nothing_found(history: History) -> Finding:
    """A student that finds nothing although it was trained for long enough."""
    evidence = f"its AP is {100 * history.best_ap:.1f} after {len(history.steps)} steps"
    setting = "start from trained weights (--init), raise --size, or change --lr"
    return Finding("nothing", "the student finds nothing", evidence, setting)


def unfound_classes(last: Epoch) -> Iterator[Finding]:
    """Classes with an AP of 0 in the last evaluation, while others are found."""
    zero = [name for name, ap in last.per_class.items() if ap is not None and ap < CLASS_AP]
    if not zero or len(zero) == len(last.per_class):
        return
    others = f" and {len(zero) - SHOWN_CLASSES} more" if len(zero) > SHOWN_CLASSES else ""
    names = ", ".join(map(repr, zero[:SHOWN_CLASSES])) + others
    evidence = f"AP is 0 for {len(zero)} of {len(last.per_class)} classes ({names}), {points(last)} over all"
    setting = "add labelled images of them, or train at a larger --size if their objects are small"
    yield Finding("class", "some classes are never found", evidence, setting)


def teacher_at_its_end(history: History) -> Iterator[Finding]:
    """A teacher that is hardly better than its student, which then has little to learn from it."""
    teacher, student = history.teacher_ap, history.best_ap
    if teacher is None or teacher < UNTRAINED_AP or teacher - student >= MIN_LEAD:
        return
    evidence = f"the teacher's AP is {100 * teacher:.1f}, the student's {100 * student:.1f}"
    setting = "give a better --teacher, or train on without one"
    yield Finding("overtaken", "the teacher is hardly better than its student", evidence, setting)


def no_growth(measured: list[Epoch]) -> Iterator[Finding]:
    """AP whose maximum in the second half of the evaluations is not above that of the first half."""
    half = len(measured) // 2
    if len(measured) < MIN_EVALUATIONS:
        return
    early, late = (max(part, key=lambda epoch: epoch.ap or 0.0) for part in (measured[:half], measured[half:]))
    if (late.ap or 0.0) > (early.ap or 0.0):
        return
    since = measured[half].epoch
    evidence = f"it was {points(early)} after epoch {early.epoch}, and {points(late)} at most from epoch {since} on"
    setting = "lower --lr, or train fewer --epochs; where labels are few, add --data.unlabelled"
    yield Finding("stalled", "AP has stopped growing", evidence, setting)


def points(epoch: Epoch) -> str:
    """AP x 100."""
    return f"{100 * (epoch.ap or 0.0):.1f}"
