"""What a run folder says of its training: the row that studies write, and tables and figures read."""

import json
from pathlib import Path

from core.errors import UserError
from core.files import read_json
from core.metrics.coco_ap import NUMBERS


def lines(path: Path) -> list[dict]:
    """Of a JSON lines file; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def scores(run: Path) -> list[dict]:
    """The student's evaluations, epoch by epoch."""
    return [line for line in lines(run / "metrics.jsonl") if line.get("eval") == "student"]


def result(run: Path) -> dict:
    """Scores after the last epoch, AP by epoch, steps, training seconds as they were, and what was trained, `run`.

    `teacher` is the AP of the teacher, `teacher_scores` all its numbers. UserError: nothing was measured yet.
    """
    told, found = read_json(run / "card.json"), scores(run)
    if not found:
        raise UserError(f"{run} has no scores yet; go on with it by: python -m train resume {run}")
    timing = [line["seconds"] for line in lines(run / "timing.jsonl") if "eval" not in line]
    teacher = told["teacher"] and told["teacher"]["scores"]
    return {
        **numbers(found[-1]),
        "ap_by_epoch": [s["ap"] for s in found],
        "measured_after": [s["epoch"] for s in found],
        "epochs": found[-1]["epoch"],
        "steps": len(timing),
        "seconds": sum(timing),
        "seed": told["run"]["seed"],
        "commit": told["commit"],
        "teacher": teacher and teacher["ap"],
        "teacher_scores": teacher and numbers(teacher),
        "run": told["run"],
    }


def numbers(scores: dict) -> dict[str, float | None]:
    return {key: scores[key] for key in NUMBERS}
