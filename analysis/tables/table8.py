"""Table 8: logits distillation of the positive queries alone, and of the negative ones too."""

from analysis.inputs.given import Given
from analysis.tables._layout import COCO, Line, Table, of_group
from analysis.tables._variants import baseline, who

METRICS = {key: COCO[key] for key in ("ap", "aps", "apm", "apl")}
ROWS = {
    None: "no distillation",
    "positive": "positives only",
    "split": "positives and negatives",
    "all": "all in one (release)",
}
NOTE = "The paper says that positives alone give a minor gain; its numbers are not known."


def fill(given: Given) -> Table:
    found = [sweep for sweep in given.sweeps("logits.match") if len(sweep) > 1] or [{}]
    lines = [line for sweep in found for line in block(given, sweep)]
    return Table("Negative queries", ("detector", "losses", "pairs"), METRICS, tuple(lines), NOTE)


def block(given: Given, sweep: dict) -> list[Line]:
    base = baseline(given, sweep)
    lines = [Line((*who(sweep), ROWS[None]), base, paper={})]
    return lines + [
        Line((*who(sweep), ROWS[v]), of_group(sweep.get(v)), base, {}) for v in ("positive", "split", "all")
    ]
