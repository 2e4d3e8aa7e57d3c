"""One validation image, replayed through a run: its picture, its trace, and the masks of queries over its pixels."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from einops import rearrange
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor

from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.rows import Row
from core.boxes import corners
from core.data.sample import Sample
from core.data.transforms import eval_transform
from core.losses import features
from core.metrics.query_masks import inside_each_object, mask_statistics, query_masks
from core.metrics.query_quality import QualityParts, quality_parts
from core.runs.open import OpenRun, replay
from core.types import DistillTrace, Trace


@dataclass(frozen=True)
class ReplayedImage:
    """An image as the detectors see it, after the run's resizing, with the trace of its replay.

    Boxes of its properties are (x0, y0, x1, y1) in pixels of this image. Masks and quality are those of the teacher, or of
    the student in a run without a teacher.
    """

    sample: Sample
    trace: DistillTrace
    run: OpenRun

    @property
    def pixels(self) -> UInt8[ndarray, "h w 3"]:
        """The image as RGB."""
        return rearrange(self.sample.pixels, "c h w -> h w c").numpy()

    @property
    def classes(self) -> list[str]:
        """Names of the classes, by label."""
        return [c.name for c in self.run.data.categories]

    @property
    def shown_role(self) -> str:
        """The detector whose masks are shown: "teacher", or "student" in a run without a teacher."""
        return "teacher" if self.trace.teacher else "student"

    @property
    def shown_trace(self) -> Trace:
        """The trace of the detector whose masks are shown."""
        return self.trace.teacher or self.trace.student

    @property
    def truth(self) -> Float[ndarray, "t 4"]:
        """Boxes of the objects."""
        return self.to_pixels(self.trace.targets.boxes)

    @property
    def labels(self) -> list[str]:
        """Class names of the objects."""
        return [self.classes[k] for k in self.trace.targets.labels.tolist()]

    def boxes(self, trace: Trace, layer: int = -1) -> Float[ndarray, "q 4"]:
        """Boxes that a detector predicts in one decoder layer."""
        return self.to_pixels(trace.own.boxes[layer, 0])

    def to_pixels(self, boxes: Float[Tensor, "n 4"]) -> Float[ndarray, "n 4"]:
        """Boxes (cx, cy, w, h) as shares of the image to (x0, y0, x1, y1) in its pixels."""
        height, width = self.sample.size
        return (corners(boxes) * torch.tensor([width, height, width, height])).numpy()

    @cached_property
    def config(self) -> features.Config:
        """Options of the run's loss `features`, which decide features and masks; the defaults in a run without that loss."""
        losses = self.run.distiller.losses
        return cast(features.Config, losses["features"].config) if "features" in losses else features.Config()

    def masks(self) -> tuple[Float[ndarray, "q h w"], Bool[ndarray, "t h w"]]:
        """The mask psi (Eq. 7) of each query in the last layer, and the places in each object's box, on the finest level."""
        trace = self.shown_trace
        mask = "cosine" if self.config.mask == "signed" else self.config.mask
        psi = query_masks(trace, source=self.config.source, mask=mask)
        level = min(range(len(psi)), key=lambda k: trace.memory.strides[k])
        return psi[level][0].numpy(), inside_each_object(trace.memory, self.trace.targets, level)[0].numpy()

    @property
    def stride(self) -> int:
        """Stride of the level of `masks`, in pixels."""
        return min(self.shown_trace.memory.strides)

    def quality(self) -> QualityParts:
        """Scores and overlaps from which the quality of each query is computed."""
        return quality_parts(self.shown_trace, self.trace.targets)

    def inside(self) -> Float[ndarray, " q"]:
        """Share of each query's mask that lies in true boxes, over all levels, in the last layer."""
        return mask_statistics(self.shown_trace, self.trace.targets, source=self.config.source).inside[0].numpy()


def replay_image(inputs: Inputs, row: Row, image: int) -> ReplayedImage:
    """The validation image with this id, replayed through the row's run. Absent: the run has no such image."""
    run = inputs.open_run(row)
    if image not in run.data.ids:
        raise Absent(f"{row.name} has no image {image}; its images are {run.data.ids[0]} to {run.data.ids[-1]}")
    sample = run.data[run.data.ids.index(image)]
    return ReplayedImage(eval_transform(sample, run.augment), replay(run, sample), run)
