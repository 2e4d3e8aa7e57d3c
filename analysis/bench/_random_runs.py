"""Runs of random weights, in folders as training leaves them: for benchmarks and tests of what only looks at a run."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torchvision.transforms.v2 import functional as F

from core import detectors, losses
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment, crop
from core.files import write_json
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
    taught: bool = True,
    stages: str = "each",
    backbone: str = "tiny16x1",
    seed: int = 0,
) -> Path:
    """An AdaMixer on shapes, its teacher (of `depth` layers, on `backbone`) and every loss of DETRDistill."""
    make = TINY | {"queries": queries}
    student = build("adamixer", seed, **make, layers=layers)
    teacher = build("adamixer", seed + 1, **make | {"backbone": backbone}, layers=depth or layers)
    chosen = configs(taught)
    if taught:
        chosen["logits"] = replace(chosen["logits"], stages=stages)
    data = {"kind": "shapes", "val_limit": images, "size": size, "augment": encode(Augment())}
    return write_run(folder, student, teacher if taught else None, chosen, data)


def configs(taught: bool = True) -> dict:
    """Of the losses, each of weight 1."""
    return {name: losses.module(name).Config(weight=1.0) for name in (LOSSES if taught else LOSSES[:1])}


def photos(folder: Path, count: int, height: int, width: int) -> dict:
    """Drawn scenes of this size as a COCO folder, and what a run's card says of it."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for whole in Shapes("val", count, width):
        sample = crop(whole, 0, 0, height, width)
        name = f"{sample.id:04}.jpg"
        F.to_pil_image(sample.pixels).save(folder / "images" / name, quality=90)
        images.append({"id": sample.id, "file_name": name, "height": height, "width": width})
        for label, (x0, y0, x1, y1) in zip(sample.labels.tolist(), sample.boxes.tolist()):
            box, category = [x0, y0, x1 - x0, y1 - y0], Shapes.categories[label].id
            note = {"id": len(annotations) + 1, "image_id": sample.id, "category_id": category, "bbox": box}
            annotations.append(note | {"area": box[2] * box[3], "iscrowd": 0})
    categories = [vars(c) for c in Shapes.categories]
    write_json(folder / "instances.json", {"images": images, "annotations": annotations, "categories": categories})
    told = {"kind": "coco", "val": str(folder / "instances.json"), "images": str(folder / "images"), "val_limit": None}
    return told | {"augment": encode(Augment())}


def write_run(folder: Path, student: nn.Module, teacher: nn.Module | None, chosen: dict, data: dict) -> Path:
    """The folder of a run of these detectors, whose classes are those of shapes."""
    built = {name: losses.build(name, config, student, teacher) for name, config in chosen.items()}
    card = {"categories": [vars(c) for c in Shapes.categories]}
    save_detector(folder / "student.safetensors", student, card | {"data": data})
    save_module(folder / "losses.safetensors", nn.ModuleDict(built), {})
    note = None
    if teacher is not None:
        save_detector(folder / "teacher.safetensors", teacher, card | {"data": data})
        note = {"path": "teacher.safetensors", "sha256": sha256_of(folder / "teacher.safetensors")}
    run = {"data": data, "student": encode(student.config), "losses": {name: encode(c) for name, c in chosen.items()}}
    write_json(folder / "card.json", card | {"run": run, "teacher": note})
    return folder


def build(name: str, seed: int, **options) -> nn.Module:
    torch.manual_seed(seed)
    return unsettle(detectors.build(name, **options))


@torch.no_grad()
def unsettle(detector: nn.Module) -> nn.Module:
    """Weights as far from their first values as if they had learnt something: boxes and scores spread."""
    for name, p in detector.named_parameters():
        if "to_class.3" in name or "to_shift.3" in name or name.startswith("content"):
            p.add_(torch.randn_like(p) * (0.04 if "shift" in name else 0.4))
    return detector.eval()
