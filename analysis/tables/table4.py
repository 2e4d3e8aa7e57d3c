"""Table 4: students with fewer encoder and decoder layers than their teacher."""

import json

from analysis.inputs.groups import Group
from analysis.inputs.inputs import OURS, Inputs
from analysis.inputs.rows import detector_title
from analysis.tables._layout import BY_SIZE, Line, Table, measured_group, measured_teacher

DEPTHS = {  # (encoder, decoder): student alone, distilled; Conditional DETR R101 to R50 on COCO, AP, APs, APm, APl
    ("full", "full"): ((33.0, 13.8, 35.1, 50.9), (38.1, 18.2, 41.0, 58.2)),
    ("full", "half"): ((30.3, 12.7, 32.5, 46.8), (36.6, 15.2, 39.8, 56.0)),
    ("half", "full"): ((33.0, 13.9, 35.9, 49.0), (37.7, 17.4, 40.8, 57.3)),
    ("half", "half"): ((29.9, 12.8, 32.2, 45.6), (35.7, 14.4, 38.7, 53.8)),
}
TEACHER = {"ap": 36.2}
Depths = tuple[int | None, int | None]  # encoder and decoder layers; None: the detector has no such option
NOTE = "In the paper, full is 6 layers and half is 3: Conditional DETR, R101 to R50, on COCO; the number of epochs is not known."


def fill(inputs: Inputs) -> Table:
    """One block of lines for each family of students that has at least two depths."""
    swept = [groups for groups in families(inputs).values() if len({depths for depths, _ in groups}) > 1]
    lines = [line for groups in swept or [{}] for line in block(groups)]
    return Table("Other depths", ("detector", "encoder", "decoder", "method"), BY_SIZE, tuple(lines), NOTE)


def families(inputs: Inputs) -> dict[str, dict[tuple[Depths, str], Group]]:
    """Groups by depths and `Row.kind`, for each family of students that differ only in their depths."""
    by_training: dict[str, dict[tuple[Depths, str], Group]] = {}
    for group in inputs.groups(lambda row: bool(row.run) and row.losses in (frozenset(), OURS)):
        training = json.loads(group.first.training_key)
        encoder, decoder = (training["student"]["config"].pop(key, None) for key in ("encoder_layers", "layers"))
        family, key = by_training.setdefault(json.dumps(training), {}), ((encoder, decoder), group.first.kind)
        if key not in family or group.preference > family[key].preference:
            family[key] = group
    return by_training


def block(groups: dict[tuple[Depths, str], Group]) -> list[Line]:
    """The lines of one family: the teacher, and each pair of depths alone and distilled."""
    all_depths = [depths for depths, _ in groups]
    full = [max((n for n in depths if n is not None), default=None) for depths in zip(*all_depths)] or [None, None]
    by_words = {(in_words(d[0], full[0]), in_words(d[1], full[1])): d for d in all_depths}
    detector = next((detector_title(group.first.detector) for group in groups.values()), "Conditional DETR")
    teacher = next((measured_teacher(group) for (_, kind), group in groups.items() if kind == "distilled"), None)
    lines = [Line((detector, "full", "full", "teacher"), teacher, None, TEACHER)]
    for words, printed in DEPTHS.items():
        depths = by_words.get(words) or by_words.get(("none", words[1]))
        pair = [groups.get((depths, kind)) if depths else None for kind in ("student", "distilled")]
        student, distilled = map(measured_group, pair)
        encoder, decoder = depths or (None, None)
        labels = detector, with_layers(words[0], encoder), with_layers(words[1], decoder)
        alone, ours = (dict(zip(BY_SIZE, numbers)) for numbers in printed)
        lines.append(Line((*labels, "student"), student, None, alone))
        lines.append(Line((*labels, "DETRDistill"), distilled, student, ours, alone))
    return lines


def in_words(depth: int | None, full: int | None) -> str:
    """A number of layers as a share of the full depth: "full", "half", "none" (no such option), else the number."""
    return "none" if depth is None else "full" if depth == full else "half" if 2 * depth == full else str(depth)


def with_layers(words: str, depth: int | None) -> str:
    """The depth in words with the number of layers, if that is known: "half (3)"."""
    return words if depth is None else f"{words} ({depth})"
