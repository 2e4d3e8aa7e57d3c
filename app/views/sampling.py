"""The sampling locations of a query in one decoder layer: its sampling points, or the tokens that it attends to."""

from app import words
from app.replay.display import Display
from core.metrics.sampling_locations import SamplingLocations, mass_in_boxes, sampling_locations

MOST = 256  # locations that are drawn, those of the largest weight


def side_locations(display: Display, side: str) -> tuple[SamplingLocations, ...]:
    """The sampling locations of all queries of a side, layer by layer; empty for a detector that does not report them."""
    replay = display.second if side == "other" and display.second is not None else display.main
    detector, trace = replay.distiller.student, replay.trace.student
    if words.is_of_teacher(side) and replay.distiller.teacher is not None and replay.trace.teacher is not None:
        detector, trace = replay.distiller.teacher, replay.trace.teacher
    group = side.removeprefix("teacher_")
    return sampling_locations(detector, trace.memory, trace.queries.get(group, trace.queries["own"]))


def query_locations(
    display: Display, side: str, locations: tuple[SamplingLocations, ...], layer: int, index: int
) -> dict:
    """The (x, y, weight) of one query, largest weight last, in fractions of the image; "share" is the weight in its box."""
    if not locations:
        return {"places": [], "share": None, "says": words.NO_SAMPLING}
    side_layer = display.layer_of(side, layer)
    sampled, boxes = locations[side_layer], display.sides[side].predictions.boxes[side_layer]
    weights, order = sampled.weights[0, index].sort()
    places = sampled.places[0, index][order]
    inside = mass_in_boxes(sampled, boxes)[0, index].item()
    drawn = weights[-MOST:]
    rows = zip(*places[-MOST:].T.tolist(), drawn.tolist())
    return {
        "places": [[round(x, 4), round(y, 4), weight] for x, y, weight in rows],
        "share": inside,
        "says": words.sampling(len(weights), len(drawn), drawn.sum().item(), inside),
    }
