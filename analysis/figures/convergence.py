"""AP over epochs and over minutes: who learns more from an image, and who from a minute."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.drawing import draw, style
from analysis.drawing.captions import seeds, where
from analysis.figures.base import Numbers
from analysis.inputs.given import Absent, Given
from analysis.inputs.groups import Group, Stand, apart

MOST = 4  # students on a page
LONGER = {"color": style.STUDENT, "linestyle": (0, (1, 1)), "marker": "^"}


def measure(given: Given) -> Numbers:
    stands = given.stands()
    stands = [stand for stand in stands if stand.whole and len(stand.first.told["ap_by_epoch"]) > 1] or stands[:1]
    if not stands:
        raise Absent("it needs runs or a study whose rows say what was trained")
    stands = apart(stands)[:MOST]
    rows = [row for stand in stands for row in of(stand, given)]
    return Numbers(
        rows, f"AP on {where(stands)} after each epoch; {seeds(stands, 'bands from the lowest to the highest')}."
    )


def of(stand: Stand, given: Given) -> list[dict]:
    """A row for each curve, seed and epoch; the teacher's AP is a row of its own."""
    curves = dict(stand.groups)
    curves |= {f"longer, {group.first.told['epochs']} epochs": group for group in longer(stand, given)}
    rows = [row | {"panel": stand.label, "who": who} for who, group in curves.items() for row in points(group)]
    if stand.teacher:
        rows.append({"panel": stand.label, "who": "teacher", "ap": 100 * stand.teacher["ap"]})
    return rows


def longer(stand: Stand, given: Given) -> list[Group]:
    """The student alone on longer schedules of the same images, such as one of equal time."""
    if "student" not in stand.groups:
        return []
    mine = stand.groups["student"].first
    alone = given.groups(lambda row: row.losses == frozenset() and row.learner == mine.learner)
    return [group for group in alone if group.first.told["epochs"] > mine.told["epochs"]]


def points(group: Group) -> list[dict]:
    """Seconds of training as they were, so that a busy machine shows."""
    found = []
    for row in group.rows:
        told = row.told
        after = told.get("measured_after", range(1, 1 + len(told["ap_by_epoch"])))
        minutes = told["seconds"] / told["epochs"] / 60
        found += [
            {"seed": row.seed, "epoch": epoch, "minutes": epoch * minutes, "ap": 100 * ap}
            for epoch, ap in zip(after, told["ap_by_epoch"])
        ]
    return found


def make(numbers: Numbers) -> Figure:
    panels = list(dict.fromkeys(row["panel"] for row in numbers.rows))
    figure = Figure(figsize=style.size(2.1 * len(panels), columns=2))
    axes = figure.subplots(len(panels), 2, sharey="row", squeeze=False)
    for (epochs, minutes), panel in zip(axes, panels):
        rows = [row for row in numbers.rows if row["panel"] == panel]
        for who in dict.fromkeys(row["who"] for row in rows):
            mine = [row for row in rows if row["who"] == who]
            for ax, key in ((epochs, "epoch"), (minutes, "minutes")):
                trace(ax, who, mine, key)
        epochs.set(xlabel="epochs", ylabel="AP", xlim=(0, None), ylim=(0, None))
        epochs.set_title(panel, loc="left")
        minutes.set(xlabel="minutes of training, mean over seeds", xlim=(0, None))
        epochs.xaxis.set_major_locator(MaxNLocator(integer=True))
        epochs.legend(loc="best")
    return figure


def trace(ax, who: str, rows: list[dict], key: str) -> None:
    title = style.TITLES.get(who, f"student alone, {who}")
    if who == "teacher":
        draw.level(ax, rows[0]["ap"], label=title, look=style.LOOKS["teacher"])
        return
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    curves = [[row["ap"] for row in rows if row["seed"] == seed] for seed in seeds]
    count = min(map(len, curves))
    places = [[row[key] for row in rows if row["seed"] == seed][:count] for seed in seeds]
    x = [sum(p) / len(p) for p in zip(*places)]
    draw.curve(ax, x, [c[:count] for c in curves], label=title, look=style.LOOKS.get(who, LONGER))
