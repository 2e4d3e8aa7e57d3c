"""The folder of images: where it is by default, and which files of it an instances file may name."""

import os
from pathlib import Path

from core.data.coco.faults import quoted
from core.errors import UserError


def default_images(annotations: Path) -> Path:
    """The folder of the images of an instances file, where no flag names it.

    It is `images` beside the file; or, if that does not exist, the folder of COCO's own layout: for
    annotations/instances_train2017.json that is train2017 beside the folder `annotations`.
    """
    beside, split = annotations.parent / "images", annotations.stem.removeprefix("instances_")
    own = annotations.absolute().parent.parent / split
    return own if split != annotations.stem and own.is_dir() and not beside.is_dir() else beside


class ImageFolder:
    """A folder of images, whose subfolders are each listed once: to ask for each file takes minutes on a network drive."""

    def __init__(self, root: Path):
        """UserError: the folder cannot be listed."""
        self.root, self.real = root, os.path.realpath(root)
        # Names of the files of each subfolder listed so far, see `files`; or the reason why it could not be listed.
        self.listed: dict[str, dict[str, str] | str] = {}
        if isinstance(reason := self.files(""), str):
            raise UserError(f"{root} cannot be listed ({reason}); name the folder of the images")

    def files(self, subfolder: str) -> dict[str, str] | str:
        """The files of a subfolder by name, or the reason why it cannot be listed.

        The value of a file is "", or its real path if a link leads out of the root.
        """
        if subfolder not in self.listed:
            path = self.root / subfolder
            try:
                outside = self.path_outside(path)
                with os.scandir(path) as entries:
                    files = [entry for entry in entries if entry.is_file()]
                self.listed[subfolder] = {
                    e.name: outside or (self.path_outside(e.path) if e.is_symlink() else "") for e in files
                }
            except OSError as error:
                self.listed[subfolder] = str(error.strerror)
        return self.listed[subfolder]

    def path_outside(self, path: Path | str) -> str:
        """The real path behind any links, if it is outside the root; "" otherwise."""
        real = os.path.realpath(path)
        return "" if os.path.commonpath([real, self.real]) == self.real else real

    def fault(self, name: str) -> tuple[str, str] | None:
        """The kind and the text of the fault, if `name` is not a file inside the folder."""
        subfolder, base = os.path.split(name)
        files = self.files(subfolder)
        if isinstance(files, str):
            return "missing", f"is {quoted(name)}, whose folder in {self.root} cannot be listed ({files}); add it"
        if base not in files:
            return "missing", f"is {quoted(name)}, which {self.root} lacks; name the right folder, or add the file"
        if files[base]:
            return "path", f"is {quoted(name)}, a link out of {self.root} to {files[base]}; put the file itself there"
        return None
