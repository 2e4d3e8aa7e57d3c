"""The inputs of figures and tables: rows of runs and summaries, comparisons of them, and the measurements of each run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from analysis.inputs.groups import Comparison, Group, with_distinct_labels
from analysis.inputs.rows import Row
from analysis.query_table.collect import collect, describe, missing_parts, rows_of_images
from analysis.query_table.measure import measure_table
from analysis.query_table.read import QueryTable, open_table, read_rows
from core import losses
from core.errors import UserError
from core.files import read_json, write_json
from core.runs.open import OpenRun, open_run

T = TypeVar("T")
LIMIT = 500  # images of a run that are measured by default
OURS = frozenset({"logits", "features", "prior"})  # the losses of DETRDistill


class Absent(UserError):
    """The inputs lack something that a figure or a table needs."""


@dataclass
class Inputs:
    """The rows that figures and tables are made from; measures runs on demand and remembers the results."""

    rows: list[Row]
    scratch: Path  # folder for query tables of runs that have none of their own
    limit: int = LIMIT  # images of each run that are measured
    image: int | None = None  # id of the image for figures of one image; None: each figure chooses
    cache: dict[tuple[str, str], object] = field(default_factory=dict, repr=False, compare=False)

    @property
    def runs(self) -> list[Row]:
        """The rows whose weights are available."""
        return [row for row in self.rows if row.folder]

    def with_ap(self) -> "Inputs":
        """The inputs with only the rows whose AP was measured. Absent: there are rows, and none of them has an AP."""
        rows = [row for row in self.rows if row.score() is not None]
        if self.rows and not rows:
            raise Absent("no AP was measured of these runs: they were trained where faster-coco-eval is not installed")
        return replace(self, rows=rows)

    def first_run(self) -> Row:
        """The first row whose weights are available. Absent: there is none."""
        if not self.runs:
            raise Absent("this figure needs a run: give its folder")
        return self.runs[0]

    def groups(self, wanted: Callable[[Row], bool] = lambda row: True) -> list[Group]:
        """The wanted rows, grouped over seeds, in the order given."""
        settings: dict[str, dict[int | None, Row]] = {}
        for row in filter(wanted, self.rows):
            settings.setdefault(row.setting_key, {})[row.seed] = row
        return [Group(tuple(sorted(rows.values(), key=lambda row: str(row.seed)))) for rows in settings.values()]

    def comparisons(self) -> list[Comparison]:
        """One comparison for each student, data and schedule, complete ones first.

        Where a student was distilled in several ways with DETRDistill's losses, the one nearest to the defaults is taken.
        """
        trainings: dict[str, dict[str, Group]] = {}
        for kind, names in (("student", frozenset()), ("distilled", OURS)):
            for group in self.groups(partial(distilled_with, names)):
                groups = trainings.setdefault(group.first.training_key, {})
                if kind not in groups or group.preference > groups[kind].preference:
                    groups[kind] = group
        return sorted((Comparison(groups) for groups in trainings.values()), key=lambda c: not c.complete)

    def measurable_comparisons(self) -> list[Comparison]:
        """Comparisons of rows that can be measured: the complete ones, or all if none is complete. Absent: there is none."""
        comparisons = self._comparisons_of_measurable_rows()
        return with_distinct_labels([c for c in comparisons if c.complete] or comparisons)

    def measurable_comparisons_of_all_data(self) -> list[Comparison]:
        """Complete measurable comparisons, and the first incomplete one of each detector and dataset that has no complete one.

        For measures that need no pair of students. Absent: there is none.
        """
        comparisons = self._comparisons_of_measurable_rows()
        first = {c.detector_and_data: c for c in reversed(comparisons)}
        return with_distinct_labels([c for c in comparisons if c.complete or first[c.detector_and_data] is c])

    def _comparisons_of_measurable_rows(self) -> list[Comparison]:
        """Comparisons of the rows that have weights, or measurements in their summary. Absent: there is none."""
        rows = [row for row in self.rows if row.folder or "measured" in row.result]
        comparisons = Inputs(rows, self.scratch).comparisons()
        if not comparisons:
            raise Absent("no run with weights was given, nor a summary with measures: give the folder of a run")
        return comparisons

    def sweeps(self, option: str) -> list[dict[object, Group]]:
        """Groups by the value of one option of a loss, such as "features.gamma", that agree in all else; longest first."""
        name, _, option_field = option.partition(".")
        default = next(f.default for f in fields(losses.module(name).Config) if f.name == option_field)
        sweeps: dict[tuple, dict[object, Group]] = {}
        for group in self.groups(lambda row: name in (row.losses or ())):
            row = group.first
            others = tuple(sorted((key, str(value)) for key, value in row.options.items() if key != option))
            sweep = sweeps.setdefault((row.training_key, row.losses, others), {})
            sweep[row.options.get(option, default)] = group
        return sorted(sweeps.values(), key=len, reverse=True)

    def open_run(self, row: Row) -> OpenRun:
        """The row's run, with its networks and validation images. Absent: the row has no weights."""
        folder = folder_of(row)
        return self._once("run", row, lambda: open_run(folder))

    def query_table(self, row: Row) -> QueryTable:
        """The row's query table: the one in the run's folder if it is of the same images, else collected into `scratch`."""
        return self._once("query table", row, lambda: self._kept_table(row) or self._collect(row))

    def rows_of_images(self, row: Row, images: Sequence[int], columns: list[str], **where: str) -> pd.DataFrame:
        """Columns of the query table, of images with these ids: of them alone, where the table is not collected yet."""
        if table := self._kept_table(row):
            return table.rows(columns, image=images, **where)
        run, wanted = self.open_run(row), set(images)
        indices = [index for index, id in enumerate(run.data.ids) if id in wanted]
        return read_rows(rows_of_images(run, indices), columns, where)

    def measurements(self, row: Row) -> dict:
        """The row's measurements (`analysis/query_table/measure.py`), from its summary or from its query table."""
        if "measured" in row.result:
            return row.result["measured"]
        return self._once("measurements", row, lambda: self._measure(row))

    def measurements_by_role(self, comparison: Comparison) -> Iterator[tuple[str, int | None, dict]]:
        """Role, seed and measurements of every student, and of the teacher of each group's first row (seed None).

        Roles are "student", "distilled" and "teacher".
        """
        for kind, group in comparison.groups.items():
            for row in group.rows:
                measurements = self.measurements(row)
                yield kind, row.seed, measurements["student"]
                if measurements["teacher"] and row is group.first:
                    yield "teacher", None, measurements["teacher"]

    def _kept_table(self, row: Row) -> QueryTable | None:
        """The table of the run's folder if it is of the same images, or a whole one in `scratch`; None: there is neither."""
        wanted = self._about(row)
        if about_of(kept := folder_of(row) / "collected") == wanted:
            return open_table(kept)
        out = self._scratch_folder(row)
        return open_table(out) if about_of(out) == wanted and not missing_parts(out, wanted) else None

    def _collect(self, row: Row) -> QueryTable:
        """Collects a query table into `scratch`."""
        return open_table(collect(self.open_run(row), self._scratch_folder(row), limit=self.limit))

    def _about(self, row: Row) -> dict:
        """The about.json that the row's query table has; reads the run's weights once."""
        return self._once("about", row, lambda: describe(self.open_run(row), self.limit)[0])

    def _scratch_folder(self, row: Row) -> Path:
        """The folder in `scratch` of the row's table."""
        wanted = self._about(row)
        return self.scratch / f"{folder_of(row).name}-{wanted['student'][:8]}-{wanted['truth'][:8]}"

    def _measure(self, row: Row) -> dict:
        """Measures the query table, or reads measured.json beside it. Absent: the row has no weights."""
        table = self.query_table(row)
        path = table.folder / "measured.json"
        if not path.exists():
            write_json(path, measure_table(table))
        return read_json(path)

    def _once(self, what: str, row: Row, make: Callable[[], T]) -> T:
        """The value from the cache, or made now and kept."""
        key = what, str(row.folder)
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]  # type: ignore[return-value]  # the key decides the type


def about_of(table: Path) -> dict | None:
    """The contents of about.json in the folder of a query table; None: there is none."""
    path = table / "about.json"
    return read_json(path) if path.exists() else None


def distilled_with(names: frozenset[str], row: Row) -> bool:
    """Returns whether the row's distillation losses are exactly these."""
    return row.losses == names


def folder_of(row: Row) -> Path:
    """The run's folder. Absent: only a summary of the row was given."""
    if row.folder is None:
        raise Absent(f"{row.name} is known from a summary alone; give the folder of the run")
    return row.folder
