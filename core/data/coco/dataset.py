"""Coco: a folder of images with a COCO instances file."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from core.data.coco.decode import decode
from core.data.coco.folder import Folder, images_of
from core.data.coco.instances import read_instances
from core.data.sample import Sample
from core.errors import UserError


class Coco:
    """Category and image ids may be any whole numbers; labels count the categories by id.

    Crowd regions and empty boxes are in `truth` but are no objects to learn; images without objects are kept.
    The annotation file is checked whole, and every image must be there; whether it can be read shows when it is.
    """

    def __init__(self, annotations: Path, images: Path | None = None, limit: int | None = None):
        """`images` is by default the folder that `images_of` finds; `limit` takes the first images."""
        if limit is not None and limit < 1:
            raise UserError(f"the limit of images is {limit}; it must be at least 1")
        self.path = Path(annotations)
        self.folder = images_of(self.path) if images is None else Path(images)
        self.instances = read_instances(self.path)
        self.categories = self.instances.categories
        self.ids = self.instances.image_ids[:limit]
        self.sizes = self.instances.sizes[:limit]
        self.check_files()

    def check_files(self) -> None:
        folder, names = Folder(self.folder), self.instances.names[: len(self)]
        faults = [(id, fault[1]) for id, name in zip(self.ids, names) if (fault := folder.fault(name))]
        if faults:
            more = f" ({len(faults)} of {len(names)} are missing)" if len(faults) > 1 else ""
            raise UserError(f"{self.path}: image {faults[0][0]} {faults[0][1]}{more}")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        """UserError: the image cannot be read, or is not of its declared size."""
        size = tuple(self.instances.sizes[index].tolist())
        try:
            pixels = read_image(self.folder / self.instances.names[index], size)
        except UserError as error:
            raise UserError(f"{self.path}: image {self.ids[index]}: {error}") from None
        return Sample(pixels, *self.objects(index), self.ids[index], size)

    def objects(self, index: int) -> tuple[Float[Tensor, "t 4"], Int[Tensor, " t"]]:
        """Boxes (x0, y0, x1, y1) clipped to the image, and labels, of what is to be learnt."""
        rows = self.instances.of(index)
        height, width = self.instances.sizes[index]
        x, y, w, h = self.instances.boxes[rows].T
        boxes = np.stack([x, y, x + w, y + h], axis=1).clip(0, [width, height, width, height])
        keep = (boxes[:, 2:] > boxes[:, :2]).all(1) & ~self.instances.crowd[rows]
        return torch.from_numpy(boxes[keep]).float(), torch.from_numpy(self.instances.label[rows][keep])

    def truth(self) -> dict:
        """Ids, boxes and areas as in the file."""
        file = self.instances
        images = [
            {"id": id, "file_name": name, "height": height, "width": width}
            for id, name, (height, width) in zip(self.ids, file.names, file.sizes.tolist())
        ]
        last = file.of(len(self) - 1).stop
        columns = (file.ids, file.image, file.label, file.boxes, file.areas, file.crowd.astype(int))
        rows = zip(*(column[:last].tolist() for column in columns))
        return {
            "images": images,
            "annotations": [self.annotation(*row) for row in rows],
            "categories": [vars(c) for c in self.categories],
        }

    def annotation(self, id: int, image: int, label: int, box: list[float], area: float, crowd: int) -> dict:
        return {
            "id": id,
            "image_id": self.ids[image],
            "category_id": self.categories[label].id,
            "bbox": box,
            "area": area,
            "iscrowd": crowd,
        }


def read_image(path: Path, size: tuple[int, int] | None = None) -> UInt8[Tensor, "3 h w"]:
    """Upright 8-bit RGB of (height, width) `size`, if that was declared. UserError: see decode."""
    return rearrange(torch.from_numpy(decode(path, size)), "h w c -> c h w").contiguous()
