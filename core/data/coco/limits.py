"""Compares the limits of a training with the data: queries with objects, image size with boxes, classes with examples.

Imports no torch, so that `python -m train check` starts quickly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from core.data.coco.faults import quoted
from core.data.coco.instances import Instances

QUERIES = (30, 50, 100, 200, 300, 500, 900)  # numbers of queries that are suggested
TINY = 16  # pixels of a box's side (the root of its area) under which small detectors hardly find it
MOST_TINY = 0.5  # share of a class's boxes: with more tiny ones the class is reported
FIT_SHARE = 0.9  # of the boxes of such a class that are not tiny at the suggested size
MULTIPLE = 32  # pixels: suggested sizes are multiples of the coarsest usual stride
LARGEST = 1333  # pixels: no longer side is suggested
MAX_DETECTIONS = 100  # in an image: COCO's AP counts no more
NAMED = 5  # classes that a sentence names


@dataclass(frozen=True)
class Settings:
    """The settings of a training that the data may exceed."""

    queries: int
    short: int | None  # short side of evaluated images in pixels, see `Augment.eval_short`; None: as they are
    longest: int  # limit of their long side
    stride: int  # finest of the detector, in pixels
    square: bool = False  # whether images are resized to squares, of side `short`


RECIPES = Settings(queries=30, short=144, longest=192, stride=4)  # of the recipes `coco*`, for files without a run


def run_settings(run: dict) -> Settings:
    """The settings of a run, given as its card has it."""
    student, augment = run["student"]["config"], run["data"]["augment"]
    longest, square = augment["longest"], augment.get("square", False)
    short = augment.get("eval_size") or max(augment["sizes"], default=None)
    short = min(short, longest) if short and square else short
    return Settings(student["queries"], short, longest, min(student["strides"], default=1), square)


@dataclass(frozen=True)
class Exceeded:
    """One limit that the data exceeds."""

    kind: str  # objects, queries, tiny, class, area or detections
    text: str  # what is the matter, in numbers
    setting: str  # what to set or to do

    @property
    def severe(self) -> bool:
        """Returns whether training as it is would learn nothing of some objects."""
        return self.kind in ("objects", "queries", "tiny")

    def __str__(self) -> str:
        return f"{self.text}; {self.setting}"


@dataclass
class Objects:
    """The objects of a file: its boxes that are neither crowd regions nor without area, clipped to their images."""

    instances: Instances

    @cached_property
    def clipped(self) -> Float[ndarray, "a 2"]:
        """Width and height of every box, of what lies in its image."""
        sizes = self.instances.sizes[self.instances.image][:, ::-1]
        x, size = self.instances.boxes[:, :2], self.instances.boxes[:, 2:]
        return (x + size).clip(0, sizes) - x.clip(0, sizes)

    @cached_property
    def learnt(self) -> Bool[ndarray, " a"]:
        """The annotations that are learnt."""
        return (self.clipped > 0).all(1) & ~self.instances.crowd

    @cached_property
    def dropped(self) -> int:
        """The number of boxes without an area in their image."""
        return int((~self.learnt & ~self.instances.crowd).sum())

    @cached_property
    def counts(self) -> ndarray:
        """The number of objects of each image."""
        return np.bincount(self.instances.image[self.learnt], minlength=len(self.instances.image_ids))

    def sides(self, settings: Settings) -> Float[ndarray, " a"]:
        """The root of the area of each object's box, at the size at which the image is trained."""
        scale = scales(self.instances.sizes, settings)[self.instances.image]
        return (np.sqrt(self.clipped.prod(1)) * scale)[self.learnt]


def scales(sizes: ndarray, settings: Settings) -> ndarray:
    """The factor by which each image, given by (height, width), is resized; for a square, that of the root of an area."""
    if settings.square:
        return trained_sizes(sizes, settings)[:, 0] / np.sqrt(sizes.prod(1))
    low, high = sizes.min(1), sizes.max(1)
    return np.minimum(1.0 if settings.short is None else settings.short / low, settings.longest / high)


def trained_sizes(sizes: ndarray, settings: Settings) -> ndarray:
    """(height, width) of images as they are trained, but for rounding; see `transforms.resize`."""
    if not settings.square:
        return sizes * scales(sizes, settings)[:, None]
    sides = sizes.max(1) if settings.short is None else np.full(len(sizes), settings.short)
    return np.minimum(sides, settings.longest)[:, None].repeat(2, axis=1)


def exceeded(
    name: str, instances: Instances, settings: Settings, *, training: bool = True, measured: bool = True
) -> Iterator[Exceeded]:
    """The limits that a file exceeds, the most important first. `name` is the file's, for the sentences.

    `training` and `measured` say whether it holds training images, and images on which AP is measured.
    """
    objects = Objects(instances)
    if not objects.learnt.any():
        crowd = f", only {instances.crowd.sum()} crowd regions" if instances.crowd.any() else ""
        yield Exceeded("objects", f"{name} has no object{crowd}", "nothing can be learnt or measured; annotate some")
        return
    if training:
        yield from too_few_queries(name, objects, settings)
        yield from tiny_boxes(name, objects, settings)
    yield from empty_classes(name, objects, training)
    if objects.dropped:
        text = f"{objects.dropped} of {len(instances.ids)} boxes of {name} have no area in their image and are left out"
        yield Exceeded("area", text, "see python -m train check")
    if (most := int(objects.counts.max())) > MAX_DETECTIONS and measured:
        text = f"an image of {name} has {most} objects, but AP counts the {MAX_DETECTIONS} best boxes of an image"
        yield Exceeded("detections", text, "cut the images into parts, or expect a lower AP")


def too_few_queries(name: str, objects: Objects, settings: Settings) -> Iterator[Exceeded]:
    """Images with more objects than the detector has queries."""
    more = int((objects.counts > settings.queries).sum())
    if more:
        text = (
            f"{more} of {len(objects.counts)} images of {name} have more objects, up to {objects.counts.max()}, than the "
            f"{settings.queries} queries"
        )
        yield Exceeded("queries", text, f"set --student.queries {suggested_queries(objects)}")


def suggested_queries(objects: Objects) -> int:
    """A number of queries above the number of objects in every image, with some to spare."""
    most = int(np.ceil(1.1 * objects.counts.max(initial=0)))
    return next((n for n in QUERIES if n >= most), -(-most // 100) * 100)


def tiny_boxes(name: str, objects: Objects, settings: Settings) -> Iterator[Exceeded]:
    """Classes most of whose boxes are too small at the size of training."""
    shares = tiny_shares(objects, settings)
    if not shares:
        return
    listed = ", ".join(f"{share:.0%} of {quoted(class_)}" for class_, share in list(shares.items())[:NAMED])
    more = f" and {len(shares) - NAMED} more classes" if len(shares) > NAMED else ""
    side = tiny_side(settings)
    text = f"boxes of {name} are under {side} pixels when images are trained at {size_text(settings)}: {listed}{more}"
    short, longest = suggested_size(objects, settings)
    yield Exceeded("tiny", text, f"set --data.augment.sizes {short} --data.augment.longest {longest}")


def size_text(settings: Settings) -> str:
    """The size of trained images in words."""
    if settings.square:
        return f"squares of {f'{settings.short} pixels' if settings.short else 'their longer side'}"
    return f"{settings.short} to {settings.longest} pixels" if settings.short else "their own size"


def tiny_side(settings: Settings) -> int:
    """The side in pixels under which a box is too small for the detector."""
    return max(TINY, settings.stride)


def tiny_shares(objects: Objects, settings: Settings) -> dict[str, float]:
    """The share of tiny boxes of each class that has mostly such, by name."""
    sides, labels = objects.sides(settings), objects.instances.label[objects.learnt]
    shares = {
        category.name: float((sides[labels == k] < tiny_side(settings)).mean())
        for k, category in enumerate(objects.instances.categories)
        if (labels == k).any()
    }
    return {name: share for name, share in shares.items() if share > MOST_TINY}


def suggested_size(objects: Objects, settings: Settings) -> tuple[int, int]:
    """A short side and a limit of the long side at which most boxes of every class are not tiny; of squares both are the side."""
    tiny, labels = tiny_shares(objects, settings), objects.instances.label[objects.learnt]
    sides = objects.sides(settings)
    factor = max(
        (
            tiny_side(settings) / np.quantile(sides[labels == k], 1 - FIT_SHARE)
            for k, category in enumerate(objects.instances.categories)
            if category.name in tiny
        ),
        default=1.0,
    )
    sizes = trained_sizes(objects.instances.sizes, settings)
    low, high = np.median(sizes.min(1)), np.median(sizes.max(1))
    factor = min(factor, LARGEST / high)
    short, longest = (int(np.ceil(side * factor / MULTIPLE)) * MULTIPLE for side in (low, high))
    return short, max(min(longest, LARGEST), short)


def empty_classes(name: str, objects: Objects, training: bool) -> Iterator[Exceeded]:
    """Classes without an object, in one sentence."""
    instances = objects.instances
    counts = np.bincount(instances.label[objects.learnt], minlength=len(instances.categories))
    empty = [quoted(c.name) for c, count in zip(instances.categories, counts) if count == 0]
    if empty:
        more = f" and {len(empty) - NAMED} more" if len(empty) > NAMED else ""
        text = f"{name} has no object of {'class' if len(empty) == 1 else 'classes'} {', '.join(empty[:NAMED])}{more}"
        result = "nothing is learnt of them; add examples" if training else "their AP is not measured; add examples"
        yield Exceeded("class", text, result)
