"""Opens folders of images and annotations as people have them: COCO's layouts, Roboflow's, YOLO's and VOC's."""

from pathlib import Path

from core.data.layouts import coco, voc, yolo
from core.data.layouts.split import Split
from core.errors import UserError


def is_layout(path: Path) -> bool:
    """Returns whether a path names a folder or a data.yaml, and not an instances file."""
    return path.is_dir() or path.suffix.lower() in (".yaml", ".yml")


def open_split(path: Path, split: str) -> Split:
    """The images of one split (train, val or test) of a folder or a data.yaml.

    Where there are no validation images, those for testing take their place. UserError: the layout is none of those known,
    or the split is missing.
    """
    if not path.exists():
        raise UserError(f"{path}: no such folder; name the folder of the data")
    for names in [split, "test"] if split == "val" else [split]:
        for layout in (yolo, voc, coco):
            if found := layout.find(path, names):
                return found
    raise UserError(
        f"{path} has no {split} images in a layout that is known: COCO ({split}/_annotations.coco.json, or "
        f"annotations/instances_{split}.json), YOLO (data.yaml), VOC (JPEGImages, Annotations, ImageSets); or name the "
        "annotation files: --data.train JSON --data.val JSON --data.images FOLDER"
    )
