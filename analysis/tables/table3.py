"""Table 3: main result for the three detectors, student as deep as its teacher."""

from functools import partial

from analysis.inputs.groups import Group
from analysis.inputs.inputs import Inputs
from analysis.inputs.rows import Row, detector_title
from analysis.tables._layout import BY_SIZE, Line, Table, groups_by_method, measured_group, measured_teacher

LABELS = {
    "teacher": "teacher",
    "none": "student",
    "fgd": "FGD",
    "mgd": "MGD",
    "fitnet": "FitNet",
    "ours": "DETRDistill",
}
PRINTED = {  # R101 to R50 on COCO: AP, APs, APm, APl
    "adamixer": {
        "teacher": (43.6, 25.4, 46.8, 60.7),
        "none": (42.3, 25.3, 44.8, 58.2),
        "fgd": (40.7, 23.4, 43.3, 55.8),
        "mgd": (42.3, 24.5, 45.0, 58.9),
        "fitnet": (42.9, 24.7, 45.8, 59.4),
        "ours": (44.7, 26.7, 47.6, 61.0),
    },
    "deformable": {
        "teacher": (45.5, 27.5, 48.7, 60.3),
        "none": (44.1, 27.0, 47.4, 58.3),
        "fgd": (44.1, 25.9, 47.7, 58.8),
        "mgd": (44.0, 25.9, 47.3, 58.6),
        "fitnet": (44.9, 27.2, 48.4, 59.6),
        "ours": (46.6, 28.5, 50.0, 60.4),
    },
    "conditional": {
        "teacher": (42.4, 22.6, 46.0, 61.2),
        "none": (40.7, 20.3, 43.8, 60.0),
        "fgd": (40.4, 19.7, 43.8, 59.5),
        "mgd": (41.2, 20.6, 44.6, 60.5),
        "fitnet": (41.0, 20.2, 44.3, 59.9),
        "ours": (42.9, 21.6, 46.5, 62.2),
    },
}
NOTE = "The paper's rows are R101 to R50 on COCO: AdaMixer 12 epochs and 100 queries, the others 50 epochs and 300 queries."


def fill(inputs: Inputs) -> Table:
    """One block of lines for each detector: the paper's, then others that were measured, each training in its own block."""
    measured = {row.detector for row in inputs.rows if row.run}
    lines = []
    for detector in [*sorted(PRINTED), *sorted(measured - PRINTED.keys())]:
        trainings = groups_by_method(inputs, partial(trains, detector)).values()
        complete = [groups for groups in trainings if {"none", "ours"} <= groups.keys()]
        lines += [line for groups in complete or [{}] for line in block(detector, groups)]
    return Table("Main result", ("detector", "method"), BY_SIZE, tuple(lines), NOTE)


def trains(detector: str, row: Row) -> bool:
    """Returns whether the row's student is this detector."""
    return row.detector == detector


def block(detector: str, groups: dict[str, Group]) -> list[Line]:
    """The lines of one training: teacher, student alone, and each method."""
    printed = {name: dict(zip(BY_SIZE, numbers)) for name, numbers in PRINTED.get(detector, {}).items()}
    lines = []
    for name, label in LABELS.items():
        gains = name not in ("teacher", "none")
        measured = measured_teacher(groups.get("ours")) if name == "teacher" else measured_group(groups.get(name))
        base = measured_group(groups.get("none")) if gains else None
        paper, paper_base = printed.get(name, {}), printed.get("none", {}) if gains else {}
        lines.append(Line((detector_title(detector), label), measured, base, paper, paper_base))
    return lines
