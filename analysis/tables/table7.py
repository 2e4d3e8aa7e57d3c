"""Table 7: the components of DETRDistill, each alone and combined."""

from analysis.inputs.groups import Group
from analysis.inputs.inputs import Inputs
from analysis.inputs.rows import detector_title
from analysis.tables._layout import BY_SIZE, Line, Table, groups_by_method, measured_group

ROWS = {  # AdaMixer R101 to R50 on COCO, 12 epochs: marks of LD, FD and AD; AP, APs, APm, APl
    "none": (("", "", ""), (42.3, 25.3, 44.8, 58.2)),
    "logits": (("✓", "", ""), (43.7, 25.3, 46.5, 60.7)),
    "features": (("", "✓", ""), (43.5, 25.4, 46.7, 60.0)),
    "prior": (("", "", "✓"), (42.9, 24.5, 45.9, 59.3)),
    "features+logits": (("✓", "✓", ""), (44.3, 25.8, 47.0, 61.0)),
    "ours": (("✓", "✓", "✓"), (44.7, 26.7, 47.6, 61.0)),
}
NOTE = (
    "LD: logits distillation; FD: feature distillation; AD: query-prior assignment distillation. "
    "The paper's rows are AdaMixer R101 to R50 on COCO."
)


def fill(inputs: Inputs) -> Table:
    """One block of lines for each student, data and schedule with at least two of the combinations."""
    trainings = {k: groups for k, groups in groups_by_method(inputs).items() if len(groups.keys() & ROWS.keys()) > 1}
    lines = [line for groups in trainings.values() or [{}] for line in block(groups)]
    return Table("Components", ("detector", "LD", "FD", "AD"), BY_SIZE, tuple(lines), NOTE)


def block(groups: dict[str, Group]) -> list[Line]:
    """The lines of one training: one for each combination of components."""
    base, paper_base = measured_group(groups.get("none")), dict(zip(BY_SIZE, ROWS["none"][1]))
    detector = next((detector_title(group.first.detector) for group in groups.values()), "AdaMixer")
    return [
        Line(
            (detector, *marks),
            measured_group(groups.get(name)),
            base if name != "none" else None,
            dict(zip(BY_SIZE, numbers)),
            paper_base if name != "none" else {},
        )
        for name, (marks, numbers) in ROWS.items()
    ]
