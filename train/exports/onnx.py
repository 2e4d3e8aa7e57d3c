"""One ONNX file of the student, for any number of images of any size; its outputs are compared with torch's.

A detector of transformers is written for one image of one size, since its code fixes sizes. Needs the extra `onnx`.

Inputs: pixels (b 3 H W, uint8 RGB), padding (b H W, True beside the image) and sizes (b 2: height and width without
padding). Outputs: logits (b q c) and boxes (b q 4: cx, cy, w, h as fractions of the image). The classes are in its metadata.
"""

import json
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from core.detectors import hub
from core.detectors.base import Detector
from core.errors import UserError
from core.runs.inference import Inference
from core.terminal import show
from core.types import Images, Predictions
from train.engine.evaluate import score
from train.exports import _trial
from train.exports._trial import Trial

FILE, NEEDS, OPSET = "student.onnx", ("onnx", "onnxscript", "onnxruntime"), 18
INPUTS, OUTPUTS = ("pixels", "padding", "sizes"), ("logits", "boxes")
AXES = ({0: "batch", 2: "height", 3: "width"}, {0: "batch", 1: "height", 2: "width"}, {0: "batch"})
IMAGES, BATCH = 100, 4  # on which the file is compared with torch
TOLERANCE = 1e-3  # largest difference of scores and boxes from torch's


def export(detector: Detector, card: dict, folder: Path) -> str:
    """Writes the file and compares it with torch; returns the call that opens it.

    UserError: the extra is missing, or the outputs differ.
    """
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise UserError(f"ONNX needs {', '.join(missing)}: pip install 'detrdistill[onnx]'")
    show("writing the graph, which takes a minute for a large student ...", flush=True)
    trial = _trial.trial(card, IMAGES)
    side = largest_side(trial) if isinstance(detector, hub.Model) else None
    program = trace(detector, side)
    program.model.metadata_props["categories"] = json.dumps(card["categories"])
    program.save(folder / FILE)
    show(compare(detector, folder / FILE, trial, side))
    form = f" with one image of {side} x {side} pixels at a time" if side else ""
    return f"open it{form} with: onnxruntime.InferenceSession('{{folder}}/{FILE}')"


def largest_side(trial: Trial) -> int:
    """The longest side that an image has after it is resized, as a multiple of 64 unless images become squares."""
    augment = trial.augment
    if augment.square and augment.sizes:
        return max(augment.sizes)
    longest = augment.longest if augment.sizes else max(max(trial.images[k].size) for k in range(len(trial.images)))
    return -(-longest // 64) * 64


@torch.no_grad()
def trace(detector: Detector, side: int | None = None) -> Any:
    """The detector as an ONNX program (torch.onnx.ONNXProgram), for batches of any size, or for one image of `side` pixels.

    It is not optimised: of two clamps in a row the exporter's optimiser drops a bound. ONNX Runtime optimises it when it loads.
    """
    count, height, width = (1, side, side) if side else (2, 256, 320)
    pixels = torch.zeros(count, 3, height, width, dtype=torch.uint8)
    padding = torch.zeros(count, height, width, dtype=torch.bool)
    example = pixels, padding, torch.tensor([[height, width]] * count)
    translations: dict[Callable, Callable] = {
        torch.ops.aten.embedding_bag.padding_idx: weighted_sums,
        torch.ops.aten._is_all_true.default: all_true,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about axes that have the same name on purpose
        return torch.onnx.export(
            Inference(detector),
            example,
            dynamo=True,
            verbose=False,
            optimize=False,
            opset_version=OPSET,
            dynamic_shapes=None if side else AXES,
            input_names=INPUTS,
            output_names=OUTPUTS,
            custom_translation_table=translations,
        )


def weighted_sums(
    table: Any,
    index: Any,
    offsets: Any,
    scale: bool = False,
    mode: int = 0,
    sparse: bool = False,
    weight: Any = None,
    last: bool = False,
    padding: int | None = None,
) -> Any:
    """torch's embedding_bag for bags of equal size: matrix products, a quarter of each bag at a time.

    The exporter's own translation is a loop over the bags, which is slow.
    """
    from onnxscript import opset18

    op: Any = opset18
    one = op.Constant(value_ints=[1])
    shape = op.Concat(op.Shape(offsets), op.Constant(value_ints=[-1]), axis=0)
    indices, weights = (op.Split(op.Reshape(x, shape), axis=1, num_outputs=4) for x in (index, weight))
    parts = [op.MatMul(op.Unsqueeze(w, one), op.Gather(table, i)) for i, w in zip(indices, weights)]
    return op.Squeeze(op.Sum(*parts), one), offsets, offsets, offsets


def all_true(x: Any) -> Any:
    """torch's all, for which the exporter has no translation under this name."""
    from onnxscript import opset18

    op: Any = opset18
    return op.Cast(op.ReduceMin(op.Cast(x, to=7), keepdims=0), to=9)  # 7 is int64, 9 is bool


class Runtime(nn.Module):
    """Runs the file in ONNX Runtime in place of the detector, and records the largest difference from its outputs.

    A file for images of `side` pixels gets them one by one, padded to squares.
    """

    def __init__(self, detector: Detector, path: Path, side: int | None = None):
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inference, self.difference, self.side = Inference(detector), 0.0, side

    def forward(self, images: Images) -> Predictions:
        """The predictions of the file, as one layer; its hidden vectors are placeholders."""
        if self.side and (len(images.sizes) > 1 or images.pixels.shape[-2:] != (self.side, self.side)):
            parts = [self(one) for one in in_squares(images, self.side)]
            return Predictions(*(torch.cat([vars(p)[key] for p in parts], 1) for key in ("logits", "boxes", "hidden")))
        inputs = {name: getattr(images, name) for name in INPUTS}
        outputs = self.session.run(OUTPUTS, {name: x.numpy() for name, x in inputs.items()})
        logits, boxes = map(torch.from_numpy, outputs)
        expected = self.inference(**inputs)
        pairs = (logits.sigmoid(), expected[0].sigmoid()), (boxes, expected[1])
        self.difference = float(np.max([self.difference, *(float((a - b).abs().max()) for a, b in pairs)]))
        return Predictions(logits[None], boxes[None], hidden=boxes[None])


def in_squares(images: Images, side: int) -> Iterator[Images]:
    """The images one by one, without their padding and padded anew to squares of this side."""
    for k, (height, width) in enumerate(images.sizes.tolist()):
        more = (0, side - width, 0, side - height)
        pixels = F.pad(images.pixels[k : k + 1, :, :height, :width], more)
        padding = F.pad(images.padding[k : k + 1, :height, :width], more, value=True)
        yield Images(pixels, padding, images.sizes[k : k + 1], images.original[k : k + 1], images.ids[k : k + 1])


def compare(detector: Detector, path: Path, trial: Trial, side: int | None = None) -> str:
    """The largest difference between ONNX Runtime and torch, in a sentence with both AP. UserError: it is too large."""
    runtime = Runtime(detector, path, side)
    models = (runtime, detector)
    scores = [score(x, trial.images, trial.augment, batch=BATCH, workers=0) or {} for x in models]
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
