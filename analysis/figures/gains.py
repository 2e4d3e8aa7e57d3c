"""Gain in AP over the same student alone, with 95% confidence intervals.

Intervals are Student's t over the differences of common seeds. A mark is hollow where the gain is not statistically
significant, that is, where the interval contains 0. The student alone on a longer schedule is compared with itself on the
shorter one.
"""

import re
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import style
from analysis.figures.base import Numbers
from analysis.inputs.groups import Group
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.rows import Row, detector_title
from core.metrics.paired import is_significant, paired_gain

Seeds = dict[int | None, Row]  # the rows of one setting, by seed

ABOUT = (
    "Gain in AP over the same student alone, paired by seed, with 95% confidence intervals (Student's t); hollow marks: not "
    "statistically significant."
)


def measure(inputs: Inputs) -> Numbers:
    """A row for each setting with a student alone to compare it with. Absent: there is none."""
    settings = settings_by_name([group for group in inputs.with_ap().groups() if group.first.run])
    alone = [setting for setting in settings if first(setting).kind == "student"]
    pairs = [(setting, baseline(setting, alone)) for setting in settings]
    rows = [gain_row(setting, base) for setting, base in pairs if base]
    if not rows:
        raise Absent("it needs a student alone and distilled, or a study that has both")
    return Numbers(sorted(rows, key=lambda row: row["where"]), f"{ABOUT} {outcome(rows)}")


def settings_by_name(groups: list[Group]) -> list[Seeds]:
    """The groups as settings; groups of one training, kind and name are one setting.

    In self-distillation, say, every seed has its own teacher, so that each seed is a group.
    """
    settings: dict[tuple, Seeds] = {}
    for group in groups:
        row = group.first
        rows = settings.setdefault((row.training_key, row.kind, name_without_seed(row)), {})
        rows.update({row.seed: row for row in group.rows})
    return list(settings.values())


def name_without_seed(row: Row) -> str:
    """The row's name without "-seed" at its end."""
    return re.sub(rf"-{row.seed}$", "", row.name)


def first(setting: Seeds) -> Row:
    """The setting's first row."""
    return next(iter(setting.values()))


def baseline(setting: Seeds, alone: list[Seeds]) -> Seeds | None:
    """The same student alone, with a seed in common; None if there is none.

    A distilled setting is compared with the same schedule, a student alone with a schedule of fewer epochs.
    """
    row = first(setting)
    for base in alone:
        other = first(base)
        same = other.training_key == row.training_key
        if row.kind == "student":
            same = other.student_key == row.student_key and other.result["epochs"] < row.result["epochs"]
        if same and base.keys() & setting.keys():
            return base
    return None


def gain_row(setting: Seeds, base: Seeds) -> dict:
    """AP of a setting and its baseline over common seeds, and the paired gain with half its interval, in points."""
    seeds = sorted(setting.keys() & base.keys(), key=str)
    aps, base_aps = ([100 * rows[seed].result["ap"] for seed in seeds] for rows in (setting, base))
    row, gain = first(setting), paired_gain(aps, base_aps)
    return {
        "where": place(first(base)),
        "how": name_without_seed(row),
        "who": row.kind,
        "seeds": len(seeds),
        "alone": mean(base_aps),
        "ap": mean(aps),
        "gain": gain["mean"],
        "half": gain["half"],
    }


def place(row: Row) -> str:
    """Detector, data and schedule, as a heading."""
    limit = row.run["data"]["train_limit"]
    images = f" of {limit:,} images" if limit else ""
    part = " (test)" if row.run["data"].get("part") == "test" else ""
    return f"{detector_title(row.detector)}, {row.data}{part}, {row.result['epochs']} epochs{images}"


def outcome(rows: list[dict]) -> str:
    """How many distilled settings gain or lose significantly."""
    rows = [row for row in rows if row["who"] == "distilled"]
    several = [row for row in rows if row["half"] is not None]
    significant = [row["gain"] for row in rows if is_significant(row["gain"], row["half"])]
    better, worse = (sum(sign * gain > 0 for gain in significant) for sign in (1, -1))
    single = f"; with one seed only: {len(rows) - len(several)}" if len(rows) > len(several) else ""
    rest = len(several) - better - worse
    counts = f"significant gain: {better}; significant loss: {worse}; not statistically significant: {rest}"
    return f"Of {len(several)} distilled settings with several seeds, {counts}{single}."


def make(numbers: Numbers) -> Figure:
    """A line for each setting, under the heading of its student, data and schedule."""
    places = list(dict.fromkeys(row["where"] for row in numbers.rows))
    figure = Figure(figsize=style.size(0.6 + 0.14 * (len(numbers.rows) + len(places)), columns=2))
    ax, y = figure.subplots(), 0
    ticks: dict[int, str] = {}
    ax.axvline(0, color="#888888", linewidth=0.8)
    for heading in places:
        ax.text(0.005, y, heading, transform=ax.get_yaxis_transform(), va="center", fontweight="bold")
        rows = [row for row in numbers.rows if row["where"] == heading]
        for k, row in enumerate(rows, start=y + 1):
            mark(ax, k, row)
            ticks[k] = f"{row['how']} ({row['seeds']})"
        y += 1 + len(rows)
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set(ylim=(y - 0.3, -0.7), xlabel="gain in AP over the same student alone (number of seeds in brackets)")
    ax.grid(axis="x")
    return figure


def mark(ax: Axes, y: int, row: dict) -> None:
    """Draws a gain with its interval, hollow if it is not significant."""
    look, half = style.ROLE_STYLES[row["who"]], row["half"] or 0.0
    fill = look["color"] if is_significant(row["gain"], row["half"]) else "white"
    ax.errorbar([row["gain"]], [y], xerr=[half], fmt=look["marker"], color=look["color"], mfc=fill, elinewidth=0.9)
