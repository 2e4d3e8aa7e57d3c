"""Checks two splits against each other: they must share no image, and list the same classes."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from core.data.check.case import Case
from core.data.check.image_summary import ImageSummary
from core.data.check.repairs import remove
from core.data.coco.faults import Fault, quoted

ALIKE = 0.998  # correlation of thumbnails: photos keep it if saved as JPEG of quality 50 or more, or halved in size
FLAT = 8.0  # standard deviation, of 255, below which thumbnails show too little to be compared
AT_ONCE = 1024  # thumbnails that are compared at once, which limits the memory


def find(case: Case) -> Iterator[Fault]:
    """Classes that differ, and images that are in both splits or look alike. Nothing, if there is no other split."""
    if case.against:
        yield from class_differences(case, case.against)
        shared = dict(shared_images(case, case.against))
        for row, text in shared.items():
            yield case.image_fault("split", row, text)
        for row, other in similar_images(case, case.against):
            if row not in shared:
                name = image_name(case.against, other)
                text = f"looks like {name}; see whether one is a compressed or resized copy of the other"
                yield case.image_fault("look-alike", row, text)


def class_differences(case: Case, against: Case) -> Iterator[Fault]:
    """Class ids that have another name in the other split, or are in one of the two only."""
    own, other = ({c.id: c.name for c in split.instances.categories} for split in (case, against))
    for id in sorted(own.keys() | other.keys()):
        if own.get(id) != other.get(id):
            both = ", ".join(
                f"{quoted(names[id]) if id in names else 'not'} in {split.path}"
                for names, split in ((own, case), (other, against))
            )
            yield Fault("classes", f"category {id}", f"is {both}; list the same classes in both")


def shared_images(case: Case, against: Case) -> Iterator[tuple[int, str]]:
    """The rows of images whose file, or all of whose pixels, the other split has too, each with the text of the fault.

    Equal file names mean something only if both splits have the same folder of images, or one has none.
    """
    names = {os.path.normpath(name): row for row, name in enumerate(against.instances.names)}
    digests = {summary.digest: row for row, summary in against.summaries.items() if summary.digest}
    by_name = not (case.folder and against.folder) or case.folder.real == against.folder.real
    for row, name in enumerate(case.instances.names):
        summary, other = case.summaries.get(row, ImageSummary()), names.get(os.path.normpath(name))
        if other is not None and by_name:
            yield row, f"is {quoted(name)}, as {image_name(against, other)}; keep it in one of the two"
        elif summary.digest in digests:
            other_name = image_name(against, digests[summary.digest])
            yield row, f"has the same pixels as {other_name}; keep it in one of the two"


def image_name(case: Case, row: int) -> str:
    """The image's id, instances file and file name, for a sentence."""
    return f"image {case.instances.image_ids[row]} of {case.path}, {quoted(case.instances.names[row])}"


def similar_images(case: Case, against: Case) -> Iterator[tuple[int, int]]:
    """The rows of images whose thumbnail is nearly that of an image of the other split, each with that image's row."""
    own, other = normalised_thumbnails(case), normalised_thumbnails(against)
    if not own or not other:
        return
    other_rows, values = list(other), np.stack([*other.values()])
    for chunk in chunks(own.items(), AT_ONCE):
        similarity = np.stack([value for _, value in chunk]) @ values.T
        for (row, _), best, value in zip(chunk, similarity.argmax(1).tolist(), similarity.max(1).tolist()):
            if value >= ALIKE:
                yield row, other_rows[best]


def normalised_thumbnails(case: Case) -> dict[int, Float[ndarray, " d"]]:
    """Thumbnails with mean 0 and length 1, whose products are correlations, by the image's row. Flat images are left out."""
    thumbnails = {
        row: summary.thumbnail.reshape(-1).astype(np.float32)
        for row, summary in case.summaries.items()
        if summary.thumbnail is not None
    }
    centred = {row: value - value.mean() for row, value in thumbnails.items() if value.std() >= FLAT}
    return {row: value / np.linalg.norm(value) for row, value in centred.items()}


def chunks(items: Iterable, count: int) -> Iterator[list]:
    """The items in lists of `count`; the last may be shorter."""
    items = iter(items)
    while chunk := list(islice(items, count)):
        yield chunk


def repair(case: Case) -> Iterator[str]:
    """Removes the images that the other split has too. Whether images that look alike are the same is for people to judge."""
    if case.against:
        ids = [case.instances.image_ids[row] for row, _ in shared_images(case, case.against)]
        yield from remove(case, "images", ids, f"they are in {case.against.path} too")
