"""Trains the backbones that every tiny recipe on `shapes` starts from.

They stand in for ImageNet weights, which need a download. Each is trained to predict, at every place of its maps, the class
of the object whose middle lies there. It sees the boxes and labels of the 2,400 training images, for EPOCHS epochs; the
student alone and the distilled student start from the same file. Writes assets/backbones/NAME.safetensors, with the cost in
its header.
Command: python -m train study backbones    Time: 3 minutes on one core
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from core.data.loader import Loader
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.losses._class_losses import focal_loss
from core.matching.costs import Matching
from core.nn.backbones import Backbone, build
from core.runs.checkpoint import save_module
from core.types import Images, Targets

EPOCHS, BATCH, RATE, SEED = 6, 16, 3e-3, 0
AUGMENT = Augment(jitter=0.2)
STRIDES = (4, 8, 16)


def main(
    folder: Path = Path("assets/backbones"),
    images: int | None = None,
    names: Sequence[str] = ("tiny16x1", "tiny32x2"),
    data_seed: int = 0,
) -> None:
    """Trains the backbones of these names on the first `images` images drawn with `data_seed`, and writes them to `folder`."""
    dataset = Shapes("train", images, seed=data_seed)
    for name in names:
        begun = time.process_time()
        torch.manual_seed(SEED)
        backbone = build(name, STRIDES, frozen=0)
        train_backbone(backbone, Loader(dataset, AUGMENT, BATCH, SEED), len(dataset.categories))
        note = f"dense classes of the middles of boxes, {len(dataset)} images of shapes/train, {EPOCHS} epochs, seed {SEED}"
        note += f", data seed {data_seed}" if data_seed else ""
        seconds = round(time.process_time() - begun)
        save_module(
            folder / f"{name}.safetensors", backbone.body, {"backbone": name, "made": note, "cpu_seconds": seconds}
        )
        print(f"{folder / name}.safetensors: {note}, {seconds} s of one core")


def train_backbone(backbone: Backbone, loader: Loader, classes: int) -> None:
    """Trains a backbone on the dense classes of the images."""
    train_maps(backbone.body, backbone, backbone.channels, loader, classes, epochs=EPOCHS, rate=RATE)


def train_maps(
    body: nn.Module,
    maps_of: Callable[[Images], list[Tensor]],
    channels: Sequence[int],
    loader: Loader,
    classes: int,
    *,
    epochs: int,
    rate: float,
) -> None:
    """Trains the network `body`, which makes the maps, with a 1x1 convolution on each map that is thrown away afterwards."""
    heads = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in channels)
    for name, parameter in heads.named_parameters():
        if name.endswith(".bias"):
            nn.init.constant_(parameter, -4.0)
    modules = nn.ModuleList([body, heads])
    modules.train()  # only this study lets BatchNorm learn its statistics
    optimizer = torch.optim.AdamW(modules.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * len(loader))
    for epoch in range(epochs):
        losses = []
        for images, targets in loader.epoch(epoch):
            maps = [head(x) for head, x in zip(heads, maps_of(images))]
            loss = sum(dense_loss(m, targets) for m in maps)
            assert isinstance(loss, Tensor)  # a backbone has at least one level
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses.append(loss.detach())
        print(f"  epoch {epoch + 1} of {epochs}: loss {torch.stack(losses).mean():.3f}", flush=True)


def dense_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Focal loss over every place and class (logits b c h w), divided by the number of objects."""
    focal, want = Matching(), middle_map(logits.shape, targets)
    losses = focal_loss(
        rearrange(logits, "b c h w -> b h w c"), rearrange(want, "b c h w -> b h w c"), focal.alpha, focal.gamma
    )
    return losses.sum() / max(len(targets), 1)


def middle_map(shape: torch.Size, targets: Targets) -> Tensor:
    """The target (b c h w): 1 where a place lies in the middle half of a box of class c, or at its centre; else 0."""
    want = torch.zeros(shape)
    h, w = shape[-2:]
    for (x, y, bw, bh), label, image in zip(targets.boxes.tolist(), targets.labels.tolist(), targets.image.tolist()):
        rows, columns = middle_cells(y, bh, h), middle_cells(x, bw, w)
        want[image, label, rows, columns] = 1
    return want


def middle_cells(center: float, size: float, cells: int) -> slice:
    """The cells in the middle half of an interval, at least one; center and size are fractions of all cells."""
    first = min(max(round((center - size / 4) * cells), 0), cells - 1)
    last = max(round((center + size / 4) * cells), first + 1)
    return slice(first, last)
