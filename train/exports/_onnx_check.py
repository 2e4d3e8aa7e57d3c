"""Runs an ONNX file of a detector in ONNX Runtime, and compares it with torch."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from core.boxes import corners
from core.detectors.base import Detector
from core.errors import UserError
from core.runs.inference import Inference
from core.types import Images, Predictions
from train.distributed.evaluate import score
from train.exports._trial import Trial

TOLERANCE = 1e-3  # largest difference of scores and boxes from torch's
INPUTS = {"images": "pixels"}  # fields of `Images` that have another name in a file


class Runtime(nn.Module):
    """Runs the file in ONNX Runtime in place of the detector, and records the largest difference from its outputs.

    A file for images of `side` pixels gets one image at a time, padded to a square.
    """

    def __init__(self, detector: Detector, path: Path, side: int | None = None):
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs, self.outputs = ([x.name for x in f()] for f in (self.session.get_inputs, self.session.get_outputs))
        self.inference, self.difference, self.side = Inference(detector), 0.0, side

    def forward(self, images: Images) -> Predictions:
        """The predictions of the file, as one layer; its hidden vectors are placeholders."""
        images = in_square(images, self.side) if self.side else images
        fed = {name: getattr(images, INPUTS.get(name, name)).numpy() for name in self.inputs}
        outputs = dict(zip(self.outputs, map(torch.from_numpy, self.session.run(self.outputs, fed))))
        logits, boxes = outputs["logits"], outputs["fractions" if "fractions" in outputs else "boxes"]
        expected = self.inference(images.pixels, images.padding, images.sizes)
        pairs = (logits.sigmoid(), expected[0].sigmoid()), (boxes, expected[1])
        differences = [float((a - b).abs().max()) for a, b in pairs]
        if "scores" in outputs:
            differences.append(inconsistency(outputs, images.sizes))
        self.difference = float(np.max([self.difference, *differences]))
        return Predictions(logits[None], boxes[None], hidden=boxes[None])


def in_square(images: Images, side: int) -> Images:
    """One image without its padding, padded anew to a square of this side."""
    ((height, width),) = images.sizes.tolist()
    more = (0, side - width, 0, side - height)
    pixels = F.pad(images.pixels[..., :height, :width], more)
    padding = F.pad(images.padding[..., :height, :width], more, value=True)
    return Images(pixels, padding, images.sizes, images.original, images.ids)


def inconsistency(outputs: dict[str, Tensor], sizes: Tensor) -> float:
    """The largest difference of detections from those that a file's own logits and boxes (fractions) give.

    The scores must be the highest, and each that of a query with the detection's class and box.
    """
    scores, labels, all_scores = outputs["scores"], outputs["labels"], outputs["logits"].sigmoid()
    highest = rearrange(all_scores, "b q c -> b (q c)").topk(scores.shape[1]).values
    scale = repeat(sizes.flip(1).float(), "b side -> b 1 (two side)", two=2)
    own_boxes = corners(outputs["fractions"])
    of_class = all_scores.gather(2, repeat(labels, "b k -> b q k", q=all_scores.shape[1]))
    wrong_score = (of_class - scores[:, None]).abs()
    wrong_box = (own_boxes[:, :, None] - (outputs["boxes"] / scale)[:, None]).abs().amax(-1)
    return float(max((wrong_score + wrong_box).amin(1).max(), (highest - scores).abs().max()))


def compare(detector: Detector, path: Path, trial: Trial, side: int | None = None) -> str:
    """The largest difference between ONNX Runtime and torch, in a sentence with both AP. UserError: it is too large."""
    runtime = Runtime(detector, path, side)
    scores = [score(x, trial.images, trial.augment, batch=1, workers=0) or {} for x in (runtime, detector)]
    if not runtime.difference <= TOLERANCE:  # NaN is too large, too
        raise UserError(
            f"ONNX Runtime's scores or boxes are up to {runtime.difference:.2g} from torch's, more than {TOLERANCE:g}, "
            f"on {trial}: nothing was written; export with --to safetensors, "
            "and please report the versions of torch and onnxruntime"
        )
    text = f"ONNX Runtime beside torch: scores and boxes within {runtime.difference:.1e} on {trial}"
    if not trial.own:
        return text
    onnx_ap, torch_ap = (100 * (s["ap"] or 0.0) for s in scores)
    return f"{text}; AP {onnx_ap:.2f} and {torch_ap:.2f} ({onnx_ap - torch_ap:+.3f})"
