"""Where AP is gained: by the size of objects, by how many there are in an image, and by class."""

from statistics import mean, stdev

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import seeds, where
from analysis.figures.base import Numbers
from analysis.inputs.given import Given
from analysis.inputs.groups import Stand
from core.metrics.coco_ap import OBJECT_COUNTS

SIZES = {"aps": "small", "apm": "medium", "apl": "large"}
MOST = 12  # classes that are shown: those with the largest change


def measure(given: Given) -> Numbers:
    stand = given.measurable()[0]
    found = runs(stand, given)
    rows = [row for split in (by_size, by_crowding, by_class) for row in split(found)]
    sizes = "small, medium and large are COCO's: up to 32 and 96 pixels a side"
    return Numbers(rows, f"AP on {where([stand])}, {seeds([stand])}; {sizes}; objects are those of an image.")


def runs(stand: Stand, given: Given) -> dict[str, list[dict]]:
    """What was measured of each seed, by who."""
    found = {}
    for kind, group in stand.groups.items():
        told = [given.measured(row) for row in group.rows]
        found[kind] = [x["student"] for x in told]
        found |= {"teacher": [told[0]["teacher"]]} if told[0]["teacher"] else {}
    return found


def by_size(found: dict) -> list[dict]:
    values = {name: {who: [r["scores"][key] for r in rs] for who, rs in found.items()} for key, name in SIZES.items()}
    return table("size", values)


def by_crowding(found: dict) -> list[dict]:
    values = {
        name: {who: [r["crowding"][name]["ap"] for r in rs] for who, rs in found.items()} for name in OBJECT_COUNTS
    }
    return table("objects", values)


def by_class(found: dict) -> list[dict]:
    names = list(next(iter(found.values()))[0]["scores"]["per_class"])
    values = {name: {who: [r["scores"]["per_class"][name] for r in rs] for who, rs in found.items()} for name in names}
    kept = sorted(table("class", values), key=lambda row: names.index(row["part"]))
    return [row for row in kept if row["part"] in changed(kept)]


def changed(rows: list[dict]) -> set[str]:
    """The classes in which the distilled student differs most from the one alone; all where there is no such pair."""
    by = {(row["part"], row["who"]): row["ap"] for row in rows}
    parts = list(dict.fromkeys(row["part"] for row in rows))
    gap = {
        p: abs(by[p, "distilled"] - by[p, "student"]) for p in parts if {(p, "distilled"), (p, "student")} <= by.keys()
    }
    return set(sorted(parts, key=lambda p: -gap.get(p, 0))[:MOST])


def table(split: str, values: dict[str, dict[str, list]]) -> list[dict]:
    """A row for each part and who, without those of which there is nothing."""
    rows = []
    for part, by in values.items():
        for who, found in by.items():
            aps = [100 * x for x in found if x is not None]
            if aps:
                spread = stdev(aps) if len(aps) > 1 else None
                rows.append({"split": split, "part": part, "who": who, "ap": mean(aps), "spread": spread})
    return rows


def make(numbers: Numbers) -> Figure:
    splits = {"size": "size of objects", "objects": "objects in the image", "class": "class"}
    parts = {split: list(dict.fromkeys(r["part"] for r in numbers.rows if r["split"] == split)) for split in splits}
    figure = Figure(figsize=style.size(3.6, columns=2))
    grid = figure.add_gridspec(2, 2, width_ratios=[max(len(parts["size"]), 2), max(len(parts["objects"]), 2)])
    axes = [figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :])]
    for ax, (split, title) in zip(axes, splits.items()):
        series = {}
        for who in ("teacher", "student", "distilled"):
            mine = {r["part"]: r for r in numbers.rows if (r["split"], r["who"]) == (split, who)}
            if mine:
                heights, spreads = ([mine.get(p, {}).get(key) for p in parts[split]] for key in ("ap", "spread"))
                series[style.TITLES[who]] = heights, spreads, style.LOOKS[who]
        draw.bars(ax, parts[split], series, digits=0)
        ax.set(xlabel=title, ylabel="AP")
        ax.margins(x=0.02, y=0.15)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
