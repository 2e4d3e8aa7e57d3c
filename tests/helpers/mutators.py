"""Ways to spoil a sound COCO file or a sound image, each with what a doctor must say of it.

A mutator of files changes the records it is given, at a place that it draws, and gives {(kind of fault, record)}.
A mutator of images changes one file, and gives the kind of fault; None where the image stays one that can be read.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

NAN, INF = float("nan"), float("inf")
NAMES = {3: "cat", 0: "dog", 40: "traffic light", 7: "naïve café"}
Said = set[tuple[str, str]]


def write_sound(folder: Path, rng: Generator, images: int = 4) -> Path:
    """A folder without a fault: sparse ids, images of several sizes, several boxes in each, every class used."""
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
            own = {"id": 100 * k + j, "image_id": 10 * k, "category_id": category}
            more = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "segmentation": [[x, y, x + w, y, x, y + h]]}
            file["annotations"].append(own | more)
    path = folder / "instances.json"
    path.write_text(json.dumps(file))
    return path


def categories() -> list[dict]:
    return [{"id": id, "name": name, "supercategory": "thing"} for id, name in NAMES.items()]


def blurred(rng: Generator, height: int, width: int) -> np.ndarray:
    coarse = Image.fromarray(rng.integers(256, size=(5, 5, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def one(rng: Generator, records: list):
    return records[rng.integers(len(records))]


def name(section: str, record: dict) -> str:
    kind = {"categories": "category", "images": "image", "annotations": "annotation"}[section]
    image = record.get("image_id")
    return f"{kind} {record['id']}" + (f" (image {image})" if type(image) is int else "")


# ---- of files


def field(section: str, key: str, kind: str, *values):
    """One of the values in the place of a record's field; `...` takes the field away."""

    def mutate(rng: Generator, file: dict) -> Said:
        place = int(rng.integers(len(file[section])))
        record, value = file[section][place], values[rng.integers(len(values))]
        if value is ...:
            del record[key]
        else:
            record[key] = value
        return {(kind, f"{section}[{place}]" if key == "id" else name(section, record))}

    return mutate


def number_of_box(value):
    def mutate(rng: Generator, file: dict) -> Said:
        record = one(rng, file["annotations"])
        record["bbox"][rng.integers(4)] = value
        return {("box", name("annotations", record))}

    return mutate


def side(value, kind: str):
    def mutate(rng: Generator, file: dict) -> Said:
        record = one(rng, file["annotations"])
        record["bbox"][rng.integers(2, 4)] = value
        return {(kind, name("annotations", record))}

    return mutate


def moved(share: float):
    """Right or down, by this share of what is needed to be outside."""

    def mutate(rng: Generator, file: dict) -> Said:
        record = one(rng, file["annotations"])
        image = next(i for i in file["images"] if i["id"] == record["image_id"])
        axis = int(rng.integers(2))
        record["bbox"][axis] = image[("width", "height")[axis]] - record["bbox"][2 + axis] * (1 - share)
        return {("outside", name("annotations", record))}

    return mutate


def junk(rng: Generator, file: dict) -> Said:
    section = one(rng, ["images", "annotations"])
    place = int(rng.integers(len(file[section])))
    file[section][place] = one(rng, [None, 5, 1.5, "x", True, [], [{}]])
    return {("record", f"{section}[{place}]")}


def same_id(rng: Generator, file: dict) -> Said:
    section = one(rng, ["images", "annotations"])
    a, b = rng.choice(len(file[section]), 2, replace=False)
    file[section][a]["id"] = file[section][b]["id"]
    return {("twice", f"{section.removesuffix('s')} id {file[section][a]['id']}")}


def same_record(rng: Generator, file: dict) -> Said:
    section = one(rng, ["images", "annotations", "categories"])
    record = one(rng, file[section])
    file[section].append(json.loads(json.dumps(record)))
    said = {("twice", f"{name(section, record).split()[0]} id {record['id']}")}
    return said | ({("twice", f"category name {record['name']!r}")} if section == "categories" else set())


def same_class(rng: Generator, file: dict) -> Said:
    a, b = rng.choice(len(file["categories"]), 2, replace=False)
    file["categories"][a]["name"] = file["categories"][b]["name"]
    return {("twice", f"category name {file['categories'][a]['name']!r}")}


def same_box(rng: Generator, file: dict) -> Said:
    copy = one(rng, file["annotations"]) | {"id": 999}
    file["annotations"].append(copy)
    return {("same-box", name("annotations", copy))}


def other_spelling(rng: Generator, file: dict) -> Said:
    old = one(rng, file["categories"])["name"]
    new = one(rng, [old.upper(), old.title(), f" {old}", f"{old}  ", old.replace(" ", "_") + " "])
    file["categories"].append({"id": 900, "name": new})
    file["annotations"][0]["category_id"] = 900
    return {("spelling", "category 900")}


def class_without_a_box(rng: Generator, file: dict) -> Said:
    id = one(rng, file["categories"])["id"]
    file["annotations"] = [a for a in file["annotations"] if a["category_id"] != id]
    return {("empty-class", f"category {id}")}


def image_without_a_box(rng: Generator, file: dict) -> Said:
    id = one(rng, file["images"])["id"]
    file["annotations"] = [a for a in file["annotations"] if a["image_id"] != id]
    return {("unused-image", f"image {id}")}


def same_file(rng: Generator, file: dict) -> Said:
    a, b = rng.choice(len(file["images"]), 2, replace=False)
    copied = {key: file["images"][a][key] for key in ("file_name", "height", "width")}
    if rng.random() < 0.5:
        copied["file_name"] = f"./{copied['file_name']}"
    file["images"].append(copied | {"id": 777})
    return {("same-file", "image 777")}


def swapped_size(rng: Generator, file: dict) -> Said:
    image = one(rng, [i for i in file["images"] if i["height"] != i["width"]])
    image["height"], image["width"] = image["width"], image["height"]
    return {("size", name("images", image))}


def other_size(rng: Generator, file: dict) -> Said:
    image = one(rng, file["images"])
    image[one(rng, ["height", "width"])] += int(rng.integers(1, 500))
    return {("size", name("images", image))}


def without_images(rng: Generator, file: dict) -> Said:
    section = one(rng, ["images", "categories"])
    file[section] = []
    return {("record", "the file")}


def as_corners(rng: Generator, file: dict) -> Said:
    for a in file["annotations"]:
        x, y, w, h = a["bbox"]
        a["bbox"] = [x, y, x + w, y + h]
    return {("convention", "the file")}


def as_fractions(rng: Generator, file: dict) -> Said:
    sizes = {i["id"]: (i["width"], i["height"]) for i in file["images"]}
    for a in file["annotations"]:
        a["bbox"] = [round(v / sizes[a["image_id"]][k % 2], 6) for k, v in enumerate(a["bbox"])]
    return {("convention", "the file")}


FILES = {
    "no number in a box": number_of_box(NAN),
    "infinite box": number_of_box(INF),
    "text in a box": number_of_box("3"),
    "truth in a box": number_of_box(True),
    "endless number in a box": number_of_box(10**400),
    "null in a box": number_of_box(None),
    "negative side": side(-5, "box"),
    "box of another shape": field(
        "annotations", "bbox", "box", [1, 2, 3], [1, 2, 3, 4, 5], [], [[1, 2, 3, 4]], {}, "", ...
    ),
    "empty box": side(0, "empty-box"),
    "box outside": moved(1.0),
    "box far outside": moved(40.0),
    "box leaving": moved(0.5),
    "area": field("annotations", "area", "field", NAN, INF, "12", None, [1]),
    "crowd": field("annotations", "iscrowd", "field", 2, -1, "0", None, [], {}),
    "image of an annotation": field("annotations", "image_id", "field", None, "10", 1.0, [10], True, ...),
    "class of an annotation": field("annotations", "category_id", "field", None, "cat", 3.0, {}, False, ...),
    "unknown image": field("annotations", "image_id", "unknown", -1, 5, 10**15),
    "unknown class": field("annotations", "category_id", "unknown", -1, 1, 41, 10**15),
    "annotation id": field("annotations", "id", "record", None, "7", 1.5, True, [7], 2**60, ...),
    "image id": field("images", "id", "record", None, "x", 0.0, {}, 2**60, ...),
    "height": field("images", "height", "field", 0, -40, 40.0, "40", None, True, 10**30, ...),
    "width": field("images", "width", "field", 0, -40, 40.5, "40", None, [], ...),
    "file name": field("images", "file_name", "field", "", None, 5, [], {"a": 1}, ...),
    "path": field(
        "images", "file_name", "path", "/etc/passwd", "../instances.json", "sub/../../x", "a\\b.png", "a\0b", "\ud800"
    ),
    "missing file": field(
        "images", "file_name", "missing", "gone.png", "sub", "nowhere/x.png", ".", "x" * 300, "sub/é0.jpg/x"
    ),
    "class name": field("categories", "name", "field", "", None, 5, ["cat"], ...),
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


# ---- of files' bytes: nobody could read what is left


def cut(rng: Generator, raw: bytes) -> bytes:
    return raw[: rng.integers(len(raw) - 1)]


def other_text(rng: Generator, raw: bytes) -> bytes:
    return one(
        rng, [b"", b"null", b"[]", b"{}", b'{"images": {}}', b"\xff\xfe\x00x", b"\x89PNG\r\n\x1a\n", b"[" * 10**5]
    )


def other_list(rng: Generator, raw: bytes) -> bytes:
    file = json.loads(raw)
    section = one(rng, ["images", "annotations", "categories"])
    file[section] = one(rng, [None, {}, "x", 5])
    return json.dumps(file).encode()


def stray(rng: Generator, raw: bytes) -> bytes:
    """A character that means something, where it does not belong."""
    place = raw.index(one(rng, [b'"bbox"', b'"id"', b'"segmentation"']))
    return raw[:place] + one(rng, [b"]", b"}", b",,", b"{", b"\x80"]) + raw[place:]


BYTES = {"cut": cut, "other text": other_text, "other list": other_list, "stray": stray}


# ---- of images


def truncated(rng: Generator, path: Path) -> str:
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.integers(0, len(raw) * 3 // 4)])
    return "unreadable"


def text(rng: Generator, path: Path) -> str:
    path.write_bytes(one(rng, [b"", b"not found\n", b"<html>404</html>", bytes(5000), b"version https://git-lfs\n"]))
    return "unreadable"


def vector(rng: Generator, path: Path) -> str:
    """Formats that a decoder might run, or that few decoders meet."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    fits = b"".join(
        c.ljust(80).encode() for c in ("SIMPLE  =                    T", "BITPIX  =                    8", "END")
    )
    psd = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 9, 9, 8, 3) + bytes(300)
    path.write_bytes(one(rng, [eps, fits.ljust(2880) + bytes(2880), psd, b"<svg xmlns='http://www.w3.org/2000/svg'/>"]))
    return "unreadable"


def other_format(rng: Generator, path: Path) -> str:
    Image.open(path).convert("P").save(path, format=one(rng, ["GIF", "PCX", "TGA"]))
    return "unreadable"


def bomb(rng: Generator, path: Path) -> str:
    """A few kilobytes that say they are 900 million pixels, or none."""
    width, height = one(rng, [(30_000, 30_000), (2**31 - 1, 1), (0, 0), (0, 9)])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b""))
    whole = (struct.pack(">I", len(b)) + a + b + struct.pack(">I", zlib.crc32(a + b)) for a, b in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))
    return "unreadable"


def floats(rng: Generator, path: Path) -> str:
    Image.open(path).convert("F").save(path, format="TIFF")
    return "unreadable"


def resized(rng: Generator, path: Path) -> str:
    image = Image.open(path).convert("RGB")
    image.resize((image.width + int(rng.integers(1, 9)), image.height)).save(path, format="PNG")
    return "size"


def gone(rng: Generator, path: Path) -> str:
    path.unlink()
    if rng.random() < 0.5:
        path.mkdir()
    return "missing"


def link_out(rng: Generator, path: Path) -> str:
    outside = next(p for p in path.parents if p.name == "images").parent / "outside.png"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(one(rng, [outside, Path("/etc/passwd")]))
    return "path"


def other_mode(rng: Generator, path: Path) -> None:
    """Fewer or more colours, transparency, 16 bits, printers' colours: all of it can be shown."""
    image = Image.open(path).convert("RGB")
    mode = one(rng, ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256).save(path, format="PNG")
    image = image.convert("L").convert(mode) if mode == "LA" else image.convert(mode)
    return image.save(path, format="TIFF" if mode == "CMYK" else "PNG")


def other_suffix(rng: Generator, path: Path) -> None:
    """What counts is what is in it, not what it is called."""
    Image.open(path).convert("RGB").save(path, format=one(rng, ["PNG", "JPEG", "WEBP", "BMP", "TIFF"]))


def turned(rng: Generator, path: Path) -> None:
    """Stored lying, with a note to turn it; declared is what the viewer sees, or what is stored."""
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
