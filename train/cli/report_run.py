"""Formats the diagnosis of a run as text."""

from core.metrics.pseudo_truth.counts import PseudoCounts
from core.runs.diagnose import Diagnosis
from core.runs.diagnose.history import percent


def text(diagnosis: Diagnosis) -> str:
    """The tables, the findings if there are any, and the verdict as the last line."""
    parts = [head(diagnosis), losses(diagnosis), terms(diagnosis)]
    if any(x is not None for by in diagnosis.agreement.values() for x in by):
        parts.append(agreement(diagnosis))
    if diagnosis.findings:
        listed = [f"{k}. {x.title}: {x.evidence}; {x.setting}" for k, x in enumerate(diagnosis.findings, start=1)]
        parts.append("\n".join(["Findings, most important first:", *listed]))
    return "\n\n".join([*parts, diagnosis.verdict])


def head(diagnosis: Diagnosis) -> str:
    """The run, its steps, and the AP of student and teacher."""
    aps = " ".join(points(e.ap) for e in diagnosis.epochs)
    rows = {"run": f"{diagnosis.run}, {diagnosis.steps} steps", "student": f"AP {aps}, epoch by epoch"}
    if diagnosis.naming is not None:
        labels = diagnosis.naming
        rows["teacher"] = (
            f"AP {points(diagnosis.teacher)}; it finds {labels.found} of {labels.objects} objects, "
            f"{labels.right} with the right class"
        )
    if diagnosis.pseudo is not None and diagnosis.pseudo.images:
        rows["pseudo"] = pseudo(diagnosis.pseudo)
    return "\n".join(f"{title:<10}{value}" for title, value in rows.items())


def pseudo(counts: PseudoCounts) -> str:
    """The number of objects in images without labels, and how good they are where that is known."""
    text = f"{counts.objects / counts.images:.1f} objects in an image without labels"
    if not counts.true and not counts.judged:
        return f"{text}; whether they are right is not known"
    return f"{text}; where the objects are known, precision {share(counts.precision)} and recall {share(counts.recall)}"


def losses(diagnosis: Diagnosis) -> str:
    """The share of each loss at the end of training: in the loss, and in the gradient at the neck and in the decoder."""
    rows: list[tuple[str, ...]] = [("share of each loss", "in the loss", "at features", "in decoder")]
    rows += [(p.loss, *map(share, (p.share, p.features, p.decoder))) for p in diagnosis.pulls]
    return columns(rows)


def terms(diagnosis: Diagnosis) -> str:
    """The mean of each term over the first and the last steps, and its share in the loss."""
    rows: list[tuple[str, ...]] = [("term, unweighted", "first steps", "last steps", "in the loss")]
    rows += [(t.name, f"{t.first:.3g}", f"{t.last:.3g}", share(t.share)) for t in diagnosis.terms]
    return columns(rows)


def agreement(diagnosis: Diagnosis) -> str:
    """How often matched queries of student and teacher agree, for each decoder layer."""
    names = {"class": "the same class", "iou": "IoU of their boxes", "object": "the same object"}
    layers = max(map(len, diagnosis.agreement.values()))
    rows: list[tuple[str, ...]] = [("of matched pairs", *(f"layer {k}" for k in range(1, layers + 1)))]
    rows += [(names[part], *map(share, by)) for part, by in diagnosis.agreement.items()]
    return columns(rows)


def columns(rows: list[tuple[str, ...]]) -> str:
    """A table whose first column is as wide as its longest cell, the others 13 characters and right-aligned."""
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{row[0]:<{width}}" + "".join(f"{cell:>13}" for cell in row[1:]) for row in rows)


def share(value: float | None) -> str:
    """A share in percent, or - if unknown."""
    return "-" if value is None else percent(value)


def points(ap: float | None) -> str:
    """AP x 100, or - if unknown."""
    return "-" if ap is None else f"{100 * ap:.1f}"
