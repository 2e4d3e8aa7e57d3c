"""One training as the figures and tables see it: a row, read from a run folder or from a summary file."""

import json
import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from analysis.inputs.logged import training_log
from core import detectors, losses
from core.runs.config import encode

# The parts of a run's configuration that must agree for two rows to be the same training, losses and seed aside.
TRAINING = ("student", "data", "optim", "init", "amp")

# Titles of detectors that differ from what `detector_title` makes of their names; a new detector needs no line here.
TITLES = {"adamixer": "AdaMixer", "conditional": "Conditional DETR", "deformable": "Deformable DETR"}


@dataclass(frozen=True)
class Row:
    """One training: its name, its result, and the folder of the run where its weights are available."""

    name: str
    result: dict  # as `core.runs.results.result` returns it; a summary may add "measured" and "logged"
    folder: Path | None = None  # the run's folder, if it holds the student's weights

    @property
    def run(self) -> dict:
        """The configuration of the run; empty in a summary that has none."""
        return self.result.get("run") or {}

    @property
    def seed(self) -> int | None:
        """Seed of the training; None in a summary that does not give it."""
        return self.result.get("seed")

    @property
    def detector(self) -> str:
        """Name of the student's detector, "?" if the configuration is unknown."""
        return self.run["student"]["detector"] if self.run else "?"

    @property
    def student_config(self) -> dict:
        """Options of the student's detector; empty if the configuration is unknown."""
        return self.run["student"]["config"] if self.run else {}

    @cached_property
    def losses(self) -> frozenset[str] | None:
        """Names of the distillation losses with a nonzero weight; None if the configuration is unknown."""
        if not self.run:
            return None
        return frozenset(n for n, c in self.run["losses"].items() if c["weight"] and n != "detection")

    @cached_property
    def logged(self) -> dict[str, list[dict]]:
        """Gradient norms and instability by epoch, as `training_log` returns them; empty lists if there are none."""
        if "logged" in self.result:
            return self.result["logged"]
        return training_log(self.folder) if self.folder else {"gradients": [], "epochs": []}

    @property
    def finished(self) -> bool:
        """Returns whether all epochs were trained; True if the configuration is unknown."""
        return not self.run or self.result.get("epochs", 0) >= self.run["optim"]["epochs"]

    @property
    def kind(self) -> str:
        """Either "student" (trained alone) or "distilled"."""
        teacher = self.losses if self.losses is not None else self.result.get("teacher")
        return "distilled" if teacher else "student"

    @cached_property
    def data(self) -> str:
        """Name of the validation images for captions, such as "shapes, 96 px" or "cards/val"; "?" if unknown."""
        if not self.run:
            return "?"
        config = self.run["data"]
        limit = f", first {config['val_limit']} images" if config["val_limit"] else ""
        if config["kind"] == "shapes":
            return f"shapes, {config['size']} px{limit}"
        source = config["val"] or config.get("folder")
        return f"{Path(source).parent.name}/{Path(source).stem}{limit}" if source else "?"

    @cached_property
    def options(self) -> dict[str, object]:
        """Options of the losses that differ from their defaults, weights left out: {"features.gamma": 0.25}."""
        changed: dict[str, object] = {}
        for name in sorted(self.losses or ()):
            defaults = {f.name: f.default for f in fields(losses.module(name).Config)} if name in losses.names() else {}
            config = self.run["losses"][name]
            changed |= {f"{name}.{k}": v for k, v in config.items() if k != "weight" and v != defaults.get(k, v)}
        return changed

    @cached_property
    def setting_key(self) -> str:
        """A text that is equal for rows that differ only in their seed."""
        if not self.run:
            return re.sub(rf"-{self.seed}$", "", self.name)
        weights = {name: self.run["losses"][name]["weight"] for name in self.losses or ()}
        varied = {"weights": weights, "options": self.options, "teacher": self.result["teacher"]}
        return self.training_key + json.dumps(varied, sort_keys=True)

    @cached_property
    def training_key(self) -> str:
        """A text that is equal for rows that differ only in losses, teacher and seed."""
        return self._key(*TRAINING)

    @cached_property
    def student_key(self) -> str:
        """A text that is equal for rows that train the same student on the same images, whatever the schedule."""
        return self._key("student", "data", "init")

    def _key(self, *parts: str) -> str:
        """These parts of the configuration as JSON; the row's name if the configuration is unknown."""
        if not self.run:
            return self.name
        run = without_local_folders(self.run)
        run["student"] = with_defaults(run["student"])
        return json.dumps({part: without_falsy(run.get(part)) for part in parts}, sort_keys=True)

    def score(self, key: str = "ap") -> float | None:
        """A COCO metric after the last epoch, 0 to 1; None if it is unknown."""
        return self.result.get(key)


def without_local_folders(run: dict) -> dict:
    """The configuration with absolute paths cut to the file and its folder, so that machines compare equal."""
    files = {k: v and last_two_parts(v) for k, v in run.items() if k in ("teacher", "init", "class_map")}
    data = {
        k: last_two_parts(v) if v and k in ("train", "val", "images", "folder") else v for k, v in run["data"].items()
    }
    return run | files | {"data": {"part": "val"} | data}  # old cards have no "part"; they were all measured on "val"


def last_two_parts(path: str) -> str:
    """The file and its folder of an absolute path; a relative path as it is."""
    return "/".join(Path(path).parts[-2:]) if Path(path).is_absolute() else path


def with_defaults(student: dict) -> dict:
    """A student's configuration with the defaults of options that were added after it was written.

    It is returned as it is if the detector is not known here.
    """
    name = student["detector"]
    return merged(encode(detectors.module(name).Config()), student) if name in detectors.names() else student


def merged(defaults: dict, values: dict) -> dict:
    """Values and, where a key is missing, the defaults, in nested dicts too."""
    inner = {
        k: merged(defaults[k], v)
        for k, v in values.items()
        if isinstance(v, dict) and isinstance(defaults.get(k), dict)
    }
    return defaults | values | inner


def without_falsy(value: object) -> object:
    """Drops falsy fields of nested dicts, so that old cards compare equal after new options are added."""
    return {k: without_falsy(v) for k, v in value.items() if v} if isinstance(value, dict) else value


def detector_title(name: str) -> str:
    """The detector's title: from TITLES, else made from its name, such as "Dab DETR" from `dab_detr`."""
    return TITLES.get(name) or name.replace("_", " ").title().replace("Detr", "DETR")
