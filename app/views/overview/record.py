"""The record of a run: what it logged in training, read by the code of figures and of the doctor; no network is opened."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from analysis.inputs import groups
from analysis.inputs.rows import Row, detector_title
from app.views.overview.rows import read_row
from app.worker.library import Source
from core.errors import UserError
from core.metrics.coco_ap import SIZES
from core.runs.diagnose.history import History, read_history
from core.runs.results import evaluations, sum_by_loss

POINTS = 400  # of a curve, at most
KEPT = 32  # runs whose record is kept in memory


def record(source: Source) -> dict:
    """The record of a run, with a sentence under "lacks" where there is none: see `read`."""
    if not source.path.is_dir():
        lacks = f"{source.id} is a file of weights, which does not say how it was trained; open the folder of its run"
        return {"id": source.id, "lacks": lacks}
    log = source.path / "metrics.jsonl"
    if not log.is_file():
        lacks = f"{source.id} has no metrics.jsonl, the log of its training; copy it from where the run was trained"
        return {"id": source.id, "lacks": lacks}
    try:
        numbers = read(source.path, log.stat().st_mtime_ns)
    except UserError as error:
        return {"id": source.id, "lacks": str(error)}
    return {"id": source.id, "lacks": ""} | numbers | without_own_teacher(source)


def without_own_teacher(source: Source) -> dict:
    """Drops the numbers of the teacher that a run had, if it is shown under another one, which was not measured in it."""
    return {} if source.teacher is None else {"teacher": None}


@lru_cache(maxsize=KEPT)
def read(folder: Path, written: int) -> dict:
    """The record of a run's folder, whose log was last `written` at this time. APs are 0 to 100.

    {"kind", "detector", "data", "seed", "epochs", "planned", "ap": [{"epoch", "minutes", "ap"}], "teacher": AP or null,
    "scores": {"student", "teacher"} by class and size, "losses", "curve" of the loss, "pulls" of each loss}
    """
    row, history = row_of(folder), read_history(folder)
    return {
        "kind": row.kind,
        "detector": detector_title(row.detector),
        "data": row.data,
        "seed": row.seed,
        "epochs": row.result["epochs"],
        "planned": row.run["optim"]["epochs"],
        "ap": ap_of_row(row),
        "teacher": scaled(row.result["teacher"] if row.result["teacher"] is not None else history.teacher_ap),
        "scores": scores_by_part(folder),
        "losses": [share.loss for share in history.loss_shares],
        "curve": loss_curve(history),
        "pulls": [asdict(share) for share in history.loss_shares],
    } | step_time(row, history)


def loss_curve(history: History) -> list[dict]:
    """The total and the weighted sum of each loss in at most POINTS steps, evenly spread."""
    every = -(-len(history.steps) // POINTS)
    return [{"step": x["step"], "total": x["total"]} | sum_by_loss(x["weighted"]) for x in history.steps[::every]]


def step_time(row: Row, history: History) -> dict:
    """The mean seconds of a step, None where the run did not time its steps, and the number of steps."""
    timed = row.result["seconds"] > 0 and row.result["steps"] > 0
    return {"step_seconds": row.result["seconds"] / row.result["steps"] if timed else None, "steps": len(history.steps)}


def row_of(folder: Path) -> Row:
    """The run as a row of figures and tables. UserError: it has not been evaluated yet."""
    row = read_row(folder)
    if row is None:
        raise UserError(f"{folder} has no AP yet; go on with it by: python -m train resume {folder}")
    return row


def ap_of_row(row: Row) -> list[dict]:
    """AP after each epoch, and the minutes of training until then; None where the run did not time its steps."""
    timed = row.result["seconds"] > 0
    by_epoch = groups.ap_points(groups.Group((row,)))
    return [{"epoch": p["epoch"], "minutes": p["minutes"] if timed else None, "ap": p["ap"]} for p in by_epoch]


def scores_by_part(folder: Path) -> dict[str, dict | None]:
    """The last AP of "student" and "teacher": {"all", "sizes": {name: AP}, "classes": {name: AP}}; None if not measured."""
    last = {line["eval"]: line for line in evaluations(folder)}
    return {who: by_part(last[who]) if who in last else None for who in ("student", "teacher")}


def by_part(line: dict) -> dict:
    """AP of an evaluation, by size and by class; a size or class that the images do not have is None."""
    sizes = {name: scaled(line[key]) for key, name in SIZES.items()}
    classes = {name: scaled(ap) for name, ap in line.get("per_class", {}).items()}
    return {"all": scaled(line["ap"]), "sizes": sizes, "classes": classes}


def scaled(ap: float | None) -> float | None:
    """AP of 0 to 1 as 0 to 100."""
    return None if ap is None else 100 * ap
