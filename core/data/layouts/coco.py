"""COCO's layouts: Roboflow's download, folders of splits, and instances files beside folders of images."""

import re
from pathlib import Path

from core.data.layouts.split import ALIASES, Split, first_folder
from core.errors import UserError

OTHERS = (
    "captions_",
    "person_keypoints_",
    "panoptic_",
    "stuff_",
    "image_info_",
)  # COCO's files without boxes of objects


def find(root: Path, split: str) -> Split | None:
    """The split of a folder; None if it has no instances file for it. UserError: it has several."""
    if not root.is_dir():
        return None
    for alias in ALIASES[split]:
        if found := in_own_folder(root / alias) or by_name(root, alias):
            return found
    return None


def in_own_folder(folder: Path) -> Split | None:
    """The one instances file in the folder of a split, with the images in `images` or beside it."""
    file = the_one(folder, sorted(folder.glob("*.json")))
    return Split(file, first_folder(folder / "images") or folder) if file else None


def by_name(root: Path, alias: str) -> Split | None:
    """The instances file that has the split in its name, in the folder or in `annotations`."""
    for folder in (root / "annotations", root):
        fitting = [
            p for p in sorted(folder.glob("*.json")) if re.search(rf"(^|[_\-. ]){alias}\d*($|[_\-. ])", p.stem.lower())
        ]
        preferred = [p for p in fitting if p.name.startswith("instances_")] or fitting
        if file := the_one(folder, preferred):
            return Split(file, images_of(root, alias, file.stem.removeprefix("instances_")))
    return None


def the_one(folder: Path, files: list[Path]) -> Path | None:
    """The only file that may hold instances; None if there is none. UserError: there are several."""
    files = [path for path in files if not path.name.startswith(OTHERS)]
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:4])
        raise UserError(
            f"{folder} has several files of annotations, {names}; give one by --data.train and one by --data.val"
        )
    return files[0] if files else None


def images_of(root: Path, alias: str, name: str) -> Path:
    """The folder of the images: of this split if there is one, or else of all."""
    names = dict.fromkeys((name, alias))
    own = [folder / name for name in names for folder in (root, root / "images")]
    return first_folder(*own, root / "images") or root
