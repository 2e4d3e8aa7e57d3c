"""Table 10: lightweight students of a large teacher."""

from analysis.inputs.groups import Group
from analysis.inputs.inputs import Inputs
from analysis.inputs.rows import detector_title
from analysis.tables._layout import COCO, Line, Table, groups_by_method, measured_group, measured_teacher

BACKBONES = {"resnet18": "R18", "mobilenet_v2": "MBv2"}
TEACHERS = {  # R101 on COCO: AP, AP50, AP75, APs, APm, APl
    "adamixer": (43.6, 62.8, 47.2, 25.4, 46.8, 60.7),
    "conditional": (42.4, 63.4, 44.8, 22.6, 46.0, 61.2),
    "deformable": (45.5, 64.8, 49.5, 27.5, 48.7, 60.3),
}
STUDENTS = {  # by detector and backbone: student alone, distilled
    ("adamixer", "resnet18"): ((38.3, 56.9, 40.9, 20.9, 40.2, 53.9), (40.3, 58.0, 43.3, 22.8, 42.4, 56.9)),
    ("adamixer", "mobilenet_v2"): ((36.6, 55.2, 38.9, 20.4, 38.5, 51.4), (39.2, 56.7, 42.2, 22.0, 41.5, 55.4)),
    ("conditional", "resnet18"): ((35.8, 55.8, 37.5, 15.5, 38.3, 55.1), (37.9, 58.3, 39.9, 17.4, 40.6, 57.9)),
    ("conditional", "mobilenet_v2"): ((33.7, 54.0, 34.8, 13.3, 36.4, 53.0), (36.4, 56.7, 38.0, 15.2, 39.5, 55.7)),
    ("deformable", "resnet18"): ((40.0, 58.0, 43.3, 23.0, 42.9, 53.7), (43.3, 61.3, 47.2, 25.0, 46.1, 57.1)),
    ("deformable", "mobilenet_v2"): ((38.8, 56.8, 42.0, 23.2, 41.7, 51.9), (42.3, 60.4, 46.0, 23.5, 45.5, 56.2)),
}
NOTE = (
    "The paper's teachers are R101, on COCO: AdaMixer 12 epochs and 100 queries, the others 50 epochs and 300 queries."
)


def fill(inputs: Inputs) -> Table:
    """One block of lines for each detector of the paper's table."""
    lines = [line for detector in TEACHERS for line in block(detector, inputs)]
    return Table("Lightweight students", ("detector", "method"), COCO, tuple(lines), NOTE)


def block(detector: str, inputs: Inputs) -> list[Line]:
    """The lines of one detector: the teacher, and each lightweight student alone and distilled."""
    students = {backbone: fullest_training(inputs, detector, backbone) for backbone in BACKBONES}
    teacher = next((measured_teacher(groups["ours"]) for groups in students.values() if "ours" in groups), None)
    title = detector_title(detector)
    lines = [Line((title, "teacher"), teacher, None, dict(zip(COCO, TEACHERS[detector])))]
    for backbone, groups in students.items():
        alone, ours = (dict(zip(COCO, numbers)) for numbers in STUDENTS[detector, backbone])
        name, base = BACKBONES[backbone], measured_group(groups.get("none"))
        lines.append(Line((title, f"{name} student"), base, None, alone))
        lines.append(Line((title, f"{name} DETRDistill"), measured_group(groups.get("ours")), base, ours, alone))
    return lines


def fullest_training(inputs: Inputs, detector: str, backbone: str) -> dict[str, Group]:
    """The groups, by method, of the training of this student that has the most methods; empty if there is none."""
    wanted = lambda row: row.detector == detector and row.student_config.get("backbone") == backbone  # noqa: E731
    return max(groups_by_method(inputs, wanted).values(), key=len, default={})
