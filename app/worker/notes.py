"""Notes on images and objects, kept as JSON beside the run: whole or not at all, and never at the cost of another's note."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from uuid import uuid4

from core.errors import UserError
from core.files import read_json, write_json

NAME = "notes.json"  # in the run's folder
LONGEST, TAGS, LONGEST_TAG = 2000, 12, 40  # characters of a text, tags of a note, characters of a tag
MOST = 10_000  # notes of a run
VERSION = 1  # of the file
CHANGES = Lock()  # a change reads the file, and then writes it


@dataclass(frozen=True)
class Note:
    """A text and tags on an image, or on one of its objects."""

    id: str
    image: int  # its id in the data
    file: str  # its name in the data: other data may have another image of this id
    object: int | None  # its place among the objects of the image, from 0; None for the image as a whole
    text: str
    tags: tuple[str, ...]
    written: str  # when, in UTC, as ISO 8601


def path_of(run: Path) -> Path:
    """The file of a run's notes: in its folder, or beside its file of weights."""
    return run / NAME if run.is_dir() else run.with_name(f"{run.stem}.{NAME}")


def read(run: Path) -> list[Note]:
    """The notes of a run, the last written first. UserError: the file is not one of notes."""
    path = path_of(run)
    if not path.exists():
        return []
    try:
        return [note_of(entry) for entry in read_json(path)["notes"]]
    except (KeyError, TypeError):
        raise UserError(f"{path} is not a file of notes; move it away, and a new one is begun") from None


def note_of(entry: dict) -> Note:
    """A note from its entry in the file. KeyError, TypeError: it is none."""
    texts = [entry[name] for name in ("id", "file", "text", "written")] + [*entry["tags"]]
    numbers = [entry["image"], 0 if entry["object"] is None else entry["object"]]
    if not all(isinstance(x, str) for x in texts) or not all(type(x) is int for x in numbers):
        raise TypeError("a note of other types")
    return Note(**entry | {"tags": tuple(entry["tags"])})


def write(run: Path, note: Note) -> None:
    """Adds a note, or replaces the one of the same id. UserError: it is too long, or the file cannot be written."""
    check(note)
    with CHANGES:
        notes = [x for x in read(run) if x.id != note.id]
        if len(notes) >= MOST:
            raise UserError(f"{path_of(run)} has {MOST} notes; remove some first")
        save(run, [note, *notes])


def remove(run: Path, id: str) -> None:
    """Removes a note. UserError: there is none of this id."""
    with CHANGES:
        notes = read(run)
        if id not in {x.id for x in notes}:
            raise UserError(f"there is no note {id[:40]!r}; somebody may have removed it")
        save(run, [x for x in notes if x.id != id])


def save(run: Path, notes: Sequence[Note]) -> None:
    """Writes the file. UserError: it cannot be written."""
    try:
        write_json(path_of(run), {"version": VERSION, "notes": [asdict(x) for x in notes]})
    except OSError as error:
        raise UserError(f"{path_of(run)} cannot be written ({error.strerror}); change its permissions") from None


def new(image: int, file: str, object: int | None, text: str, tags: Sequence[str], id: str = "") -> Note:
    """A note of now; `id` is that of the note that it replaces, "" for none. Tags are kept once, without spaces around."""
    cleaned = tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Note(id or uuid4().hex, image, file, object, text.strip(), cleaned, now)


def check(note: Note) -> None:
    """Checks the lengths of a note. UserError: it says nothing, or too much."""
    if not note.text and not note.tags:
        raise UserError("the note is empty; give it a text or a tag")
    if len(note.text) > LONGEST:
        raise UserError(f"the note has {len(note.text)} characters; at most {LONGEST} are kept")
    if len(note.tags) > TAGS or any(len(tag) > LONGEST_TAG for tag in note.tags):
        raise UserError(f"a note has at most {TAGS} tags of at most {LONGEST_TAG} characters")


def chosen(notes: Sequence[Note], text: str, tag: str) -> list[Note]:
    """The notes that have a text in them or among their tags, and a tag; "" for any."""
    wanted = text.strip().lower()
    return [
        note
        for note in notes
        if (not tag or tag in note.tags)
        and (wanted in note.text.lower() or any(wanted in x.lower() for x in note.tags))
    ]
