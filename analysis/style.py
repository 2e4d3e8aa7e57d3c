"""One meaning, one colour, on every figure and page.

From the palette of Okabe and Ito (2008), which people with any common form of colour blindness can tell apart.
"""

TEACHER = "#E69F00"  # orange
STUDENT = "#56B4E9"  # sky blue
DISTILLED = "#0072B2"  # blue: the student that had a teacher, where it stands beside the one that had none
TRUTH = "#009E73"  # bluish green
MATCH = "#CC79A7"  # reddish purple: the line between two that were matched

COLOURS = {"teacher": TEACHER, "student": STUDENT, "truth": TRUTH, "match": MATCH}

PAGE = (6.9, 2.6)  # inches: the width of a page of two columns
