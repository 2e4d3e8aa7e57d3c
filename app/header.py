"""What run this is, in one line."""

from html import escape

from app.replay import Run


def header(run: Run) -> str:
    """HTML; everything from the run's card is escaped, for a card may be a stranger's."""
    facts = "".join(f"<span><b>{escape(name)}</b> {escape(text)}</span>" for name, text in about(run))
    return f'<header class="dd-header"><h1>DETRDistill</h1><div class="facts">{facts}</div></header>'


def about(run: Run) -> list[tuple[str, str]]:
    detectors = run.distiller.student, run.distiller.teacher
    found = [("Run", str(run.path)), ("Student", one(detectors[0]))]
    found.append(("Teacher", one(detectors[1]) if detectors[1] is not None else "none: this run learnt from the truth alone"))
    return [*found, ("Images", str(len(run.data)))]


def one(detector) -> str:
    config = detector.config
    return f"{config.backbone}, {config.layers} layers, {config.queries} queries"
