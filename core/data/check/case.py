"""What the checks look at: a file, its images, and the file it is compared with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from core.data.check.image_summary import ImageSummary, summarise_images
from core.data.coco.faults import Fault
from core.data.coco.folder import Folder
from core.data.coco.instances import Instances, assemble
from core.data.coco.rules import ONE, faults, ids

Watch = Callable[[Iterable, str, int], Iterable]  # passes things on; is told what is being done, and how many there are


def unwatched(things: Iterable, doing: str, count: int) -> Iterable:
    return things


@dataclass
class Case:
    """What follows from the file is found when first asked for, once."""

    path: Path
    file: dict  # with its lists of images, annotations and categories
    folder: Folder | None = None  # of the images; None: they are not looked at
    against: "Case | None" = None  # another split, which shall share no image
    watch: Watch = unwatched
    looks: dict[tuple, ImageSummary] = field(default_factory=dict)  # by file name and declared size

    @cached_property
    def broken(self) -> tuple[Fault, ...]:
        """What is wrong with records by themselves."""
        return tuple(faults(self.file))

    @cached_property
    def instances(self) -> Instances:
        """Of the records that are not broken, nor belong to one that is, or to one of two with the same id."""
        wrong = {fault.place for fault in self.broken}
        sound = {s: [r for k, r in enumerate(self.file[s]) if (s, k) not in wrong] for s in ONE}
        images, classes = ({r["id"] for r in sound[s]} - self.doubtful(s) for s in ("images", "categories"))
        usable = [a for a in sound["annotations"] if a["image_id"] in images and a["category_id"] in classes]
        return assemble(sound | {"annotations": usable})

    def doubtful(self, section: str) -> set[int]:
        """Ids that several records have."""
        places = [fault.place[1] for fault in self.broken if fault.kind == "twice" and fault.place[0] == section]
        return ids([self.file[section][place] for place in places])

    @cached_property
    def places(self) -> dict[str, dict[int, int]]:
        """Where in its list the first record of each id is."""
        found = {}
        for section in ONE:
            rows = reversed(list(enumerate(self.file[section])))
            found[section] = {r["id"]: k for k, r in rows if type(r) is dict and type(r.get("id")) is int}
        return found

    @cached_property
    def absent(self) -> dict[int, tuple[str, str]]:
        """By the image's row: why there is nothing to look at."""
        named = enumerate(self.instances.names if self.folder else ())
        return {row: fault for row, name in named if (fault := self.folder.fault(name))}

    @cached_property
    def pictures(self) -> dict[int, ImageSummary]:
        """By the image's row, of what is there."""
        if not self.folder:
            return {}
        sizes = map(tuple, self.instances.sizes.tolist())
        keys = {row: key for row, key in enumerate(zip(self.instances.names, sizes)) if row not in self.absent}
        fresh = [key for key in dict.fromkeys(keys.values()) if key not in self.looks]
        seen = summarise_images(self.folder.root, fresh)
        self.looks |= zip(fresh, self.watch(seen, f"looking at the images of {self.path.name}", len(fresh)))
        return {row: self.looks[key] for row, key in keys.items()}

    def of_image(self, kind: str, row: int, text: str) -> Fault:
        id = self.instances.image_ids[row]
        return Fault(kind, f"image {id}", text, ("images", self.places["images"][id]))

    def of_annotation(self, kind: str, row: int, text: str) -> Fault:
        id, image = int(self.instances.ids[row]), self.instances.image_ids[self.instances.image[row]]
        return Fault(kind, f"annotation {id} (image {image})", text, ("annotations", self.places["annotations"][id]))
