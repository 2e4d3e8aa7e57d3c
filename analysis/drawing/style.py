"""One meaning, one colour, on every figure and page; sizes of what is printed.

From the palette of Okabe and Ito (2008), which people with any common form of colour blindness can tell apart. In
greyscale some are alike, so whatever has a colour has a marker, a dash or a hatch of its own too.
"""

from contextvars import ContextVar

TEACHER = "#E69F00"  # orange
STUDENT = "#56B4E9"  # sky blue
DISTILLED = "#0072B2"  # blue: the student that had a teacher, where it stands beside the one that had none
TRUTH = "#009E73"  # bluish green
MATCH = "#CC79A7"  # reddish purple: the line between two that were matched
OTHER = ("#D55E00", "#CC79A7", "#F0E442", "#000000")  # of what has no meaning elsewhere

COLOURS = {"teacher": TEACHER, "student": STUDENT, "truth": TRUTH, "match": MATCH}
CHEAP, DEAR = "#F7DDEB", "#8A2A63"  # lines between matched pairs, from the least cost to the highest, through MATCH
PAGE_COLOURS = COLOURS | {"distilled": DISTILLED, "cheap": CHEAP, "dear": DEAR}  # of the app
RAMP = ("#000004", "#420a68", "#932667", "#dd513a", "#fca50a", "#fcffa4")  # of maps over an image: matplotlib's inferno

TITLES = {"teacher": "teacher", "student": "student alone", "distilled": "student distilled"}
LOOKS = {
    "teacher": {"color": TEACHER, "marker": "s", "linestyle": (0, (1, 1)), "hatch": "////"},
    "student": {"color": STUDENT, "marker": "o", "linestyle": "-", "hatch": ""},
    "distilled": {"color": DISTILLED, "marker": "D", "linestyle": (0, (4, 1.5)), "hatch": "...."},
}
HATCHES = ("", "....", "////", "xx", "\\\\\\\\", "++", "--", "oo")

# Inches: (a column, the text) of a page.
VENUES = {"cvpr": (3.25, 6.875), "neurips": (5.5, 5.5), "icml": (3.25, 6.75), "ieee": (3.5, 7.16), "acm": (3.33, 7.0)}
VENUE: ContextVar[str] = ContextVar("venue", default="cvpr")  # CVPR, ICCV and ECCV alike

RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine has it
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
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "detrdistill",
    "pdf.fonttype": 42,  # fonts are embedded as they are
}


def size(height: float, *, columns: int = 1) -> tuple[float, float]:
    """Inches of a figure across one column, or across the text, of the venue that is set."""
    return VENUES[VENUE.get()][columns - 1], height
