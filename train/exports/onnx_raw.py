"""One ONNX file of the student with the outputs of its last decoder layer, for padded images of several sizes in a batch.

A detector of transformers is written for one image of one size, since its code fixes sizes. Needs the extra `onnx`.

Inputs: pixels (b 3 H W, uint8 RGB), padding (b H W, True beside the image) and sizes (b 2: height and width without
padding). Outputs: logits (b q c) and boxes (b q 4: cx, cy, w, h as fractions of the image). Metadata as in `onnx`.
"""

from pathlib import Path

from core.detectors.base import Detector
from core.runs.inference import Inference
from train.exports._onnx_file import how_to_open, write

INPUTS, OUTPUTS = ("pixels", "padding", "sizes"), ("logits", "boxes")


def export(detector: Detector, card: dict, folder: Path) -> str:
    """Writes the file and compares it with torch; returns the call that opens it.

    UserError: the extra is missing, or the outputs differ.
    """
    _, side = write(detector, Inference(detector), card, folder, (INPUTS, OUTPUTS))
    return how_to_open(side)
