"""Colours, line styles and sizes: one meaning has one colour on every figure and page.

Colours are from the palette of Okabe and Ito (2008), which people with the common forms of colour blindness can distinguish.
Some look alike in greyscale, so everything that has a colour also has its own marker, dash or hatch.
"""

from contextvars import ContextVar
from typing import Any

TEACHER = "#E69F00"  # orange
STUDENT = "#56B4E9"  # sky blue
DISTILLED = "#0072B2"  # blue: the distilled student, beside the student alone
TRUTH = "#009E73"  # bluish green
MATCH = "#CC79A7"  # reddish purple: the line between two matched boxes
OTHER = ("#D55E00", "#CC79A7", "#F0E442", "#000000")  # for what appears in one figure only

COLOURS = {"teacher": TEACHER, "student": STUDENT, "truth": TRUTH, "match": MATCH}
LOW_COST, HIGH_COST = "#F7DDEB", "#8A2A63"  # ends of the colour ramp for costs of pairs; MATCH is its middle
PRIOR = "#D55E00"  # vermilion: further groups of queries, which the student decodes
# Colours of the losses in charts, none of which stands for a detector or the truth; each has its own dash as well.
LOSSES = {"loss1": "#AA4466", "loss2": "#8C8C1A", "loss3": "#7A6FD0", "loss4": "#A0703C", "loss5": "#7F7F7F"}
# Colours of the app, by the name of the CSS variable.
PAGE_COLOURS = COLOURS | LOSSES | {"distilled": DISTILLED, "prior": PRIOR, "low_cost": LOW_COST, "high_cost": HIGH_COST}
# Those that the app has on its dark theme instead, where they would be dim.
DARK_COLOURS = {"distilled": "#3D7EF5"}
# Colours of the app's heat maps, from low to high: matplotlib's inferno.
RAMP = ("#000004", "#420a68", "#932667", "#dd513a", "#fca50a", "#fcffa4")

# By role: "teacher", "student" (alone) or "distilled".
ROLE_NAMES = {"teacher": "teacher", "student": "student alone", "distilled": "student distilled"}
ROLE_STYLES: dict[str, dict[str, Any]] = {
    "teacher": {"color": TEACHER, "marker": "s", "linestyle": (0, (1, 1)), "hatch": "////"},
    "student": {"color": STUDENT, "marker": "o", "linestyle": "-", "hatch": ""},
    "distilled": {"color": DISTILLED, "marker": "D", "linestyle": (0, (4, 1.5)), "hatch": "...."},
}
# Hatches of stacked areas, in order.
HATCHES = ("", "....", "////", "xx", "\\\\\\\\", "++", "--", "oo")

# Widths in inches: (one column, the whole text).
VENUES = {"cvpr": (3.25, 6.875), "neurips": (5.5, 5.5), "icml": (3.25, 6.75), "ieee": (3.5, 7.16), "acm": (3.33, 7.0)}
VENUE: ContextVar[str] = ContextVar("venue", default="cvpr")  # the venue for which figures are made

RC: dict[Any, Any] = {  # matplotlib's settings
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine has it
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.fonttype": "none",  # text stays text instead of outlines
    "svg.hashsalt": "detrdistill",
    "pdf.fonttype": 42,  # TrueType fonts are embedded
}


def size(height: float, *, columns: int = 1) -> tuple[float, float]:
    """Width and height in inches of a figure across 1 or 2 columns of the venue; a height is returned as given."""
    return VENUES[VENUE.get()][columns - 1], height
