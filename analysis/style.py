"""One meaning, one colour, on every figure and page.

From the palette of Okabe and Ito (2008), which people with any common form of colour blindness can tell apart.
"""

TEACHER = "#E69F00"  # orange
STUDENT = "#56B4E9"  # sky blue
TRUTH = "#009E73"  # bluish green
MATCH = "#CC79A7"  # reddish purple: the line between two that were matched

COLOURS = {"teacher": TEACHER, "student": STUDENT, "truth": TRUTH, "match": MATCH}
