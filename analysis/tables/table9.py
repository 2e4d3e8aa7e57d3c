"""Table 9: logits distillation stage by stage, or of the last stage only."""

from analysis.inputs.groups import Group
from analysis.inputs.inputs import Inputs
from analysis.tables._layout import BY_SIZE, Line, Table, measured_baseline, measured_group, sweep_labels

# By the option `stages` of the loss `logits`; the paper calls decoder layers stages.
ROWS = {"last": "last stage only", "from_last": "every stage from the teacher's last", "each": "stage by stage"}
NOTE = "The numbers of the paper's Table 9 are not known; its text says that distilling stage by stage is better."


def fill(inputs: Inputs) -> Table:
    """One block of lines for each sweep of `logits.stages` with at least two values."""
    sweeps = [sweep for sweep in inputs.sweeps("logits.stages") if len(sweep) > 1] or [{}]
    lines = [line for sweep in sweeps for line in block(inputs, sweep)]
    return Table("Stages", ("detector", "losses", "stages"), BY_SIZE, tuple(lines), NOTE)


def block(inputs: Inputs, sweep: dict[object, Group]) -> list[Line]:
    """The lines of one sweep: the student alone, and each value."""
    base, labels = measured_baseline(inputs, sweep), sweep_labels(sweep)
    lines = [Line((*labels, "no distillation"), base)]
    return lines + [Line((*labels, label), measured_group(sweep.get(value)), base) for value, label in ROWS.items()]
