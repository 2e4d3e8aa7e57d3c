"""Query quality and the share of the query's mask that lies inside true boxes.

Quality is q* = (best class score)^0.5 x (best IoU with an object)^0.5, which every query has. Masks are those of Eq. 7 of
DETRDistill with cosines floored at 0, in the last decoder layer, over all levels of the features.
"""

from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import BANDS, beyond_chance, data_names, seeds_note, signed
from analysis.drawing.panels import grid
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison
from analysis.inputs.inputs import Absent, Inputs
from analysis.query_table.measure import BINS

FEW = 20  # bins with fewer queries are not shown


def measure(inputs: Inputs) -> Numbers:
    """A row for each detector, seed and bin of quality. Absent: nothing was measured, or no image has objects."""
    comparisons = inputs.measurable_comparisons()
    rows = [row for comparison in comparisons for row in rows_of(comparison, inputs)]
    if not rows:
        raise Absent(f"it needs images with objects, and at least {FEW} queries in a bin of quality")
    about = (
        f"Share of a query's mask inside true boxes by its quality q*, last decoder layer, on {data_names(comparisons)}"
    )
    even = "dotted grey: a mask that is the same everywhere"
    return Numbers(rows, f"{about}; {seeds_note(comparisons, BANDS)}; {even}. {outcome(rows)}")


def rows_of(comparison: Comparison, inputs: Inputs) -> list[dict]:
    """The rows of one comparison, for detectors with a correlation and bins with at least FEW queries."""
    rows = []
    for role, seed, measurements in inputs.measurements_by_role(comparison):
        masks = measurements["looks"]
        if masks["correlation"] is None:
            continue
        about = {"panel": comparison.label, "who": role, "seed": seed}
        about |= {key: masks[key] for key in ("correlation", "error", "images", "area")}
        for k in range(BINS):
            if masks["count"][k] >= FEW:
                quality = (k + 0.5) / BINS
                rows.append(about | {"quality": quality, "inside": masks["inside"][k], "queries": masks["count"][k]})
    return rows


def outcome(rows: list[dict]) -> str:
    """The rank correlations, and whether they support the claim of the paper's Figure 4."""
    sentences = []
    for panel in dict.fromkeys(row["panel"] for row in rows):
        clauses = []
        for role in ("teacher", "student", "distilled"):
            runs = {row["seed"]: row for row in rows if row["panel"] == panel and row["who"] == role}
            if runs:
                correlation = mean(row["correlation"] for row in runs.values())
                clauses.append(f"{style.ROLE_NAMES[role]} {signed(correlation)} ({verdict(list(runs.values()))})")
        sentences.append(f"{panel}: {', '.join(clauses)}.")
    head = "Spearman's rank correlation of quality with mass inside, mean over images; above or below 0 by two standard errors: "
    return head + " ".join(sentences)


def verdict(runs: list[dict]) -> str:
    """Says in how many seeds the correlation is above or below 0 by more than two standard errors over images.

    The correlation of a single image has no standard error and counts as neither.
    """
    above, below = (sum(beyond_chance(r["correlation"], r["error"]) == sign for r in runs) for sign in (1, -1))
    if len(runs) == 1:
        return "above" if above else "below" if below else "not statistically significant"
    return f"above in {above} of {len(runs)} seeds" + (f", below in {below}" if below else "")


def make(numbers: Numbers) -> Figure:
    """A panel for each comparison, a curve for each role."""
    figure, axes = grid(list(dict.fromkeys(row["panel"] for row in numbers.rows)), height=2.1)
    for panel, ax in axes.items():
        rows = [row for row in numbers.rows if row["panel"] == panel]
        for role in ("student", "distilled", "teacher"):
            curve(ax, role, [row for row in rows if row["who"] == role])
        ax.axhline(mean(row["area"] for row in rows), color="#888888", linestyle=(0, (1, 2)), linewidth=1)
        ax.set(xlabel="quality q*", ylabel="share of mass inside boxes", xlim=(0, 1), ylim=(0, 1.05))
        ax.legend(loc="upper left")
    return figure


def curve(ax: Axes, role: str, rows: list[dict]) -> None:
    """Draws a role's curve over the bins that every seed has; nothing without rows."""
    correlation = {row["seed"]: row["correlation"] for row in rows}
    by_seed = {seed: {r["quality"]: r["inside"] for r in rows if r["seed"] == seed} for seed in correlation}
    bins = sorted(set.intersection(*map(set, by_seed.values()))) if by_seed else []
    if bins:
        label = f"{style.ROLE_NAMES[role]}, ρ = {mean(correlation.values()):.2f}".replace("-", "−")
        values = [[inside[b] for b in bins] for inside in by_seed.values()]
        draw.curve(ax, bins, values, label=label, look=style.ROLE_STYLES[role])
