"""One image through a run, as figures of one image need it: its picture, its trace, and masks over its pixels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from analysis.inputs.given import Absent, Given
from analysis.inputs.rows import Row
from core.boxes import corners
from core.data.sample import Sample
from core.data.transforms import plain
from core.losses import features
from core.metrics.query_masks import inside_each_object, mask_statistics, query_masks
from core.metrics.query_quality import QualityParts, quality_parts
from core.runs.open import OpenRun, replay
from core.types import DistillTrace, Trace


@dataclass(frozen=True)
class Seen:
    """Boxes are (x0, y0, x1, y1) in pixels of the picture, which is the image as the detectors see it."""

    sample: Sample
    trace: DistillTrace
    run: OpenRun

    @property
    def pixels(self) -> np.ndarray:
        return rearrange(self.sample.pixels, "c h w -> h w c").numpy()

    @property
    def classes(self) -> list[str]:
        return [c.name for c in self.run.data.categories]

    @property
    def looker(self) -> tuple[str, Trace]:
        """Whose queries look: the teacher's, where there is one."""
        trace = self.trace
        return ("teacher", trace.teacher) if trace.teacher else ("student", trace.student)

    @property
    def truth(self) -> np.ndarray:
        return self.on_picture(self.trace.targets.boxes)

    @property
    def labels(self) -> list[str]:
        return [self.classes[k] for k in self.trace.targets.labels.tolist()]

    def boxes(self, side: Trace, layer: int = -1) -> np.ndarray:
        return self.on_picture(side.own.boxes[layer, 0])

    def on_picture(self, boxes: Tensor) -> np.ndarray:
        height, width = self.sample.size
        return (corners(boxes) * torch.tensor([width, height, width, height])).numpy()

    @cached_property
    def config(self):
        """Of the loss `features`: which features and masks it takes; its defaults in a run without it."""
        losses = self.run.distiller.losses
        return losses["features"].config if "features" in losses else features.Config()

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """psi of each of the looker's queries, "q h w", on the finest level, and each object's places there, "t h w"."""
        _, side = self.looker
        mask = "cosine" if self.config.mask == "signed" else self.config.mask
        psi = query_masks(side, source=self.config.source, mask=mask)
        level = min(range(len(psi)), key=lambda k: side.memory.strides[k])
        return psi[level][0].numpy(), inside_each_object(side.memory, self.trace.targets, level)[0].numpy()

    @property
    def stride(self) -> int:
        return min(self.looker[1].memory.strides)

    def quality(self) -> QualityParts:
        return quality_parts(self.looker[1], self.trace.targets)

    def inside(self) -> np.ndarray:
        return mask_statistics(self.looker[1], self.trace.targets, source=self.config.source).inside[0].numpy()


def seen(given: Given, row: Row, image: int) -> Seen:
    """Absent: the run has no such image."""
    run = given.opened(row)
    if image not in run.data.ids:
        raise Absent(f"{row.name} has no image {image}; its images are {run.data.ids[0]} to {run.data.ids[-1]}")
    sample = run.data[run.data.ids.index(image)]
    return Seen(plain(sample, run.augment), replay(run, sample), run)
