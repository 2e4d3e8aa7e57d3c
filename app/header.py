"""What run this is, in one line."""

import json
from html import escape

from app.replay import Run
from core.detectors.base import Detector


def header(run: Run) -> str:
    """HTML; everything from the run's card is escaped, for a card may be a stranger's."""
    facts = "".join(f"<span><b>{escape(name)}</b> {escape(text)}</span>" for name, text in about(run))
    return f'<header class="dd-header"><h1>DETRDistill</h1><div class="facts">{facts}</div></header>'


def about(run: Run) -> list[tuple[str, str]]:
    student, teacher, aps = run.distiller.student, run.distiller.teacher, scores(run)
    taught = one(teacher, aps.get("teacher")) if teacher is not None else "none: it learnt from the truth alone"
    return [("Run", str(run.path)), ("Student", one(student, aps.get("student"))), ("Teacher", taught)]


def one(detector: Detector, ap: float | None) -> str:
    config = detector.config
    size = f"{config.backbone}, {config.layers} layers, {config.queries} queries"
    return size if ap is None else f"{size}, AP {100 * ap:.1f}"


def scores(run: Run) -> dict[str, float]:
    """The best AP of each detector that training measured, 0 to 1; nothing where there is no log."""
    log = run.path / "metrics.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    found = {}
    for line in lines:
        if line.get("ap") is not None and "eval" in line:
            found[line["eval"]] = max(line["ap"], found.get(line["eval"], 0.0))
    return found
