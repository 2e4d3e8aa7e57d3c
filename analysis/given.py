"""What the figures and tables are made from: runs, folders of runs, and the summaries that studies write.

A row is one training, whether its folder is at hand or a summary tells of it; `core/results.py` says what is told.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev

from analysis.collect import collect, describe
from analysis.collected import Collected, opened
from analysis.logged import logged
from analysis.measured import measured
from core import losses
from core.errors import UserError
from core.evaluate import NUMBERS
from core.files import read_json, write_json
from core.replay import Opened, open_run
from core.results import result

SHIPPED = Path(__file__).parents[1] / "assets"
LIMIT = 500  # images of a run that are looked at
OURS = frozenset({"logits", "features", "prior"})  # the losses of DETRDistill
TRAINING = ("student", "data", "optim", "init", "amp")
TITLES = {"adamixer": "AdaMixer", "conditional": "Conditional DETR", "deformable": "Deformable DETR"}


class Absent(UserError):
    """Something that a figure or a table needs is not among what was given."""


@dataclass(frozen=True)
class Row:
    name: str
    told: dict
    folder: Path | None = None  # with weights

    @property
    def run(self) -> dict:
        """The configuration; empty in a summary that has none."""
        return self.told.get("run") or {}

    @property
    def seed(self) -> int | None:
        return self.told.get("seed")

    @property
    def detector(self) -> str:
        return self.run["student"]["detector"] if self.run else "?"

    @property
    def student(self) -> dict:
        return self.run["student"]["config"] if self.run else {}

    @cached_property
    def losses(self) -> frozenset[str] | None:
        """Those that count, beside detection; None where the summary does not say."""
        if not self.run:
            return None
        return frozenset(n for n, c in self.run["losses"].items() if c["weight"] and n != "detection")

    @cached_property
    def logged(self) -> dict[str, list[dict]]:
        """As `analysis/logged.py` has it; a summary may have none."""
        if "logged" in self.told:
            return self.told["logged"]
        return logged(self.folder) if self.folder else {"gradients": [], "epochs": []}

    @property
    def whole(self) -> bool:
        """Trained to the end, as far as is told."""
        return not self.run or self.told.get("epochs", 0) >= self.run["optim"]["epochs"]

    @property
    def kind(self) -> str:
        """student (alone), or distilled."""
        taught = self.losses if self.losses is not None else self.told.get("teacher")
        return "distilled" if taught else "student"

    @cached_property
    def data(self) -> str:
        """Where it was measured."""
        if not self.run:
            return "?"
        told = self.run["data"]
        first = f", first {told['val_limit']} images" if told["val_limit"] else ""
        if told["kind"] == "shapes":
            return f"shapes, {told['size']} px{first}"
        return f"{Path(told['val']).parent.name}/{Path(told['val']).stem}{first}"

    @cached_property
    def options(self) -> dict[str, object]:
        """What its losses have that is not the default, weights aside: {"features.gamma": 0.25}."""
        found = {}
        for name in sorted(self.losses or ()):
            usual = {f.name: f.default for f in fields(losses.module(name).Config)} if name in losses.names() else {}
            told = self.run["losses"][name]
            found |= {f"{name}.{k}": v for k, v in told.items() if k != "weight" and v != usual.get(k, v)}
        return found

    @cached_property
    def setting(self) -> str:
        """The same for rows that differ in nothing but their seed."""
        if not self.run:
            return re.sub(rf"-{self.seed}$", "", self.name)
        weights = {name: self.run["losses"][name]["weight"] for name in self.losses}
        told = {"weights": weights, "options": self.options, "teacher": self.told["teacher"]}
        return self.training + json.dumps(told, sort_keys=True)

    @cached_property
    def training(self) -> str:
        """The same for rows that differ in nothing but their losses, teacher and seed."""
        return self.alike(*TRAINING)

    @cached_property
    def learner(self) -> str:
        """The same for rows of one student on the same images, whatever the schedule."""
        return self.alike("student", "data", "init")

    def alike(self, *keys: str) -> str:
        """These parts of the configuration; the name where there is none."""
        return (
            json.dumps({k: there(portable(self.run).get(k)) for k in keys}, sort_keys=True) if self.run else self.name
        )

    def scores(self, key: str = "ap") -> float | None:
        return self.told.get(key)


def portable(run: dict) -> dict:
    """Without the folders of this machine: files by their name and that of their folder."""
    files = {key: value and short(value) for key, value in run.items() if key in ("teacher", "init", "class_map")}
    data = {k: short(v) if v and k in ("train", "val", "images") else v for k, v in run["data"].items()}
    return run | files | {"data": {"part": "val"} | data}  # cards of before there was a choice do not say it


def short(path: str) -> str:
    return "/".join(Path(path).parts[-2:]) if Path(path).is_absolute() else path


def there(value):
    """Without the fields that are off, so that one which came later makes no other training of what was before."""
    return {k: there(v) for k, v in value.items() if v} if isinstance(value, dict) else value


@dataclass(frozen=True)
class Group:
    """Rows of one setting over seeds."""

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        return self.rows[0]

    @property
    def usual(self) -> tuple[int, int]:
        """More is nearer to the defaults, then of more seeds."""
        return -len(self.first.options), len(self.rows)

    def values(self, key: str = "ap") -> list[float]:
        found = [row.scores(key) for row in self.rows]
        return [x for x in found if x is not None]

    def mean(self, key: str = "ap") -> float | None:
        return mean(self.values(key)) if self.values(key) else None

    def spread(self, key: str = "ap") -> float | None:
        """The sample's standard deviation over seeds; None of one."""
        return stdev(self.values(key)) if len(self.values(key)) > 1 else None


@dataclass(frozen=True)
class Stand:
    """What is to be compared: by kind, the student alone and distilled with all of DETRDistill, else the same."""

    groups: dict[str, Group]
    note: str = ""  # what sets it apart from others of its detector and data

    @property
    def first(self) -> Row:
        return next(iter(self.groups.values())).first

    @property
    def label(self) -> str:
        return f"{title(self.first.detector)}, {self.first.data}{self.note}"

    @property
    def schedule(self) -> str:
        limit = self.first.run["data"]["train_limit"] if self.first.run else None
        return f", {self.first.told.get('epochs')} epochs" + (f" of {limit} images" if limit else "")

    @property
    def whole(self) -> bool:
        return len(self.groups) == 2

    @property
    def teacher(self) -> dict | None:
        """COCO's numbers of the teacher."""
        return self.groups["distilled"].first.told.get("teacher_scores") if "distilled" in self.groups else None


def place(stand: Stand) -> tuple[str, str]:
    return stand.first.detector, stand.first.data


def apart(stands: Sequence[Stand]) -> list[Stand]:
    """With labels that differ: by their schedules, then by number."""
    for note in (lambda stand, k: stand.schedule, lambda stand, k: f"{stand.note} ({k})"):
        labels = [stand.label for stand in stands]
        seen = {label: labels.count(label) > 1 for label in labels}
        counts = [labels[:k].count(label) + 1 for k, label in enumerate(labels)]
        stands = [replace(s, note=note(s, k)) if seen[s.label] else s for s, k in zip(stands, counts)]
    return list(stands)


@dataclass
class Given:
    rows: list[Row]
    scratch: Path  # where tables are collected that no run has
    limit: int = LIMIT
    image: int | None = None  # the id of the image that a figure of one image shows

    @property
    def runs(self) -> list[Row]:
        """Rows whose weights are at hand."""
        return [row for row in self.rows if row.folder]

    def groups(self, wanted: Callable[[Row], bool] = lambda row: True) -> list[Group]:
        """Rows over seeds, in the order given."""
        found: dict[str, dict] = {}
        for row in filter(wanted, self.rows):
            found.setdefault(row.setting, {})[row.seed] = row
        return [Group(tuple(sorted(rows.values(), key=lambda r: str(r.seed)))) for rows in found.values()]

    def stands(self) -> list[Stand]:
        """One for each student, data and schedule: of several ways to distil it the one nearest to the defaults."""
        found: dict[str, dict[str, Group]] = {}
        for kind, wanted in (("student", frozenset()), ("distilled", OURS)):
            for group in self.groups(lambda row, wanted=wanted: row.losses == wanted):
                held = found.setdefault(group.first.training, {})
                if kind not in held or group.usual > held[kind].usual:
                    held[kind] = group
        return sorted((Stand(groups) for groups in found.values()), key=lambda stand: not stand.whole)

    def measurable(self) -> list[Stand]:
        """The same of rows whose weights are at hand, or whose summary has the measures; whole ones, if there are any.

        Absent: there is none.
        """
        stands = self.at_hand()
        return apart([stand for stand in stands if stand.whole] or stands)

    def widely(self) -> list[Stand]:
        """The same, and of each detector and data without a whole one the first: enough for what needs no pair."""
        stands = self.at_hand()
        found = {place(stand): stand for stand in reversed(stands)}
        return apart([stand for stand in stands if stand.whole or found[place(stand)] is stand])

    def at_hand(self) -> list[Stand]:
        rows = [row for row in self.rows if row.folder or "measured" in row.told]
        stands = Given(rows, self.scratch).stands()
        if not stands:
            raise Absent("no run with weights was given, nor a summary with measures: give the folder of a run")
        return stands

    def sweeps(self, option: str) -> list[dict[object, Group]]:
        """Groups by the value of one option of a loss, such as features.gamma, wherever all else is the same; longest first."""
        name, _, field = option.partition(".")
        usual = next(f.default for f in fields(losses.module(name).Config) if f.name == field)
        found: dict[tuple, dict[object, Group]] = {}
        for group in self.groups(lambda row: name in (row.losses or ())):
            row = group.first
            others = tuple(sorted((key, str(value)) for key, value in row.options.items() if key != option))
            found.setdefault((row.training, row.losses, others), {})[row.options.get(option, usual)] = group
        return sorted(found.values(), key=len, reverse=True)

    def run(self, kind: str | None = None, why: str = "this figure") -> Row:
        """The first run of this kind; Absent without one."""
        found = next((row for row in self.runs if kind in (None, row.kind)), None)
        if found is None:
            raise Absent(f"{why} needs a run{LACKING[kind]}: give its folder")
        return found

    def opened(self, row: Row) -> Opened:
        return self.once("opened", row, lambda: open_run(row.folder))

    def collected(self, row: Row) -> Collected:
        """The table in the run's folder, if it is of these images; else collected into `scratch`."""
        return self.once("collected", row, lambda: self.collect(row))

    def collect(self, row: Row) -> Collected:
        run = self.opened(row)
        wanted = describe(run, self.limit)[0]
        kept = row.folder / "collected"
        if (kept / "about.json").exists() and read_json(kept / "about.json") == wanted:
            return opened(kept)
        out = self.scratch / f"{row.folder.name}-{wanted['student'][:8]}-{wanted['truth'][:8]}"
        return opened(collect(run, out, limit=self.limit))

    def measured(self, row: Row) -> dict:
        """The numbers of `analysis/measured.py`, of a summary that has them or from the collected table."""
        if "measured" in row.told:
            return row.told["measured"]
        return self.once("measured", row, lambda: self.measure(row))

    def sides(self, stand: Stand) -> Iterator[tuple[str, int | None, dict]]:
        """Who, seed and measures of each row's student, and of the teacher of each kind's first row."""
        for kind, group in stand.groups.items():
            for row in group.rows:
                found = self.measured(row)
                yield kind, row.seed, found["student"]
                if found["teacher"] and row is group.first:
                    yield "teacher", None, found["teacher"]

    def measure(self, row: Row) -> dict:
        if row.folder is None:
            raise Absent(f"{row.name} is told of by a summary alone; give the folder of the run")
        table = self.collected(row)
        path = table.folder / "measured.json"
        if not path.exists():
            write_json(path, measured(table))
        return read_json(path)

    def once(self, what: str, row: Row, make: Callable):
        memory = self.__dict__.setdefault("memory", {})
        key = what, str(row.folder)
        if key not in memory:
            memory[key] = make()
        return memory[key]


def title(detector: str) -> str:
    return TITLES.get(detector, detector)


LACKING = {None: "", "student": " of a student alone", "distilled": " of a distilled student"}


def read(paths: Iterable[Path], scratch: Path, **more) -> Given:
    """UserError: a path is no run, no folder of runs and no summary. Without paths, what the project ships."""
    paths = list(paths) or [SHIPPED / "runs", SHIPPED / "results"]
    return Given(merged(row for path in paths for row in rows_of(Path(path))), scratch, **more)


def merged(rows: Iterable[Row]) -> list[Row]:
    """One row for each training: what a summary tells (seconds measured in turns, measures) beside the folder's weights."""
    found: dict[tuple, Row] = {}
    for row in rows:
        key = row.setting, row.seed, row.told.get("commit")
        held = found.get(key, row)
        folder, summary = (held, row) if held.folder else (row, held)
        found[key] = Row(held.name, folder.told | summary.told, folder.folder)
    return list(found.values())


def summarise(paths: Iterable[Path], out: Path, scratch: Path, *, limit: int | None = None) -> Path:
    """Writes the rows of all runs with their measures: what figures need of them, without their weights.

    Tables are collected in `scratch` and found there again. Rows of summaries that have measures are taken over.
    """
    given = read(paths, scratch, limit=limit or LIMIT)
    rows = {}
    for row in given.rows:
        if not row.whole:
            print(
                f"left out: {row.folder or row.name}, {row.told['epochs']} of {row.run['optim']['epochs']} epochs so far"
            )
        elif row.folder or "measured" in row.told:
            told = row.told | {"run": portable(row.run)} if row.run else row.told
            rows[named(row, rows)] = told | {"measured": given.measured(row), "logged": row.logged}
            write_json(out, {"command": f"python -m analysis measure RUN ... --json {out.name}", "rows": rows})
    if not rows:
        raise UserError("none of what was given has weights to look at; give folders of runs")
    return out


def named(row: Row, taken: dict) -> str:
    """Its folder's name, or where that is taken, or no name but a digest, what it is."""
    losses = "+".join(sorted(row.losses or ())) or "alone"
    spoken = f"{row.detector}-{losses}-{row.seed}"
    names = [row.name] * (not re.fullmatch("[0-9a-f]{16}", row.name)) + [
        spoken,
        *(f"{spoken}-{k}" for k in range(2, 99)),
    ]
    return next(name for name in names if name not in taken)


def rows_of(path: Path) -> list[Row]:
    if path.suffix == ".json":
        return summary(path)
    folders = sorted(card.parent for card in path.glob("**/card.json")) if path.is_dir() else []
    files = sorted(path.glob("*.json")) if path.is_dir() else []
    rows = [row for folder in folders for row in of_folder(folder)] + [row for file in files for row in summary(file)]
    if not rows:
        raise UserError(f"{path} has no measured run and no summary of a study; give a folder or a file that has")
    return rows


def of_folder(folder: Path) -> list[Row]:
    """None of a run that has not been measured yet."""
    try:
        return [Row(folder.name, result(folder), folder if (folder / "student.safetensors").exists() else None)]
    except UserError:
        return []


def summary(path: Path) -> list[Row]:
    """The rows of a JSON file, under "rows" or bare; none of what is no study's, as a benchmark's list."""
    told = read_json(path)
    rows = told.get("rows", told) if isinstance(told, dict) else told
    named = rows.items() if isinstance(rows, dict) else ()
    return [Row(name, row) for name, row in named if isinstance(row, dict) and set(NUMBERS[:1]) <= row.keys()]
