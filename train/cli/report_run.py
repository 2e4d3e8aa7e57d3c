"""The diagnosis of a run as text."""

from core.runs.diagnose import Diagnosis
from core.runs.diagnose.history import percent


def text(found: Diagnosis) -> str:
    """Panels, what was found, and the verdict as the last line."""
    parts = [head(found), losses(found), terms(found)]
    if any(x is not None for by in found.agreement.values() for x in by):
        parts.append(agreement(found))
    if found.findings:
        ills = [f"{k}. {x.title}: {x.evidence}; {x.setting}" for k, x in enumerate(found.findings, start=1)]
        parts.append("\n".join(["Found, the first to be mended first:", *ills]))
    return "\n\n".join([*parts, found.verdict])


def head(found: Diagnosis) -> str:
    aps = " ".join(points(e.ap) for e in found.epochs)
    rows = {"run": f"{found.run}, {found.steps} steps", "student": f"AP {aps}, epoch by epoch"}
    if found.naming is not None:
        n = found.naming
        rows["teacher"] = (
            f"AP {points(found.teacher)}; it finds {n.found} of {n.objects} objects, {n.right} by their name"
        )
    return "\n".join(f"{title:<10}{said}" for title, said in rows.items())


def losses(found: Diagnosis) -> str:
    """Shares at the end of training; of the gradient at the student's neck and in its decoder, as the run logged it."""
    rows = [("share of each loss", "in the loss", "at features", "in decoder")]
    rows += [(p.loss, *map(share, (p.share, p.features, p.decoder))) for p in found.pulls]
    return columns(rows)


def terms(found: Diagnosis) -> str:
    rows = [("term, unweighted", "at first", "at last", "in the loss")]
    rows += [(t.name, f"{t.first:.3g}", f"{t.last:.3g}", share(t.share)) for t in found.terms]
    return columns(rows)


def agreement(found: Diagnosis) -> str:
    names = {"class": "the same class", "iou": "IoU of their boxes", "object": "the same object"}
    layers = max(map(len, found.agreement.values()))
    rows = [("of matched pairs", *(f"layer {k}" for k in range(1, layers + 1)))]
    rows += [(names[part], *map(share, by)) for part, by in found.agreement.items()]
    return columns(rows)


def columns(rows: list[tuple[str, ...]]) -> str:
    wide = max(len(row[0]) for row in rows)
    return "\n".join(f"{row[0]:<{wide}}" + "".join(f"{cell:>13}" for cell in row[1:]) for row in rows)


def share(value: float | None) -> str:
    return "-" if value is None else percent(value)


def points(ap: float | None) -> str:
    return "-" if ap is None else f"{100 * ap:.1f}"
