"""The list of a run's notes, one that is written or removed, and all of them as a file."""

import csv
import io
import json
from base64 import b64encode
from collections import Counter

from analysis.drawing.cells import no_formula
from app.worker import notes
from app.worker.notes import Note
from app.worker.samples import Samples
from core.errors import UserError
from core.terminal import printable

NAMES = {"json": "notes.json", "csv": "notes.csv", "coco": "to_label.json"}  # of the file, by its form
COLUMNS = ("image", "file", "object", "class", "text", "tags", "written")


def listing(samples: Samples, text: str, tag: str) -> dict:
    """The notes with a text and a tag, "" for any: {"notes", "tags": {tag: count}, "total" of all notes, "file"}."""
    every = notes.read(samples.run.path)
    counts = Counter(tag for note in every for tag in note.tags)
    return {
        "notes": [row(samples, note) for note in notes.chosen(every, text, tag)],
        "tags": dict(sorted(counts.items())),
        "total": len(every),
        "file": printable(notes.path_of(samples.run.path)),
    }


def keep(samples: Samples, key: str, object: int, text: str, tags: list[str], id: str) -> None:
    """Writes a note on an image, or for an `object` of at least 0 on that object.

    UserError: it is not an image of the run, has no such object, or the note is not one.
    """
    kind, _, rest = key.partition("/")
    if kind != "image":
        raise UserError("notes are kept on the images of a run; an uploaded image is gone when the app ends")
    image = samples.run.data.ids[samples.index(rest)]
    count = len(samples.sample(key).labels)
    if not -1 <= object < count:
        raise UserError(f"image {image} has no object {object}: there are {count}, from 0")
    # Another tab may have removed the note that is changed: then this is a new one.
    known = any(note.id == id for note in notes.read(samples.run.path))
    note = notes.new(image, samples.name(key), None if object < 0 else object, text, tags, id if known else "")
    notes.write(samples.run.path, note)


def row(samples: Samples, note: Note) -> dict:
    """A note as the page shows it; one on an image of other data, or that is gone, is without a key."""
    key = f"image/{note.image}" if samples.names.get(note.image) == note.file else ""
    return {
        "id": note.id,
        "key": key,
        "image": note.image,
        "file": note.file,
        "object": note.object,
        "class": class_of(samples, key, note.object),
        "text": note.text,
        "tags": list(note.tags),
        "written": note.written,
    }


def class_of(samples: Samples, key: str, object: int | None) -> str:
    """The class of an object; "" for a note on an image, or an object that is gone."""
    if not key or object is None:
        return ""
    try:
        labels = samples.sample(key).labels.tolist()
    except UserError:
        return ""
    return samples.classes[labels[object]] if object < len(labels) else ""


def file(samples: Samples, form: str, text: str, tag: str) -> dict:
    """The notes with a text and a tag as a file: {"name", "data" in base64}. UserError: there is no such form."""
    if form not in NAMES:
        raise UserError(f"no form {form[:10]!r}; there are {', '.join(NAMES)}")
    listed = listing(samples, text, tag)["notes"]
    rows = [{name: x[name] for name in COLUMNS} for x in listed]
    content = {
        "json": lambda: json.dumps(rows, indent=1),
        "csv": lambda: as_csv(rows),
        "coco": lambda: json.dumps(to_label(samples, listed)),
    }[form]()
    return {"name": NAMES[form], "data": b64encode(content.encode()).decode()}


def to_label(samples: Samples, rows: list[dict]) -> dict:
    """The images of notes as a COCO instances dict without annotations, for a program in which they are labelled."""
    images = {x["image"] for x in rows if x["key"]}
    return samples.truth | {"images": [x for x in samples.truth["images"] if x["id"] in images], "annotations": []}


def as_csv(rows: list[dict]) -> str:
    """The rows as CSV; tags are joined by commas."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS)
    table.writeheader()
    for x in rows:
        cells = x | {"tags": ", ".join(x["tags"]), "object": "" if x["object"] is None else x["object"]}
        table.writerow({name: no_formula(value) for name, value in cells.items()})
    return out.getvalue()
