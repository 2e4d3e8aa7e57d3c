"""Pascal VOC's folders: JPEGImages, Annotations and ImageSets; or an XML file beside each image of a split's folder."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.data.decode import shown_size
from core.data.layouts.split import ALIASES, SUFFIXES, Split, records
from core.errors import UserError
from core.files import read_text


@dataclass(frozen=True)
class Page:
    """The XML file of one image."""

    path: Path
    root: ET.Element

    def number(self, element: ET.Element, key: str) -> float:
        """The number in a field. UserError: there is none, or it is not finite."""
        text = element.findtext(key) or ""
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise UserError(f"{self.path}: {key} is {text!r}; it must be a number")
        return number


def find(root: Path, split: str) -> Split | None:
    """The split of a folder; None if it has no VOC annotations for it. UserError: a file cannot be read."""
    for alias in ALIASES[split]:
        listed = root / "ImageSets" / "Main" / f"{alias}.txt"
        if listed.is_file() and (root / "Annotations").is_dir():
            stems = [line.split()[0] for line in read_text(listed).splitlines() if line.strip()]
            pages = [root / "Annotations" / f"{stem}.xml" for stem in stems]
            return opened(root, split, root / "JPEGImages", pages, sorted((root / "Annotations").glob("*.xml")))
        if pages := sorted((root / alias).glob("*.xml")):
            every = [path for names in ALIASES.values() for name in names for path in (root / name).glob("*.xml")]
            return opened(root, split, root / alias, pages, every)
    return None


def opened(root: Path, split: str, images: Path, paths: list[Path], every: list[Path]) -> Split:
    """The split of these pages. Its classes are those of every page, by name, so that all splits have the same."""
    names = sorted({name for path in every for name in class_names(read_page(path))})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    pages = map(read_page, paths)
    rows = ((*image_of(page, images), objects(page, numbers)) for page in pages)
    return Split(root, images, records(rows, dict(enumerate(names, start=1))), split)


def read_page(path: Path) -> Page:
    """The page of a file. UserError: it is no XML."""
    try:
        return Page(path, ET.parse(path).getroot())
    except (OSError, ET.ParseError, ValueError, LookupError) as error:  # the last two of an encoding that is not known
        raise UserError(f"{path} is not an XML file ({error}); export the annotations again") from None


def class_names(page: Page) -> Iterator[str]:
    """The class of each object. UserError: one has none."""
    for element in page.root.iter("object"):
        name = (element.findtext("name") or "").strip()
        if not name:
            raise UserError(f"{page.path}: an object has no name; name its class")
        yield name


def image_of(page: Page, images: Path) -> tuple[str, tuple[int, int]]:
    """The name of the page's image, and its (height, width), from the image if the page does not say."""
    named = page.root.findtext("filename") or ""
    candidates = [named, *(page.path.stem + suffix for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES)))]
    name = next(
        (n for n in candidates if n and "/" not in n and (images / n).is_file()), named or f"{page.path.stem}.jpg"
    )
    size = page.root.find("size")
    width, height = (0, 0) if size is None else (int(page.number(size, key)) for key in ("width", "height"))
    return name, (height, width) if height > 0 and width > 0 else shown_size(images / name)


def objects(page: Page, numbers: dict[str, int]) -> Iterator[dict]:
    """The objects of a page. Corners count pixels from 1 and are part of the box; difficult objects are crowd regions."""
    for element, name in zip(page.root.iter("object"), class_names(page)):
        box = element.find("bndbox")
        if box is None:
            raise UserError(f"{page.path}: an object {name!r} has no bndbox; draw it, or remove the object")
        x0, y0, x1, y1 = (page.number(box, key) for key in ("xmin", "ymin", "xmax", "ymax"))
        x0, y0 = max(x0 - 1, 0), max(y0 - 1, 0)
        difficult = int((element.findtext("difficult") or "0").strip() == "1")
        yield {"category_id": numbers[name], "bbox": [x0, y0, max(x1 - x0, 0), max(y1 - y0, 0)], "iscrowd": difficult}
