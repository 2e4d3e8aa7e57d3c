"""Runs with random weights, in folders as training leaves them: for benchmarks and tests that only open a run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.transforms.v2 import functional as F

from core import detectors, losses
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment, crop
from core.detectors.base import Detector
from core.files import write_json
from core.losses._layer_mapping import LayerMapping
from core.runs.checkpoint import save_detector, save_module, sha256_of
from core.runs.config import encode

TINY = {"classes": 8, "backbone": "tiny16x1", "frozen": 0, "strides": (4, 8, 16), "width": 64, "heads": 4}
TINY |= {"points": 12, "mixed_points": 12, "feedforward": 256}
LOSSES = ("detection", "logits", "features", "prior")


def random_run(
    folder: Path,
    *,
    queries: int,
    layers: int = 6,
    depth: int | None = None,
    size: int = 320,
    images: int = 24,
    with_teacher: bool = True,
    stages: LayerMapping = "each",
    backbone: str = "tiny16x1",
    seed: int = 0,
) -> Path:
    """Writes the run of an AdaMixer on `images` shapes of `size` pixels, with every loss of DETRDistill; returns the folder.

    The teacher has `depth` decoder layers (None: as many as the student) and the given backbone. `stages` is the option of the
    loss `logits`.
    """
    options: dict[str, Any] = TINY | {"queries": queries}
    student = random_detector("adamixer", seed, **options, layers=layers)
    teacher = None
    configs = loss_configs(with_teacher)
    # built in any case, so that the random numbers of what follows don't depend on `with_teacher`
    other = random_detector("adamixer", seed + 1, **options | {"backbone": backbone}, layers=depth or layers)
    if with_teacher:
        teacher = other
        configs["logits"] = replace(configs["logits"], stages=stages)
    data = {"kind": "shapes", "val_limit": images, "size": size, "augment": encode(Augment())}
    return write_run(folder, student, teacher, configs, data)


def loss_configs(with_teacher: bool = True) -> dict[str, Any]:
    """Configs of the losses, each with weight 1; without a teacher, of detection alone."""
    return {name: losses.module(name).Config(weight=1.0) for name in (LOSSES if with_teacher else LOSSES[:1])}


def write_photos(folder: Path, count: int, height: int, width: int) -> dict:
    """Writes drawn scenes of this size as a COCO folder of JPEG files; returns the field `data` of a run's card for it."""
    (folder / "images").mkdir(parents=True)
    images: list[dict] = []
    annotations: list[dict] = []
    scenes = Shapes("val", count, width)
    for index in range(count):
        sample = crop(scenes[index], 0, 0, height, width)
        name = f"{sample.id:04}.jpg"
        F.to_pil_image(sample.pixels).save(folder / "images" / name, quality=90)
        images.append({"id": sample.id, "file_name": name, "height": height, "width": width})
        for label, (x0, y0, x1, y1) in zip(sample.labels.tolist(), sample.boxes.tolist()):
            box, category = [x0, y0, x1 - x0, y1 - y0], Shapes.categories[label].id
            about = {"id": len(annotations) + 1, "image_id": sample.id, "category_id": category, "bbox": box}
            annotations.append(about | {"area": box[2] * box[3], "iscrowd": 0})
    categories = [vars(c) for c in Shapes.categories]
    write_json(folder / "instances.json", {"images": images, "annotations": annotations, "categories": categories})
    data = {"kind": "coco", "val": str(folder / "instances.json"), "images": str(folder / "images"), "val_limit": None}
    return data | {"augment": encode(Augment())}


def write_run(
    folder: Path, student: Detector, teacher: Detector | None, configs: Mapping[str, Any], data: dict
) -> Path:
    """Writes the folder of a run of these detectors and losses, with the classes of shapes; returns the folder."""
    built = {name: losses.build(name, config, student, teacher) for name, config in configs.items()}
    card = {"categories": [vars(c) for c in Shapes.categories]}
    save_detector(folder / "student.safetensors", student, card | {"data": data})
    save_module(folder / "losses.safetensors", nn.ModuleDict(built), {})
    note = None
    if teacher is not None:
        save_detector(folder / "teacher.safetensors", teacher, card | {"data": data})
        note = {"path": "teacher.safetensors", "sha256": sha256_of(folder / "teacher.safetensors")}
    run = {"data": data, "student": encode(student.config), "losses": {name: encode(c) for name, c in configs.items()}}
    write_json(folder / "card.json", card | {"run": run, "teacher": note})
    return folder


def random_detector(name: str, seed: int, **options: Any) -> Detector:
    """A detector in eval mode with random weights, whose boxes and scores are spread; seeds torch's random numbers."""
    torch.manual_seed(seed)
    return spread_predictions(detectors.build(name, **options))


@torch.no_grad()
def spread_predictions(detector: Detector) -> Detector:
    """Adds noise to weights so that boxes and scores vary as in a trained detector; returns it in eval mode."""
    for name, p in detector.named_parameters():
        if "to_class.3" in name or "to_shift.3" in name or name.startswith("content"):
            p.add_(torch.randn_like(p) * (0.04 if "shift" in name else 0.4))
    return detector.eval()
