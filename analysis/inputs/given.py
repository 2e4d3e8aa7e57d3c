"""What the figures and tables are made from: runs, folders of runs, and the summaries that studies write.

A row is one training, whether its folder is at hand or a summary tells of it; `core/runs/results.py` says what is told.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from analysis.inputs.groups import Group, Stand, apart, place
from analysis.inputs.rows import Row
from analysis.query_table.collect import collect, describe
from analysis.query_table.measure import measured
from analysis.query_table.read import Collected, opened
from core import losses
from core.errors import UserError
from core.files import read_json, write_json
from core.runs.open import OpenRun, open_run

LIMIT = 500  # images of a run that are looked at
OURS = frozenset({"logits", "features", "prior"})  # the losses of DETRDistill


class Absent(UserError):
    """Something that a figure or a table needs is not among what was given."""


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

    def opened(self, row: Row) -> OpenRun:
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
        """The numbers of `analysis/query_table/measure.py`, of a summary that has them or from the collected table."""
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


LACKING = {None: "", "student": " of a student alone", "distilled": " of a distilled student"}
