"""AP by object size, by number of objects in the image, and by class."""

from statistics import mean, stdev

from matplotlib.figure import Figure

from analysis.drawing import draw, style
from analysis.drawing.captions import data_names, seeds_note
from analysis.figures.base import Numbers
from analysis.inputs.groups import Comparison
from analysis.inputs.inputs import Inputs
from core.metrics.coco_ap import OBJECT_COUNTS, SIZES

MOST = 12  # classes that are shown: those with the largest change

ByRole = dict[str, list[dict]]  # measurements of each seed, by role


def measure(inputs: Inputs) -> Numbers:
    """A row for each part of each split, and each role, of the first comparison. Absent: nothing was measured."""
    comparison = inputs.measurable_comparisons()[0]
    by_role = measurements_by_role(comparison, inputs)
    rows = [row for split in (by_size, by_object_count, by_class) for row in split(by_role)]
    sizes = "small, medium and large objects as in COCO: areas up to 32² pixels, up to 96², and above"
    about = f"AP on {data_names([comparison])}, {seeds_note([comparison])}"
    return Numbers(rows, f"{about}; {sizes}; objects are counted in each image.")


def measurements_by_role(comparison: Comparison, inputs: Inputs) -> ByRole:
    """The students' measurements of each seed; the teacher's once."""
    by_role: ByRole = {}
    for kind, group in comparison.groups.items():
        measurements = [inputs.measurements(row) for row in group.rows]
        by_role[kind] = [each["student"] for each in measurements]
        if measurements[0]["teacher"]:
            by_role["teacher"] = [measurements[0]["teacher"]]
    return by_role


def by_size(by_role: ByRole) -> list[dict]:
    """AP of small, medium and large objects."""
    values = {
        name: {role: [r["scores"][key] for r in runs] for role, runs in by_role.items()} for key, name in SIZES.items()
    }
    return csv_rows("size", values)


def by_object_count(by_role: ByRole) -> list[dict]:
    """AP of images with few to many objects."""
    values = {
        name: {role: [r["crowding"][name]["ap"] for r in runs] for role, runs in by_role.items()}
        for name in OBJECT_COUNTS
    }
    return csv_rows("objects", values)


def by_class(by_role: ByRole) -> list[dict]:
    """AP of the classes that change most."""
    names = list(next(iter(by_role.values()))[0]["scores"]["per_class"])
    values = {
        name: {role: [r["scores"]["per_class"][name] for r in runs] for role, runs in by_role.items()} for name in names
    }
    rows = sorted(csv_rows("class", values), key=lambda row: names.index(row["part"]))
    shown = most_changed(rows)
    return [row for row in rows if row["part"] in shown]


def most_changed(rows: list[dict]) -> set[str]:
    """The MOST classes in which the AP of the distilled student differs most from that of the student alone."""
    aps = {(row["part"], row["who"]): row["ap"] for row in rows}
    parts = list(dict.fromkeys(row["part"] for row in rows))
    change = {
        part: abs(aps[part, "distilled"] - aps[part, "student"])
        for part in parts
        if {(part, "distilled"), (part, "student")} <= aps.keys()
    }
    return set(sorted(parts, key=lambda part: -change.get(part, 0))[:MOST])


def csv_rows(split: str, values: dict[str, dict[str, list]]) -> list[dict]:
    """A row for each part and role with at least one known AP; `values` holds the seeds' APs, 0 to 1."""
    rows = []
    for part, by_role in values.items():
        for role, seeds in by_role.items():
            aps = [100 * x for x in seeds if x is not None]
            if aps:
                spread = stdev(aps) if len(aps) > 1 else None
                rows.append({"split": split, "part": part, "who": role, "ap": mean(aps), "spread": spread})
    return rows


def make(numbers: Numbers) -> Figure:
    """Bars by size and by number of objects above, by class below."""
    splits = {"size": "size of objects", "objects": "objects in the image", "class": "class"}
    parts = {split: list(dict.fromkeys(r["part"] for r in numbers.rows if r["split"] == split)) for split in splits}
    figure = Figure(figsize=style.size(3.6, columns=2))
    grid = figure.add_gridspec(2, 2, width_ratios=[max(len(parts["size"]), 2), max(len(parts["objects"]), 2)])
    axes = [figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :])]
    for ax, (split, title) in zip(axes, splits.items()):
        series = {}
        for role in ("teacher", "student", "distilled"):
            by_part = {r["part"]: r for r in numbers.rows if (r["split"], r["who"]) == (split, role)}
            if by_part:
                heights, spreads = ([by_part.get(p, {}).get(key) for p in parts[split]] for key in ("ap", "spread"))
                series[style.ROLE_NAMES[role]] = heights, spreads, style.ROLE_STYLES[role]
        draw.bars(ax, parts[split], series, digits=0)
        ax.set(xlabel=title, ylabel="AP")
        ax.margins(x=0.02, y=0.15)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
