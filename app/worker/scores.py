"""The best AP that training measured."""

import json
from pathlib import Path


def best(run: Path) -> dict[str, float]:
    """Of "student" and "teacher", 0 to 1, from a run's log; nothing where there is none."""
    found: dict[str, float] = {}
    for line in evaluations(run / "metrics.jsonl"):
        if line.get("ap") is not None:
            found[line["eval"]] = max(line["ap"], found.get(line["eval"], 0.0))
    return found


def evaluations(log: Path) -> list[dict]:
    """A last line that is still being written does not count."""
    if not log.is_file():
        return []
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [record for line in lines if '"eval"' in line and (record := parsed(line))]


def parsed(line: str) -> dict | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "eval" in found else None
