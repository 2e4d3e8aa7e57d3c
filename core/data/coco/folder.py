"""The folder of images: where it is by default, and which files of it an instances file may name."""

import os
import re
import unicodedata
from bisect import bisect
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from core.data.coco.faults import quoted
from core.data.coco.rules import UNSAFE_PATH
from core.data.layouts import is_layout, open_split
from core.data.layouts.split import SUFFIXES, Split
from core.errors import UserError

FROM_ELSEWHERE = re.compile(r"^[/\\]|^[A-Za-z]:[/\\]|://|(^|[/\\])\.\.[/\\]")  # absolute, a URL, or with ..
ALIKE = 0.8  # similarity of two file names from which one is suggested for the other


def default_images(annotations: Path) -> Path:
    """The folder of the images of an instances file, where no flag names it.

    It is `images` beside the file; or, if that does not exist, the folder of COCO's own layout: for
    annotations/instances_train2017.json that is train2017 beside the folder `annotations`; or the folder of the file, if images
    lie beside it, as in Roboflow's downloads.
    """
    beside, split = annotations.parent / "images", annotations.stem.removeprefix("instances_")
    own = annotations.absolute().parent.parent / split
    if beside.is_dir():
        return beside
    if split != annotations.stem and own.is_dir():
        return own
    return annotations.parent if has_images(annotations.parent) else beside


def has_images(folder: Path) -> bool:
    """Returns whether an image lies in a folder."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.lower().endswith(SUFFIXES) for entry in entries)
    except OSError:
        return False


def find_split(path: Path, split: str) -> Split:
    """Finds the records and images of an instances file, or of one split of a folder or data.yaml."""
    return open_split(path, split) if is_layout(path) else Split(path, default_images(path))


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
            return (
                "missing",
                f"is {quoted(name)}, whose folder in {self.root} cannot be listed ({files}){self.hint(name)}; add it",
            )
        if base not in files:
            text = (
                f"is {quoted(name)}, which {self.root} lacks{self.hint(name)}; name the right folder, or add the file"
            )
            return "missing", text
        if files[base]:
            return "path", f"is {quoted(name)}, a link out of {self.root} to {files[base]}; put the file itself there"
        return None

    def has(self, name: str) -> bool:
        """Returns whether `name` is a file inside the folder, written exactly so."""
        return not UNSAFE_PATH.search(name) and self.fault(name) is None

    def find(self, name: str) -> str | None:
        """The one file inside the folder that `name` can mean; None if there is none, or several.

        Case, composed letters, backslashes and %20 make no difference. The file's path may have more folders at its front than
        the name. The name may have more folders than the path where they lead to this folder: its own name comes last, or the
        name is absolute, climbs, or is a URL, as on another machine.
        """
        own_name, elsewhere = simplified(self.real)[-1], bool(FROM_ELSEWHERE.search(name))
        for parts in meanings(name):
            paths = self.paths.get(parts[-1], {})
            fitting = [
                path
                for path, own in paths.items()
                if ends_alike(own, parts) and (elsewhere or len(own) >= len(parts) or parts[-len(own) - 1] == own_name)
            ]
            longest = max((len(paths[path]) for path in fitting if len(paths[path]) <= len(parts)), default=0)
            nearest = [path for path in fitting if len(paths[path]) == longest] or fitting
            usable = [path for path in nearest if self.has(path)]
            if usable:
                return usable[0] if len(usable) == 1 else None
        return None

    def hint(self, name: str) -> str:
        """A phrase that names the file which is most likely meant by a name; "" if none is similar."""
        base = meanings(name)[-1][-1]
        near = self.sorted_names[max(0, (at := bisect(self.sorted_names, base)) - 1) : at + 1]
        alike = [n for n in near if SequenceMatcher(None, n, base).ratio() >= ALIKE]
        if not alike:
            return ""
        best = max(alike, key=lambda n: SequenceMatcher(None, n, base).ratio())
        return f" (the nearest there is {quoted(min(self.paths[best]))})"

    @cached_property
    def paths(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """The paths of all files within the folder, and their simplified parts, by the last of these. Lists every subfolder."""
        paths: dict[str, dict[str, tuple[str, ...]]] = {}
        for subfolder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.relpath(os.path.join(subfolder, name), self.root)
                parts = simplified(path)
                paths.setdefault(parts[-1], {})[path] = parts
        return paths

    @cached_property
    def sorted_names(self) -> list[str]:
        """The simplified names of all files, without their folders."""
        return sorted(self.paths)


def meanings(name: str) -> list[tuple[str, ...]]:
    """The parts of the paths that a file name can mean, the most literal first: as a path, without %20, as a URL."""
    _, scheme, address = name.partition("://")
    path = re.split("[?#]", address)[0].partition("/")[2]  # without the host, and without what follows the path
    texts = [name, unquote(name), *([unquote(path)] if scheme and path else [])]
    return list(dict.fromkeys(simplified(text) for text in texts))


def simplified(path: str) -> tuple[str, ...]:
    """The parts of a path, without regard to case, to composed letters, and to the direction of slashes."""
    plain = unicodedata.normalize("NFC", path).casefold().replace("\\", "/")
    return tuple(part for part in plain.split("/") if part not in ("", ".")) or ("",)


def ends_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Returns whether the longer of two paths ends in the shorter one."""
    length = min(len(one), len(other))
    return one[-length:] == other[-length:]
