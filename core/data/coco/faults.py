"""The kinds of faults that a COCO dataset can have, and the record of one fault."""

from dataclasses import dataclass
from reprlib import Repr

KINDS = {
    "record": "a record is not a JSON object, or its id is not a whole number",
    "field": "a field is missing, or its value has the wrong type",
    "twice": "two records have the same id, or two classes the same name",
    "unknown": "an annotation names an image or a class that the file does not have",
    "box": "a bbox is not four numbers, or has NaN or a negative size",
    "convention": "boxes look like corners, centres or fractions, not [x, y, width, height] in pixels",
    "empty-box": "a box has no area, so there is nothing to learn from it",
    "outside": "a box extends more than a pixel beyond its image",
    "same-box": "two annotations have the same image, class and box",
    "empty-class": "a class has no boxes",
    "spelling": "two class names differ only in case, spaces, hyphens or underscores",
    "path": "a file_name is absolute, or leads out of the folder of images through .. or a link",
    "same-file": "two image records name the same file",
    "missing": "an image file does not exist",
    "unreadable": "an image file cannot be read",
    "size": "an image does not have its declared size",
    "same-picture": "two image files have the same pixels",
    "unused-image": "an image has no boxes",
    "unused-file": "a file in the folder of images is not named by any record",
    "split": "an image is in both splits",
    "look-alike": "an image looks like one of the other split, as if it had been compressed again or resized",
    "classes": "the two splits list different classes",
}
NOTICES = ("same-picture", "unused-image", "unused-file")  # reported, but no reason not to train


@dataclass(frozen=True)
class Fault:
    """One fault of an instances file, with its fix. `str(fault)` is a sentence of the record and the text."""

    kind: str  # one of KINDS
    record: str  # for example "annotation 17 (image 4)"
    text: str  # for example "has no bbox; it must be [x, y, width, height]"
    place: tuple[str, int] | None = None  # the file's list and the index in it; None: the fault is of the whole file

    def __str__(self) -> str:
        return f"{self.record} {self.text}"


QUOTE = Repr()
QUOTE.maxstring = QUOTE.maxother = 100


def quoted(value: object) -> str:
    """The repr of a value of the file, shortened to fit a line, and without control characters."""
    return QUOTE.repr(value)
