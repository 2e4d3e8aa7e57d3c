"""What the page says about a cost, a line or a term of the loss: one plain sentence each.

A loss that is not listed here is shown all the same, under its own name and the first line of its own docstring.
"""

import sys

PARTS = {
    "class": ("Class", "low when the query is sure of the right class"),
    "positive_class": ("Class", "low when the class scores are those of the teacher query"),
    "l1": ("L1", "distance of the boxes' coordinates, in fractions of the image"),
    "giou": ("GIoU", "−1 when the boxes coincide, up to +1 when far apart"),
}

SIDES = {
    "student": ("Student", "student query", "Boxes of the student, the network that is trained"),
    "teacher": ("Teacher", "teacher query", "Boxes of the teacher, the trained network that the student learns from"),
    "truth": ("Truth", "object", "The annotated objects"),
    "pseudo": ("Pseudo truth", "pseudo object", "Teacher queries of the last layer that stand in for the truth"),
    "prior": ("Prior", "prior query", "The teacher's queries, decoded by the student"),
    "other": ("Second", "query of the second", "Boxes of the second student, another run on the same image"),
}

LINES = {
    "student-truth": ("Student – truth", "Which student query answers for which object in this layer"),
    "teacher-truth": ("Teacher – truth", "Which teacher query answers for which object in this layer"),
    "other-truth": ("Second – truth", "Which query of the second student answers for which object in this layer"),
    "positive": ("Positive", "Teacher queries that answer for an object, each with the student query that imitates it"),
    "negative": ("Negative", "All other teacher queries, each with the leftover student query that imitates its box"),
    "prior-truth": (
        "Prior – truth",
        "Teacher queries, decoded by the student, with the objects they had in the teacher",
    ),
}

BEST = "One query for each object, so that the sum of all costs in this layer is least."
MATCHED = ("student", "teacher", "other")  # sides whose queries meet the truth anew
MATCHES = {
    "student-truth": BEST,
    "teacher-truth": BEST,
    "other-truth": BEST,
    "positive": "A teacher query with an object, and the student query that is to say the same: classes and box.",
    "negative": "A teacher query without an object, and a student query left over: matched by their boxes alone.",
    "prior-truth": "Not matched anew: the teacher's query keeps the object it had in the teacher, at this cost here.",
}

CHOICES = (
    "Its cost for each object",
    "Weighted, cheapest first. The match is the best for all queries together, so it need not be the cheapest one.",
)
STAND_IN = "A teacher query that stands in for the truth, which this image does not have."
ALONE = "This run has no teacher: it learnt from the truth alone, so there are no teacher boxes and no pairs with them."

WEIGHTS = {
    "naive": ("Naive", "the mean of all masks: a good query counts as much as a poor one", "W = ( 1/M Σ ψᵢ )²,  Eq. 7"),
    "each": ("By quality", "each mask counts by its query's quality", "W = 1/M Σ qᵢ ψᵢ²,  Eq. 9"),
    "merged": (
        "The release",
        "what the paper's code does: masks summed first, by score × best IoU of the best 100",
        "W = m²,  m = max(Σ qₙ aₙ, 0.01) / max",
    ),
}
NO_STABILITY = {
    "pseudo": "Objects are pseudo truth here: what the teacher is sure of.",
    "none": "Without truth nothing is matched, so nothing can flip.",
}

OVERVIEW = "Who answers for what", "The query that each object is matched with in this layer, and the cost of the pair."
UNTOLD = "This detector does not tell where its queries read."
NO_OVERVIEW = "Without truth, no query answers for an object."
LOSS = {
    "given": "The terms of the step that trains, replayed on this image alone.",
    "pseudo": "As if the pseudo truth were the truth; training sees no such image.",
    "none": "Without truth every query counts as background; training sees no such image.",
}

STRIDE = "how far the student's feature map is from the teacher's, place by place, as this loss weighs places"
TERMS = {
    "class": ("class", "how wrong the class scores of all queries are"),
    "l1": ("L1", "how far the boxes of matched queries are off, in fractions of the image"),
    "giou": ("GIoU", "how little matched boxes overlap: 1 − GIoU"),
    "positive_class": ("positive, class", "how far the student's class scores are from the teacher query's"),
    "positive_l1": ("positive, L1", "how far the student's box is from the teacher query's"),
    "positive_giou": ("positive, GIoU", "how little the two boxes overlap: 1 − GIoU"),
    "negative_l1": ("negative, L1", "the same for teacher queries without an object"),
    "negative_giou": ("negative, GIoU", "the same for teacher queries without an object"),
}


def part(name: str, line: str = "") -> tuple[str, str]:
    """Of a cost; in a pair with a teacher query the class part compares all scores, not one with a right class."""
    return PARTS.get(f"{line}_{name}") or PARTS.get(name, (name, ""))


SORTS = {
    "order": ("Order of the data", "as the data lists them"),
    "flips": ("Most flips", "how often an object changes its student query from one layer to the next"),
    "cost": ("Worst match", "the cost of the dearest match of a student query in the last layer"),
    "loss": ("Largest loss", "the total of the training step on this image alone"),
    "missed": ("Most missed", "objects that the student does not find: at IoU 0.5, with a score of 0.3 or more"),
    "gained": ("Gained", "objects that the student finds and the second student does not"),
    "lost": ("Lost", "objects that the second student finds and the student does not"),
}


def sort(name: str) -> dict:
    title, says = SORTS[name]
    return {"title": title, "says": says}


def order(part: str) -> tuple[int, str]:
    """Of the parts of a cost."""
    known = list(PARTS)
    return (known.index(part) if part in known else len(known)), part


def side(name: str) -> tuple[str, str, str]:
    """Title, one of its members, and what it is."""
    return SIDES.get(name, (name.capitalize(), f"{name} query", "A further group of queries, decoded by the student"))


def line(name: str) -> tuple[str, str]:
    title = name.replace("_", " ").replace("-", " – ").capitalize()
    return LINES.get(name, (title, "Pairs that this loss compares"))


def match(name: str) -> str:
    return MATCHES.get(name, "A pair that this loss compares.")


def match_title(line: str) -> str:
    return "Keeps" if line == "prior-truth" else "Answers for"


def pair(name: str) -> str:
    return f"{line(name)[0]} pair with"


def answers(name: str) -> str:
    return f"{side(name)[0]} answers with"


def reading(places: int, kept: float, inside: float) -> str:
    drawn = "" if kept > 0.9995 else f", of which the weightiest are drawn ({100 * kept:.0f}% of the weight)"
    return f"Reads the image at {places} places{drawn}: {100 * inside:.0f}% of the weight lies in the box that it makes of them."


def rivals(one: str, thing: str) -> tuple[str, str]:
    return f"Who else wanted {thing}", f"The cheapest for it in this layer, weighted. Each {one} can have one object."


def unmatched(name: str, truth: str) -> str:
    if truth == "none":
        return "This image has no truth, so no query answers for an object."
    return f"Answers for no object in this layer: this {side(name)[1]} is to be sure of nothing."


def term(name: str) -> tuple[str, str]:
    part, stride, of = name.rpartition("stride")
    if stride:
        return ", ".join(filter(None, (part.strip("_"), f"stride {of}"))), STRIDE
    return TERMS.get(name, (name.replace("_", " "), ""))


def about(thing: object) -> str:
    """The first line of the docstring of the module that a thing's class is from."""
    return (sys.modules[type(thing).__module__].__doc__ or "").strip().partition("\n")[0]
