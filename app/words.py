"""The texts of the page that depend on data: one plain sentence for each cost, kind of pair, loss term and sort order.

What is not listed here, such as a new loss, is shown too, with its own name and the first line of its module's docstring.
"""

import sys
from collections.abc import Sequence

# Costs: (title, explanation) by part, or by kind of pair and part.
COST_PARTS = {
    "class": ("Class", "low when the query gives the right class a high score"),
    "positive_class": ("Class", "low when the class scores equal those of the teacher query"),
    "l1": ("L1", "distance between the boxes' coordinates, in fractions of the image"),
    "giou": ("GIoU", "negated: −1 when the boxes coincide, up to +1 when they are far apart"),
}

# Sides: (title, name of one member, explanation).
SIDES = {
    "student": ("Student", "student query", "Boxes predicted by the student, the network that is trained"),
    "teacher": (
        "Teacher",
        "teacher query",
        "Boxes predicted by the teacher, the trained network that the student learns from",
    ),
    "truth": ("Truth", "object", "The annotated objects"),
    "pseudo": (
        "Pseudo truth",
        "pseudo object",
        "Confident teacher queries of the last layer, used in place of annotated objects",
    ),
    "prior": ("Prior", "prior query", "The teacher's queries, decoded by the student"),
    "fixed": ("Fixed", "fixed query", "The teacher's queries, decoded by the student and compared one by one"),
    "specific": ("Specific", "specific query", "The teacher's queries, decoded by the student and compared one by one"),
    "general": ("General", "general query", "Random queries that both detectors decode, decoded by the student"),
    "teacher_general": (
        "General, teacher",
        "general query of the teacher",
        "Random queries that both detectors decode, decoded by the teacher",
    ),
    "other": (
        "Second student",
        "second student query",
        "Boxes predicted by the student of a second run, on the same image",
    ),
}

# Kinds of pairs: (title, explanation) of the lines between boxes.
LINES = {
    "student-truth": ("Student – truth", "The student query that is matched with each object in this layer"),
    "teacher-truth": ("Teacher – truth", "The teacher query that is matched with each object in this layer"),
    "other-truth": (
        "Second student – truth",
        "The second student's query that is matched with each object in this layer",
    ),
    "positive": ("Positive", "Teacher queries matched with an object, each with the student query that imitates it"),
    "negative": ("Negative", "Teacher queries without an object, each with the student query that imitates its box"),
    "prior-truth": (
        "Prior – truth",
        "The teacher's queries, decoded by the student, each with the object that it has in the teacher",
    ),
    "fixed-truth": ("Fixed – truth", "The objects that the teacher's queries have in the teacher"),
    "specific-truth": ("Specific – truth", "The objects that the teacher's queries have in the teacher"),
}

MATCHED_SIDES = ("student", "teacher", "other")  # whose queries are matched with the objects in every layer
KEPT = ("prior-truth", "fixed-truth", "specific-truth")  # pairs that are the teacher's own
NOT_MATCHED_AGAIN = (
    "Not matched again: the query keeps the object that it has in the teacher. This is its cost in the student."
)
LOWEST_TOTAL = "One query for each object, so that the total cost of this layer is as low as possible."
MATCHES = {
    "student-truth": LOWEST_TOTAL,
    "teacher-truth": LOWEST_TOTAL,
    "other-truth": LOWEST_TOTAL,
    "positive": "The teacher query is matched with an object; the student query imitates its class scores and its box.",
    "negative": "The teacher query has no object; the student query, which is in no positive pair, imitates its box. "
    "These pairs are matched by their boxes alone.",
    **dict.fromkeys(KEPT, NOT_MATCHED_AGAIN),
}

OVERVIEW = ("Matches", "The query that is matched with each object in this layer, and the cost of the pair.")
NO_OBJECTS = "This image has no annotated objects, so no query is matched."
OBJECT_COSTS = (
    "Its cost for each object",
    "Weighted, lowest cost first. Matching minimises the total over all pairs, so the matched object can have a higher cost.",
)
PSEUDO_OBJECT = "A confident teacher query, used as an object because this image has no annotations."
NO_TEACHER = (
    "This run has no teacher: the student learnt from annotated objects only, "
    "so there are no teacher boxes and no pairs with them."
)
NO_SAMPLING = "This detector does not report where its queries read the image."

# Banners of images without annotations.
NO_TRUTH = "No ground truth, and no teacher that could give pseudo truth"
PSEUDO_TRUTH = (
    "No ground truth: teacher queries with a score of at least {least} are used as pseudo truth (here {count})"
)

# Ways to combine masks: (title, explanation, equation).
WEIGHTS = {
    "naive": ("Naive", "the mean of all masks, every query with the same weight", "W = ( 1/M Σ ψᵢ )²,  Eq. 7"),
    "each": ("By quality", "the mean of all masks, each weighted by its query's quality", "W = 1/M Σ qᵢ ψᵢ²,  Eq. 9"),
    "merged": (
        "Released code",
        "as in the paper's released code: the masks of the 100 best queries, weighted by score × best IoU and summed first",
        "W = m²,  m = max(Σ qₙ aₙ, 0.01) / max",
    ),
}

# By the kind of truth that an image has.
STABILITY_NOTES = {
    "given": "",
    "pseudo": "The objects are pseudo truth: confident teacher queries.",
    "none": "This image has no annotated objects, so no query is matched and no match can change.",
}
LOSS_NOTES = {
    "given": "The terms of the training loss, computed on this image alone.",
    "pseudo": "Computed with the pseudo truth as objects. Training uses annotated images only.",
    "none": "Computed without objects, so every query counts as background. Training uses annotated images only.",
}

# Loss terms: (title, explanation) by the name of the map.
STRIDE = "the distance between the student's and the teacher's feature map, weighted at each place as this loss does"
TERMS = {
    "class": ("class", "the classification error of all queries"),
    "l1": ("L1", "the distance between matched boxes, in fractions of the image"),
    "giou": ("GIoU", "1 − GIoU of matched boxes"),
    "fgl": ("localisation", "the cross-entropy of each edge's bins with the true distance, weighted by IoU (D-FINE)"),
    "ddf": ("self-distillation", "the divergence of an earlier layer's bins from those of the last layer (D-FINE)"),
    "positive_class": ("positive, class", "the difference between the class scores of student and teacher query"),
    "positive_l1": ("positive, L1", "the distance between the boxes of student and teacher query"),
    "positive_giou": ("positive, GIoU", "1 − GIoU of the boxes of student and teacher query"),
    "negative_l1": ("negative, L1", "the same distance, for teacher queries without an object"),
    "negative_giou": ("negative, GIoU", "the same, for teacher queries without an object"),
}

# Orders of the gallery: (title, explanation).
FOUND = "An object is found by a detection of its class with IoU of at least 0.5 and a score of at least 0.3."
SORTS = {
    "order": ("Order of the data", "the order in which the data set lists its images"),
    "flips": ("Most flips", "how often an object's student query changes from one layer to the next"),
    "cost": ("Highest cost", "the highest cost of a matched student query in the last layer"),
    "loss": ("Largest loss", "the total training loss on this image alone"),
    "disagreement": (
        "Disagreement",
        "the number of detections with a score of at least 0.3 that only one of teacher and student has: what to label next",
    ),
    "missed": ("Most missed", f"the number of objects that the student does not find. {FOUND}"),
    "gained": ("Gained", f"the number of objects that the student finds and the second student does not. {FOUND}"),
    "lost": ("Lost", f"the number of objects that the second student finds and the student does not. {FOUND}"),
}


def cost_part(name: str, line: str = "") -> tuple[str, str]:
    """Title and explanation of a part of a cost; `line` is the kind of pair, whose class cost may be of its own kind."""
    return COST_PARTS.get(f"{line}_{name}") or COST_PARTS.get(name, (name, ""))


def cost_part_order(name: str) -> tuple[int, str]:
    """A key that sorts the parts of a cost: those listed here in their order, then all others by name."""
    known = list(COST_PARTS)
    return (known.index(name) if name in known else len(known)), name


def sort_option(name: str) -> dict:
    """An order of the gallery, as the page's menu takes it."""
    title, says = SORTS[name]
    return {"title": title, "says": says}


def side(name: str) -> tuple[str, str, str]:
    """Title of a side, name of one of its members, and explanation."""
    decoder, title = "teacher" if is_of_teacher(name) else "student", name.replace("_", " ")
    return SIDES.get(
        name, (title.capitalize(), f"{title} query", f"A further group of queries, decoded by the {decoder}")
    )


def is_of_teacher(side_name: str) -> bool:
    """Returns whether the teacher decoded the queries of a side."""
    return side_name == "teacher" or side_name.startswith("teacher_")


def line(name: str) -> tuple[str, str]:
    """Title and explanation of a kind of pair."""
    title = name.replace("_", " ").replace("-", " – ").capitalize()
    return LINES.get(name, (title, "Pairs that this loss compares"))


def match(name: str) -> str:
    """Why a pair of this kind is one."""
    return MATCHES.get(name, "A pair that this loss compares.")


def object_match_title(name: str) -> str:
    """The title of a query's match, before the name of the object."""
    return "Keeps" if name in KEPT else "Matched with"


def query_match_title(side_name: str) -> str:
    """The title of an object's match, before the name of the query."""
    return f"{side(side_name)[0]} match:"


def pair_title(name: str) -> str:
    """The title of a pair of student and teacher query, before the name of the other query."""
    return f"{line(name)[0]} pair with"


def sampling(count: int, drawn: int, drawn_weight: float, inside: float) -> str:
    """The weight of a query's sampling locations inside its box; weights are shares of 1."""
    locations = f"{count} sampling locations"
    if drawn_weight <= 0.9995:
        locations += f"; the {drawn} drawn have {100 * drawn_weight:.0f}% of the weight"
    return f"The predicted box contains {100 * inside:.0f}% of the sampling weight ({locations})."


def candidates(member: str, target: str) -> tuple[str, str]:
    """Title and explanation of a ranking of queries for one object; `member` is the name of one of them."""
    return f"Lowest costs for {target}", f"Weighted, lowest first. Each {member} can have one object."


def pseudo_truth(scores: Sequence[float], count: int) -> str:
    """Which teacher queries are used as objects, given the least score of each class."""
    low, high = min(scores), max(scores)
    least = f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}, by class,"
    return PSEUDO_TRUTH.format(least=least, count=count)


def unmatched(truth: str) -> str:
    """Why a query has no match; `truth` is the kind of truth that the image has."""
    return NO_OBJECTS if truth == "none" else "Without an object in this layer: every class score should be low."


def term(name: str) -> tuple[str, str]:
    """Title and explanation of a loss term, by the name of its map."""
    part, stride, number = name.rpartition("stride")
    if stride:
        return ", ".join(filter(None, (part.strip("_"), f"stride {number}"))), STRIDE
    return TERMS.get(name, (name.replace("_", " "), ""))


def summary(value: object) -> str:
    """The first line of the docstring of the module that defines an object's class."""
    return (sys.modules[type(value).__module__].__doc__ or "").strip().partition("\n")[0]
