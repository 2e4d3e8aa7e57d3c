"""Summaries of made-up studies: rows as `core.runs.results.result` returns them, with measurements where asked."""

import json
from dataclasses import replace
from pathlib import Path

from core import losses
from core.detectors import adamixer
from core.metrics.tide import KINDS
from core.runs.config import encode
from train.run import Data, Losses, Run

OURS = ("logits", "features", "prior")


def run(seed: int = 0, names=(), detector=None, **options) -> dict:
    """The configuration of a run with these losses; options as in `features={"gamma": 0.25}`."""
    configs = {n: losses.module(n).Config(weight=1.0, **options.get(n, {})) for n in ("detection", *names)}
    return encode(Run("x", detector or adamixer.Config(classes=8), Losses(**configs), Data(), seed=seed))


def row(ap: float, seed: int = 0, names=(), *, measured: dict | None = None, **options) -> dict:
    """A row with this AP (0 to 1), distilled from a teacher of AP 0.7 if there are losses; options as in `run`."""
    scores = {"ap": ap, "ap50": ap + 0.2, "ap75": ap + 0.1, "aps": ap - 0.1, "apm": ap + 0.05, "apl": None}
    teacher = {"ap": 0.7, "ap50": 0.9, "ap75": 0.8, "aps": 0.6, "apm": 0.75, "apl": None} if names else None
    training = {
        "ap_by_epoch": [ap / 3, ap / 2, ap],
        "measured_after": [1, 2, 3],
        "epochs": 3,
        "steps": 30,
        "seconds": 180.0,
    }
    training |= {"seed": seed, "commit": "x", "teacher": teacher and teacher["ap"], "teacher_scores": teacher}
    return scores | training | {"run": run(seed, names, **options)} | ({"measured": measured} if measured else {})


def side(ap: float, instability=(2.0, 1.0), correlation: float = 0.4) -> dict:
    """The measurements of one detector."""
    scores = {
        "ap": ap,
        "ap50": ap,
        "ap75": ap,
        "aps": ap,
        "apm": ap,
        "apl": None,
        "per_class": {"disc": ap, "ring": ap},
    }
    looks = {"images": 9, "correlation": correlation, "error": 0.01, "area": 0.3}
    looks |= {"inside": [0.1 * k for k in range(10)], "entropy": [0.5] * 10, "count": [30] * 9 + [0]}
    bins = {"low": [0.1 * k for k in range(10)], "count": [50] * 10, "score": [0.1 * k + 0.05 for k in range(10)]}
    return {
        "scores": scores,
        "instability": {"stages": list(instability), "moved": [0.2, 0.1]},
        "looks": looks,
        "errors": {"ap50": ap, **{kind: 0.01 * k for k, kind in enumerate(KINDS)}, "counts": dict.fromkeys(KINDS, 5)},
        "calibration": bins | {"right": [0.1 * k for k in range(10)], "error": 0.05},
        "crowding": {name: {"images": 3, **scores} for name in ("1 or 2", "3 to 5", "6 or more")},
    }


def measured(ap: float, *, with_teacher: bool, **student) -> dict:
    """The measurements of a run; options of the student as in `side`."""
    agreement = {"class": [0.5, 0.6, 0.7], "iou": [0.6, 0.7, 0.8], "object": [0.9, 0.9, 0.9]} if with_teacher else None
    return {
        "images": 9,
        "student": side(ap, **student),
        "teacher": side(0.7) if with_teacher else None,
        "agreement": agreement,
    }


def pair(seeds=(0, 1, 2)) -> dict[str, dict]:
    """Rows of a student alone and distilled, with measurements."""
    rows = {}
    for seed in seeds:
        ap, better = 0.4 + 0.01 * seed, 0.5 + 0.02 * seed
        rows[f"alone-{seed}"] = row(ap, seed, measured=measured(ap, with_teacher=False, instability=(3.0, 2.0)))
        distilled = measured(better, with_teacher=True, instability=(2.0 + seed, 1.0), correlation=-0.3)
        rows[f"distilled-{seed}"] = row(better, seed, OURS, measured=distilled)
    return rows


def write(path: Path, rows: dict[str, dict]) -> Path:
    """Writes a summary file; returns its path."""
    path.write_text(json.dumps({"command": "none", "rows": rows}))
    return path


def deeper(layers: int) -> adamixer.Config:
    """The default student with another number of decoder layers."""
    return replace(adamixer.Config(classes=8), layers=layers)
