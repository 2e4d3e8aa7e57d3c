"""Hostile and odd names of classes, files and runs through every command, the report and the answers of the app."""

import json
import shutil
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis import __main__ as analysis
from analysis.catalogue import FIGURES, TABLES
from app.arguments import checked
from app.server.page import VIEWS, answer
from core.terminal import printable
from tests.helpers import opened
from tests.helpers.hostile import NAMES
from tests.helpers.named import FILES, FIRST, PLAIN, train_named, write_yolo
from tests.probes.commands import answered
from train.cli.main import VERBS
from train.cli.main import main as train

# The exit code, and what is typed. 1 says that the data or the run have faults, 2 that a name is refused.
TRAIN = """
0 eval RUN
0 eval RUN --data JSON --images IMAGES
1 doctor RUN --limit 4
0 resume RUN
1 check JSON
0 label RUN --images IMAGES --out OUT/l.json
0 predict RUN IMAGES --out OUT/p
0 store RUN --out OUT/s --data.kind coco --data.train JSON --data.images IMAGES --data.train-limit 4
0 export RUN --out OUT/e
2 import RUN/student.safetensors --out OUT/i
0 convert YOLO --out OUT/c.json
0 fit --card RUN/card.json --out OUT/f
0 fit --card RUN/card.json --out OUT/t --teacher TEACHER --losses.logits.weight 1 --force
2 fit shapes --teacher RUN
2 list RUN
2 study RUN
""".strip().splitlines()
# A figure for which one run does not suffice says so.
ANALYSIS = """
0 collect RUN --limit 4 --out OUT/c
0 measure RUN --limit 4 --json OUT/m.json --work OUT/w
0 report RUN --limit 4 --out OUT/r
2 bench RUN
""".strip().splitlines()
ANALYSIS += [f"02 {name} RUN --limit 4 --out OUT" for name in FIGURES.names()]
ANALYSIS += [f"0 {name} RUN --out OUT" for name in TABLES.names()]
CODES = {words: codes for codes, _, words in (line.partition(" ") for line in TRAIN + ANALYSIS)}
QUICK = ("eval RUN", "check JSON", "list RUN", "fit shapes --teacher RUN")
OF_EACH_RUN = (
    "eval RUN",
    "doctor RUN --limit 4",
    "resume RUN",
    "export RUN --out OUT/e",
    "convergence RUN --limit 4 --out OUT",
)
TEXT = "=1+1\x1b[2J"
# What the page asks for; those that start a process, or wait for one, are tried with a figure that is none.
GIVEN = {
    "key": f"image/{FIRST}", "layer": 0, "side": "truth", "index": 0, "queries": [0], "path": "detection/class", "form": "csv",
    "text": TEXT, "tags": [TEXT], "name": TEXT, "recipe": TEXT, "id": TEXT, "file": {"path": TEXT}, "runs": [], "run": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    run = train_named(tmp_path_factory.mktemp("named"))
    write_yolo(run.parent / "yolo")
    shutil.copytree(run, run.parent / PLAIN)
    return run


def cases() -> list:
    return [pytest.param(words, marks=[] if words in QUICK else pytest.mark.slow) for words in CODES]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font", "ignore:.*layout not applied")
@pytest.mark.parametrize("words", cases())
def test_no_command_fails_or_prints_a_control_character(words, run, tmp_path):
    check_command(words, run, run.parent / "data", tmp_path)


def check_command(words: str, run: Path, data: Path, out: Path) -> None:
    """Runs a command, and checks that it ends with a code or a sentence, and what it prints and writes."""
    stands = {
        "RUN": run,
        "IMAGES": data / "images",
        "JSON": data / "instances.json",
        "YOLO": data.parent / "yolo",
        "OUT": out,
    }
    stands["TEACHER"] = data.parent / PLAIN
    typed = []
    for word in words.split():
        head, slash, rest = word.partition("/")
        typed.append(f"{stands.get(head, head)}{slash}{rest}")
    program = train if words.split()[0] in VERBS else analysis.main
    code, printed, errors = answered(*typed, program=program)
    assert str(code) in CODES[words] and "Traceback" not in errors, (code, printed, errors)
    assert all(c.isprintable() or c in "\n\t" for c in printed + errors), ascii(printed + errors)
    for page in out.rglob("*.html"):
        text = page.read_text()
        assert "<script>alert" not in text and "<img src=x" not in text and "could not be made" not in text


def test_every_verb_is_tried():
    assert {line.split()[1] for line in TRAIN} == set(VERBS)


def test_the_app_answers_in_json(run):
    """Each endpoint with nothing, with what the page asks for, and with that of every class."""
    handlers = opened.handlers(run)
    known = {name: checked(getattr(handlers, name)) for name in VIEWS}
    ok = set()
    for name in known:
        wanted = known[name].__wrapped__.__annotations__
        for given in ({}, {key: value for key, value in GIVEN.items() if key in wanted}):
            reply = answer(known, {"name": name, "with": given})
            assert ("ok" in reply) != bool(reply.get("error")), (name, reply)
            json.dumps(reply, allow_nan=False)
            assert all(x.isprintable() for x in texts(reply)), (name, [x for x in texts(reply) if not x.isprintable()])
            ok |= {name} if "ok" in reply else set()
    assert ok >= {"about", "gallery", "image", "scene", "matches", "query", "note", "notes", "exported"}, ok
    assert answer(known, {"name": "about"})["ok"]["classes"][: len(FILES)] == list(map(printable, FILES))
    notes = b64decode(known["exported"]("csv")["data"]).decode()
    assert "'=1+1" in notes and "\n=1+1" not in notes and ",=1+1" not in notes


def texts(value: object) -> Iterator[str]:
    """Every text and every key in JSON data, but for the texts of notes, in which a user may write lines."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for key in value.keys() - {"text", "tags"}:
            yield from texts(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph .* missing from font", "ignore:.*layout not applied")
@pytest.mark.parametrize("name", FILES, ids=range(len(FILES)))
def test_a_run_of_each_name(name, run, tmp_path):
    """A run in a folder of each name, alone."""
    named = Path(shutil.copytree(run, tmp_path / name))
    for words in OF_EACH_RUN:
        check_command(words, named, run.parent / "data", tmp_path / "out")


def test_there_are_40_names():
    assert len(set(NAMES)) >= 40
