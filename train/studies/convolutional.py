"""Trains the convolutional detector of Figure 2: FCOS on the student's backbone.

torchvision's FCOS stands in for the paper's ATSS, to show where a convolutional detector looks on `shapes`. It starts from
assets/backbones/tiny16x1, as the students do. Writes assets/fcos_shapes.safetensors, with its AP and cost in the header.
Command: python -m train study convolutional    Time: 5 minutes on one core
"""

import time
from pathlib import Path
from typing import Any

import torch

from core.boxes import corners
from core.data.loader import Loader, evaluation
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.metrics.coco_ap import average_precision
from core.runs import fcos
from core.types import Targets

EPOCHS, BATCH, RATE, SEED, SIZE = 8, 16, 2e-3, 0, 96
AUGMENT = Augment(jitter=0.2)


def main(out: Path = Path("assets/fcos_shapes.safetensors"), images: int | None = None, epochs: int = EPOCHS) -> None:
    """Trains the detector on the first `images` images, and writes it to `out` with its AP on shapes/val."""
    torch.manual_seed(SEED)
    begun, train, val = time.process_time(), Shapes("train", images), Shapes("val", images)
    model = fcos.build(len(train.categories), SIZE, Path("assets/backbones") / f"{fcos.BACKBONE}.safetensors")
    train_detector(model, Loader(train, AUGMENT, BATCH, SEED), epochs)
    model.eval()
    detections = [fcos.detect(model, batch) for batch, _ in evaluation(val, AUGMENT, BATCH)]
    scores = average_precision(val.truth(), detections, val.categories)
    note: dict[str, Any] = {
        "made": f"FCOS of torchvision, {len(train)} images of shapes/train, {epochs} epochs, seed {SEED}"
    }
    note |= {"size": SIZE, "categories": [vars(c) for c in train.categories], "scores": scores}
    fcos.save(out, model, note | {"cpu_seconds": round(time.process_time() - begun)})
    print(f"AP {100 * scores['ap']:.1f} on shapes/val; written to {out}")


def train_detector(model: fcos.FCOS, loader: Loader, epochs: int) -> None:
    """Trains the detector with the losses that torchvision computes in its forward pass."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, epochs * len(loader))
    for epoch in range(epochs):
        losses = []
        for images, targets in loader.epoch(epoch):
            loss = sum(model(fcos.float_images(images), torchvision_targets(targets, images.sizes)).values())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses.append(loss.detach())
        print(f"  epoch {epoch + 1} of {epochs}: loss {torch.stack(losses).mean():.3f}", flush=True)


def torchvision_targets(targets: Targets, sizes: torch.Tensor) -> list[dict]:
    """The targets as torchvision's detectors take them: a dict for each image, with boxes as corners in pixels."""
    boxes = corners(targets.boxes) * sizes.flip(1).repeat(1, 2)[targets.image]
    counts = list(targets.counts)
    parts = zip(boxes.split(counts), targets.labels.split(counts))
    return [{"boxes": b, "labels": label} for b, label in parts]
