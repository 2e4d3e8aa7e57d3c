"""The dataset Shapes: generated images that need no files, for tests, the demo and runs on a laptop."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from core.data.category import Category
from core.data.sample import Sample
from core.data.shapes.outlines import NAMES
from core.data.shapes.scenes import Scene, draw_scene, paint, visible_shapes
from core.errors import UserError

COUNTS = {"train": 2400, "val": 500, "test": 500}
SMALLEST = 32  # pixels a side: in smaller images the smallest shapes are dots


class Shapes:
    """Images of 1 to 8 shapes of 8 classes on a textured ground; shapes may hide parts of one another. Held in memory.

    Image i is drawn from (seed, split, i) alone: it depends neither on the number of images nor, but for its resolution, on the
    size. Boxes are those of whole shapes; a shape less than 40% visible is painted but is not an object.
    """

    categories = tuple(Category(k, name) for k, name in enumerate(NAMES, start=1))

    def __init__(
        self, split: str = "train", count: int | None = None, size: int = 96, seed: int = 0, *, painted: bool = True
    ):
        """Draws `count` images of `size` pixels a side. UserError: an argument is out of range.

        They are painted here, or if not `painted`, each when it is first read: for programs that show a few of them. Training
        reads them in processes of its own, which would paint them again in each epoch.
        """
        if split not in COUNTS:
            raise UserError(f"shapes has no split {split!r}; choose one of {', '.join(COUNTS)}")
        count = COUNTS[split] if count is None else count
        if count < 1 or size < SMALLEST:
            raise UserError(f"shapes has count {count} and size {size}; they must be at least 1 and {SMALLEST}")
        self.size, self.name = size, f"shapes {split} {seed} {size}"
        self.ids = tuple(range(1, count + 1))
        self.sizes = np.full((count, 2), size)
        self.paintings = torch.empty(count, 3, size, size, dtype=torch.uint8)
        self.scenes: dict[int, Scene] = {}  # those that are not painted yet
        self.boxes: list[Tensor] = []
        self.labels: list[Tensor] = []
        for index in range(count):
            self.add(index, np.random.default_rng((seed, list(COUNTS).index(split), index)), painted)

    def add(self, index: int, rng: np.random.Generator, painted: bool) -> None:
        """Draws one image, and stores it, painted or not, with its objects."""
        scene = draw_scene(rng)
        shapes = visible_shapes(scene)
        self.scenes[index] = scene
        if painted:
            self.picture(index)
        self.boxes.append(torch.tensor(np.stack([s.box for s in shapes]) * self.size, dtype=torch.float32))
        self.labels.append(torch.tensor([s.label for s in shapes]))

    def picture(self, index: int) -> UInt8[Tensor, "3 size size"]:
        """The pixels of an image, which is painted if it is not yet."""
        # Two threads may paint one image, both the same: the scene goes only when the pixels are there.
        if (scene := self.scenes.get(index)) is not None:
            self.paintings[index] = rearrange(torch.from_numpy(paint(scene, self.size)), "h w c -> c h w")
            self.scenes.pop(index, None)
        return self.paintings[index]

    @property
    def pixels(self) -> UInt8[Tensor, "n 3 size size"]:
        """The pixels of all images."""
        for index in list(self.scenes):
            self.picture(index)
        return self.paintings

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return Sample(
            self.picture(index), self.boxes[index], self.labels[index], self.ids[index], (self.size, self.size)
        )

    def truth(self) -> dict:
        """The objects as a COCO instances dict. Ids of images, annotations and categories start at 1."""
        images = zip(self.ids, self.labels, self.boxes)
        objects = [(id, *o) for id, labels, boxes in images for o in zip(labels.tolist(), boxes.tolist())]
        return {
            "images": [{"id": id, "width": self.size, "height": self.size} for id in self.ids],
            "annotations": [annotation(k, *o) for k, o in enumerate(objects, start=1)],
            "categories": [vars(c) for c in self.categories],
        }


def annotation(id: int, image: int, label: int, box: list[float]) -> dict:
    """An object as a record of COCO, given its image's id and its box (x0, y0, x1, y1)."""
    x, y, width, height = box[0], box[1], box[2] - box[0], box[3] - box[1]
    return {
        "id": id,
        "image_id": image,
        "category_id": Shapes.categories[label].id,
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": 0,
    }
