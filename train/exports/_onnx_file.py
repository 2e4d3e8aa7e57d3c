"""Writes a detector as an ONNX file, with what a program needs to know to use it, and tries the file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.data.transforms import Augment
from core.detectors import hub
from core.detectors.base import Detector
from train.exports import _trial
from train.exports._onnx_check import compare
from train.exports._onnx_graph import refuse_missing_extra, trace
from train.exports._trial import Trial

FILE = "student.onnx"
AXES = {
    "images": {0: "batch", 2: "height", 3: "width"},
    "pixels": {0: "batch", 2: "height", 3: "width"},
    "padding": {0: "batch", 1: "height", 2: "width"},
    "sizes": {0: "batch"},
}
MOST_IMAGES, LEAST_IMAGES = 24, 4  # on which a file is compared with torch
PIXELS = 3_000_000  # of all of them, about


def write(
    detector: Detector, network: nn.Module, card: dict, folder: Path, names: tuple[Sequence[str], Sequence[str]]
) -> Any:
    """Writes the network, made of the detector, with these names of inputs and outputs, and compares the file with torch.

    Returns the program (torch.onnx.ONNXProgram) and the side of its images, None for any size. UserError: the extra is
    missing, or the outputs differ.
    """
    refuse_missing_extra()
    print("writing the graph, which takes a minute ...", flush=True)
    trial = _trial.trial(card, image_count(card))
    side = largest_side(trial) if isinstance(detector, hub.Model) else None
    inputs, outputs = names
    axes = None if side else [AXES[name] for name in inputs]
    program = trace(network, example(inputs, side), axes, inputs, outputs)
    program.model.metadata_props.update(metadata(detector, card))
    program.save(folder / FILE)
    print(f"comparing it with torch on {trial} ...", flush=True)
    print(compare(detector, folder / FILE, trial, side))
    return program, side


def how_to_open(side: int | None) -> str:
    """The call that opens the file, with {folder} for its folder; `side` is that of its images, None for any size."""
    form = f" with one image of {side} x {side} pixels at a time" if side else ""
    return f"open it{form} with: onnxruntime.InferenceSession('{{folder}}/{FILE}')"


def image_count(card: dict) -> int:
    """The number of images on which a file is tried: fewer where they are large."""
    augment = _trial.augment_of(card)
    if not augment.eval_short:
        return MOST_IMAGES
    return min(MOST_IMAGES, max(LEAST_IMAGES, PIXELS // (augment.eval_short * augment.longest)))


def example(inputs: Sequence[str], side: int | None) -> tuple[Tensor, ...]:
    """Inputs of these names, from which the graph is made."""
    count, height, width = (1, side, side) if side else (2, 256, 320)
    pixels = torch.zeros(count, 3, height, width, dtype=torch.uint8)
    padding = torch.zeros(count, height, width, dtype=torch.bool)
    values = {"images": pixels, "pixels": pixels, "padding": padding}
    values["sizes"] = torch.tensor([[height, width]] * count)
    return tuple(values[name] for name in inputs)


def metadata(detector: Detector, card: dict) -> dict[str, str]:
    """The metadata, each as JSON: the classes, how images are resized, and the mean and deviation of the colours.

    The graph subtracts the mean itself.
    """
    augment = _trial.augment_of(card)
    resize = {"short": augment.eval_short, "longest": augment.longest, "square": augment.square}
    mean, std = colours(detector)
    values = {"categories": card["categories"], "resize": resize, "mean": mean, "std": std}
    return {name: json.dumps(value) for name, value in values.items()}


def colours(detector: Detector) -> tuple[list[float], list[float]]:
    """Mean and deviation of RGB in 0 .. 255, with which the detector normalises images."""
    if isinstance(detector, hub.Model):
        return [255 * x for x in detector.config.mean], [255 * x for x in detector.config.std]
    backbone = detector.own_backbone
    assert backbone is not None
    return backbone.mean.flatten().tolist(), backbone.std.flatten().tolist()


def largest_side(trial: Trial) -> int:
    """The longest side that an image has after it is resized, as a multiple of 64 unless images become squares."""
    augment: Augment = trial.augment
    if augment.square and augment.eval_short:
        return augment.eval_short
    longest = (
        augment.longest if augment.eval_short else max(max(trial.images[k].size) for k in range(len(trial.images)))
    )
    return -(-longest // 64) * 64
