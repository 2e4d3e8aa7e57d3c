"""Table 1: AP of feature distillation methods at three points of training."""

from analysis.inputs.groups import Group
from analysis.inputs.inputs import Inputs
from analysis.inputs.rows import detector_title
from analysis.tables._layout import Line, Measured, Table, groups_by_method, measured_values

SHARES = {"third": 1 / 3, "two": 2 / 3, "end": 1.0}  # of the epochs
METRICS = {"third": "AP at 1/3", "two": "AP at 2/3", "end": "AP at the end"}
ROWS = {  # AdaMixer R101 to R50 on COCO: AP after 4, 8 and 12 epochs
    "none": ("no distillation", (35.0, 38.7, 42.3)),
    "fgd": ("FGD", (34.4, 39.1, 40.7)),
    "fkd": ("FKD", (35.9, 39.5, 42.2)),
    "mgd": ("MGD", (36.3, 39.8, 42.3)),
    "fgfi": ("FGFI", (35.6, 39.3, 42.6)),
    "fitnet": ("FitNet", (36.4, 39.6, 42.9)),
    "ours": ("DETRDistill", (None, None, 44.7)),
}
NOTE = "The paper's columns are epochs 4, 8 and 12 of AdaMixer R101 to R50 on COCO."


def fill(inputs: Inputs) -> Table:
    """One block of lines for each student, data and schedule with at least two of the methods."""
    trainings = [groups for groups in groups_by_method(inputs).values() if len(groups.keys() & ROWS.keys()) > 1]
    lines = [line for groups in trainings or [{}] for line in block(groups)]
    return Table("Methods over training", ("detector", "method"), METRICS, tuple(lines), NOTE, tuple(METRICS))


def block(groups: dict[str, Group]) -> list[Line]:
    """The lines of one training: one for each method."""
    base, paper_base = over_training(groups.get("none")), dict(zip(METRICS, ROWS["none"][1]))
    detector = next((detector_title(group.first.detector) for group in groups.values()), "AdaMixer")
    return [
        Line(
            (detector, label),
            over_training(groups.get(name)),
            base if name != "none" else None,
            dict(zip(METRICS, numbers)),
            paper_base if name != "none" else {},
        )
        for name, (label, numbers) in ROWS.items()
    ]


def over_training(group: Group | None) -> Measured | None:
    """The group's AP after each share of the epochs; None without a group."""
    if group is None:
        return None
    aps = {key: [ap_after(row.result, share) for row in group.rows] for key, share in SHARES.items()}
    values = {key: [ap for ap in column if ap is not None] for key, column in aps.items()}
    return measured_values(group.first.data, values, len(group.rows))


def ap_after(result: dict, share: float) -> float | None:
    """AP in points at the first evaluation that is not before this share of the epochs; None if it had none."""
    after = result.get("measured_after", range(1, 1 + len(result["ap_by_epoch"])))
    reached = share * result["epochs"] - 1e-9
    ap = next(ap for epoch, ap in zip(after, result["ap_by_epoch"]) if epoch >= reached)
    return None if ap is None else 100 * ap
