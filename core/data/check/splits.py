"""Two splits: that they share no image, and list the same classes."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from core.data.check.case import Case
from core.data.check.image_summary import ImageSummary
from core.data.check.repairs import left_out
from core.data.coco.faults import Fault, brief

ALIKE = 0.998  # correlation of thumbnails: saved anew as JPEG (quality 50 and more) or halved, photos keep it
FLAT = 8.0  # standard deviation, of 255, below which thumbnails show too little to be compared
AT_ONCE = 1024  # thumbnails that are compared at once


def find(case: Case) -> Iterator[Fault]:
    if case.against:
        yield from other_classes(case, case.against)
        shared = dict(in_both(case, case.against))
        for row, text in shared.items():
            yield case.of_image("split", row, text)
        for row, other in alike(case, case.against):
            if row not in shared:
                text = f"looks like {named(case.against, other)}; see whether it was saved anew or resized"
                yield case.of_image("look-alike", row, text)


def other_classes(case: Case, against: Case) -> Iterator[Fault]:
    ours, theirs = ({c.id: c.name for c in each.instances.categories} for each in (case, against))
    for id in sorted(ours.keys() | theirs.keys()):
        if ours.get(id) != theirs.get(id):
            said = ", ".join(
                f"{brief(names[id]) if id in names else 'not'} in {each.path}"
                for names, each in ((ours, case), (theirs, against))
            )
            yield Fault("classes", f"category {id}", f"is {said}; list the same classes in both")


def in_both(case: Case, against: Case) -> Iterator[tuple[int, str]]:
    """Rows whose file, or whose every pixel, is in the other split; in two folders a name alone says nothing."""
    names = {os.path.normpath(name): row for row, name in enumerate(against.instances.names)}
    digests = {look.digest: row for row, look in against.pictures.items() if look.digest}
    by_name = not (case.folder and against.folder) or case.folder.real == against.folder.real
    for row, name in enumerate(case.instances.names):
        look, other = case.pictures.get(row, ImageSummary()), names.get(os.path.normpath(name))
        if other is not None and by_name:
            yield row, f"is {brief(name)}, as {named(against, other)}; keep it in one of the two"
        elif look.digest in digests:
            yield row, f"shows the very picture of {named(against, digests[look.digest])}; keep it in one of the two"


def named(case: Case, row: int) -> str:
    return f"image {case.instances.image_ids[row]} of {case.path}, {brief(case.instances.names[row])}"


def alike(case: Case, against: Case) -> Iterator[tuple[int, int]]:
    """Rows whose thumbnail is nearly that of one of the other split."""
    ours, theirs = thumbnails(case), thumbnails(against)
    if not ours or not theirs:
        return
    rows, values = list(theirs), np.stack([*theirs.values()])
    for some in batched(ours.items(), AT_ONCE):
        similar = np.stack([value for _, value in some]) @ values.T
        for (row, _), best, most in zip(some, similar.argmax(1).tolist(), similar.max(1).tolist()):
            if most >= ALIKE:
                yield row, rows[best]


def thumbnails(case: Case) -> dict[int, Float[ndarray, " d"]]:
    """By row, of images that show something: less their mean, and of length 1."""
    seen = {row: look.thumbnail.reshape(-1).astype(np.float32) for row, look in case.pictures.items() if look.digest}
    shown = {row: value - value.mean() for row, value in seen.items() if value.std() >= FLAT}
    return {row: value / np.linalg.norm(value) for row, value in shown.items()}


def batched(things: Iterable, count: int) -> Iterator[list]:
    things = iter(things)
    while some := list(islice(things, count)):
        yield some


def mend(case: Case) -> Iterator[str]:
    """What only looks alike is for people to judge."""
    if case.against:
        ids = [case.instances.image_ids[row] for row, _ in in_both(case, case.against)]
        yield from left_out(case, "images", ids, f"{case.against.path} has it too")
