"""Table 10: lightweight students of a large teacher."""

from analysis.inputs.given import Given
from analysis.inputs.groups import Group
from analysis.inputs.rows import TITLES, title
from analysis.tables._layout import COCO, Line, Table, contexts, of_group, of_teacher

BACKBONES = {"resnet18": "R18", "mobilenet_v2": "MBv2"}
PAPER = {  # teacher R101
    "adamixer": {
        "teacher": (43.6, 62.8, 47.2, 25.4, 46.8, 60.7),
        "resnet18": ((38.3, 56.9, 40.9, 20.9, 40.2, 53.9), (40.3, 58.0, 43.3, 22.8, 42.4, 56.9)),
        "mobilenet_v2": ((36.6, 55.2, 38.9, 20.4, 38.5, 51.4), (39.2, 56.7, 42.2, 22.0, 41.5, 55.4)),
    },
    "deformable": {
        "teacher": (45.5, 64.8, 49.5, 27.5, 48.7, 60.3),
        "resnet18": ((40.0, 58.0, 43.3, 23.0, 42.9, 53.7), (43.3, 61.3, 47.2, 25.0, 46.1, 57.1)),
        "mobilenet_v2": ((38.8, 56.8, 42.0, 23.2, 41.7, 51.9), (42.3, 60.4, 46.0, 23.5, 45.5, 56.2)),
    },
    "conditional": {
        "teacher": (42.4, 63.4, 44.8, 22.6, 46.0, 61.2),
        "resnet18": ((35.8, 55.8, 37.5, 15.5, 38.3, 55.1), (37.9, 58.3, 39.9, 17.4, 40.6, 57.9)),
        "mobilenet_v2": ((33.7, 54.0, 34.8, 13.3, 36.4, 53.0), (36.4, 56.7, 38.0, 15.2, 39.5, 55.7)),
    },
}
NOTE = (
    "The paper's teachers are R101, on COCO: AdaMixer 12 epochs and 100 queries, the others 50 epochs and 300 queries."
)


def fill(given: Given) -> Table:
    lines = [line for detector in TITLES for line in block(detector, given)]
    return Table("Lightweight students", ("detector", "method"), COCO, tuple(lines), NOTE)


def block(detector: str, given: Given) -> list[Line]:
    found = {backbone: chosen(given, detector, backbone) for backbone in BACKBONES}
    teacher = next((of_teacher(groups["ours"]) for groups in found.values() if "ours" in groups), None)
    lines = [Line((title(detector), "teacher"), teacher, None, dict(zip(COCO, PAPER[detector]["teacher"])))]
    for backbone, groups in found.items():
        alone, ours = (dict(zip(COCO, numbers)) for numbers in PAPER[detector][backbone])
        name, base = BACKBONES[backbone], of_group(groups.get("none"))
        lines.append(Line((title(detector), f"{name} student"), base, None, alone))
        lines.append(Line((title(detector), f"{name} DETRDistill"), of_group(groups.get("ours")), base, ours, alone))
    return lines


def chosen(given: Given, detector: str, backbone: str) -> dict[str, Group]:
    """The groups of the training with the most methods."""
    wanted = lambda row: row.detector == detector and row.student.get("backbone") == backbone  # noqa: E731
    return max(contexts(given, wanted).values(), key=len, default={})
