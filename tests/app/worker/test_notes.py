"""Notes beside a run: none is lost to another that is written at the same time, and what a file holds comes back."""

import csv
import io
import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from analysis.bench._random_runs import random_run
from app.server.handlers import Handlers
from app.worker import notes
from core.errors import UserError
from tests.helpers import opened

MARKUP = "<img src=x onerror=alert(1)> & 'so on'\n= 2"


@pytest.fixture
def folder(tmp_path) -> Path:
    return random_run(tmp_path / "run", queries=5, layers=2, size=48, images=3)


@pytest.fixture
def handlers(folder) -> Handlers:
    return opened.handlers(folder)


def test_what_is_written_comes_back_and_can_be_changed_and_removed(handlers, folder):
    handlers.note("image/1", MARKUP, [" hard ", "hard", "", "label"])
    (note,) = handlers.note("image/2", "", ["hard"], object=0)["notes"][:1]
    assert (note["key"], note["object"], note["tags"]) == ("image/2", 0, ["hard"])
    run = handlers.samples("").run
    assert note["class"] == run.classes[run.data[1].labels[0]]
    answer = handlers.note("image/2", "changed", [], object=0, id=note["id"])
    assert [x["text"] for x in answer["notes"]] == ["changed", MARKUP] and answer["tags"] == {"hard": 1, "label": 1}
    assert answer["file"] == str(folder / "notes.json") and answer["total"] == 2
    assert json.loads((folder / "notes.json").read_text())["notes"][1]["text"] == MARKUP
    assert opened.handlers(folder).notes() == answer
    left = handlers.unnote(note["id"])
    assert [x["text"] for x in left["notes"]] == [MARKUP]
    with pytest.raises(UserError, match="no note"):
        handlers.unnote(note["id"])


def test_notes_that_are_written_at_once_are_all_kept(folder):
    def write(k: int) -> None:
        notes.write(folder, notes.new(1, "a.png", None, str(k), []))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert sorted(int(note.text) for note in notes.read(folder)) == list(range(40))


def test_notes_are_found_by_text_and_tag_and_exported(handlers):
    for k, (text, tags) in enumerate([("Small cat", ["hard"]), ("dog", ["hard", "odd"]), ("=1+1", [])]):
        handlers.note(f"image/{k + 1}", text, tags)
    texts = lambda **asked: [x["text"] for x in handlers.notes(**asked)["notes"]]  # noqa: E731
    assert (
        texts(text="CAT") == ["Small cat"]
        and texts(tag="hard") == ["dog", "Small cat"]
        and texts(text="odd") == ["dog"]
    )
    assert texts(text="cat", tag="odd") == [] and handlers.notes(tag="odd")["total"] == 3
    rows = json.loads(b64decode(handlers.exported("json", tag="hard")["data"]))
    assert [(x["image"], x["text"], x["tags"]) for x in rows] == [
        (2, "dog", ["hard", "odd"]),
        (1, "Small cat", ["hard"]),
    ]
    table = list(csv.DictReader(io.StringIO(b64decode(handlers.exported("csv")["data"]).decode())))
    assert [x["text"] for x in table] == ["'=1+1", "dog", "Small cat"] and table[1]["tags"] == "hard, odd"
    with pytest.raises(UserError, match="no form"):
        handlers.exported("exe")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"key": "image/9", "text": "x"}, "no image '9'"),
        ({"key": "upload/x/0.3", "text": "x"}, "images of a run"),
        ({"key": "image/1", "text": "x", "object": 99}, "no object 99"),
        ({"key": "image/1", "text": "x", "object": -2}, "no object -2"),
        ({"key": "image/1", "text": "  ", "tags": [" "]}, "is empty"),
        ({"key": "image/1", "text": "x" * 2001}, "at most 2000"),
        ({"key": "image/1", "text": "", "tags": ["x" * 41]}, "tags of at most 40"),
        ({"key": "image/1", "text": "", "tags": [str(k) for k in range(13)]}, "at most 12 tags"),
        ({"key": "image/1", "text": "x", "tags": [3]}, "a tag must be a text"),
    ],
)
def test_what_is_no_note_is_refused_and_nothing_is_written(handlers, folder, asked, says):
    with pytest.raises(UserError, match=says):
        handlers.note(**asked)
    assert not (folder / "notes.json").exists()


def test_a_damaged_file_is_named_and_kept(handlers, folder):
    written = {"id": "a", "image": 1, "file": "a", "object": 0, "text": "", "tags": ["x"], "written": ""}
    wrong = [{"id": 1}, {"image": "1"}, {"image": True}, {"object": "<b>"}, {"tags": [3]}, {"tags": None}, {"more": 1}]
    damaged = [json.dumps({"notes": [written | entry]}) for entry in wrong]
    for content in ("{", "[]", '{"notes": [{"id": 1}]}', '{"notes": 3}', *damaged):
        (folder / "notes.json").write_text(content)
        for ask in (handlers.notes, lambda: handlers.note("image/1", "x")):
            with pytest.raises(UserError, match="notes.json"):
                ask()
        assert (folder / "notes.json").read_text() == content


def test_a_note_on_an_image_that_is_gone_stays(handlers, folder):
    notes.write(folder, notes.new(77, "old.png", 3, "gone", []))
    (note,) = handlers.notes()["notes"]
    assert (note["key"], note["class"], note["file"], note["image"]) == ("", "", "old.png", 77)


def test_a_note_on_an_image_of_other_data_is_not_on_the_image_of_its_number(handlers, folder):
    notes.write(folder, notes.new(1, "holiday.png", None, "of a folder of pictures", ["label"]))
    (note,) = handlers.notes()["notes"]
    assert (note["key"], note["file"]) == ("", "holiday.png")
    assert json.loads(b64decode(handlers.exported("coco")["data"]))["images"] == []


def test_a_change_of_a_note_that_another_tab_removed_is_a_new_note(handlers):
    (note,) = handlers.note("image/1", "kept", id="x" * 100_000)["notes"]
    assert len(note["id"]) == 32


def test_notes_of_a_file_of_weights_are_beside_it(folder):
    assert notes.path_of(folder / "student.safetensors") == folder / "student.notes.json"
