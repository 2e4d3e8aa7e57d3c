"""AP over epochs and over minutes of training."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.drawing import draw, style
from analysis.drawing.captions import BANDS, data_names, seeds_note
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison, Group, ap_points, with_distinct_labels
from analysis.inputs.inputs import Absent, Inputs

MOST = 4  # comparisons in one figure
LONGER: draw.Style = {
    "color": style.STUDENT,
    "linestyle": (0, (1, 1)),
    "marker": "^",
}  # the student alone, trained longer


def measure(inputs: Inputs) -> Numbers:
    """A row for each evaluation of each seed, of up to MOST comparisons. Absent: no row says what was trained."""
    inputs = inputs.with_ap()
    comparisons = inputs.comparisons()
    comparisons = [c for c in comparisons if c.complete and len(c.first.result["ap_by_epoch"]) > 1] or comparisons[:1]
    if not comparisons:
        raise Absent("it needs runs or a study whose rows say what was trained")
    comparisons = with_distinct_labels(comparisons)[:MOST]
    rows = [row for comparison in comparisons for row in rows_of(comparison, inputs)]
    return Numbers(rows, f"AP on {data_names(comparisons)} after each epoch; {seeds_note(comparisons, BANDS)}.")


def rows_of(comparison: Comparison, inputs: Inputs) -> list[dict]:
    """The rows of one comparison: one for each curve, seed and evaluation, and one for the teacher's AP."""
    curves = dict(comparison.groups)
    curves |= {f"longer, {g.first.result['epochs']} epochs": g for g in longer_trainings(comparison, inputs)}
    rows = [
        row | {"panel": comparison.label, "who": role} for role, group in curves.items() for row in ap_points(group)
    ]
    if (teacher := (comparison.teacher_scores or {}).get("ap")) is not None:
        rows.append({"panel": comparison.label, "who": "teacher", "ap": 100 * teacher})
    return rows


def longer_trainings(comparison: Comparison, inputs: Inputs) -> list[Group]:
    """The same student trained alone on the same images for more epochs, such as for the distilled student's time."""
    if "student" not in comparison.groups:
        return []
    student = comparison.groups["student"].first
    alone = inputs.groups(lambda row: row.losses == frozenset() and row.student_key == student.student_key)
    return [group for group in alone if group.first.result["epochs"] > student.result["epochs"]]


def make(numbers: Numbers) -> Figure:
    """Two panels for each comparison: AP over epochs, and over minutes."""
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure = Figure(figsize=style.size(2.1 * len(panels), columns=2))
    axes = figure.subplots(len(panels), 2, sharey="row", squeeze=False)
    for (epochs, minutes), panel in zip(axes, panels):
        rows = [row for row in numbers.rows if row["panel"] == panel]
        for role in dict.fromkeys(row["who"] for row in rows):
            of_role = [row for row in rows if row["who"] == role]
            for ax, key in ((epochs, "epoch"), (minutes, "minutes")):
                curve(ax, role, of_role, key)
        epochs.set(xlabel="epochs", ylabel="AP", xlim=(0, None), ylim=(0, None))
        epochs.set_title(panel, loc="left")
        minutes.set(xlabel="minutes of training, mean over seeds", xlim=(0, None))
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
        epochs.legend(loc="best")
    return figure


def curve(ax: Axes, role: str, rows: list[dict], key: str) -> None:
    """Draws AP over the column `key`; the teacher's as a horizontal line."""
    title = style.ROLE_NAMES.get(role, f"student alone, {role}")
    if role == "teacher":
        draw.level(ax, rows[0]["ap"], label=title, look=style.ROLE_STYLES["teacher"])
        return
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    curves = [[row["ap"] for row in rows if row["seed"] == seed] for seed in seeds]
    count = min(map(len, curves))
    places = [[row[key] for row in rows if row["seed"] == seed][:count] for seed in seeds]
    x = [sum(p) / len(p) for p in zip(*places)]
    draw.curve(ax, x, [c[:count] for c in curves], label=title, look=style.ROLE_STYLES.get(role, LONGER))
