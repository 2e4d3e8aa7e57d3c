"""Findings: what may be wrong with a distillation, the evidence for it, and the setting that fixes it.

A cause is listed before its effects. A student that does not learn cannot learn from any teacher; an untrained teacher has
no classes to be swapped; and the shares of the losses mean something only if student and teacher are sound.
"""

import json
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from core.runs.diagnose.ap_findings import ap_findings
from core.runs.diagnose.finding import Finding
from core.runs.diagnose.history import UNTRAINED_AP, History, LossShare, Term, percent
from core.runs.diagnose.replay import ReplayStatistics, TeacherLabels

# Standard errors beyond which a slope is a trend: chance exceeds it in 3 of 1,000 runs of MIN_STEPS, and less in longer ones.
TREND_ERRORS = 4.0
MIN_CHANGE = 0.01  # of the mean: a loss that changes by less was not trained, however significant the trend
MIN_STEPS = 12  # a trend over fewer steps is not significant
MIN_OBJECTS = 3  # of a class: with fewer, the teacher's label for it may be chance
MIN_WRONG_SHARE = 0.5  # of a class's objects with one wrong label: confusion of similar classes stays below
DOMINATING_SHARE = 0.9  # of the gradient: the other losses, with the detection loss, then steer a tenth of each step
FEW_OBJECTS = 0.1  # pseudo objects in an image: with fewer, the student mostly learns that there is nothing
MIN_JUDGED = 30  # pseudo objects in images whose objects are known: with fewer, their precision may be chance
MIN_PRECISION = 0.5  # of pseudo objects: below it they teach more that is wrong than what is right
IDLE_SHARE = 0.01  # of the gradient, at the features and in the decoder: less than the differences between batches
IDLE_LOSS_SHARE = 1e-4  # of the loss, if no gradient was logged: lower, since a small loss may have a large gradient
SHRUNK_RATIO = 1e-3  # of a term's mean over the first steps
# Losses without weights of their own: they fall only if the student learns.
WITHOUT_WEIGHTS = ("detection", "logits", "prior", "fixed", "kd_detr")
# For losses that may be sums: the option, its value for a sum, and the value to use instead.
SUM_FIXES = {"logits": ("normalise", "sum", "pairs"), "features": ("scale", "none", "mean")}


def findings(history: History, replayed: ReplayStatistics | None, run: dict) -> tuple[Finding, ...]:
    """All findings, most important first: a cause before its effects, and of one kind the strongest.

    `run` is the configuration of the run, as its card has it.
    """
    every = [*frozen_student(history, run), *poor_pseudo_truth(history)]
    if replayed is not None:
        swapped = [*swapped_classes(replayed, history, run)]
        every += swapped or [*untrained_teacher(replayed, history)]
        dominating = [*dominating_losses(history, run)]
        every += dominating or [*idle_losses(history, run)]
        every += shrunk_terms(history)
    every += ap_findings(history)
    return tuple(every)


def frozen_student(history: History, run: dict) -> Iterator[Finding]:
    """A student that does not learn: no loss that can fall only with the student has a trend."""
    losses = [p.loss for p in history.loss_shares if p.loss in WITHOUT_WEIGHTS]
    if not losses or len(history.steps) < MIN_STEPS or any(has_trend(history.loss_by_step(loss)) for loss in losses):
        return
    rate = max(step["lr"] for step in history.steps)
    first, last = first_and_last_mean(history.loss_by_step(losses[0]))
    evidence = (
        f"over {len(history.steps)} steps the {losses[0]} loss went from {first:.3g} to {last:.3g}, no more than batches "
        f"differ, at a learning rate of at most {rate:g}"
    )
    yield Finding("frozen", "the student does not learn", evidence, learning_rate_advice(run["optim"], rate))


def poor_pseudo_truth(history: History) -> Iterator[Finding]:
    """Images without labels in which hardly any object is found, or in which most pseudo objects are wrong."""
    counts = history.pseudo
    if counts is None or not counts.images:
        return
    if counts.objects < FEW_OBJECTS * counts.images:
        evidence = f"{counts.images} images without labels had {counts.objects} pseudo objects"
        setting = "lower --pseudo.score, or give a teacher that knows these images"
        yield Finding("unfound", "the teacher finds hardly anything in the images without labels", evidence, setting)
    elif counts.precision is not None and counts.judged >= MIN_JUDGED and counts.precision < MIN_PRECISION:
        evidence = f"of {counts.judged} pseudo objects in images whose objects are known, {counts.right} are right"
        setting = "raise --pseudo.score, or give a better teacher"
        yield Finding("imprecise", "most pseudo objects are wrong", evidence, setting)


def learning_rate_advice(optim: dict, rate: float) -> str:
    """Which learning rate to raise: that of the slow weights if it is 0, otherwise that of the run."""
    if rate and optim.get("slow") and not optim["slow_lr"]:
        return f"raise --optim.slow-lr from {optim['slow_lr']:g}: it applies to {', '.join(optim['slow'])}"
    return f"raise --optim.lr from {optim['lr']:g}; the recipes take 1e-4 to 1e-3"


def has_trend(values: Float[ndarray, " n"]) -> bool:
    """Returns whether values rise or fall by a relevant amount beyond chance, by linear regression over the steps."""
    place = np.arange(len(values)) - (len(values) - 1) / 2
    slope = place @ values / (place @ place)
    rest = values - values.mean() - slope * place
    error = np.sqrt(rest @ rest / (len(values) - 2) / (place @ place))
    return bool(abs(slope) > TREND_ERRORS * error and abs(slope) * len(values) > MIN_CHANGE * abs(values.mean()))


def first_and_last_mean(values: Float[ndarray, " n"]) -> tuple[float, float]:
    """The means of the first and the last fifth."""
    n = max(1, len(values) // 5)
    return float(values[:n].mean()), float(values[-n:].mean())


def untrained_teacher(replayed: ReplayStatistics, history: History) -> Iterator[Finding]:
    """A teacher with an AP near 0."""
    if history.teacher_ap is None or history.teacher_ap >= UNTRAINED_AP:
        return
    labels = replayed.teacher_labels
    evidence = (
        f"the teacher's AP is {100 * history.teacher_ap:.1f} on the run's validation images, the student's is "
        f"{100 * history.best_ap:.1f}, and the teacher's most confident boxes find {labels.found} of {labels.objects} objects"
    )
    yield Finding("untrained", "the teacher is not trained", evidence, "give a trained teacher: --teacher RUN")


def swapped_classes(replayed: ReplayStatistics, history: History, run: dict) -> Iterator[Finding]:
    """A teacher that finds objects, but consistently calls those of one class by the name of another."""
    wrong = swapped_names(replayed.teacher_labels)
    if len(wrong) < 2:
        return
    labels, ap = replayed.teacher_labels, history.teacher_ap
    calls = ", ".join(f"{true!r} {name!r}" for true, name in list(wrong.items())[:3])
    others = " and so on" * (len(wrong) > 3)
    evidence = f"the teacher finds {labels.found} of {labels.objects} objects, but calls {calls}{others}"
    evidence += f"; {labels.right} of the {labels.found} have the right class" + (
        f", and its AP is {100 * ap:.1f}" if ap is not None else ""
    )
    if run.get("class_map"):
        setting = f"correct --class-map {run['class_map']}"
    else:
        pairs = ", ".join(f"{quoted(true)}: {quoted(name)}" for true, name in wrong.items())
        setting = f"map the classes of the data to the teacher's: --class-map FILE.json with {{{pairs}}}"
    yield Finding("swapped", "the teacher's classes are swapped", evidence, setting)


def quoted(name: str) -> str:
    """A class's name as it stands in a JSON file."""
    return json.dumps(name, ensure_ascii=not name.isprintable())


def swapped_names(labels: TeacherLabels) -> dict[str, str]:
    """Maps each class to the wrong name of most of its objects, where that is the usual name of no other class."""
    usual = {true: max(by, key=by.__getitem__) for true, by in labels.called.items() if sum(by.values()) >= MIN_OBJECTS}
    wrong = {
        true: name
        for true, name in usual.items()
        if name != true and labels.called[true][name] > MIN_WRONG_SHARE * sum(labels.called[true].values())
    }
    names = list(usual.values())
    return {true: name for true, name in wrong.items() if names.count(name) == 1 and usual.get(name) != name}


def dominating_losses(history: History, run: dict) -> Iterator[Finding]:
    """Distillation losses that make up nearly all of the gradient, the largest first; none where a loss is alone."""
    if len(history.loss_shares) < 2:
        return
    for loss in sorted(distillation_losses(history), key=influence, reverse=True):
        if influence(loss) < DOMINATING_SHARE:
            continue
        option, value_of_sum, better = SUM_FIXES.get(loss.loss, ("", None, ""))
        if value_of_sum is not None and run["losses"][loss.loss].get(option) == value_of_sum:
            setting = f"set --losses.{loss.loss}.{option} {better} instead of {value_of_sum}"
        else:
            setting = weight_advice(loss, history, run)
        evidence = f"it is {loss.text}, and {percent(loss.share)} of the loss"
        yield Finding("dominating", f"the loss {loss.loss} dominates all other losses", evidence, setting)


def idle_losses(history: History, run: dict) -> Iterator[Finding]:
    """Distillation losses with hardly any gradient, the smallest first; or a teacher without any distillation loss."""
    if not distillation_losses(history):
        setting = "give a distillation loss a weight, for instance --losses.logits.weight 1"
        yield Finding("idle", "nothing is distilled", "there is a teacher, but no loss uses it", setting)
    if len(history.loss_shares) < 2:  # a share of one loss says nothing
        return
    for loss in sorted(distillation_losses(history), key=influence):
        if influence(loss) < (IDLE_LOSS_SHARE if loss.gradient is None else IDLE_SHARE):
            evidence = (
                f"at weight {loss_weight(loss.loss, run):g} it is {loss.text}, and {percent(loss.share)} of the loss"
            )
            setting = weight_advice(loss, history, run)
            yield Finding("idle", f"the loss {loss.loss} has no effect", evidence, setting)


def shrunk_terms(history: History) -> Iterator[Finding]:
    """Terms of distillation that have fallen to nearly 0, the smallest first."""
    shrunk: list[Term] = [
        t for t in history.terms if t.last < SHRUNK_RATIO * t.first and not t.name.startswith("detection/")
    ]
    for term in sorted(shrunk, key=lambda t: t.last / t.first):
        evidence = f"it fell from {term.first:.3g} to {term.last:.3g}, so the student learns no more from it"
        setting = f"raise --losses.{term.name.split('/')[0]}.weight, or leave it"
        yield Finding("shrunk", f"the term {term.name} has fallen to nearly 0", evidence, setting)


def distillation_losses(history: History) -> list[LossShare]:
    """All losses but the detection loss."""
    return [p for p in history.loss_shares if p.loss != "detection"]


def influence(loss: LossShare) -> float:
    """The share of a loss in the gradient, or in the loss if no gradient was logged; 0 to 1."""
    return loss.share if loss.gradient is None else loss.gradient


def loss_weight(loss: str, run: dict) -> float:
    """The configured weight of a loss."""
    return run["losses"][loss]["weight"]


def weight_advice(loss: LossShare, history: History, run: dict) -> str:
    """The weight with which the loss would have as large a share as the average loss, to one digit."""
    share, fair = min(max(influence(loss), 1e-12), 1 - 1e-6), 1 / len(history.loss_shares)
    weight = loss_weight(loss.loss, run)
    new = weight * fair / (1 - fair) * (1 - share) / share
    return f"set --losses.{loss.loss}.weight {float(f'{new:.1g}'):g} instead of {weight:g}"
