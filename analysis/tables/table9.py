"""Table 9: logits distillation stage by stage, and of the last stage alone."""

from analysis.inputs.given import Given
from analysis.tables._layout import COCO, Line, Table, of_group
from analysis.tables._variants import baseline, who

METRICS = {key: COCO[key] for key in ("ap", "aps", "apm", "apl")}
ROWS = {"last": "last stage only", "from_last": "every stage from the teacher's last", "each": "stage by stage"}
NOTE = "What the paper's Table 9 holds is not known; that stage by stage is better is said in its text."


def fill(given: Given) -> Table:
    found = [sweep for sweep in given.sweeps("logits.stages") if len(sweep) > 1] or [{}]
    lines = [line for sweep in found for line in block(given, sweep)]
    return Table("Stages", ("detector", "losses", "stages"), METRICS, tuple(lines), NOTE)


def block(given: Given, sweep: dict) -> list[Line]:
    base = baseline(given, sweep)
    lines = [Line((*who(sweep), "no distillation"), base, paper={})]
    return lines + [Line((*who(sweep), label), of_group(sweep.get(value)), base, {}) for value, label in ROWS.items()]
