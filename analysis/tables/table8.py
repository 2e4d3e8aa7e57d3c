"""Table 8: logits distillation of positive queries, or of negative ones too."""

from analysis.inputs.groups import Group
from analysis.inputs.inputs import Inputs
from analysis.tables._layout import BY_SIZE, Line, Table, measured_baseline, measured_group, sweep_labels

ROWS = {  # by the option `match` of the loss `logits`
    "positive": "positives only",
    "split": "positives and negatives",
    "all": "all in one (release)",
}
NOTE = "The paper says that positives alone give a minor gain; its numbers are not known."


def fill(inputs: Inputs) -> Table:
    """One block of lines for each sweep of `logits.match` with at least two values."""
    sweeps = [sweep for sweep in inputs.sweeps("logits.match") if len(sweep) > 1] or [{}]
    lines = [line for sweep in sweeps for line in block(inputs, sweep)]
    return Table("Negative queries", ("detector", "losses", "pairs"), BY_SIZE, tuple(lines), NOTE)


def block(inputs: Inputs, sweep: dict[object, Group]) -> list[Line]:
    """The lines of one sweep: the student alone, and each value."""
    base, labels = measured_baseline(inputs, sweep), sweep_labels(sweep)
    lines = [Line((*labels, "no distillation"), base)]
    return lines + [Line((*labels, label), measured_group(sweep.get(value)), base) for value, label in ROWS.items()]
