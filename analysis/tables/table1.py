"""Table 1: distilling features as for convolutional detectors, over training."""

from analysis.inputs.given import Given
from analysis.inputs.groups import Group
from analysis.inputs.rows import title
from analysis.tables._layout import Here, Line, Table, contexts, of_values

SHARES = {"third": 1 / 3, "two": 2 / 3, "end": 1.0}  # of training
METRICS = {"third": "AP at 1/3", "two": "AP at 2/3", "end": "AP at the end"}
ROWS = {  # AdaMixer R101 to R50, epochs 4, 8 and 12
    "none": ("no distillation", (35.0, 38.7, 42.3)),
    "fgd": ("FGD", (34.4, 39.1, 40.7)),
    "fkd": ("FKD", (35.9, 39.5, 42.2)),
    "mgd": ("MGD", (36.3, 39.8, 42.3)),
    "fgfi": ("FGFI", (35.6, 39.3, 42.6)),
    "fitnet": ("FitNet", (36.4, 39.6, 42.9)),
    "ours": ("DETRDistill", (None, None, 44.7)),
}
NOTE = "The paper's columns are epochs 4, 8 and 12 of AdaMixer R101 to R50 on COCO."


def fill(given: Given) -> Table:
    found = [groups for groups in contexts(given).values() if len(groups.keys() & ROWS.keys()) > 1]
    lines = [line for groups in found or [{}] for line in block(groups)]
    return Table("Methods over training", ("detector", "method"), METRICS, tuple(lines), NOTE, tuple(METRICS))


def block(groups: dict[str, Group]) -> list[Line]:
    base, printed = over_training(groups.get("none")), dict(zip(METRICS, ROWS["none"][1]))
    detector = next((title(group.first.detector) for group in groups.values()), "AdaMixer")
    return [
        Line(
            (detector, label),
            over_training(groups.get(name)),
            base if name != "none" else None,
            dict(zip(METRICS, numbers)),
            printed if name != "none" else None,
        )
        for name, (label, numbers) in ROWS.items()
    ]


def over_training(group: Group | None) -> Here | None:
    """AP at the first evaluation that is not before each share of the epochs."""
    if group is None:
        return None
    values = {key: [at(row.told, share) for row in group.rows] for key, share in SHARES.items()}
    return of_values(group.first.data, values, len(group.rows))


def at(told: dict, share: float) -> float:
    after = told.get("measured_after", range(1, 1 + len(told["ap_by_epoch"])))
    return next(100 * ap for epoch, ap in zip(after, told["ap_by_epoch"]) if epoch >= share * told["epochs"] - 1e-9)
