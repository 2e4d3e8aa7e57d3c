"""Our Conditional and Deformable DETR compared with those of transformers.

Timed are the forward pass, and a training step without the optimiser. Both sides have the same weights (ours, exported and opened
by transformers; `apart` is the largest difference of their predictions), the same image, threads, malloc settings, trainable
parameters and criterion (our detection loss on the last layer), no dropout, and no compilation; they take turns. A ratio is
the median over turns, with the lowest and the highest. Memory is what a step needs in addition to the loaded model, measured
in a process of its own for each side.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from analysis.bench import Aim, in_turn, machine, ratio_numbers
from analysis.bench.step import random_batch
from core import detectors
from core.detectors.base import Detector
from core.errors import UserError
from core.losses.detection import set_loss
from core.matching.costs import Matching
from core.matching.solving import match_to_truth
from core.runs.checkpoint import load_detector, save_detector
from core.types import Images, Predictions, Targets
from train.memory.allocator import keep_freed_memory

ROOT = Path(__file__).parents[2]
KINDS = ("conditional", "deformable")
SIZES, THREADS, TURNS = ((480, 640), (800, 1333)), (1, 2), 5  # sizes are height and width
QUICK_OPTIONS: dict[str, Any] = {
    "backbone": "resnet18",
    "queries": 20,
    "width": 32,
    "heads": 4,
    "feedforward": 32,
    "layers": 2,
}
PEAK = "from analysis.bench.detectors import peak; import sys; peak(*sys.argv[1:])"
TIMED = ("forward", "step")


def run() -> tuple[list[dict], list[Aim]]:
    """Times every detector, size and number of threads."""
    quick, before = os.environ.get("QUICK") == "1", torch.get_num_threads()
    options: dict[str, Any]
    options, sizes = (QUICK_OPTIONS, ((64, 96),)) if quick else ({"backbone": "resnet50"}, SIZES)
    keep_freed_memory()
    rows = [machine(max(THREADS))]
    try:
        for kind in KINDS:
            with TemporaryDirectory() as folder:
                ours, foreign = pair(kind, Path(folder), options)
                for size in sizes:
                    for threads in THREADS:
                        torch.set_num_threads(threads)
                        rows += timed(kind, ours, foreign, size, threads, 1 if quick else TURNS)
                    rows.append(memory(kind, Path(folder), size))
    finally:
        torch.set_num_threads(before)
    return rows, aims(rows)


def aims(rows: list[dict]) -> list[Aim]:
    """The aims, each for its worst case."""

    def worst(aim: str, most: float, *words: str) -> Aim:
        value = max(r["ratio"] for r in rows if "ratio" in r and all(word in r["case"] for word in words))
        return Aim(aim, value, value <= most)

    return [
        worst("Deformable DETR's training step in at most 0.65 of their time", 0.65, "deformable", ", step, "),
        worst("and 0.8 of their memory", 0.8, "deformable", "memory"),
        worst("Conditional DETR in at most 0.9 of their time", 0.9, "conditional", "thread"),
        worst("no slower anywhere", 1.0, "thread"),
    ]


def pair(kind: str, folder: Path, options: dict) -> tuple[Detector, nn.Module]:
    """Our detector, and its export as transformers opens it. RuntimeError: their numbers of trainable weights differ."""
    torch.manual_seed(0)
    model = detectors.build(kind, dropout=0.0, frozen=0, **options)
    save_detector(folder / "ours.safetensors", model, {"categories": [{"id": k, "name": str(k)} for k in range(80)]})
    train("export", folder / "ours.safetensors", "--to", "hf", "--out", folder / "theirs")
    ours, foreign = open_ours(folder), open_foreign(folder)
    counts = [sum(p.numel() for p in x.parameters() if p.requires_grad) for x in (ours, foreign)]
    if counts[0] != counts[1]:
        raise RuntimeError(f"{kind}: ours has {counts[0]} trainable weights, theirs {counts[1]}")
    return ours, foreign


def train(*words: str | Path) -> None:
    """Runs `python -m train` with these arguments."""
    subprocess.run([sys.executable, "-m", "train", *map(str, words)], cwd=ROOT, check=True, capture_output=True)


def open_ours(folder: Path) -> Detector:
    """Our detector in training mode."""
    return load_detector(folder / "ours.safetensors")[0].train()


def open_foreign(folder: Path) -> nn.Module:
    """The export, opened by transformers, in training mode. UserError: transformers is not installed."""
    try:
        from transformers import AutoModelForObjectDetection
    except ImportError:
        raise UserError("this compares with transformers: pip install -e '.[dev]'") from None
    model = AutoModelForObjectDetection.from_pretrained(folder / "theirs", local_files_only=True)
    return model.requires_grad_(True).train()  # transformers freezes a backbone that is not timm's


def last_layer(model: nn.Module, images: Images) -> Callable[[], Predictions]:
    """A call that returns the last layer's predictions; pixels for transformers are normalised beforehand, outside the timing."""
    if isinstance(model, Detector):
        return lambda: Predictions(*(x[-1:] for x in vars(model(images)).values()))
    device = images.pixels.device
    channels = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    mean, std = (torch.tensor(x, device=device).view(3, 1, 1) for x in channels)
    inputs = {"pixel_values": (images.pixels / 255 - mean) / std, "pixel_mask": (~images.padding).long()}

    def forward() -> Predictions:
        out = model(**inputs)
        return Predictions(out.logits[None], out.pred_boxes[None], out.last_hidden_state[None])

    return forward


def calls_of(model: nn.Module, images: Images, targets: Targets, matching: Matching) -> dict[str, Callable[[], object]]:
    """The timed calls of a detector: "forward" without gradients, and "step" with criterion and backward pass."""
    forward = last_layer(model, images)

    def step() -> None:
        model.zero_grad()
        criterion(forward(), targets, matching).backward()

    return {"forward": torch.no_grad()(forward), "step": step}


def criterion(predictions: Predictions, targets: Targets, matching: Matching) -> Float[Tensor, ""]:
    """Our detection loss."""
    assignment = match_to_truth({"it": (predictions, matching)}, targets)["it"]
    maps = set_loss(predictions, targets, assignment, matching)
    first, *others = (matching.weights[name] * x.sum() for name, x in maps.items())
    return sum(others, first)


def timed(kind: str, ours: Detector, foreign: nn.Module, size: tuple[int, int], threads: int, turns: int) -> list[dict]:
    """A row for the forward pass and one for the step, on one image of this height and width."""
    torch.manual_seed(1)
    batch = random_batch(1, *size, ours.config.classes)
    apart = difference(ours, foreign, batch[0])
    sides = {"ours": calls_of(ours, *batch, ours.matching), "theirs": calls_of(foreign, *batch, ours.matching)}
    rows = []
    for what in TIMED:
        seconds = in_turn({side: calls[what] for side, calls in sides.items()}, turns)
        rows.append(
            {
                "case": f"{kind}, {what}, {size[0]} x {size[1]}, {threads} thread{'s' * (threads > 1)}",
                **{f"{side}_ms": round(1e3 * min(x), 1) for side, x in seconds.items()},
                **ratio_numbers(seconds["ours"], seconds["theirs"]),
                "apart": apart,
            }
        )
    return rows


def difference(ours: nn.Module, foreign: nn.Module, images: Images) -> float:
    """The largest difference of logits and boxes in the last layer."""
    with torch.no_grad():
        a, b = (last_layer(x, images)() for x in (ours, foreign))
    return float(max((a.logits - b.logits).abs().max(), (a.boxes - b.boxes).abs().max()))


def memory(kind: str, folder: Path, size: tuple[int, int]) -> dict:
    """A row with the memory of a training step of both sides, each in a process of its own."""
    megabytes = {}
    for side in ("ours", "theirs"):
        words = [sys.executable, "-c", PEAK, side, str(folder), *map(str, size)]
        megabytes[side] = float(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    return {
        "case": f"{kind}, memory of a step, {size[0]} x {size[1]}",
        **{f"{side}_MB": round(x) for side, x in megabytes.items()},
        "ratio": round(megabytes["ours"] / megabytes["theirs"], 3),
    }


def peak(side: str, folder: str, height: str, width: str) -> None:
    """Prints the megabytes that a step of "ours" or "theirs" needs in addition to the loaded model.

    It must run in a process of its own, because it resets the process's peak.
    """
    torch.set_num_threads(1)
    matching = load_detector(Path(folder) / "ours.safetensors")[0].matching
    model = open_ours(Path(folder)) if side == "ours" else open_foreign(Path(folder))
    small, large = (random_batch(1, *sides, 80) for sides in ((128, 128), (int(height), int(width))))
    calls_of(model, *small, matching)["step"]()  # loads and allocates what only the first call needs
    model.zero_grad()
    step, before = calls_of(model, *large, matching)["step"], resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    step()
    print(resident("VmHWM") - before)


def resident(field: str) -> float:
    """Memory of this process in megabytes: now ("VmRSS"), or its peak ("VmHWM")."""
    line = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert line is not None, "Linux lists both fields"
    return int(line[1]) / 1024
