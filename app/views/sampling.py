"""Where a query reads the image: its sampling points or its attention, in one decoder layer."""

from app import words
from app.replay.shown import Shown
from core.metrics.sampling_locations import SamplingLocations, mass_in_boxes, sampling_locations

MOST = 256  # places that are drawn: those of the largest weight


def of_all(shown: Shown, side: str) -> tuple[SamplingLocations, ...]:
    """Of every query of a side, by the detector that decoded it, layer by layer."""
    replay, who = shown.other if side == "other" else shown.main, "teacher" if side == "teacher" else "student"
    detector, trace = getattr(replay.distiller, who), getattr(replay.trace, who)
    return sampling_locations(detector, trace.memory, trace.queries.get(side, trace.queries["own"]))


def of_query(shown: Shown, side: str, found: tuple[SamplingLocations, ...], layer: int, index: int) -> dict:
    """(x, y, weight), the weightiest last, in fractions of the image; and how much of them lies in the query's box."""
    if not found:
        return {"places": [], "share": None, "says": words.UNTOLD}
    at = shown.layer(side, layer)
    weights, order = found[at].weights[0, index].sort()
    places = found[at].places[0, index][order]
    inside = mass_in_boxes(found[at], shown.sides[side].predictions.boxes[at])[0, index].item()
    rows = zip(*places[-MOST:].T.tolist(), weights[-MOST:].tolist())
    kept = weights[-MOST:].sum().item()
    return {
        "places": [[round(x, 4), round(y, 4), weight] for x, y, weight in rows],
        "share": inside,
        "says": words.reading(len(weights), kept, inside),
    }
