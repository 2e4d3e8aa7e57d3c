"""Our Conditional and Deformable DETR against transformers': forward, and a training step without the optimiser.

The same weights (ours, exported and opened by transformers; how far apart the two answer is in the row), the same image,
threads, malloc settings, trainable parameters and criterion (our detection loss on the last layer), no dropout, both eager,
one after another in turn. A ratio is the median over turns, with the lowest and the highest. Memory is what a step takes
beyond the loaded model, each in a process of its own.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import Tensor, nn

from analysis.bench import Aim, machine
from analysis.bench.matching import keep_freed_memory
from analysis.bench.step import random_batch
from core import detectors
from core.detectors.base import Detector
from core.errors import UserError
from core.losses.detection import set_loss
from core.matching.costs import Matching
from core.matching.solving import match_to_truth
from core.runs.checkpoint import load_detector, save_detector
from core.types import Images, Predictions, Targets

ROOT = Path(__file__).parents[2]
KINDS = ("conditional", "deformable")
SIZES, THREADS, TURNS = ((480, 640), (800, 1333)), (1, 2), 5
QUICK_OPTIONS = {"backbone": "resnet18", "queries": 20, "width": 32, "heads": 4, "feedforward": 32, "layers": 2}
PEAK = "from analysis.bench.detectors import peak; import sys; peak(*sys.argv[1:])"
WAYS = ("forward", "step")


def run() -> tuple[list[dict], list[Aim]]:
    quick, before = os.environ.get("QUICK") == "1", torch.get_num_threads()
    options, sizes = (QUICK_OPTIONS, ((64, 96),)) if quick else ({"backbone": "resnet50"}, SIZES)
    keep_freed_memory()
    rows = [machine(max(THREADS))]
    try:
        for kind in KINDS:
            with TemporaryDirectory() as folder:
                ours, theirs = pair(kind, Path(folder), options)
                for size in sizes:
                    for threads in THREADS:
                        torch.set_num_threads(threads)
                        rows += timed(kind, ours, theirs, size, threads, 1 if quick else TURNS)
                    rows.append(memory(kind, Path(folder), size))
    finally:
        torch.set_num_threads(before)
    return rows, aims(rows)


def aims(rows: list[dict]) -> list[Aim]:
    """The worst case of each."""

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
    """Ours, and the same opened by transformers; both train every weight that is a parameter in both."""
    torch.manual_seed(0)
    model = detectors.build(kind, dropout=0.0, frozen=0, **options)
    save_detector(folder / "ours.safetensors", model, {"categories": [{"id": k, "name": str(k)} for k in range(80)]})
    train("export", folder / "ours.safetensors", "--to", "hf", "--out", folder / "theirs")
    ours, theirs = opened("ours", folder), opened("theirs", folder)
    counts = [sum(p.numel() for p in x.parameters() if p.requires_grad) for x in (ours, theirs)]
    if counts[0] != counts[1]:
        raise RuntimeError(f"{kind}: ours trains {counts[0]} numbers, theirs {counts[1]}")
    return ours, theirs


def train(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "train", *map(str, words)], cwd=ROOT, check=True, capture_output=True)


def opened(who: str, folder: Path) -> nn.Module:
    if who == "ours":
        return load_detector(folder / "ours.safetensors")[0].train()
    try:
        from transformers import AutoModelForObjectDetection
    except ImportError:
        raise UserError("this compares with transformers: pip install -e '.[dev]'") from None
    found = AutoModelForObjectDetection.from_pretrained(folder / "theirs", local_files_only=True)
    return found.requires_grad_(True).train()  # it freezes a backbone that is not timm's


def asked(model: nn.Module, images: Images) -> Callable[[], Predictions]:
    """The last layer's predictions; their pixels are made ready beforehand."""
    if isinstance(model, Detector):
        return lambda: Predictions(*(x[-1:] for x in vars(model(images)).values()))
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    given = {"pixel_values": (images.pixels / 255 - mean) / std, "pixel_mask": (~images.padding).long()}

    def forward() -> Predictions:
        out = model(**given)
        return Predictions(out.logits[None], out.pred_boxes[None], out.last_hidden_state[None])

    return forward


def ways(model: nn.Module, images: Images, targets: Targets, matching: Matching) -> dict[str, Callable[[], None]]:
    forward = asked(model, images)

    def step() -> None:
        model.zero_grad()
        criterion(forward(), targets, matching).backward()

    return {"forward": torch.no_grad()(forward), "step": step}


def criterion(found: Predictions, targets: Targets, matching: Matching) -> Tensor:
    answers = match_to_truth({"it": (found, matching)}, targets)["it"]
    maps = set_loss(found, targets, answers, matching)
    return sum(matching.weights[name] * x.sum() for name, x in maps.items())


def timed(kind: str, ours: Detector, theirs: nn.Module, size: tuple[int, int], threads: int, turns: int) -> list[dict]:
    torch.manual_seed(1)
    batch = random_batch(1, *size, ours.config.classes)
    apart = difference(ours, theirs, batch[0])
    sides = {"ours": ways(ours, *batch, ours.matching), "theirs": ways(theirs, *batch, ours.matching)}
    rows = []
    for way in WAYS:
        taken = in_turn({who: by[way] for who, by in sides.items()}, turns)
        ratios = [a / b for a, b in zip(taken["ours"], taken["theirs"])]
        rows.append(
            {
                "case": f"{kind}, {way}, {size[0]} x {size[1]}, {threads} thread{'s' * (threads > 1)}",
                **{f"{who}_ms": round(1e3 * min(x), 1) for who, x in taken.items()},
                "ratio": round(median(ratios), 3),
                "lowest": round(min(ratios), 3),
                "highest": round(max(ratios), 3),
                "apart": apart,
            }
        )
    return rows


def difference(ours: nn.Module, theirs: nn.Module, images: Images) -> float:
    """The largest, of logits and boxes."""
    with torch.no_grad():
        a, b = (asked(x, images)() for x in (ours, theirs))
    return float(max((a.logits - b.logits).abs().max(), (a.boxes - b.boxes).abs().max()))


def in_turn(calls: dict[str, Callable[[], None]], turns: int) -> dict[str, list[float]]:
    """Seconds of each, turn by turn, after a call that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(turns + 1):
        for name, call in calls.items():
            begun = perf_counter()
            call()
            taken[name] += [perf_counter() - begun] * (turn > 0)
    return taken


def memory(kind: str, folder: Path, size: tuple[int, int]) -> dict:
    found = {}
    for who in ("ours", "theirs"):
        words = [sys.executable, "-c", PEAK, who, str(folder), *map(str, size)]
        found[who] = float(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    return {
        "case": f"{kind}, memory of a step, {size[0]} x {size[1]}",
        **{f"{who}_MB": round(x) for who, x in found.items()},
        "ratio": round(found["ours"] / found["theirs"], 3),
    }


def peak(who: str, folder: str, height: str, width: str) -> None:
    """Prints the megabytes that a step takes beyond the loaded model. For a process of its own."""
    torch.set_num_threads(1)
    matching = load_detector(Path(folder) / "ours.safetensors")[0].matching
    model = opened(who, Path(folder))
    small, large = (random_batch(1, *sides, 80) for sides in ((128, 128), (int(height), int(width))))
    ways(model, *small, matching)["step"]()  # what is loaded and set up at the first call
    model.zero_grad()
    step, before = ways(model, *large, matching)["step"], resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    step()
    print(resident("VmHWM") - before)


def resident(field: str) -> float:
    """Megabytes of this process, now (VmRSS) or at the most so far (VmHWM)."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
