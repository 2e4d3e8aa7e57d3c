"""The dataset Coco: a folder of images with a COCO instances file."""

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from core.data.category import Category
from core.data.coco.folder import ImageFolder, find_split
from core.data.coco.instances import read_instances
from core.data.decode import decode
from core.data.sample import Sample
from core.errors import UserError


class Coco:
    """The images of an instances file, with the objects to learn from. Ids may be any whole numbers; labels count classes by id.

    Crowd regions and empty boxes are in `truth`, but are not objects of a sample. Images without objects are kept.
    All records of the file are checked when it is opened, and that every image file exists; an image is decoded when it is read.
    """

    def __init__(self, annotations: Path, images: Path | None = None, limit: int | None = None, *, split: str = "val"):
        """Reads an instances file, or the `split` of a folder or data.yaml in one of the layouts of `core.data.layouts`.

        `images` is by default the folder of `default_images`, or the layout's. With `limit`, only the first images are used.

        UserError: the limit, a record or the folder is wrong, or an image file does not exist.
        """
        if limit is not None and limit < 1:
            raise UserError(f"the limit of images is {limit}; it must be at least 1")
        source = find_split(Path(annotations), split)
        self.path, self.folder = source.path, source.images if images is None else Path(images)
        self.name = source.name  # for messages
        self.instances = read_instances(self.path, self.folder, source.file)
        self.categories = self.instances.categories
        self.ids = self.instances.image_ids[:limit]
        self.sizes = self.instances.sizes[:limit]
        self.check_files()

    def check_files(self) -> None:
        """UserError: the file of an image does not exist, or is not inside the folder."""
        folder, names = ImageFolder(self.folder), self.instances.names[: len(self)]
        faults = [(id, fault[1]) for id, name in zip(self.ids, names) if (fault := folder.fault(name))]
        if faults:
            total = f" ({len(faults)} of {len(names)} are missing)" if len(faults) > 1 else ""
            raise UserError(f"{self.path}: image {faults[0][0]} {faults[0][1]}{total}")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        """UserError: the image cannot be read, or is not of its declared size."""
        height, width = self.instances.sizes[index].tolist()
        try:
            pixels = read_image(self.folder / self.instances.names[index], (height, width))
        except UserError as error:
            raise UserError(f"{self.path}: image {self.ids[index]}: {error}") from None
        return Sample(pixels, *self.objects(index), self.ids[index], (height, width))

    def objects(self, index: int) -> tuple[Float[Tensor, "t 4"], Int[Tensor, " t"]]:
        """Boxes (x0, y0, x1, y1) clipped to the image, and labels, of the objects to learn from."""
        rows = self.instances.rows_of(index)
        height, width = self.instances.sizes[index]
        x, y, w, h = self.instances.boxes[rows].T
        boxes = np.stack([x, y, x + w, y + h], axis=1).clip(0, [width, height, width, height])
        keep = (boxes[:, 2:] > boxes[:, :2]).all(1) & ~self.instances.crowd[rows]
        return torch.from_numpy(boxes[keep]).float(), torch.from_numpy(self.instances.label[rows][keep])

    def relabelled(self, categories: tuple[Category, ...], known: str) -> "Coco":
        """The same images with the labels and class ids of `categories`, which are matched by name.

        Classes without an annotation may be missing there. UserError: another one is; `known` says whose classes they are.
        """
        labels = {category.name: label for label, category in enumerate(categories)}
        used = set(self.instances.label.tolist())
        foreign = [c.name for label, c in enumerate(self.categories) if c.name not in labels and label in used]
        if foreign:
            raise UserError(
                f"{known} knows the classes {', '.join(labels)}, but {self.path} has {', '.join(foreign)} too; give data with "
                "the same classes"
            )
        new = copy(self)
        table = np.array([labels.get(c.name, -1) for c in self.categories], dtype=np.int64)
        new.categories, note = categories, self.instances.note
        if self.categories != categories:
            text = "its classes are matched by name, as their ids differ or some are missing"
            note = f"{note}; {text}" if note else text
        new.instances = replace(self.instances, label=table[self.instances.label], categories=categories, note=note)
        return new

    def truth(self) -> dict:
        """The records of the images in use, with ids, boxes and areas as in the file."""
        file = self.instances
        images = [
            {"id": id, "file_name": name, "height": height, "width": width}
            for id, name, (height, width) in zip(self.ids, file.names, file.sizes.tolist())
        ]
        last = file.rows_of(len(self) - 1).stop
        columns = (file.ids, file.image, file.label, file.boxes, file.areas, file.crowd.astype(int))
        rows = zip(*(column[:last].tolist() for column in columns))
        return {
            "images": images,
            "annotations": [self.annotation(*row) for row in rows],
            "categories": [vars(c) for c in self.categories],
        }

    def annotation(self, id: int, image: int, label: int, box: list[float], area: float, crowd: int) -> dict:
        """The record of an annotation, whose image and class are given by their indices."""
        return {
            "id": id,
            "image_id": self.ids[image],
            "category_id": self.categories[label].id,
            "bbox": box,
            "area": area,
            "iscrowd": crowd,
        }


def read_image(path: Path, size: tuple[int, int] | None = None) -> UInt8[Tensor, "3 h w"]:
    """The image as upright 8-bit RGB, of the declared (height, width) `size` if that is given. UserError: see `decode`."""
    return rearrange(torch.from_numpy(decode(path, size)), "h w c -> c h w").contiguous()
