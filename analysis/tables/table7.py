"""Table 7: each component of DETRDistill, alone and together."""

from analysis.inputs.given import Given
from analysis.inputs.rows import title
from analysis.tables._layout import COCO, Line, Table, contexts, of_group

METRICS = {key: COCO[key] for key in ("ap", "aps", "apm", "apl")}
ROWS = {  # AdaMixer R50, 12 epochs: LD, FD, AD
    "none": (("", "", ""), (42.3, 25.3, 44.8, 58.2)),
    "logits": (("✓", "", ""), (43.7, 25.3, 46.5, 60.7)),
    "features": (("", "✓", ""), (43.5, 25.4, 46.7, 60.0)),
    "prior": (("", "", "✓"), (42.9, 24.5, 45.9, 59.3)),
    "features+logits": (("✓", "✓", ""), (44.3, 25.8, 47.0, 61.0)),
    "ours": (("✓", "✓", "✓"), (44.7, 26.7, 47.6, 61.0)),
}
NOTE = "LD logits, FD features, AD query-prior assignment. The paper's rows are AdaMixer R101 to R50 on COCO."


def fill(given: Given) -> Table:
    found = {k: groups for k, groups in contexts(given).items() if len(groups.keys() & ROWS.keys()) > 1}
    lines = [line for groups in found.values() or [{}] for line in block(groups)]
    return Table("Components", ("detector", "LD", "FD", "AD"), METRICS, tuple(lines), NOTE)


def block(groups: dict) -> list[Line]:
    base, printed = of_group(groups.get("none")), dict(zip(METRICS, ROWS["none"][1]))
    detector = next((title(group.first.detector) for group in groups.values()), "AdaMixer")
    return [
        Line(
            (detector, *marks),
            of_group(groups.get(name)),
            base if name != "none" else None,
            dict(zip(METRICS, numbers)),
            printed if name != "none" else None,
        )
        for name, (marks, numbers) in ROWS.items()
    ]
