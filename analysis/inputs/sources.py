"""Reads rows from the paths that a user gives: run folders, folders of runs, and summaries that studies write."""

import re
from collections.abc import Iterable
from pathlib import Path

from analysis.inputs.inputs import LIMIT, Inputs
from analysis.inputs.rows import Row, without_local_folders
from core.errors import UserError
from core.files import read_json, write_json
from core.metrics.coco_ap import NUMBERS
from core.project import ASSETS
from core.runs.results import result, scores
from core.terminal import printable


def read_inputs(paths: Iterable[Path], scratch: Path, *, limit: int = LIMIT, image: int | None = None) -> Inputs:
    """The rows at all paths, or the shipped runs and summaries if there are no paths; query tables go into `scratch`.

    UserError: a path holds neither a measured run nor a summary, or a file in it is damaged.
    """
    paths = list(paths) or [ASSETS / "runs", ASSETS / "results"]
    rows = merge_rows(row for path in paths for row in rows_at(Path(path)))
    return Inputs(rows, scratch, limit=limit, image=image)


def merge_rows(rows: Iterable[Row]) -> list[Row]:
    """One row for each training: the folder's weights with the summary's results (side-by-side timings, measurements)."""
    merged: dict[tuple, Row] = {}
    for row in rows:
        key = row.setting_key, row.seed, row.result.get("commit")
        other = merged.get(key, row)
        folder, summary = (other, row) if other.folder else (row, other)
        merged[key] = Row(other.name, folder.result | summary.result, folder.folder)
    return list(merged.values())


def write_summary(paths: Iterable[Path], out: Path, scratch: Path, *, limit: int | None = None) -> Path:
    """Writes the rows of all finished runs with their measurements to `out`; figures can use it in place of the runs.

    Query tables are collected in `scratch` and reused from there. Rows of summaries that have measurements are copied. Prints
    the rows that are left out. UserError: no row is left.
    """
    inputs = read_inputs(paths, scratch, limit=limit or LIMIT)
    rows: dict[str, dict] = {}
    for row in inputs.rows:
        if not row.finished:
            epochs = f"{row.result['epochs']} of {row.run['optim']['epochs']} epochs so far"
            print(f"left out: {printable(row.folder or row.name)}, {epochs}")
        elif row.folder or "measured" in row.result:
            result_ = row.result | {"run": without_local_folders(row.run)} if row.run else row.result
            rows[unused_name(row, rows)] = result_ | {"measured": inputs.measurements(row), "logged": row.logged}
            # after every row, so that an interruption loses only the one in progress
            write_json(out, {"command": f"python -m analysis measure RUN ... --json {out.name}", "rows": rows})
    if not rows:
        raise UserError("none of what was given has weights to look at; give folders of runs")
    return out


def unused_name(row: Row, taken: dict) -> str:
    """The row's name, or "detector-losses-seed" if that is a digest or is taken, with a number if that is taken too."""
    losses = "+".join(sorted(row.losses or ())) or "alone"
    description = f"{row.detector}-{losses}-{row.seed}"
    names = [description, *(f"{description}-{k}" for k in range(2, 99))]
    if not re.fullmatch("[0-9a-f]{16}", row.name):
        names = [row.name, *names]
    return next(name for name in names if name not in taken)


def rows_at(path: Path) -> list[Row]:
    """All rows of a summary file, or of a folder: its runs at any depth, then the summaries directly in it.

    UserError: there is none, or a file is damaged.
    """
    if path.suffix == ".json":
        return rows_of_summary(path)
    folders = sorted(card.parent for card in path.glob("**/card.json")) if path.is_dir() else []
    files = sorted(path.glob("*.json")) if path.is_dir() else []
    rows = [row for folder in folders for row in rows_of_run(folder)]
    rows += [row for file in files for row in rows_of_summary(file)]
    if not rows:
        raise UserError(f"{path} has no measured run and no summary of a study; give a folder or a file that has")
    return rows


def rows_of_run(folder: Path) -> list[Row]:
    """The run's row; an empty list if the run has no scores yet. UserError: its card or its log is damaged."""
    if not scores(folder):
        return []
    return [Row(folder.name, result(folder), folder if (folder / "student.safetensors").exists() else None)]


def rows_of_summary(path: Path) -> list[Row]:
    """The rows of a JSON file, under "rows" or at the top level; none if it is not a study's, such as a benchmark's file."""
    content = read_json(path)
    rows = content.get("rows", content) if isinstance(content, dict) else content
    named = rows.items() if isinstance(rows, dict) else ()
    return [Row(name, row) for name, row in named if isinstance(row, dict) and set(NUMBERS[:1]) <= row.keys()]
