"""Split: where the images and annotations of one split are; and helpers of all layouts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
ALIASES = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Split:
    """One split of a folder."""

    path: Path  # what messages name: the instances file, or the folder or data.yaml
    images: Path  # the folder in which the names of images are looked for
    file: dict | None = None  # the records as a COCO instances dict; None: `path` is an instances file
    split: str = ""  # its name, where `path` does not tell it

    @property
    def name(self) -> str:
        """The path, and the split where that does not tell it."""
        return f"{self.path} ({self.split})" if self.split else str(self.path)


def records(images: Iterable[tuple[str, tuple[int, int], Iterable[dict]]], names: dict[int, str]) -> dict:
    """The COCO instances dict of images, each a name, a (height, width) and annotations without ids; `names` are the classes."""
    file: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    for number, (name, (height, width), annotations) in enumerate(images, start=1):
        file["images"].append({"id": number, "file_name": name, "height": height, "width": width})
        for annotation in annotations:
            x, y, w, h = annotation["bbox"]
            ids = {"id": len(file["annotations"]) + 1, "image_id": number}
            file["annotations"].append({**ids, "area": w * h, "iscrowd": 0, **annotation})
    file["categories"] = [{"id": id, "name": name} for id, name in sorted(names.items())]
    return file


def image_files(folder: Path) -> Iterator[Path]:
    """The image files in a folder and below it, sorted."""
    yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def first_folder(*candidates: Path) -> Path | None:
    """The first of the folders that exists."""
    return next((path for path in candidates if path.is_dir()), None)
