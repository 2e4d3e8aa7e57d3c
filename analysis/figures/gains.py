"""What each way to distil gives beyond the same student alone: AP, seed by seed, with a 95% interval.

Student's t over the differences of common seeds. An interval that holds 0 does not tell the two apart: its mark is hollow.
The student alone on a longer schedule stands beside, against itself on the shorter one.
"""

import re
from statistics import mean

from matplotlib.figure import Figure

from analysis.drawing import style
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.groups import Group
from analysis.inputs.rows import Row, title
from core.metrics.paired import is_significant, paired_gain

Seeds = dict[int | None, Row]


def measure(given: Given) -> Numbers:
    settings = named([group for group in given.groups() if group.first.run])
    alone = [found for found in settings if first(found).kind == "student"]
    rows = [beyond(found, base) for found in settings if (base := base_of(found, alone))]
    if not rows:
        raise Absent("it needs a student alone and distilled, or a study that has both")
    return Numbers(sorted(rows, key=lambda row: row["where"]), f"{ABOUT} {outcome(rows)}")


ABOUT = "AP beyond that of the same student alone, seed by seed; 95% intervals, hollow where they hold 0."


def named(groups: list[Group]) -> list[Seeds]:
    """Settings over seeds; those of one name are one, such as the student under itself, whose teacher has its seed."""
    found: dict[tuple, Seeds] = {}
    for group in groups:
        row = group.first
        found.setdefault((row.training, row.kind, name(row)), {}).update({row.seed: row for row in group.rows})
    return list(found.values())


def name(row: Row) -> str:
    """The seed at its end cut off."""
    return re.sub(rf"-{row.seed}$", "", row.name)


def first(found: Seeds) -> Row:
    return next(iter(found.values()))


def base_of(found: Seeds, alone: list[Seeds]) -> Seeds | None:
    """The same student alone with a seed in common: as long for one that is distilled, else for fewer epochs."""
    mine = first(found)
    for base in alone:
        told = first(base)
        like = told.training == mine.training
        if mine.kind == "student":
            like = told.learner == mine.learner and told.told["epochs"] < mine.told["epochs"]
        if like and base.keys() & found.keys():
            return base
    return None


def beyond(found: Seeds, base: Seeds) -> dict:
    seeds = sorted(found.keys() & base.keys(), key=str)
    mine, without = ([100 * side[seed].told["ap"] for seed in seeds] for side in (found, base))
    row, told = first(found), paired_gain(mine, without)
    return {
        "where": where(first(base)),
        "how": name(row),
        "who": row.kind,
        "seeds": len(seeds),
        "alone": mean(without),
        "ap": mean(mine),
        "gain": told["mean"],
        "half": told["half"],
    }


def where(row: Row) -> str:
    limit = row.run["data"]["train_limit"]
    images = f" of {limit:,} images" if limit else ""
    part = " (test)" if row.run["data"].get("part") == "test" else ""
    return f"{title(row.detector)}, {row.data}{part}, {row.told['epochs']} epochs{images}"


def outcome(rows: list[dict]) -> str:
    rows = [row for row in rows if row["who"] == "distilled"]
    several = [row for row in rows if row["half"] is not None]
    told = [row["gain"] for row in rows if is_significant(row["gain"], row["half"])]
    better, worse = (sum(sign * x > 0 for x in told) for sign in (1, -1))
    lone = f", and {len(rows) - len(several)} of one seed alone" if len(rows) > len(several) else ""
    rest = len(several) - better - worse
    return f"Of {len(several)} ways to distil, {better} gain, {worse} lose, {rest} cannot be told from none{lone}."


def make(numbers: Numbers) -> Figure:
    places = list(dict.fromkeys(row["where"] for row in numbers.rows))
    figure = Figure(figsize=style.size(0.6 + 0.14 * (len(numbers.rows) + len(places)), columns=2))
    ax, ticks, y = figure.subplots(), {}, 0
    ax.axvline(0, color="#888888", linewidth=0.8)
    for place in places:
        ax.text(0.005, y, place, transform=ax.get_yaxis_transform(), va="center", fontweight="bold")
        mine = [row for row in numbers.rows if row["where"] == place]
        for k, row in enumerate(mine, start=y + 1):
            mark(ax, k, row)
            ticks[k] = f"{row['how']} ({row['seeds']})"
        y += 1 + len(mine)
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set(ylim=(y - 0.3, -0.7), xlabel="AP beyond the same student alone (number of seeds in brackets)")
    ax.grid(axis="x")
    return figure


def mark(ax, y: float, row: dict) -> None:
    look = style.LOOKS[row["who"]]
    fill = look["color"] if is_significant(row["gain"], row["half"]) else "white"
    ax.errorbar(
        [row["gain"]], [y], xerr=[row["half"] or 0.0], fmt=look["marker"], color=look["color"], mfc=fill, elinewidth=0.9
    )
