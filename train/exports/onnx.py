"""One ONNX file of the student, for any number of images of any size, and its answers beside torch's; the `onnx` extra.

Takes pixels (b 3 H W, uint8 RGB), padding (b H W, True beside the image) and sizes (b 2: height and width without
padding); gives logits (b q c) and boxes (b q 4: cx, cy, w, h in parts of the image). The classes are in its metadata.
"""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.detectors.base import Detector
from core.errors import UserError
from core.runs.inference import Inference
from core.types import Images, Predictions
from train.engine.evaluate import score
from train.exports._trial import Trial, trial

FILE, NEEDS, OPSET = "student.onnx", ("onnx", "onnxscript", "onnxruntime"), 18
INPUTS, OUTPUTS = ("pixels", "padding", "sizes"), ("logits", "boxes")
AXES = ({0: "batch", 2: "height", 3: "width"}, {0: "batch", 1: "height", 2: "width"}, {0: "batch"})
IMAGES, BATCH = 100, 4  # that the file is tried on
APART = 1e-3  # scores and boxes may be from torch's


def export(detector: Detector, card: dict, folder: Path) -> str:
    """UserError: the extra is missing, or ONNX Runtime answers otherwise than torch; gives what to do with the folder."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise UserError(f"ONNX needs {', '.join(missing)}: pip install 'detrdistill[onnx]'")
    print("writing the graph, which takes a minute for a large student ...", flush=True)
    program = traced(detector)
    program.model.metadata_props["categories"] = json.dumps(card["categories"])
    program.save(folder / FILE)
    print(tried(detector, folder / FILE, trial(card, IMAGES)))
    return f"open it with: onnxruntime.InferenceSession('{{folder}}/{FILE}')"


@torch.no_grad()
def traced(detector: Detector):
    """Left to ONNX Runtime to optimise: the exporter's own optimiser drops a bound of a clamp that follows a clamp."""
    pixels = torch.zeros(2, 3, 256, 320, dtype=torch.uint8)
    example = pixels, torch.zeros(2, 256, 320, dtype=torch.bool), torch.tensor([[256, 320], [256, 320]])
    bags = {torch.ops.aten.embedding_bag.padding_idx: weighted_sums}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of axes that have the same name on purpose
        return torch.onnx.export(
            Inference(detector),
            example,
            dynamo=True,
            verbose=False,
            optimize=False,
            opset_version=OPSET,
            dynamic_shapes=AXES,
            input_names=INPUTS,
            output_names=OUTPUTS,
            custom_translation_table=bags,
        )


def weighted_sums(table, index, offsets, scale=False, mode=0, sparse=False, weight=None, last=False, padding=None):
    """torch's embedding_bag where every bag is as large: matrix products, a quarter of each bag at a time.

    The exporter's own translation is a loop over the bags.
    """
    from onnxscript import opset18 as op

    one = op.Constant(value_ints=[1])
    shape = op.Concat(op.Shape(offsets), op.Constant(value_ints=[-1]), axis=0)
    indices, weights = (op.Split(op.Reshape(x, shape), axis=1, num_outputs=4) for x in (index, weight))
    parts = [op.MatMul(op.Unsqueeze(w, one), op.Gather(table, i)) for i, w in zip(indices, weights)]
    return op.Squeeze(op.Sum(*parts), one), offsets, offsets, offsets


class Runtime(nn.Module):
    """ONNX Runtime in the detector's place; it remembers how far its answers were from the detector's at most."""

    def __init__(self, detector: Detector, path: Path):
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inference, self.apart = Inference(detector), 0.0

    def forward(self, images: Images) -> Predictions:
        given = {name: getattr(images, name) for name in INPUTS}
        found = self.session.run(OUTPUTS, {name: x.numpy() for name, x in given.items()})
        logits, boxes = map(torch.from_numpy, found)
        wanted = self.inference(**given)
        pairs = (logits.sigmoid(), wanted[0].sigmoid()), (boxes, wanted[1])
        self.apart = float(np.max([self.apart, *(float((a - b).abs().max()) for a, b in pairs)]))
        return Predictions(logits[None], boxes[None], hidden=boxes[None])


def tried(detector: Detector, path: Path, on: Trial) -> str:
    """How far ONNX Runtime is from torch, in one sentence, with both their AP. UserError: too far."""
    runtime = Runtime(detector, path)
    theirs, ours = (score(x, on.images, on.augment, batch=BATCH, workers=0) for x in (runtime, detector))
    if not runtime.apart <= APART:
        raise UserError(
            f"ONNX Runtime's scores or boxes are up to {runtime.apart:.2g} from torch's, more than {APART:g}, on {on}: "
            "nothing was written; export with --to safetensors, and please report the versions of torch and onnxruntime"
        )
    said = f"ONNX Runtime beside torch: scores and boxes within {runtime.apart:.1e} on {on}"
    if not on.own:
        return said
    there, here = 100 * (theirs["ap"] or 0.0), 100 * (ours["ap"] or 0.0)
    return f"{said}; AP {there:.2f} and {here:.2f} ({there - here:+.3f})"
