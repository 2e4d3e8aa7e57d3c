"""Checks images: whether their files exist, can be read, have their declared size, and are named by one record each."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from core.data.check.case import Case
from core.data.check.image_summary import summarise_image
from core.data.check.repairs import remove
from core.data.coco.faults import Fault, quoted
from core.data.coco.folder import ImageFolder
from core.data.coco.rules import UNSAFE_PATH, image_violations, is_integer, is_text
from core.data.layouts.split import SUFFIXES


def find(case: Case) -> Iterator[Fault]:
    """Faults of image files, files and pictures with two records, and images and files that nothing refers to."""
    for row, (kind, text) in case.missing_files.items():
        yield case.image_fault(kind, row, text)
    for row, summary in case.summaries.items():
        if summary.fault:
            yield case.image_fault(summary.fault[0], row, summary.fault[1])
    for row, first in same_files(case):
        name, first_id = quoted(case.instances.names[row]), case.instances.image_ids[first]
        yield case.image_fault("same-file", row, f"is {name}, as image {first_id}; merge the two")
    yield from same_pictures(case)
    yield from images_without_boxes(case)
    if files := unused_files(case):
        others = f", nor {len(files) - 1} others" if files[1:] else ""
        assert case.folder  # or there would be no files
        yield Fault("unused-file", "the file", f"names no image {quoted(files[0])}{others} in {case.folder.root}")


def same_files(case: Case) -> list[tuple[int, int]]:
    """The rows of images whose file an earlier image has too, each with the row of that image."""
    first: dict[str, int] = {}
    paths = enumerate(map(os.path.normpath, case.instances.names))
    return [(row, first[path]) for row, path in paths if first.setdefault(path, row) != row]


def same_pictures(case: Case) -> Iterator[Fault]:
    """Images whose pixels are those of an earlier image in another file."""
    first: dict[bytes, int] = {}
    for row, summary in case.summaries.items():
        other = first.setdefault(summary.digest, row) if summary.digest else row
        if Path(case.instances.names[other]) != Path(case.instances.names[row]):
            name = quoted(case.instances.names[other])
            text = f"has the same pixels as image {case.instances.image_ids[other]}, {name}"
            yield case.image_fault("same-picture", row, text)


def images_without_boxes(case: Case) -> Iterator[Fault]:
    """Images to which no annotation refers, not even a broken one."""
    annotations = [a for a in case.file["annotations"] if type(a) is dict]
    with_boxes = {a.get("image_id") for a in annotations if is_integer(a.get("image_id"))}
    for row, id in enumerate(case.instances.image_ids):
        if id not in with_boxes:
            yield case.image_fault("unused-image", row, "has no box; it is kept, as an image without objects")


def unused_files(case: Case) -> list[str]:
    """The image files that neither this file nor the one of the other split names, in the folders listed for its images."""
    if not case.folder:
        return []
    images = [*case.file["images"], *(case.against.file["images"] if case.against else [])]
    named = {os.path.normpath(i["file_name"]) for i in images if type(i) is dict and is_text(i.get("file_name"))}
    listed = [
        os.path.normpath(os.path.join(subfolder, name))
        for subfolder, names in case.folder.listed.items()
        if type(names) is dict
        for name in names
    ]
    return sorted(path for path in listed if path.lower().endswith(SUFFIXES) and path not in named)


def repair(case: Case) -> Iterator[str]:
    """Merges records of one file, corrects paths and sizes, and removes images that cannot be read."""
    yield from merge_records(case)
    if case.folder:
        yield from correct_paths(case, case.folder)
        yield from correct_sizes(case, case.folder)
        yield from remove_unreadable(case)


def merge_records(case: Case) -> Iterator[str]:
    """Merges records with the same file and the same size into the first of them."""
    ids, sizes = case.instances.image_ids, case.instances.sizes.tolist()
    merged_into = {ids[row]: ids[first] for row, first in same_files(case) if sizes[row] == sizes[first]}
    for annotation in case.file["annotations"]:
        annotation["image_id"] = merged_into.get(annotation["image_id"], annotation["image_id"])
    case.file["images"] = [i for i in case.file["images"] if i["id"] not in merged_into]
    for id, first in merged_into.items():
        yield f"merged, because they name the same file: images {first} and {id}"


def correct_paths(case: Case, folder: ImageFolder) -> Iterator[str]:
    """Replaces absolute paths, and those of other systems, by the name of such a file inside the folder, if there is one."""
    for image in case.file["images"]:
        name = image.get("file_name")
        if is_text(name) and UNSAFE_PATH.search(name):
            slashed = name.replace("\\", "/")
            candidates = (relative(name, folder.root), slashed, slashed.split("/")[-1])
            new = next((n for n in candidates if n and not UNSAFE_PATH.search(n) and not folder.fault(n)), None)
            if new:
                image["file_name"] = new
                yield f"changed the path to one inside the folder, {quoted(new)}: image {image['id']}"


def relative(name: str, root: Path) -> str:
    """The path relative to the root; "" if it is not inside."""
    path = os.path.normpath(name)
    return os.path.relpath(path, root.absolute()) if Path(path).is_relative_to(root.absolute()) else ""


def correct_sizes(case: Case, folder: ImageFolder) -> Iterator[str]:
    """Replaces sizes that are invalid, or have height and width swapped, by the size of the file. Other sizes stay."""
    for image in case.file["images"]:
        wrong = {key for _, key, _ in image_violations(image)}
        if "file_name" in wrong or folder.fault(image["file_name"]):
            continue
        size = (image.get("height"), image.get("width"))
        declared = None if wrong else size
        key = (image["file_name"], declared)
        summary = case.summary_cache.get(key) or summarise_image(folder.root / image["file_name"], declared)
        if summary.size and summary.size != size and (wrong or summary.size == size[::-1]):
            image["height"], image["width"] = summary.size
            yield f"set the size to that of the file, {summary.size[1]} x {summary.size[0]}: image {image['id']}"


def remove_unreadable(case: Case) -> Iterator[str]:
    """Removes images whose files are missing or cannot be read. If that is all images, the folder is wrong, and all stay."""
    current = replace(case)
    unreadable = {row for row, summary in current.summaries.items() if summary.fault and not summary.size}
    unreadable |= current.missing_files.keys()
    if len(unreadable) < len(current.instances.image_ids):
        ids = [current.instances.image_ids[row] for row in unreadable]
        yield from remove(case, "images", ids, "the file is missing or cannot be read")
