"""The dataset Mixed: labelled images, and after them images whose objects a detector is to find."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from core.data.category import Category
from core.data.sample import Dataset, Sample, Truth
from core.data.unlabelled.predicted import Predicted
from core.pseudo import PseudoRule


@dataclass(frozen=True)
class Part:
    """Some images of a dataset, given by their indices."""

    dataset: Dataset
    indices: Sequence[int]
    truth: Truth | None = None  # what their objects are; None: what the dataset says
    held_back: bool = False  # whether they have labels, from which the least score of pseudo objects is chosen

    def __len__(self) -> int:
        return len(self.indices)

    def sample(self, index: int) -> Sample:
        """One of the images, by its place among them."""
        sample = self.dataset[self.indices[index]]
        return sample if self.truth is None else replace(sample, truth=self.truth)


class Mixed:
    """The images of several parts, one part after another; those with labels come first.

    Where two images have the same id, those without labels get new ids.
    """

    def __init__(self, parts: Sequence[Part], categories: tuple[Category, ...], labelled: int):
        """`labelled` is the number of images with labels."""
        self.parts, self.categories, self.labelled = tuple(parts), categories, labelled
        self.starts = np.cumsum([0, *(len(part) for part in self.parts)])
        ids = [part.dataset.ids[index] for part in self.parts for index in part.indices]
        if len(set(ids)) < len(ids):
            first = max(ids[:labelled], default=0) + 1
            ids[labelled:] = range(first, first + len(ids) - labelled)
        self.ids = tuple(ids)

    @property
    def sizes(self) -> Int[ndarray, "i 2"]:
        """(height, width) of the source images."""
        return np.concatenate([part.dataset.sizes[list(part.indices)] for part in self.parts if len(part)])

    @property
    def pending(self) -> bool:
        """Returns whether a teacher has to find the objects of some images."""
        return any(
            part.truth in ("withheld", "unknown")
            or (isinstance(part.dataset, Predicted) and part.dataset.scores is None)
            for part in self.parts
            if len(part)
        )

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> Sample:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return replace(self.parts[part].sample(index - int(self.starts[part])), id=self.ids[index])

    def with_rule(self, rule: PseudoRule) -> "Mixed":
        """The same images, whose predictions in files are objects where `rule` says so."""
        parts = [
            replace(p, dataset=replace(p.dataset, rule=rule)) if isinstance(p.dataset, Predicted) else p
            for p in self.parts
        ]
        return Mixed(parts, self.categories, self.labelled)

    def truth(self) -> dict:
        """All images as a COCO instances dict, with the objects of those that have labels."""
        images: list[dict] = []
        annotations: list[dict] = []
        place = 0
        for part in self.parts:
            data = part.dataset.truth()
            records = {record["id"]: record for record in data["images"]}
            old = [part.dataset.ids[index] for index in part.indices]
            new = dict(zip(old, self.ids[place : place + len(part)]))
            images += [records[id] | {"id": new[id]} for id in old]
            if part.truth == "given":
                annotations += [
                    a | {"image_id": new[a["image_id"]]} for a in data["annotations"] if a["image_id"] in new
                ]
            place += len(part)
        return {"images": images, "annotations": annotations, "categories": [vars(c) for c in self.categories]}
