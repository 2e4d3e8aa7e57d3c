"""The overview in words: clauses, each with the card of the page that is its evidence.

What is not known yet, or cannot be, is said too. A clause is {"text", "to"}; "to" names a card, or is "" where there is none.
"""

from collections.abc import Iterator

from analysis.drawing.captions import CHANCE, beyond_chance, signed
from app.views.overview.gain import Gain

HARDLY = 2.0  # points of AP: a teacher that is no better than this is hardly better than the student
NO_PARTNER = (
    "Choose a run under Compare with, best the same student without a teacher: then this page says what distilling did."
)
STUDENTS = {"student": "the student alone", "distilled": "the distilled student"}

Clause = dict[str, str]


def clause(text: str, to: str = "") -> Clause:
    """One sentence and the card that is its evidence."""
    return {"text": text, "to": to}


def recorded(run: dict, other: dict | None, gain: Gain | None) -> list[Clause]:
    """The clauses on the logs of a run and of a second one; `other` is None where the run is not compared."""
    lacking = [x["lacks"] for x in (run, other) if x and x["lacks"]]
    if lacking:
        return [clause(f"{text}.") for text in lacking]
    assert not run["lacks"]
    clauses = [outcome(run, other, gain)]
    if other is not None and gain is not None and not gain.same_training:
        clauses.append(
            clause("The two were not trained alike but for their losses, so not all of it is distilling.", "runs")
        )
    clauses += [*teacher_clauses(run, other)]
    if other is not None:
        clauses += [*time_clauses(run, other), *part_clauses(run, other)]
    return [*clauses, *gradient_clauses(run), *([] if other else [clause(NO_PARTNER, "runs")])]


def outcome(run: dict, other: dict | None, gain: Gain | None) -> Clause:
    """How the run ended; in comparison, whether distilling helped, and how sure that is."""
    if not all(x["ap"] for x in (run, other) if x):
        return clause("AP was not measured, so what was reached is not known.", "ap")
    if other is None or gain is None:
        return clause(f"{student_name(run).capitalize()} ends with AP {last_ap(run):.1f}.", "ap")
    if run["kind"] == other["kind"] or not gain.same_training:
        return clause(
            f"This run ends with AP {last_ap(run):.1f}, {above_or_below(gain.single)} the compared run ({last_ap(other):.1f}).",
            "ap",
        )
    after, before = (run, other) if run["kind"] == "distilled" else (other, run)
    sign = 1 if run is after else -1
    ends = f"AP {last_ap(after):.1f} distilled, {last_ap(before):.1f} alone"
    return clause(distilling(sign * gain.mean, gain, ends), "ap")


def distilling(mean: float, gain: Gain, ends: str) -> str:
    """Says whether distilling helped, from the mean gain in AP; `ends` are the two values."""
    if gain.half is None:
        did = "helped" if mean > 0 else "did not help"
        return f"Distilling {did}: {ends}, {signed(mean, 1)}. This is one seed of each, so no interval is known."
    interval = f"{signed(mean, 1)} ± {gain.half:.1f} AP over {gain.seeds} seeds (95% interval)"
    if not gain.significant:
        return f"It is not shown that distilling helped: {interval}, which contains 0; these two runs: {ends}."
    return f"Distilling {'helped' if mean > 0 else 'did harm'}: {interval}; these two runs: {ends}."


def teacher_clauses(run: dict, other: dict | None) -> Iterator[Clause]:
    """How far the student is from its teacher, and whether the teacher has anything to teach."""
    distilled = next((x for x in (run, other) if x and x["kind"] == "distilled"), None)
    if distilled is None or not all(x["ap"] for x in (run, other) if x):
        return
    if distilled["teacher"] is None:
        yield clause("The teacher was not measured with this run, so how much it could teach is not known.", "runs")
        return
    alone = next((x for x in (run, other) if x and x["kind"] == "student"), None)
    lead = distilled["teacher"] - last_ap(alone or distilled)
    compared_with = student_name(alone or distilled)
    if lead < HARDLY:
        yield clause(
            f"The teacher (AP {distilled['teacher']:.1f}) is hardly better than {compared_with}: it has little to teach.",
            "ap",
        )
    elif alone is not None and last_ap(distilled) > last_ap(alone):
        part = (last_ap(distilled) - last_ap(alone)) / lead
        yield clause(
            f"That is {100 * part:.0f}% of the way from {compared_with} to the teacher (AP {distilled['teacher']:.1f}).",
            "ap",
        )
    else:
        yield clause(f"The teacher has AP {distilled['teacher']:.1f}, {lead:.1f} more than {compared_with}.", "ap")


def time_clauses(run: dict, other: dict) -> Iterator[Clause]:
    """The AP of the slower run at the time when the faster one had ended."""
    timed = [x["ap"] and x["step_seconds"] is not None for x in (run, other)]
    if not all(timed):
        yield clause("What a minute of training is worth is not known: a run has no timing.jsonl.", "ap")
        return
    slow, fast = sorted((run, other), key=lambda x: -x["ap"][-1]["minutes"])
    end = fast["ap"][-1]["minutes"]
    reached = [p["ap"] for p in slow["ap"] if p["minutes"] <= end]
    then = f"had AP {reached[-1]:.1f}" if reached else "had not been measured once"
    text = f"In the {end:.1f} minutes that {student_name(fast)} took for AP {last_ap(fast):.1f}, {student_name(slow)} {then}"
    yield clause(f"{text}; its step takes {slow['step_seconds'] / fast['step_seconds']:.1f} times as long.", "ap")


def part_clauses(run: dict, other: dict) -> Iterator[Clause]:
    """The size and the class of objects in which the two runs differ most."""
    pairs = [x["scores"]["student"] for x in (run, other)]
    if None in pairs:
        return
    greatest = []
    for part, noun in (("sizes", "{} objects"), ("classes", "the class {}")):
        changes = differences(pairs[0][part], pairs[1][part])
        if changes:
            best, worst = max(changes, key=lambda x: changes[x]), min(changes, key=lambda x: changes[x])
            most = best if changes[best] >= -changes[worst] else worst
            greatest.append(f"{noun.format(most)} ({signed(changes[most], 1)} AP)")
    if greatest:
        yield clause(f"It differs most from the compared run in {' and in '.join(greatest)}.", "parts")


def differences(after: dict, before: dict) -> dict[str, float]:
    """The differences in AP of the parts that both have."""
    both = {part: (after[part], before.get(part)) for part in after}
    return {part: a - b for part, (a, b) in both.items() if a is not None and b is not None}


def gradient_clauses(run: dict) -> Iterator[Clause]:
    """The share of each loss in the gradient of a distilled run at the end of training."""
    if run["kind"] != "distilled":
        return
    logged = [(x["decoder"], x["loss"]) for x in run["pulls"] if x["decoder"] is not None]
    if not logged:
        yield clause(
            "The run did not log the gradient of each loss; train with --gradients-every 200 to see it.", "gradient"
        )
        return
    share, loss = max(logged)
    detection = dict((name, x) for x, name in logged).get("detection", 0.0)
    rest = "" if loss == "detection" else f", of the detection loss {100 * detection:.0f}%"
    yield clause(f"In the decoder {100 * share:.0f}% of the gradient is that of {loss}{rest}.", "gradient")


def object_clauses(counts: dict, compared: bool) -> Iterator[Clause]:
    """How many objects were gained, lost and missed."""
    if not counts["known"]:
        yield clause(f"Which objects are found is being counted (0 of {counts['total']} images).", "objects")
        return
    if not counts["objects"]:
        yield clause("These images have no annotated objects, so none is found or missed.", "objects")
        return
    so_far = "" if counts["known"] >= counts["total"] else f" on {counts['known']} of {counts['total']} images so far"
    of = f"Of {counts['objects']} objects{so_far} this run"
    if compared:
        yield clause(
            f"{of} gains {counts['gained']}, loses {counts['lost']}, and {counts['missed']} neither run finds.",
            "objects",
        )
    else:
        yield clause(f"{of} finds {counts['kept']} and misses {counts['missed']}.", "objects")


def measured_clauses(run: dict) -> Iterator[Clause]:
    """Agreement, stability and masks, from the measurements of the run; nothing as long as there are none."""
    if run["student"] is None:
        return
    if run["agreement"] is not None and (last_layer := [x for x in run["agreement"]["class"] if x is not None][-1:]):
        text = (
            f"In the last layer student and teacher agree on the class of {100 * last_layer[0]:.0f}% of matched pairs"
        )
        moved = run["student"]["instability"]["moved"]
        rest = f", and {100 * moved[-1]:.0f}% of objects change their query before it" if moved else ""
        yield clause(f"{text}{rest}.", "layers")
    masks = (run["teacher"] or run["student"])["masks"]
    who = "The teacher's" if run["teacher"] else "The student's"
    if masks["correlation"] is not None and masks["error"] is not None:
        sure = beyond_chance(masks["correlation"], masks["error"])
        more = "more" if masks["correlation"] > 0 else "less"
        look = (
            f"better queries look {more} into boxes"
            if sure
            else "queries do not look more into boxes the better they are"
        )
        correlation = f"{masks['correlation']:.2f}".replace("-", "−")
        text = f"{who} {look}: rank correlation {correlation} ± {CHANCE * masks['error']:.2f}"
        yield clause(f"{text} over {masks['images']} images.", "masks")


def doctor_clauses(diagnoses: list[dict]) -> Iterator[Clause]:
    """The most important finding in each run; of a healthy run, that there is none."""
    for who, diagnosis in zip(("this run", "the compared run"), diagnoses):
        if diagnosis["state"] != "made":
            continue
        if diagnosis["findings"]:
            first = diagnosis["findings"][0]
            yield clause(f"The doctor finds in {who}: {first['title']}; {first['setting']}.", "findings")
        else:
            yield clause(f"The doctor finds nothing to change in {who}.", "findings")


def student_name(run: dict) -> str:
    """The student of a run by how it was trained: alone or distilled."""
    return STUDENTS[run["kind"]]


def last_ap(run: dict) -> float:
    """The last AP of a run's student, which was measured."""
    ap: float = run["ap"][-1]["ap"]
    return ap


def above_or_below(points: float) -> str:
    """A difference in words, before what it is to."""
    return f"{abs(points):.1f} {'above' if points >= 0 else 'below'}"
