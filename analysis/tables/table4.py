"""Table 4: students with fewer encoder and decoder layers than their teacher."""

import json

from analysis.inputs.given import OURS, Given
from analysis.inputs.groups import Group
from analysis.inputs.rows import title
from analysis.tables._layout import COCO, Line, Table, of_group, of_teacher

METRICS = {key: COCO[key] for key in ("ap", "aps", "apm", "apl")}
DEPTHS = {  # encoder, decoder: student, distilled; Conditional DETR R101 to R50
    ("full", "full"): ((33.0, 13.8, 35.1, 50.9), (38.1, 18.2, 41.0, 58.2)),
    ("full", "half"): ((30.3, 12.7, 32.5, 46.8), (36.6, 15.2, 39.8, 56.0)),
    ("half", "full"): ((33.0, 13.9, 35.9, 49.0), (37.7, 17.4, 40.8, 57.3)),
    ("half", "half"): ((29.9, 12.8, 32.2, 45.6), (35.7, 14.4, 38.7, 53.8)),
}
TEACHER = {"ap": 36.2}
NOTE = "In the paper full is 6 layers and half is 3, Conditional DETR R101 to R50 on COCO; its epochs are not known."


def fill(given: Given) -> Table:
    found = [by for by in families(given).values() if len({depth for depth, _ in by}) > 1]
    lines = [line for by in found or [{}] for line in block(by)]
    return Table("Other depths", ("detector", "encoder", "decoder", "method"), METRICS, tuple(lines), NOTE)


def families(given: Given) -> dict[str, dict[tuple, Group]]:
    """Groups by (depths, whether distilled), of students that differ in nothing but their depths."""
    found: dict[str, dict[tuple, Group]] = {}
    for group in given.groups(lambda row: row.run and row.losses in (frozenset(), OURS)):
        training = json.loads(group.first.training)
        depth = [training["student"]["config"].pop(key, None) for key in ("encoder_layers", "layers")]
        held, key = found.setdefault(json.dumps(training), {}), (tuple(depth), group.first.kind)
        if key not in held or group.usual > held[key].usual:
            held[key] = group
    return found


def block(by: dict[tuple, Group]) -> list[Line]:
    depths = [depth for depth, _ in by]
    full = [max((d[k] for d in depths if d[k] is not None), default=None) for k in (0, 1)]
    named = {tuple(words(d[k], full[k]) for k in (0, 1)): d for d in depths}
    detector = next((title(group.first.detector) for group in by.values()), "Conditional DETR")
    teacher = next((of_teacher(group) for (_, kind), group in by.items() if kind == "distilled"), None)
    lines = [Line((detector, "full", "full", "teacher"), teacher, None, TEACHER)]
    for names, (student, distilled) in DEPTHS.items():
        depth = named.get(names) or named.get(("none", names[1]))
        groups = {kind: of_group(by.get((depth, kind))) for kind in ("student", "distilled")}
        labels = tuple(told(word, depth[k] if depth else None) for k, word in enumerate(names))
        alone, ours = (dict(zip(METRICS, numbers)) for numbers in (student, distilled))
        lines.append(Line((detector, *labels, "student"), groups["student"], None, alone))
        lines.append(Line((detector, *labels, "DETRDistill"), groups["distilled"], groups["student"], ours, alone))
    return lines


def words(depth: int | None, full: int | None) -> str:
    return "none" if depth is None else "full" if depth == full else "half" if 2 * depth == full else str(depth)


def told(word: str, depth: int | None) -> str:
    return word if depth is None else f"{word} ({depth})"
