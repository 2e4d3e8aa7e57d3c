"""One training, whether its folder is at hand or a summary tells of it."""

import json
import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from analysis.inputs.logged import logged
from core import losses

TRAINING = ("student", "data", "optim", "init", "amp")


TITLES = {"adamixer": "AdaMixer", "conditional": "Conditional DETR", "deformable": "Deformable DETR"}


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
        """As `analysis/inputs/logged.py` has it; a summary may have none."""
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


def title(detector: str) -> str:
    return TITLES.get(detector, detector)
