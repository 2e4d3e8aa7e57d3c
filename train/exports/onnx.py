"""One ONNX file of the student that takes plain RGB images and gives boxes in their pixels, scores and labels.

It takes any number of images of one size, and any size; a detector of transformers is written for one image of one size, since
its code fixes sizes. Needs the extra `onnx`.

Input: images (b 3 H W, uint8 RGB), resized as the metadata `resize` says. Outputs: boxes (b k 4: x0, y0, x1, y1 in pixels of
the input), scores (b k), best first, and labels (b k), which count the metadata `categories` from 0. A detector of transformers
that is not for squares also takes padding (b H W, True beside the image) and sizes (b 2: height and width without padding).
"""

from pathlib import Path

from core.detectors import hub
from core.detectors.base import Detector
from core.runs.inference import Deployed
from train.exports import _trial
from train.exports._onnx_file import FILE, how_to_open, write

INPUTS, PADDED = ("images",), ("images", "padding", "sizes")
OUTPUTS, CHECKED = ("boxes", "scores", "labels"), ("logits", "fractions")


def export(detector: Detector, card: dict, folder: Path) -> str:
    """Writes the file and compares it with torch; returns the call that opens it.

    UserError: the extra is missing, or the outputs differ.
    """
    inputs = PADDED if isinstance(detector, hub.Model) and not _trial.augment_of(card).square else INPUTS
    program, side = write(detector, Deployed(detector), card, folder, (inputs, (*OUTPUTS, *CHECKED)))
    outputs = program.model.graph.outputs
    for value in [value for value in outputs if value.name in CHECKED]:
        outputs.remove(value)
    program.save(folder / FILE)
    return how_to_open(side)
