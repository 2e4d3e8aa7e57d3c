"""Images: their files, whether these can be read, of their declared size, and there once."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.data.check.case import Case
from core.data.check.image_summary import summarise_image
from core.data.check.repairs import left_out
from core.data.coco.faults import Fault, brief
from core.data.coco.rules import OUTSIDE, is_text, is_whole, of_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def find(case: Case) -> Iterator[Fault]:
    for row, (kind, text) in case.absent.items():
        yield case.of_image(kind, row, text)
    for row, look in case.pictures.items():
        if look.fault:
            yield case.of_image(look.fault[0], row, look.fault[1])
    for row, first in same_files(case):
        text = f"is {brief(case.instances.names[row])}, as image {case.instances.image_ids[first]}; make them one"
        yield case.of_image("same-file", row, text)
    yield from same_pictures(case)
    yield from unused(case)


def same_files(case: Case) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    paths = enumerate(map(os.path.normpath, case.instances.names))
    return [(row, first[path]) for row, path in paths if first.setdefault(path, row) != row]


def same_pictures(case: Case) -> Iterator[Fault]:
    first: dict[bytes, int] = {}
    for row, look in case.pictures.items():
        other = first.setdefault(look.digest, row) if look.digest else row
        if Path(case.instances.names[other]) != Path(case.instances.names[row]):
            text = f"shows what image {case.instances.image_ids[other]} shows, {brief(case.instances.names[other])}"
            yield case.of_image("same-picture", row, text)


def unused(case: Case) -> Iterator[Fault]:
    meant = {a.get("image_id") for a in case.file["annotations"] if type(a) is dict and is_whole(a.get("image_id"))}
    for row, id in enumerate(case.instances.image_ids):
        if id not in meant:
            yield case.of_image("unused-image", row, "has no box; it is kept, as one without objects")
    if spare := spare_files(case):
        text = f"names no image {brief(spare[0])}" + (f", nor {len(spare) - 1} others" if spare[1:] else "")
        yield Fault("unused-file", "the file", f"{text} in {case.folder.root}")


def spare_files(case: Case) -> list[str]:
    """In the folders of its images, and of no image of either file."""
    if not case.folder:
        return []
    files = [*case.file["images"], *(case.against.file["images"] if case.against else [])]
    named = {os.path.normpath(i["file_name"]) for i in files if type(i) is dict and is_text(i.get("file_name"))}
    there = {
        os.path.join(sub, base) for sub, names in case.folder.listed.items() if type(names) is dict for base in names
    }
    return sorted(
        path for path in map(os.path.normpath, there) if path.lower().endswith(SUFFIXES) and path not in named
    )


def mend(case: Case) -> Iterator[str]:
    yield from merged(case)
    if case.folder:
        yield from found_again(case)
        yield from measured(case)
        yield from unreadable(case)


def merged(case: Case) -> Iterator[str]:
    """Records of one file and one size become the first of them."""
    ids, sizes = case.instances.image_ids, case.instances.sizes.tolist()
    into = {ids[row]: ids[first] for row, first in same_files(case) if sizes[row] == sizes[first]}
    for annotation in case.file["annotations"]:
        annotation["image_id"] = into.get(annotation["image_id"], annotation["image_id"])
    case.file["images"] = [i for i in case.file["images"] if i["id"] not in into]
    for id, first in into.items():
        yield f"made one, as they name one file: images {first} and {id}"


def found_again(case: Case) -> Iterator[str]:
    """Absolute and foreign paths, where the folder holds such a file."""
    for image in case.file["images"]:
        name = image.get("file_name")
        if is_text(name) and OUTSIDE.search(name):
            tries = (relative(name, case.folder.root), name.replace("\\", "/"), name.replace("\\", "/").split("/")[-1])
            new = next((n for n in tries if n and not OUTSIDE.search(n) and not case.folder.fault(n)), None)
            if new:
                image["file_name"] = new
                yield f"named as in the folder, {brief(new)}: image {image['id']}"


def relative(name: str, root: Path) -> str:
    path = os.path.normpath(name)
    return os.path.relpath(path, root.absolute()) if Path(path).is_relative_to(root.absolute()) else ""


def measured(case: Case) -> Iterator[str]:
    """Sizes that are missing or no sizes, and height and width that were swapped, as their files have them."""
    for image in case.file["images"]:
        wrong = {key for _, key, _ in of_image(image)}
        if "file_name" in wrong or case.folder.fault(image["file_name"]):
            continue
        given = (image.get("height"), image.get("width"))
        declared = None if wrong else given
        key = (image["file_name"], declared)
        look = case.looks.get(key) or summarise_image(case.folder.root / image["file_name"], declared)
        if look.size and look.size != given and (wrong or look.size == given[::-1]):
            image["height"], image["width"] = look.size
            yield f"gave the size of its file, {look.size[1]} x {look.size[0]}: image {image['id']}"


def unreadable(case: Case) -> Iterator[str]:
    """Unless it is all of them, which would be the wrong folder."""
    fresh = replace(case)
    gone = {*fresh.absent, *(row for row, look in fresh.pictures.items() if look.fault and not look.size)}
    if len(gone) < len(fresh.instances.image_ids):
        ids = [fresh.instances.image_ids[row] for row in gone]
        yield from left_out(case, "images", ids, "the file is not there or cannot be read")
