"""Two claims of the paper, on query masks and on stable matching.

Left, the claim of its Figure 4: Spearman's correlation of a query's quality q* with the share of its mask inside true boxes,
mean over images, with two standard errors; the claim holds where that is above 0. Right, the claim of its Figure 7:
instability between decoder layers (mean over layers) of the distilled student minus that of the same student alone, seed by
seed; the claim holds below 0.
"""

from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.drawing import style
from analysis.drawing.captions import beyond_chance, signed
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison, Group
from analysis.inputs.inputs import Inputs

LOOKS, STABLE = "good queries look at objects", "distilled students match more stably"  # values of the column "claim"
ROLES = ("teacher", "student", "distilled")


def measure(inputs: Inputs) -> Numbers:
    """A row for each detector (first claim), and for each seed of a complete comparison (second). Absent: none was measured."""
    comparisons = inputs.measurable_comparisons_of_all_data()
    rows = [row for c in comparisons for row in (*correlations(c, inputs), *stability_gains(c, inputs))]
    return Numbers(rows, " ".join((outcome_of_correlations(rows), outcome_of_stability(rows))))


def correlations(comparison: Comparison, inputs: Inputs) -> list[dict]:
    """A row for each student and seed, and one for the teacher: the correlation of quality with mass inside boxes."""
    detectors = [
        (kind, row.seed, inputs.measurements(row)["student"])
        for kind, group in comparison.groups.items()
        for row in group.rows
    ]
    group = comparison.groups.get("distilled", next(iter(comparison.groups.values())))
    detectors.append(("teacher", None, inputs.measurements(group.first)["teacher"]))
    return [
        {"claim": LOOKS, "where": comparison.label, "who": role, "seed": seed}
        | {"value": masks["correlation"], "error": masks["error"], "images": masks["images"]}
        for role, seed, measurements in detectors
        if measurements and (masks := measurements["looks"])["correlation"] is not None
    ]


def stability_gains(comparison: Comparison, inputs: Inputs) -> list[dict]:
    """A row for each common seed of a complete comparison: the difference of both students' instability."""
    if not comparison.complete:
        return []
    alone, distilled = (instability_by_seed(comparison.groups[kind], inputs) for kind in ("student", "distilled"))
    return [
        {"claim": STABLE, "where": comparison.label, "who": "distilled", "seed": seed}
        | {"value": distilled[seed] - alone[seed], "alone": alone[seed], "distilled": distilled[seed]}
        for seed in alone
        if seed in distilled
    ]


def instability_by_seed(group: Group, inputs: Inputs) -> dict[int | None, float]:
    """Instability of each seed, mean over the layers after the first."""
    by_seed = {row.seed: inputs.measurements(row)["student"]["instability"]["stages"] for row in group.rows}
    return {seed: mean(layers) for seed, layers in by_seed.items() if layers}


def outcome_of_correlations(rows: list[dict]) -> str:
    """A sentence on how many detectors support the first claim."""
    rows = [row for row in rows if row["claim"] == LOOKS]
    counts = [f"{style.ROLE_NAMES[role]} {counted([r for r in rows if r['who'] == role])}" for role in ROLES]
    above, below = (sum(beyond_chance(r["value"], r["error"]) == sign for r in rows) for sign in (1, -1))
    opposite = f", and the opposite for {below}" if below else ""
    return f"The claim that {LOOKS} holds for {above} of {len(rows)} trained detectors{opposite} ({'; '.join(counts)})."


def counted(rows: list[dict]) -> str:
    """How many correlations are above 0, and their range: "2 of 3, from −0.10 to +0.40"."""
    if not rows:
        return "none"
    above = sum(beyond_chance(r["value"], r["error"]) > 0 for r in rows)
    values = [r["value"] for r in rows]
    return f"{above} of {len(rows)}, from {signed(min(values))} to {signed(max(values))}"


def outcome_of_stability(rows: list[dict]) -> str:
    """A sentence on how many seeds support the second claim."""
    rows = [row for row in rows if row["claim"] == STABLE]
    if not rows:
        return f"The claim that {STABLE} needs a student alone and the same student distilled."
    clauses = []
    for place in dict.fromkeys(row["where"] for row in rows):
        here = [row for row in rows if row["where"] == place]
        alone, distilled = (mean(row[key] for row in here) for key in ("alone", "distilled"))
        lower = f"lower in {sum(r['value'] < 0 for r in here)} of {len(here)}"
        clauses.append(f"{place}: {alone:.2f} alone, {distilled:.2f} distilled, {lower}")
    lower = sum(row["value"] < 0 for row in rows)
    return f"The claim that {STABLE} holds in {lower} of {len(rows)} pairs of the same seed ({'; '.join(clauses)})."


def make(numbers: Numbers) -> Figure:
    """Two panels, one for each claim, with a line for each comparison."""
    places = list(dict.fromkeys(row["where"] for row in numbers.rows))
    figure = Figure(figsize=style.size(0.95 + 0.42 * len(places), columns=2))
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, claim, label in (
        (left, LOOKS, "rank correlation of quality\nwith mass inside boxes"),
        (right, STABLE, "instability, distilled minus alone\n(queries per image)"),
    ):
        rows = [row for row in numbers.rows if row["claim"] == claim]
        ax.axvline(0, color="#888888", linewidth=0.8)
        for role in ROLES:
            dots(ax, role, [row for row in rows if row["who"] == role], places)
        ax.set(xlabel=label)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.margins(x=0.08)
    left.set_yticks(range(len(places)), [place.replace(", ", "\n", 1) for place in places])
    left.set_ylim(len(places) - 0.5, -0.5)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def dots(ax: Axes, role: str, rows: list[dict], places: list[str]) -> Axes:
    """A dot with its error for each seed; roles and seeds are shifted a little so that they don't overlap."""
    look = style.ROLE_STYLES[role]
    y = [places.index(r["where"]) + 0.25 * (ROLES.index(role) - 1) + 0.06 * ((r["seed"] or 0) % 3 - 1) for r in rows]
    x, error = [row["value"] for row in rows], [2 * (row.get("error") or 0) for row in rows]
    ax.errorbar(x, y, xerr=error, fmt=look["marker"], color=look["color"], label=style.ROLE_NAMES[role], elinewidth=0.7)
    return ax
