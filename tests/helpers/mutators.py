"""Mutators: ways to spoil a sound COCO file or a sound image, each with the faults that `python -m train check` must report.

A mutator of files (FILES) changes the given records at a random place and returns {(kind of fault, record)}. A mutator of bytes
(BYTES) returns bytes that are not a COCO file. A mutator of images (IMAGES) changes one file and returns the kind of fault, or
None if the image can still be read.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image

NAN, INF = float("nan"), float("inf")
NAMES = {3: "cat", 0: "dog", 40: "traffic light", 7: "naïve café"}
Faults = set[tuple[str, str]]  # (kind, record)
Mutator = Callable[[Generator, dict], Faults]


def write_sound(folder: Path, rng: Generator, images: int = 4) -> Path:
    """Writes a folder without a fault and returns the path of its instances file.

    Ids are sparse, images have several sizes and several boxes each, and every class is used.
    """
    (folder / "images" / "sub").mkdir(parents=True)
    file = {"info": {"year": 2024}, "images": [], "annotations": [], "categories": categories()}
    for k in range(images):
        height, width = rng.integers(40, 70, 2).tolist()
        name = f"{k}.png" if k % 2 else f"sub/é{k}.jpg"
        Image.fromarray(blurred(rng, height, width)).save(folder / "images" / name)
        file["images"].append({"id": 10 * k, "file_name": name, "height": height, "width": width})
        for j, category in enumerate(NAMES):
            w, h = int(rng.integers(6, width // 2)), int(rng.integers(6, height // 2))
            x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
            ids = {"id": 100 * k + j, "image_id": 10 * k, "category_id": category}
            outline = [[x, y, x + w, y, x, y + h]]
            file["annotations"].append(
                ids | {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "segmentation": outline}
            )
    path = folder / "instances.json"
    path.write_text(json.dumps(file))
    return path


def categories() -> list[dict]:
    """The records of the classes."""
    return [{"id": id, "name": name, "supercategory": "thing"} for id, name in NAMES.items()]


def blurred(rng: Generator, height: int, width: int) -> np.ndarray:
    """A random smooth RGB image."""
    coarse = Image.fromarray(rng.integers(256, size=(5, 5, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def choose(rng: Generator, items: list) -> Any:
    """A random item of a list."""
    return items[rng.integers(len(items))]


def record_name(section: str, record: dict) -> str:
    """The name of a record in the report, for example "annotation 17 (image 4)"."""
    kind = {"categories": "category", "images": "image", "annotations": "annotation"}[section]
    image = record.get("image_id")
    return f"{kind} {record['id']}" + (f" (image {image})" if type(image) is int else "")


# ---- of files


def field(section: str, key: str, kind: str, *values: Any) -> Mutator:
    """Replaces a field of a record by one of the values; `...` removes the field."""

    def mutate(rng: Generator, file: dict) -> Faults:
        place = int(rng.integers(len(file[section])))
        record, value = file[section][place], values[rng.integers(len(values))]
        if value is ...:
            del record[key]
        else:
            record[key] = value
        return {(kind, f"{section}[{place}]" if key == "id" else record_name(section, record))}

    return mutate


def number_of_box(value: Any) -> Mutator:
    """Replaces a random number of a bbox by a value."""

    def mutate(rng: Generator, file: dict) -> Faults:
        record = choose(rng, file["annotations"])
        record["bbox"][rng.integers(4)] = value
        return {("box", record_name("annotations", record))}

    return mutate


def without_box(rng: Generator, file: dict) -> Faults:
    """Removes a box, and the outline that would give it."""
    record = choose(rng, file["annotations"])
    del record["segmentation"]
    record |= {"bbox": choose(rng, [None, []])}
    if rng.random() < 0.5:
        del record["bbox"]
    return {("box", record_name("annotations", record))}


def side(value: Any, kind: str) -> Mutator:
    """Replaces the width or height of a bbox by a value."""

    def mutate(rng: Generator, file: dict) -> Faults:
        record = choose(rng, file["annotations"])
        record["bbox"][rng.integers(2, 4)] = value
        return {(kind, record_name("annotations", record))}

    return mutate


def moved(share: float) -> Mutator:
    """Moves a box right or down, so that this share of it is outside its image; above 1, further away."""

    def mutate(rng: Generator, file: dict) -> Faults:
        record = choose(rng, file["annotations"])
        image = next(i for i in file["images"] if i["id"] == record["image_id"])
        axis = int(rng.integers(2))
        record["bbox"][axis] = image[("width", "height")[axis]] - record["bbox"][2 + axis] * (1 - share)
        return {("outside", record_name("annotations", record))}

    return mutate


def junk(rng: Generator, file: dict) -> Faults:
    """Replaces a record by something that is not an object."""
    section = choose(rng, ["images", "annotations"])
    place = int(rng.integers(len(file[section])))
    file[section][place] = choose(rng, [None, 5, 1.5, "x", True, [], [{}]])
    return {("record", f"{section}[{place}]")}


def same_id(rng: Generator, file: dict) -> Faults:
    """Gives a record the id of another."""
    section = choose(rng, ["images", "annotations"])
    a, b = rng.choice(len(file[section]), 2, replace=False)
    file[section][a]["id"] = file[section][b]["id"]
    return {("twice", f"{section.removesuffix('s')} id {file[section][a]['id']}")}


def same_record(rng: Generator, file: dict) -> Faults:
    """Appends a copy of a record."""
    section = choose(rng, ["images", "annotations", "categories"])
    record = choose(rng, file[section])
    file[section].append(json.loads(json.dumps(record)))
    faults = {("twice", f"{record_name(section, record).split()[0]} id {record['id']}")}
    return faults | ({("twice", f"category name {record['name']!r}")} if section == "categories" else set())


def same_class(rng: Generator, file: dict) -> Faults:
    """Gives a class the name of another."""
    a, b = rng.choice(len(file["categories"]), 2, replace=False)
    file["categories"][a]["name"] = file["categories"][b]["name"]
    return {("twice", f"category name {file['categories'][a]['name']!r}")}


def same_box(rng: Generator, file: dict) -> Faults:
    """Appends a copy of an annotation under a new id."""
    copy = choose(rng, file["annotations"]) | {"id": 999}
    file["annotations"].append(copy)
    return {("same-box", record_name("annotations", copy))}


def other_spelling(rng: Generator, file: dict) -> Faults:
    """Adds a class with the name of another in another spelling."""
    old = choose(rng, file["categories"])["name"]
    new = choose(rng, [old.upper(), old.title(), f" {old}", f"{old}  ", old.replace(" ", "_") + " "])
    file["categories"].append({"id": 900, "name": new})
    file["annotations"][0]["category_id"] = 900
    return {("spelling", "category 900")}


def class_without_a_box(rng: Generator, file: dict) -> Faults:
    """Removes all boxes of a class."""
    id = choose(rng, file["categories"])["id"]
    file["annotations"] = [a for a in file["annotations"] if a["category_id"] != id]
    return {("empty-class", f"category {id}")}


def image_without_a_box(rng: Generator, file: dict) -> Faults:
    """Removes all boxes of an image."""
    id = choose(rng, file["images"])["id"]
    file["annotations"] = [a for a in file["annotations"] if a["image_id"] != id]
    return {("unused-image", f"image {id}")}


def same_file(rng: Generator, file: dict) -> Faults:
    """Appends a second record of an image file, half the time by another path to it."""
    a, b = rng.choice(len(file["images"]), 2, replace=False)
    copied = {key: file["images"][a][key] for key in ("file_name", "height", "width")}
    if rng.random() < 0.5:
        copied["file_name"] = f"./{copied['file_name']}"
    file["images"].append(copied | {"id": 777})
    return {("same-file", "image 777")}


def swapped_size(rng: Generator, file: dict) -> Faults:
    """Swaps the height and width of an image."""
    image = choose(rng, [i for i in file["images"] if i["height"] != i["width"]])
    image["height"], image["width"] = image["width"], image["height"]
    return {("size", record_name("images", image))}


def other_size(rng: Generator, file: dict) -> Faults:
    """Declares a wrong height or width of an image."""
    image = choose(rng, file["images"])
    image[choose(rng, ["height", "width"])] += int(rng.integers(1, 500))
    return {("size", record_name("images", image))}


def without_images(rng: Generator, file: dict) -> Faults:
    """Empties the list of images or of classes."""
    section = choose(rng, ["images", "categories"])
    file[section] = []
    return {("record", "the file")}


def as_corners(rng: Generator, file: dict) -> Faults:
    """Writes all boxes as corners [x0, y0, x1, y1]."""
    for a in file["annotations"]:
        x, y, w, h = a["bbox"]
        a["bbox"] = [x, y, x + w, y + h]
    return {("convention", "the file")}


def as_fractions(rng: Generator, file: dict) -> Faults:
    """Writes all boxes in fractions of their image's sides."""
    sizes = {i["id"]: (i["width"], i["height"]) for i in file["images"]}
    for a in file["annotations"]:
        a["bbox"] = [round(v / sizes[a["image_id"]][k % 2], 6) for k, v in enumerate(a["bbox"])]
    return {("convention", "the file")}


FILES = {
    "NaN in a box": number_of_box(NAN),
    "infinite box": number_of_box(INF),
    "text in a box": number_of_box("3"),
    "boolean in a box": number_of_box(True),
    "huge number in a box": number_of_box(10**400),
    "null in a box": number_of_box(None),
    "negative side": side(-5, "box"),
    "box of another shape": field("annotations", "bbox", "box", [1, 2, 3], [1, 2, 3, 4, 5], [[1, 2, 3, 4]], {}, ""),
    "no box": without_box,
    "empty box": side(0, "empty-box"),
    "box outside": moved(1.0),
    "box far outside": moved(40.0),
    "box leaving": moved(0.5),
    "area": field("annotations", "area", "field", NAN, INF, "twelve", None, [1, 2]),
    "crowd": field("annotations", "iscrowd", "field", 2, -1, "2", None, [], {}),
    "image of an annotation": field("annotations", "image_id", "field", None, "11", 1.0, [10], True, ...),
    "class of an annotation": field("annotations", "category_id", "field", None, "cat", 3.5, {}, False, ...),
    "unknown image": field("annotations", "image_id", "unknown", -1, 5, 10**15),
    "unknown class": field("annotations", "category_id", "unknown", -1, 1, 41, 10**15),
    "annotation id": field("annotations", "id", "record", None, "seven", 1.5, True, [7], 2**60, ...),
    "image id": field("images", "id", "record", None, "x", 0.5, {}, 2**60, ...),
    "height": field("images", "height", "field", 0, -40, 40.1, "forty", -40.0, None, True, 10**30, ...),
    "width": field("images", "width", "field", 0, -40, 40.5, "0", None, [], ...),
    "file name": field("images", "file_name", "field", "", None, 5, [], {"a": 1}, ...),
    "path": field(
        "images", "file_name", "path", "/etc/passwd", "../instances.json", "sub/../../x", "a\\b.png", "a\0b", "\ud800"
    ),
    "missing file": field(
        "images", "file_name", "missing", "gone.png", "sub", "nowhere/x.png", ".", "x" * 300, "sub/é0.jpg/x"
    ),
    "class name": field("categories", "name", "field", "", None, True, NAN, ["cat"], ...),
    "junk": junk,
    "same id": same_id,
    "same record": same_record,
    "same class": same_class,
    "same box": same_box,
    "same file": same_file,
    "other spelling": other_spelling,
    "class without a box": class_without_a_box,
    "image without a box": image_without_a_box,
    "swapped size": swapped_size,
    "other size": other_size,
    "empty list": without_images,
    "corners": as_corners,
    "fractions": as_fractions,
}


# ---- of a file's bytes


def cut(rng: Generator, raw: bytes) -> bytes:
    """Cuts off the end."""
    return raw[: rng.integers(len(raw) - 1)]


def other_text(rng: Generator, raw: bytes) -> bytes:
    """Replaces the file by one that is no instances file, or no JSON."""
    return choose(
        rng, [b"", b"null", b"[]", b"{}", b'{"images": {}}', b"\xff\xfe\x00x", b"\x89PNG\r\n\x1a\n", b"[" * 10**5]
    )


def other_list(rng: Generator, raw: bytes) -> bytes:
    """Replaces one of the three lists by another value."""
    file = json.loads(raw)
    section = choose(rng, ["images", "annotations", "categories"])
    file[section] = choose(rng, [None, {}, "x", 5])
    return json.dumps(file).encode()


def stray(rng: Generator, raw: bytes) -> bytes:
    """Inserts a character that has a meaning in JSON where it does not belong."""
    place = raw.index(choose(rng, [b'"bbox"', b'"id"', b'"segmentation"']))
    return raw[:place] + choose(rng, [b"]", b"}", b",,", b"{", b"\x80"]) + raw[place:]


BYTES = {"cut": cut, "other text": other_text, "other list": other_list, "stray": stray}


# ---- of images


def truncated(rng: Generator, path: Path) -> str:
    """Cuts off at least a quarter of the file."""
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.integers(0, len(raw) * 3 // 4)])
    return "unreadable"


def text(rng: Generator, path: Path) -> str:
    """Replaces the image by something that is no image."""
    path.write_bytes(choose(rng, [b"", b"not found\n", b"<html>404</html>", bytes(5000), b"version https://git-lfs\n"]))
    return "unreadable"


def vector(rng: Generator, path: Path) -> str:
    """Replaces the image by one in a format that a decoder might run as a program, or that is rarely decoded."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    fits = b"".join(
        c.ljust(80).encode() for c in ("SIMPLE  =                    T", "BITPIX  =                    8", "END")
    )
    psd = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 9, 9, 8, 3) + bytes(300)
    path.write_bytes(
        choose(rng, [eps, fits.ljust(2880) + bytes(2880), psd, b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
    )
    return "unreadable"


def other_format(rng: Generator, path: Path) -> str:
    """Saves the image in a format that is not read."""
    Image.open(path).convert("P").save(path, format=choose(rng, ["GIF", "PCX", "TGA"]))
    return "unreadable"


def bomb(rng: Generator, path: Path) -> str:
    """Writes a PNG of a few kilobytes that declares 900 million pixels, or none."""
    width, height = choose(rng, [(30_000, 30_000), (2**31 - 1, 1), (0, 0), (0, 9)])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b""))
    whole = (struct.pack(">I", len(b)) + a + b + struct.pack(">I", zlib.crc32(a + b)) for a, b in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))
    return "unreadable"


def floats(rng: Generator, path: Path) -> str:
    """Saves the image with 32-bit pixels."""
    Image.open(path).convert("F").save(path, format="TIFF")
    return "unreadable"


def resized(rng: Generator, path: Path) -> str:
    """Makes the image a few pixels wider than declared."""
    image = Image.open(path).convert("RGB")
    image.resize((image.width + int(rng.integers(1, 9)), image.height)).save(path, format="PNG")
    return "size"


def gone(rng: Generator, path: Path) -> str:
    """Removes the file; half the time a folder takes its place."""
    path.unlink()
    if rng.random() < 0.5:
        path.mkdir()
    return "missing"


def link_out(rng: Generator, path: Path) -> str:
    """Replaces the file by a link to a file outside the folder of images."""
    outside = next(p for p in path.parents if p.name == "images").parent / "outside.png"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(choose(rng, [outside, Path("/etc/passwd")]))
    return "path"


def other_mode(rng: Generator, path: Path) -> None:
    """Saves the image in grey, with a palette, transparency, CMYK or 16 bits, all of which can be read."""
    image = Image.open(path).convert("RGB")
    mode = choose(rng, ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256).save(path, format="PNG")
    image = image.convert("L").convert(mode) if mode == "LA" else image.convert(mode)
    return image.save(path, format="TIFF" if mode == "CMYK" else "PNG")


def other_suffix(rng: Generator, path: Path) -> None:
    """Saves the image in another format under its old name: the suffix does not matter."""
    Image.open(path).convert("RGB").save(path, format=choose(rng, ["PNG", "JPEG", "WEBP", "BMP", "TIFF"]))


def turned(rng: Generator, path: Path) -> None:
    """Saves the image with an EXIF orientation; its declared size is that of the stored or of the turned image."""
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(1, 9))
    image = Image.open(path).convert("RGB")
    if rng.random() < 0.5 and exif[0x0112] > 4:
        image = image.transpose(Image.Transpose.ROTATE_90)
    stored = io.BytesIO()
    image.save(stored, format="JPEG", exif=exif)
    path.write_bytes(stored.getvalue())


IMAGES = {
    "truncated": truncated,
    "text": text,
    "vector": vector,
    "other format": other_format,
    "bomb": bomb,
    "floats": floats,
    "resized": resized,
    "gone": gone,
    "link out": link_out,
    "other mode": other_mode,
    "other suffix": other_suffix,
    "turned": turned,
}
