"""Reads the log and the scores of a run, and makes the row that studies write and figures read."""

import json
from collections.abc import Mapping
from pathlib import Path

from core.errors import UserError
from core.files import read_bytes, read_json
from core.limits import shown
from core.metrics.coco_ap import NUMBERS


def read_lines(path: Path, *, containing: str = "") -> list[dict]:
    """The objects of a JSON lines file, or only those whose line contains a text; [] if there is no file.

    An incomplete last line is left out, since training may still be writing it. UserError: another line is not JSON.
    """
    if not path.exists():
        return []
    *lines, last = read_bytes(path).decode(errors="replace").split("\n")
    if last.endswith("}"):
        lines.append(last)
    return [parse_line(line, path, number) for number, line in enumerate(lines, start=1) if containing in line]


def parse_line(line: str, path: Path, number: int) -> dict:
    """Parses one line. UserError: it is not a JSON object."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise UserError(f"{path}: line {number} is not a JSON object; remove that line, or take the file from a backup")
    return record


def evaluations(run: Path) -> list[dict]:
    """The evaluations of the teacher and, by epoch, of the student: {"eval": "student", "epoch", "ap", ...}.

    UserError: one lacks a score, or a score is no number.
    """
    path = run / "metrics.jsonl"
    lines = [line for line in read_lines(path, containing='"eval"') if "eval" in line]
    for line in lines:
        for key in ("epoch", *NUMBERS):
            if not isinstance(line.get(key, ""), int | float | None):
                raise UserError(
                    f"{path}: an evaluation's {key!r} is {shown(line.get(key))}; take the file from a backup"
                )
    return lines


def scores(run: Path) -> list[dict]:
    """The student's evaluations, by epoch."""
    return [line for line in evaluations(run) if line["eval"] == "student"]


def best_ap(run: Path) -> dict[str, float]:
    """The highest AP of "student" and "teacher", 0 to 1; a detector without any AP has no entry."""
    best: dict[str, float] = {}
    for line in evaluations(run):
        if line.get("ap") is not None:
            best[line["eval"]] = max(line["ap"], best.get(line["eval"], 0.0))
    return best


def result(run: Path) -> dict:
    """The row of a run in a study: its scores after the last epoch, AP by epoch, steps and seconds until then.

    `run` is the configuration, `teacher` the teacher's AP and `teacher_scores` its six numbers. UserError: the run has no
    evaluation yet.
    """
    card, measured = read_json(run / "card.json"), scores(run)
    if not measured:
        raise UserError(f"{run} has no scores yet; go on with it by: python -m train resume {run}")
    steps = [line for line in read_lines(run / "timing.jsonl") if "eval" not in line]
    timing = [line["seconds"] for line in steps if line["step"] <= measured[-1]["step"]]
    teacher = card["teacher"] and card["teacher"]["scores"]
    return {
        **numbers(measured[-1]),
        "ap_by_epoch": [s["ap"] for s in measured],
        "measured_after": [s["epoch"] for s in measured],
        "epochs": measured[-1]["epoch"],
        "steps": len(timing),
        "seconds": sum(timing),
        "seed": card["run"]["seed"],
        "commit": card["commit"],
        "teacher": teacher and teacher["ap"],
        "teacher_scores": teacher and numbers(teacher),
        "run": card["run"],
    }


def numbers(scores: dict) -> dict[str, float | None]:
    """Only COCO's six numbers (AP, AP50, AP75, APs, APm, APl) of an evaluation."""
    return {key: scores[key] for key in NUMBERS}


def sum_by_loss(terms: Mapping[str, float | None]) -> dict[str, float | None]:
    """Sums terms, which are named loss/map, for each loss; the sum is None if a term is None, which stands for NaN."""
    sums: dict[str, float | None] = {}
    for name, value in terms.items():
        loss = name.partition("/")[0]
        old = sums.get(loss, 0.0)
        sums[loss] = None if old is None or value is None else old + value
    return sums
