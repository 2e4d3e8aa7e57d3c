"""From paths of runs, folders of runs and summaries to rows."""

import re
from collections.abc import Iterable
from pathlib import Path

from analysis.inputs.given import LIMIT, Given
from analysis.inputs.rows import Row, portable
from core.errors import UserError
from core.files import read_json, write_json
from core.metrics.coco_ap import NUMBERS
from core.project import ASSETS
from core.runs.results import result


def read(paths: Iterable[Path], scratch: Path, **more) -> Given:
    """UserError: a path is no run, no folder of runs and no summary. Without paths, what the project ships."""
    paths = list(paths) or [ASSETS / "runs", ASSETS / "results"]
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
