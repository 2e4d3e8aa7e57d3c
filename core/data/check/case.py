"""Case: an instances file in memory with its folder of images, and all that the checks derive from both."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from core.data.check.image_summary import ImageSummary, summarise_images
from core.data.coco.faults import Fault
from core.data.coco.folder import ImageFolder
from core.data.coco.instances import Instances, assemble
from core.data.coco.rules import SINGULAR, find_faults, valid_ids

# Passes the items on, and may show progress: (items, what is being done, number of items).
Progress = Callable[[Iterable, str, int], Iterable]


def no_progress(items: Iterable, doing: str, count: int) -> Iterable:
    """The items, without showing progress."""
    return items


@dataclass
class Case:
    """A file to be checked. Properties are computed when first asked for, and cached; `replace(case)` gives a case without them.

    A row of an image or an annotation is its index in the arrays of `instances`; an index in a list of `file` is called position.
    """

    path: Path
    file: dict  # with its lists of images, annotations and categories; repairs change it
    folder: ImageFolder | None = None  # None: images are not checked
    against: "Case | None" = None  # the other split, which must not share an image with this one
    progress: Progress = no_progress
    name: str = ""  # of the file or of the split of a folder, for messages
    note: str = ""  # what was read otherwise than it is written, see `corrections.correct`
    summary_cache: dict[tuple, ImageSummary] = field(default_factory=dict)  # by file name and declared size

    @cached_property
    def record_faults(self) -> tuple[Fault, ...]:
        """The faults of records by themselves; such records are called broken."""
        return tuple(find_faults(self.file))

    @cached_property
    def instances(self) -> Instances:
        """The sound records: not broken, and without a reference to a broken record or to an id that is given twice."""
        wrong = {fault.place for fault in self.record_faults}
        sound = {s: [r for k, r in enumerate(self.file[s]) if (s, k) not in wrong] for s in SINGULAR}
        images, classes = ({r["id"] for r in sound[s]} - self.ambiguous_ids(s) for s in ("images", "categories"))
        usable = [a for a in sound["annotations"] if a["image_id"] in images and a["category_id"] in classes]
        return assemble(sound | {"annotations": usable})

    def ambiguous_ids(self, section: str) -> set[int]:
        """The ids that several records of a list have."""
        places = [fault.place for fault in self.record_faults if fault.kind == "twice"]
        return valid_ids([self.file[section][place[1]] for place in places if place and place[0] == section])

    @cached_property
    def positions(self) -> dict[str, dict[int, int]]:
        """The position of the first record with each id, for each list of the file."""
        positions = {}
        for section in SINGULAR:
            records = reversed(list(enumerate(self.file[section])))
            positions[section] = {r["id"]: k for k, r in records if type(r) is dict and type(r.get("id")) is int}
        return positions

    @cached_property
    def missing_files(self) -> dict[int, tuple[str, str]]:
        """The kind and the text of the fault of each image without a usable file, by the image's row."""
        folder = self.folder
        if not folder:
            return {}
        return {row: fault for row, name in enumerate(self.instances.names) if (fault := folder.fault(name))}

    @cached_property
    def summaries(self) -> dict[int, ImageSummary]:
        """The summaries of all images that have a file, by the image's row. Decodes each image once for all checks."""
        if not self.folder:
            return {}
        sizes = map(tuple, self.instances.sizes.tolist())
        keys = {row: key for row, key in enumerate(zip(self.instances.names, sizes)) if row not in self.missing_files}
        new = [key for key in dict.fromkeys(keys.values()) if key not in self.summary_cache]
        summaries = summarise_images(self.folder.root, new)
        self.summary_cache |= zip(new, self.progress(summaries, f"reading the images of {self.path.name}", len(new)))
        return {row: self.summary_cache[key] for row, key in keys.items()}

    def image_fault(self, kind: str, row: int, text: str) -> Fault:
        """A fault of the image in this row."""
        id = self.instances.image_ids[row]
        return Fault(kind, f"image {id}", text, ("images", self.positions["images"][id]))

    def annotation_fault(self, kind: str, row: int, text: str) -> Fault:
        """A fault of the annotation in this row."""
        id, image = int(self.instances.ids[row]), self.instances.image_ids[self.instances.image[row]]
        place = ("annotations", self.positions["annotations"][id])
        return Fault(kind, f"annotation {id} (image {image})", text, place)
