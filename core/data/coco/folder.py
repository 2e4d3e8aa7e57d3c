"""Which files of a folder an instances file may name."""

import os
from pathlib import Path

from core.data.coco.faults import brief
from core.errors import UserError


def images_of(annotations: Path) -> Path:
    """Where the images of an instances file are, unless it is said: in `images` beside it, or as COCO lays them out.

    There annotations/instances_train2017.json is of the folder train2017 beside `annotations`.
    """
    beside, split = annotations.parent / "images", annotations.stem.removeprefix("instances_")
    own = annotations.absolute().parent.parent / split
    return own if split != annotations.stem and own.is_dir() and not beside.is_dir() else beside


class Folder:
    """Each subfolder is listed once: asking for each file would take minutes on a network drive."""

    def __init__(self, root: Path):
        """UserError: it cannot be listed."""
        self.root, self.real = root, os.path.realpath(root)
        self.listed: dict[str, dict[str, str] | str] = {}
        if isinstance(why := self.files(""), str):
            raise UserError(f"{root} cannot be listed ({why}); name the folder of the images")

    def files(self, sub: str) -> dict[str, str] | str:
        """Names of a subfolder's files, each with where a link leads to that leaves the root; or why there are none."""
        if sub not in self.listed:
            path = self.root / sub
            try:
                away = self.away(path)
                with os.scandir(path) as entries:
                    files = [entry for entry in entries if entry.is_file()]
                self.listed[sub] = {e.name: away or (self.away(e.path) if e.is_symlink() else "") for e in files}
            except OSError as error:
                self.listed[sub] = error.strerror
        return self.listed[sub]

    def away(self, path: Path | str) -> str:
        """Where it really is, if that is outside of the root."""
        real = os.path.realpath(path)
        return "" if os.path.commonpath([real, self.real]) == self.real else real

    def fault(self, name: str) -> tuple[str, str] | None:
        """Its kind, and what there is to say, of a name that is no file inside the folder."""
        sub, base = os.path.split(name)
        files = self.files(sub)
        if isinstance(files, str):
            return "missing", f"is {brief(name)}, whose folder in {self.root} cannot be listed ({files}); add it"
        if base not in files:
            return "missing", f"is {brief(name)}, which {self.root} lacks; name the right folder, or add the file"
        if files[base]:
            return "path", f"is {brief(name)}, a link out of {self.root} to {files[base]}; put the file itself there"
        return None
