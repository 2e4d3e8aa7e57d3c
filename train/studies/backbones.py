"""The backbones that every tiny recipe on `shapes` starts from, in place of ImageNet weights, which need a download.

Each is trained to say, at every place of its maps, of which class the object is whose middle lies there. It sees the
boxes and labels of the 2,400 training images, for EPOCHS epochs; the student alone and the distilled student start from
the same file. Writes assets/backbones/NAME.safetensors, with the cost in its header.
Command: python -m train study backbones    Time: 3 minutes on one core
"""

import time
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from core.data.loader import Loader
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.losses.detection import focal_loss
from core.matching.costs import Matching
from core.nn.backbones import Backbone, build
from core.runs.checkpoint import save_module
from core.types import Targets

EPOCHS, BATCH, RATE, SEED = 6, 16, 3e-3, 0
AUGMENT = Augment(jitter=0.2)
STRIDES = (4, 8, 16)


def main(folder: Path = Path("assets/backbones"), images: int | None = None, names=("tiny16x1", "tiny32x2")) -> None:
    dataset = Shapes("train", images)
    for name in names:
        begun = time.process_time()
        torch.manual_seed(SEED)
        backbone = build(name, STRIDES, frozen=0)
        teach(backbone, Loader(dataset, AUGMENT, BATCH, SEED), len(dataset.categories))
        note = f"dense classes of the middles of boxes, {len(dataset)} images of shapes/train, {EPOCHS} epochs, seed {SEED}"
        seconds = round(time.process_time() - begun)
        save_module(
            folder / f"{name}.safetensors", backbone.body, {"backbone": name, "made": note, "cpu_seconds": seconds}
        )
        print(f"{folder / name}.safetensors: {note}, {seconds} s of one core")


def teach(backbone: Backbone, loader: Loader, classes: int) -> None:
    heads = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in backbone.channels)
    for head in heads:
        nn.init.constant_(head.bias, -4.0)
    modules = nn.ModuleList([backbone, heads])
    modules.train()
    backbone.body.train()  # here alone BatchNorm learns its statistics
    optimizer = torch.optim.AdamW(modules.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, EPOCHS * len(loader))
    for epoch in range(EPOCHS):
        losses = []
        for images, targets in loader.epoch(epoch):
            maps = [head(x) for head, x in zip(heads, backbone(images))]
            loss = sum(dense_loss(m, targets) for m in maps)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses.append(loss.detach())
        print(f"  epoch {epoch + 1} of {EPOCHS}: loss {torch.stack(losses).mean():.3f}", flush=True)


def dense_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Focal loss of every place and class, by the number of objects."""
    want = middles(logits.shape, targets)
    return focal_loss(
        rearrange(logits, "b c h w -> b h w c"), rearrange(want, "b c h w -> b h w c"), Matching()
    ).sum() / max(len(targets), 1)


def middles(shape: torch.Size, targets: Targets) -> Tensor:
    """1 where a place (b, c, y, x) lies in the middle half of a box of class c, and at its centre anyway."""
    want = torch.zeros(shape)
    h, w = shape[-2:]
    for (x, y, bw, bh), label, image in zip(targets.boxes.tolist(), targets.labels.tolist(), targets.image.tolist()):
        rows, columns = inside(y, bh, h), inside(x, bw, w)
        want[image, label, rows, columns] = 1
    return want


def inside(center: float, size: float, cells: int) -> slice:
    first = min(max(round((center - size / 4) * cells), 0), cells - 1)
    last = max(round((center + size / 4) * cells), first + 1)
    return slice(first, last)
