"""A detector as a function of tensors, as torch.export and torch.compile require.

torch.export.export(Inference(detector), (pixels, padding, sizes))
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from core.detectors.base import Detector
from core.metrics.detections import select
from core.types import Images

TOP = 100  # detections of an image, as AP counts them


class Inference(nn.Module):
    """Maps images to the logits and boxes of the last decoder layer.

    The boxes are (cx, cy, w, h) as fractions of the image without its padding.
    """

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector.eval()

    def forward(
        self, pixels: UInt8[Tensor, "b 3 H W"], padding: Bool[Tensor, "b H W"], sizes: Int[Tensor, "b 2"]
    ) -> tuple[Float[Tensor, "b q c"], Float[Tensor, "b q 4"]]:
        """Logits and boxes; the arguments are those fields of `Images` that detectors use."""
        p = self.detector(Images(pixels, padding, sizes, original=sizes, ids=sizes[:, 0]))
        return p.logits[-1], p.boxes[-1]


class Deployed(nn.Module):
    """Maps images to detections, as a graph that is used without this project: sizes, scores and pixels are computed inside.

    Without `padding` and `sizes` all pixels belong to the images.
    """

    def __init__(self, detector: Detector, top: int = TOP):
        super().__init__()
        self.detector, self.top = detector.eval(), top

    def forward(
        self,
        images: UInt8[Tensor, "b 3 H W"],
        padding: Bool[Tensor, "b H W"] | None = None,
        sizes: Int[Tensor, "b 2"] | None = None,
    ) -> tuple[
        Float[Tensor, "b k 4"],
        Float[Tensor, "b k"],
        Int[Tensor, "b k"],
        Float[Tensor, "b q c"],
        Float[Tensor, "b q 4"],
    ]:
        """Boxes (x0, y0, x1, y1) in pixels, scores and labels, best first; and the logits and boxes that they are from."""
        batch = images.shape[0]
        if padding is None or sizes is None:
            padding = torch.zeros_like(images[:, 0], dtype=torch.bool)
            rows, columns = torch.ones_like(images[:, 0, :, 0]), torch.ones_like(images[:, 0, 0, :])
            sizes = torch.stack([rows.sum(1, dtype=torch.long), columns.sum(1, dtype=torch.long)], 1)
        batch_images = Images(images, padding, sizes, original=sizes, ids=sizes[:, 0])
        p = self.detector(batch_images)
        detections = select(p, batch_images, self.top)
        boxes = rearrange(detections.boxes, "(b k) side -> b k side", b=batch)
        scores, labels = (rearrange(x, "(b k) -> b k", b=batch) for x in (detections.scores, detections.labels))
        return boxes, scores, labels, p.logits[-1], p.boxes[-1]
