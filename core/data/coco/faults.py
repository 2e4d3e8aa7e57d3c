"""What can be wrong with a dataset, by name."""

from dataclasses import dataclass
from reprlib import Repr

KINDS = {
    "record": "is no object, or has no whole number for an id",
    "field": "a field is missing or of another kind than it must be",
    "twice": "an id or a class name is given twice",
    "unknown": "an annotation names an image or a class that is not there",
    "box": "a box is not four numbers, or has NaN or a negative size",
    "convention": "boxes look like corners, centres or fractions, not [x, y, width, height] in pixels",
    "empty-box": "a box without an area: nothing to learn",
    "outside": "a box leaves its image by more than a pixel",
    "same-box": "one object is annotated twice",
    "empty-class": "a class without a box",
    "spelling": "two classes of one name but for case, spaces and the like",
    "path": "a file name is absolute or climbs out of the folder of images, or leads out of it through a link",
    "same-file": "two records of images name one file",
    "missing": "an image's file is not there",
    "unreadable": "an image's file cannot be read",
    "size": "an image is not of its declared size",
    "same-picture": "two files hold one picture",
    "unused-image": "an image without a box",
    "unused-file": "a file beside the images that no record names",
    "split": "an image is also in the file compared with",
    "look-alike": "an image looks like one of the file compared with, as if saved anew or resized",
    "classes": "the file compared with lists other classes",
}
NOTICES = ("same-picture", "unused-image", "unused-file")  # worth knowing, and no reason to stop


@dataclass(frozen=True)
class Fault:
    """What is wrong with one record of an instances file, and what to do about it."""

    kind: str  # one of KINDS
    record: str  # as in "annotation 17 (image 4)"
    text: str  # as in "has no bbox; it must be [x, y, width, height]"
    place: tuple[str, int] | None = None  # which list of the file, and where in it; None: the file as a whole

    def __str__(self) -> str:
        return f"{self.record} {self.text}"


QUOTE = Repr()
QUOTE.maxstring = QUOTE.maxother = 100


def brief(value) -> str:
    """A value of a file as it stands there, cut to what a line can hold, without control characters."""
    return QUOTE.repr(value)
