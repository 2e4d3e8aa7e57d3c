"""A detector as a function of tensors, as torch.export and torch.compile require.

torch.export.export(Inference(detector), (pixels, padding, sizes))
"""

from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from core.detectors.base import Detector
from core.types import Images


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
