"""Findings on the data of a run: settings that it exceeds, such as more objects in an image than queries."""

from collections.abc import Iterator
from pathlib import Path

from core.data.coco.dataset import Coco
from core.data.coco.limits import Exceeded, exceeded, run_settings
from core.data.sample import Dataset
from core.errors import UserError
from core.runs.diagnose.finding import Finding

TITLES = {
    "objects": "there is no object",
    "queries": "some images have more objects than there are queries",
    "tiny": "objects are too small at the size of training",
    "class": "a class has no object",
    "area": "some boxes have no area",
    "detections": "some images have more objects than AP counts",
}


def data_findings(run: dict, val: Dataset) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Returns those that explain a bad result, and the rest; none for generated images. `run` is the configuration of the run."""
    limits = [*data_limits(run, val)] if isinstance(val, Coco) else []
    severe, mild = (tuple(finding(x) for x in limits if x.severe == wanted) for wanted in (True, False))
    return severe, mild


def finding(limit: Exceeded) -> Finding:
    """The finding for a setting that is exceeded."""
    return Finding("data", TITLES[limit.kind], limit.text, limit.setting)


def data_limits(run: dict, val: Coco) -> Iterator[Exceeded]:
    """The settings of the run that its training or validation images exceed. Training images that are gone are left out."""
    settings = run_settings(run)
    if source := run["data"]["train"] or run["data"].get("folder"):
        try:
            train = Coco(Path(source), run["data"]["images"] and Path(run["data"]["images"]), split="train")
            yield from exceeded(train.name, train.instances, settings, measured=False)
        except UserError:
            pass  # the file was moved since: the run can be diagnosed without it
    yield from exceeded(val.name, val.instances, settings, training=False)
