"""Formats average precision as text."""

from core.terminal import printable


def table(scores: dict) -> str:
    """AP x 100 with COCO's variants, then the AP of each class, a line each."""
    head = [("AP", "ap"), ("AP50", "ap50"), ("AP75", "ap75"), ("APs", "aps"), ("APm", "apm"), ("APl", "apl")]
    rows = [f"{title:>8} {percent(scores[key])}" for title, key in head]
    return "\n".join(rows + [f"{percent(ap)}  {printable(name)}" for name, ap in scores["per_class"].items()])


def percent(value: float | None) -> str:
    """AP x 100, 5 characters wide; - if there is none."""
    return "   - " if value is None else f"{100 * value:5.1f}"
