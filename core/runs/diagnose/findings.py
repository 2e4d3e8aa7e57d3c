"""What may be wrong with a distillation, what gives it away, and the setting that mends it.

A cause comes before what it brings about: a student that does not learn is deaf to any teacher, a teacher that knows
nothing has no classes to swap, and shares of losses mean something only when both are sound.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.runs.diagnose.history import History, LossShare, Term, percent
from core.runs.diagnose.replay import ReplayStatistics, TeacherLabels

STILL = (
    4.0  # standard errors of a trend: chance goes that far in 3 of 1,000 runs of TOLD steps, and in fewer longer ones
)
MOVES = 0.01  # of its mean: a loss that changes by less over the whole run was not trained, however sure the trend
TOLD = 12  # steps, below which a trend says nothing
UNTRAINED = 0.05  # AP: the shipped students pass it within their first epoch
OBJECTS = 3  # of a class, below which its name is a matter of luck
MOSTLY = 0.5  # of a class's objects by one wrong name: confusion of likenesses stays below
DOMINATES = 0.9  # of the gradient: the others, the truth among them, steer a tenth of each step
IDLE = 0.01  # of the gradient, at the features and in the decoder: batches differ by more
IDLE_LOSS = 1e-4  # of the loss, where nobody looked at gradients: a small loss may pull hard, so less is asked
SHRUNK = 1e-3  # of what a term was at first
OF_STUDENT = ("detection", "logits", "prior")  # losses that have no weights of their own, by which they could fall
PLAIN = {"logits": ("normalise", "sum", "pairs"), "features": ("scale", "none", "mean")}  # sums, and their remedies


@dataclass(frozen=True)
class Finding:
    disease: str  # frozen, untrained, swapped, dominating, idle or shrunk
    title: str
    evidence: str
    setting: str  # what to change


def findings(told: History, found: ReplayStatistics | None, run: dict) -> tuple[Finding, ...]:
    """`run` is the card's. The cause first; of one kind, the strongest."""
    every = [*frozen(told, run)]
    if found is not None:
        swapped = [*renamed(found, told, run)]
        every += swapped or [*untrained(found, told)]
        strong = [*dominating(told, run)]
        every += strong or [*idle(told, run)]
        every += shrunk(told)
    return tuple(every)


def frozen(told: History, run: dict) -> Iterator[Finding]:
    """No loss that looks at the student's predictions has moved."""
    seen = [p.loss for p in told.pulls if p.loss in OF_STUDENT]
    if len(told.steps) < TOLD or any(moved(told.course(loss)) for loss in seen):
        return
    rate = max(step["lr"] for step in told.steps)
    a, b = ends(told.course("detection"))
    evidence = (
        f"over {len(told.steps)} steps the detection loss went from {a:.3g} to {b:.3g}, no more than batches differ, "
        f"at a learning rate of at most {rate:g}"
    )
    yield Finding("frozen", "the student does not learn", evidence, thaw(run["optim"], rate))


def thaw(optim: dict, rate: float) -> str:
    if rate and optim.get("slow") and not optim["slow_lr"]:
        return f"raise --optim.slow-lr from {optim['slow_lr']:g}: it holds for {', '.join(optim['slow'])}"
    return f"raise --optim.lr from {optim['lr']:g}; the recipes take 1e-4 to 1e-3"


def moved(course: np.ndarray) -> bool:
    """A trend along the steps that chance does not explain, and that is worth the name."""
    place = np.arange(len(course)) - (len(course) - 1) / 2
    slope = place @ course / (place @ place)
    rest = course - course.mean() - slope * place
    error = np.sqrt(rest @ rest / (len(course) - 2) / (place @ place))
    return bool(abs(slope) > STILL * error and abs(slope) * len(course) > MOVES * abs(course.mean()))


def ends(course: np.ndarray) -> tuple[float, float]:
    n = max(1, len(course) // 5)
    return float(course[:n].mean()), float(course[-n:].mean())


def untrained(found: ReplayStatistics, told: History) -> Iterator[Finding]:
    if told.teacher is None or told.teacher >= UNTRAINED:
        return
    n = found.naming
    evidence = (
        f"the teacher's AP is {100 * told.teacher:.1f} on the run's own images, its student's {100 * told.best:.1f}, "
        f"and its surest boxes find {n.found} of {n.objects} objects"
    )
    yield Finding("untrained", "the teacher knows nothing", evidence, "give a trained one: --teacher RUN")


def renamed(found: ReplayStatistics, told: History, run: dict) -> Iterator[Finding]:
    """The teacher finds objects, and calls those of one class by the name of another, one for one."""
    wrong = swaps(found.naming)
    if len(wrong) < 2:
        return
    n, ap = found.naming, told.teacher
    said = ", ".join(f"{true!r} {name!r}" for true, name in list(wrong.items())[:3])
    evidence = f"the teacher finds {n.found} of {n.objects} objects, but calls {said}{' and so on' * (len(wrong) > 3)}"
    evidence += f", {n.right} of {n.found} by the right name" + (
        f"; its AP is {100 * ap:.1f}" if ap is not None else ""
    )
    if run.get("class_map"):
        setting = f"correct --class-map {run['class_map']}"
    else:
        pairs = ", ".join(f'"{true}": "{name}"' for true, name in wrong.items())
        setting = f"say which class is which: --class-map FILE.json with {{{pairs}}}"
    yield Finding("swapped", "the teacher's classes are swapped", evidence, setting)


def swaps(n: TeacherLabels) -> dict[str, str]:
    """What each class is called most, where that is a name of its own and no class rightly bears it."""
    most = {true: max(by, key=by.get) for true, by in n.called.items() if sum(by.values()) >= OBJECTS}
    wrong = {
        true: name
        for true, name in most.items()
        if name != true and n.called[true][name] > MOSTLY * sum(n.called[true].values())
    }
    bearers = list(most.values())
    return {true: name for true, name in wrong.items() if bearers.count(name) == 1 and most.get(name) != name}


def dominating(told: History, run: dict) -> Iterator[Finding]:
    for pull in sorted(taught(told), key=weight_of, reverse=True):
        if weight_of(pull) < DOMINATES:
            continue
        option, plain, better = PLAIN.get(pull.loss, ("", None, ""))
        if plain is not None and run["losses"][pull.loss].get(option) == plain:
            setting = f"set --losses.{pull.loss}.{option} {better} instead of {plain}"
        else:
            setting = reweighed(pull, told, run)
        evidence = f"it is {pull.said}, and {percent(pull.share)} of the loss"
        yield Finding("dominating", f"the loss {pull.loss} drowns all others", evidence, setting)


def idle(told: History, run: dict) -> Iterator[Finding]:
    if not taught(told):
        setting = "give a loss of distillation a weight, as in --losses.logits.weight 1"
        yield Finding("idle", "nothing is distilled", "there is a teacher, and no loss that asks it", setting)
    for pull in sorted(taught(told), key=weight_of):
        if weight_of(pull) < (IDLE_LOSS if pull.gradient is None else IDLE):
            evidence = f"at weight {weight(pull.loss, run):g} it is {pull.said}, and {percent(pull.share)} of the loss"
            yield Finding("idle", f"the loss {pull.loss} does nothing", evidence, reweighed(pull, told, run))


def shrunk(told: History) -> Iterator[Finding]:
    gone: list[Term] = [t for t in told.terms if t.last < SHRUNK * t.first and not t.name.startswith("detection/")]
    for term in sorted(gone, key=lambda t: t.last / t.first):
        evidence = f"it fell from {term.first:.3g} to {term.last:.3g}, and teaches no more"
        loss = term.name.split("/")[0]
        yield Finding(
            "shrunk", f"the term {term.name} is used up", evidence, f"raise --losses.{loss}.weight, or leave it"
        )


def taught(told: History) -> list[LossShare]:
    return [p for p in told.pulls if p.loss != "detection"]


def weight_of(pull: LossShare) -> float:
    """What it counts: its share of the gradient, or of the loss where nobody looked."""
    return pull.share if pull.gradient is None else pull.gradient


def weight(loss: str, run: dict) -> float:
    return run["losses"][loss]["weight"]


def reweighed(pull: LossShare, told: History, run: dict) -> str:
    """The weight at which the loss would count as much as one among equals."""
    now, fair = min(max(weight_of(pull), 1e-12), 1 - 1e-6), 1 / len(told.pulls)
    new = weight(pull.loss, run) * fair / (1 - fair) * (1 - now) / now
    return f"set --losses.{pull.loss}.weight {float(f'{new:.1g}'):g} instead of {weight(pull.loss, run):g}"
