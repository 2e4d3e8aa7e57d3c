"""Two claims of the paper in numbers: good queries look at objects, and distilled students match more stably.

Left, the claim of its Figure 4: Spearman's correlation of a query's quality q* with the share of its mask inside true boxes,
mean over images, with two standard errors; it holds where that is above 0. Right, the claim of its Figure 7: instability
between decoder stages (mean over stages) of the distilled student less that of the same student alone, seed by seed; it holds
below 0.
"""

from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.drawing import style
from analysis.drawing.captions import signed
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from analysis.inputs.groups import Group, Stand

LOOKS, STABLE = "good queries look at objects", "distilled students match more stably"
WHO = ("teacher", "student", "distilled")


def measure(given: Given) -> Numbers:
    stands = given.widely()
    rows = [row for stand in stands for row in (*looks(stand, given), *stable(stand, given))]
    return Numbers(rows, " ".join((outcome_of_looks(rows), outcome_of_stability(rows))))


def looks(stand: Stand, given: Given) -> list[dict]:
    found = [(kind, row.seed, given.measured(row)["student"]) for kind, g in stand.groups.items() for row in g.rows]
    taught = stand.groups.get("distilled", next(iter(stand.groups.values()))).first
    found.append(("teacher", None, given.measured(taught)["teacher"]))
    return [
        {"claim": LOOKS, "where": stand.label, "who": who, "seed": seed}
        | {"value": told["looks"]["correlation"], "error": told["looks"]["error"], "images": told["looks"]["images"]}
        for who, seed, told in found
        if told and told["looks"]["correlation"] is not None
    ]


def stable(stand: Stand, given: Given) -> list[dict]:
    """Of the seeds that both have."""
    if not stand.whole:
        return []
    alone, distilled = (unstable(stand.groups[kind], given) for kind in ("student", "distilled"))
    return [
        {"claim": STABLE, "where": stand.label, "who": "distilled", "seed": seed}
        | {"value": distilled[seed] - alone[seed], "alone": alone[seed], "distilled": distilled[seed]}
        for seed in alone
        if seed in distilled
    ]


def unstable(group: Group, given: Given) -> dict[int, float]:
    """Instability of each seed, mean over the stages after the first."""
    found = {row.seed: given.measured(row)["student"]["instability"]["stages"] for row in group.rows}
    return {seed: mean(stages) for seed, stages in found.items() if stages}


def outcome_of_looks(rows: list[dict]) -> str:
    rows = [row for row in rows if row["claim"] == LOOKS]
    told = [f"{style.TITLES[who]} {counted([r for r in rows if r['who'] == who])}" for who in WHO]
    above, below = (sum(sign * r["value"] > 2 * (r["error"] or 0) for r in rows) for sign in (1, -1))
    against = f", and the opposite for {below}" if below else ""
    return f"That {LOOKS} holds for {above} of {len(rows)} trained detectors{against} ({'; '.join(told)})."


def counted(rows: list[dict]) -> str:
    if not rows:
        return "none"
    above = sum(r["value"] > 2 * (r["error"] or 0) for r in rows)
    values = [r["value"] for r in rows]
    return f"{above} of {len(rows)}, from {signed(min(values))} to {signed(max(values))}"


def outcome_of_stability(rows: list[dict]) -> str:
    rows = [row for row in rows if row["claim"] == STABLE]
    if not rows:
        return f"Whether {STABLE} needs a student alone and distilled."
    less = sum(row["value"] < 0 for row in rows)
    parts = []
    for place in dict.fromkeys(row["where"] for row in rows):
        mine = [row for row in rows if row["where"] == place]
        a, b = (mean(row[key] for row in mine) for key in ("alone", "distilled"))
        parts.append(
            f"{place}: {a:.2f} alone, {b:.2f} distilled, lower in {sum(r['value'] < 0 for r in mine)} of {len(mine)}"
        )
    return f"That {STABLE} holds in {less} of {len(rows)} pairs of one seed ({'; '.join(parts)})."


def make(numbers: Numbers) -> Figure:
    places = list(dict.fromkeys(row["where"] for row in numbers.rows))
    figure = Figure(figsize=style.size(0.95 + 0.42 * len(places), columns=2))
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, claim, label in ((left, LOOKS, "rank correlation of quality\nwith mass inside boxes"),
                             (right, STABLE, "instability, distilled less alone\n(objects per image)")):  # fmt: skip
        mine = [row for row in numbers.rows if row["claim"] == claim]
        ax.axvline(0, color="#888888", linewidth=0.8)
        for who in WHO:
            dots(ax, who, [row for row in mine if row["who"] == who], places)
        ax.set(xlabel=label)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.margins(x=0.08)
    left.set_yticks(range(len(places)), [place.replace(", ", "\n", 1) for place in places])
    left.set_ylim(len(places) - 0.5, -0.5)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def dots(ax: Axes, who: str, rows: list[dict], places: list[str]) -> Axes:
    """One for each seed, the seeds a little apart."""
    look = style.LOOKS[who]
    y = [places.index(r["where"]) + 0.25 * (WHO.index(who) - 1) + 0.06 * ((r["seed"] or 0) % 3 - 1) for r in rows]
    x, error = [row["value"] for row in rows], [2 * (row.get("error") or 0) for row in rows]
    ax.errorbar(x, y, xerr=error, fmt=look["marker"], color=look["color"], label=style.TITLES[who], elinewidth=0.7)
    return ax
