"""Probes of the trainer: flags, names, paths, cards, damaged files of runs, and folders that go away."""

import contextlib
import errno
import io
import json
import os
import pickle
import shutil
import struct
from pathlib import Path
from unittest import mock

from safetensors.torch import load_file, save

from tests.helpers import runs
from tests.helpers.hostile import RUN_NAMES
from tests.probes.commands import Prepare, command, parsed, spoilt, trained
from train.cli.verbs import Measure
from train.engine import loop
from train.engine.label import Label
from train.engine.predict import Predict
from train.errors import Failed
from train.job.stored_teacher import Store

ESC = "\x1b[2J"
FEW = ("--optim.epochs", "1", "--data.train-limit", "2", "--data.val-limit", "1")

FLAGS = {
    "--checkpoint-every 0": "checkpoint_every",
    "--eval-every 0": "eval_every",
    "--optim.lr nan": "optim.lr",
    "--optim.epochs 0": "optim.epochs",
    "--seed -1": "seed",
    "--threads -5": "threads",
    "--student.width 1000000000": "student.width",
    "--student.queries 0": "student.queries",
    "--data.size 10000000": "data.size",
    "--optim.batch 0": "optim.batch",
    "--losses.detection.weight -1": "losses.detection.weight",
    "--keep 0": "keep",
    f"--seed {ESC}": "seed",
    f"--x{ESC} 1": "no flag",
}
OTHER_FLAGS = {
    "eval RUN --batch 0": "--batch is 0",
    "eval RUN --batch -3": "--batch is -3",
    "eval RUN --workers -3": "--workers is -3",
    f"eval RUN --device cuda:99{ESC}": "--device is",
    "doctor RUN --limit 0": "--limit is 0",
    "label RUN --images . --out x.json --score nan": "--score is nan",
    "predict RUN . --score 2": "--score is 2",
    "predict RUN . --batch 0": "--batch is 0",
    "store RUN --out x --batch 0": "--batch is 0",
    f"export RUN --to {ESC} --out x": "--to is",
    f"study {ESC}": "no study",
    f"study demo --x{ESC}": "",
    f"convert . --split {ESC}": "",
    f"{ESC}": "no verb",
    f"list {ESC}": "no recipe",
}
# Options of each command that starts processes. Their number is tried at the parser alone, which must refuse it.
TAKE_WORKERS = {
    "fit": runs.small(),
    "eval": Measure(),
    "predict": Predict(),
    "label": Label(),
    "store": Store(),
}


def path_probes() -> dict:
    """Paths that are too long, within a file, or in a folder of other files."""
    long = "x" * 5000
    file: Prepare = lambda folder: (folder / "f").write_text("x")  # noqa: E731
    return {
        "fit --out too long": command("fit", "shapes", "--out", "x" * 300, *FEW, code=1, says="File name too long"),
        "fit --out in a file": command("fit", "shapes", "--out", "/dev/null/x", *FEW, code=1, says="cannot be written"),
        "fit --out a file": command("fit", "shapes", "--out", "f", *FEW, prepare=file, says="f exists"),
        "fit --card too long": command("fit", "--card", long, says="File name too long"),
        "resume too long": command("resume", long, says="File name too long"),
        "check too long": command("check", long, says="File name too long"),
        "predict too long": command("predict", "RUN", long, says="File name too long"),
        "import --out too long": command("import", "RUN", "--out", "x" * 300, says="File name too long"),
        "export --out in a file": command("export", "RUN", "--out", "f/x", prepare=file, says="cannot be read or written"),
        "doctor --json nowhere": command("doctor", "RUN", "--limit", "1", "--json", "f/x", prepare=file, says="cannot be"),
        "store --out a run": command("store", "RUN", "--out", "RUN", "--data.train-limit", "2", says="not those of a teacher"),
        "name with a line break": command("check", "a\nsound: yes", says=r"a\nsound: yes"),
    }  # fmt: skip


def card_probes() -> dict:
    """Cards that are edited by hand."""
    entries = {
        "teacher 5": {"teacher": 5},
        "teacher without a digest": {"teacher": {"path": "x"}},
        "class_map a list": {"class_map": [1]},
        "run a number": {"run": 7},
        "run empty": {"run": {}},
        "categories a number": {"categories": 5},
        "categories without names": {"categories": [{"id": 1}]},
    }

    def changed(entry: dict) -> Prepare:
        return spoilt("card.json", lambda raw: json.dumps(json.loads(raw) | entry).encode())

    return {
        f"resume, {name}": command("resume", "run", prepare=changed(x), says="card.json") for name, x in entries.items()
    }


def weights_card_probes() -> dict:
    """Cards within files of weights."""

    def changed(entry: dict) -> Prepare:
        def prepare(folder: Path) -> None:
            tensors = load_file(trained() / "student.safetensors")
            with open(trained() / "student.safetensors", "rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            card = json.loads(header["__metadata__"]["card"]) | entry
            (folder / "w.safetensors").write_bytes(save(tensors, {"card": json.dumps(card)}))

        return prepare

    wide = {"detector": "adamixer", "config": {"width": 10**9}}
    entries = {
        "detector os": ({"detector": "os"}, "no detector"),
        "width 10^9": (wide, "width"),
        "categories twice": ({"categories": [{"id": 1, "name": "a"}] * 8}, "categories"),
        "categories numbers": ({"categories": [{"id": 1, "name": 5}]}, "categories"),
        "data a number": ({"data": 5}, "data"),
    }
    return {
        f"eval, {name}": command("eval", "w.safetensors", prepare=changed(entry), says=says)
        for name, (entry, says) in entries.items()
    }


def damaged_probes() -> dict:
    """Files of a run that are cut, empty, or something else."""
    weights, state = "student.safetensors", "last/state.safetensors"
    deep = b"[" * 200_000
    changes = {
        ("eval", weights, "cut"): lambda raw: raw[: len(raw) // 2],
        ("eval", weights, "empty"): lambda raw: b"",
        ("eval", weights, "a pickle"): lambda raw: pickle.dumps({}),
        ("eval", weights, "a header of 2^60 bytes"): lambda raw: struct.pack("<Q", 2**60) + raw[8:],
        ("eval", weights, "a deep header"): lambda raw: struct.pack("<Q", len(deep)) + deep,
        ("eval", weights, "a flipped bit"): lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        ("resume", state, "cut"): lambda raw: raw[:1000],
        ("resume", state, "a flipped bit"): lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        ("resume", "card.json", "cut"): lambda raw: raw[:500],
        ("resume", "card.json", "no text"): lambda raw: b"\xff\xfe\x00",
        ("doctor", "metrics.jsonl", "bad bytes"): lambda raw: b"\x00\xff\n{]" + raw,
        ("doctor", "metrics.jsonl", "deep"): lambda raw: deep + b"\n" + raw,
        ("doctor", "losses.safetensors", "empty"): lambda raw: b"",
    }  # fmt: skip
    return {
        f"{verb}, {file} is {what}": command(verb, "run", prepare=spoilt(file, change), says=file)
        for (verb, file, what), change in changes.items()
    }


def goes_away(folder: Path) -> None:
    """A run whose folder is removed stops, and the folder stays away."""
    real, path = loop.step_record, folder / "run"
    with mock.patch.object(loop, "step_record", lambda *x: (shutil.rmtree(path, ignore_errors=True), real(*x))[1]):
        refuse_to_train(path, "is gone")
    assert not path.exists()


def log_goes_away(folder: Path) -> None:
    """A run whose log is removed stops."""
    real, path = loop.step_record, folder / "run"
    gone = path / "metrics.jsonl"
    with mock.patch.object(loop, "step_record", lambda *x: (gone.unlink(missing_ok=True), real(*x))[1]):
        refuse_to_train(path, "is gone")


def unwritable(number: int):
    """A folder in which nothing can be renamed, for one reason."""

    def probe(folder: Path) -> None:
        def refuse(source, target):
            raise OSError(number, os.strerror(number), str(source))

        with mock.patch.object(os, "replace", refuse):
            refuse_to_train(folder / "run", "no space left" if number == errno.ENOSPC else "cannot be written")

    return probe


def refuse_to_train(path: Path, says: str) -> None:
    """Trains, and checks that the run fails with a sentence."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), mock.patch.object(loop, "summary", lambda job, path: ""):
            loop.fit(runs.small(), path)
    except Failed as error:
        assert says in str(error), str(error)
    else:
        raise AssertionError("the run went on")


PROBES = {
    **{f"fit {words}": command("fit", "shapes", *words.split(), says=says) for words, says in FLAGS.items()},
    **{words: command(*words.split(), says=says) for words, says in OTHER_FLAGS.items()},
    **{
        f"{verb} --workers 100000": parsed(options, "--workers", "100000", says="workers is 100000")
        for verb, options in TAKE_WORKERS.items()
    },
    **{f"--name {name[:20]!a}": command("fit", "shapes", f"--name={name}", says="name is") for name in RUN_NAMES},
    **path_probes(),
    **card_probes(),
    **weights_card_probes(),
    **damaged_probes(),
    "the folder of a run is removed": goes_away,
    "the log of a run is removed": log_goes_away,
    "a read-only file system": unwritable(errno.EROFS),
    "a folder without permission": unwritable(errno.EACCES),
    "a full disk": unwritable(errno.ENOSPC),
}
