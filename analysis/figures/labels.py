"""AP against the number of labelled images: what a teacher and unlabelled images are worth, at equal time.

The rows of `python -m train study labels`. A line for each method, with the mean over seeds; the band is the range of the
seeds. How many labelled images the student alone would need for the same AP is read between its points.
"""

from statistics import mean

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from analysis.drawing import style
from analysis.figures.base import Numbers
from analysis.inputs.inputs import Absent, Inputs
from core.metrics.pseudo_truth.label_worth import as_good_as, by_setting

TITLES = {
    "alone": "student alone",
    "pseudo": "and unlabelled images, pseudo truth",
    "logits": "and the teacher's stored logits",
    "falling": "and stored logits that fall away",
    "prior": "and the query prior",
    "full": "DETRDistill, live teacher",
}
STYLES = {
    "alone": style.ROLE_STYLES["student"],
    "pseudo": {"color": style.TRUTH, "marker": "^", "linestyle": (0, (3, 1, 1, 1))},
    "logits": style.ROLE_STYLES["distilled"],
    "falling": {"color": style.OTHER[3], "marker": "P", "linestyle": (0, (2, 1))},
    "prior": {"color": style.PRIOR, "marker": "v", "linestyle": (0, (5, 1))},
    "full": {"color": style.MATCH, "marker": "s", "linestyle": (0, (1, 1))},
}


def measure(inputs: Inputs) -> Numbers:
    """A row for each method and number of labelled images. Absent: there is no row of the study."""
    results = {row.name: row.result for row in inputs.rows if {"labelled", "method"} <= row.result.keys()}
    if not results:
        raise Absent("it needs the rows of: python -m train study labels")
    groups = by_setting(results)
    alone = {n: mean(aps.values()) for (n, method), aps in groups.items() if method == "alone"}
    rows = [
        {
            "method": method,
            "labelled": n,
            "seeds": len(aps),
            "ap": 100 * mean(aps.values()),
            "low": 100 * min(aps.values()),
            "high": 100 * max(aps.values()),
            "as_good_as": as_good_as(mean(aps.values()), alone),
        }
        for (n, method), aps in sorted(groups.items(), key=lambda item: (list(TITLES).index(item[0][1]), item[0][0]))
    ]
    seconds = max(result["seconds"] for result in results.values())
    about = f"AP of one student, trained for {seconds:.0f} s of one core at most, by the number of its images that have labels"
    return Numbers(rows, f"{about}; bands: range of the seeds. {outcome(rows)}")


def outcome(rows: list[dict]) -> str:
    """The worth of the best method with the number of labelled images at which it gains most."""
    alone = {row["labelled"]: row["ap"] for row in rows if row["method"] == "alone"}
    others = [row for row in rows if row["method"] != "alone" and row["labelled"] in alone]
    if not others:
        return "Only the student alone has been trained."
    best = max(others, key=lambda row: row["ap"] - alone[row["labelled"]])
    gain, good = best["ap"] - alone[best["labelled"]], best["as_good_as"]
    worth = "more than were tried" if good is None else f"about {good:,.0f}"
    return (
        f"The largest gain is {gain:+.1f} AP, with {best['labelled']:,} labelled images ({best['method']}): as much as the "
        f"student alone would reach with {worth} labelled images."
    )


def make(numbers: Numbers) -> Figure:
    """A line and a band for each method, over a logarithmic axis of labelled images."""
    figure = Figure(figsize=style.size(2.6))
    ax = figure.subplots()
    for method in dict.fromkeys(row["method"] for row in numbers.rows):
        rows = [row for row in numbers.rows if row["method"] == method]
        look = {key: value for key, value in STYLES[method].items() if key != "hatch"}
        labelled = [row["labelled"] for row in rows]
        ax.plot(labelled, [row["ap"] for row in rows], label=TITLES[method], **look)
        ax.fill_between(
            labelled, [r["low"] for r in rows], [r["high"] for r in rows], color=look["color"], alpha=0.2, linewidth=0
        )
    ticks = sorted({row["labelled"] for row in numbers.rows})
    ax.set_xscale("log")
    ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="labelled images", ylabel="AP", ylim=(0, None))
    ax.grid(axis="y")
    figure.legend(loc="outside upper center")
    return figure
