"""Steps, sampling and loading on one GPU, in less than 8 minutes.

Times are medians between events of the GPU after warm-up. Steps of the three detectors, forward and backward without the
optimiser, in bf16 and fp32 (without TF32), eager and compiled, stand beside those of transformers' Deformable and Conditional
DETR with the same weights. `share_of_peak` compares a step's operations with those of a product of large matrices on the same
device. The distilled step stands beside its parts; `waits` is the share that it does not take if the solutions of its matchings
are known: in it the GPU waits for the host. Deformable sampling is made in three ways. What a step may be asked to do otherwise
has a row each: TF32, layout, optimiser, images copied ahead or from ordinary memory, CUDA graphs, a compiled teacher. Rows that
the budget of time leaves no room for say so.
"""

import os
from collections.abc import Iterable
from itertools import chain
from time import perf_counter
from typing import Any

from analysis.bench import Aim
from analysis.bench import _gpu_loading as loading
from analysis.bench import _gpu_options as options
from analysis.bench import _gpu_sampling as sampling
from analysis.bench import _gpu_steps as steps
from analysis.bench._gpu_place import Place, gpu
from core.nn.sampling import Shapes

BUDGET = 450.0  # seconds after which no further row is begun
LEVELS: Shapes = ((100, 167), (50, 84), (25, 42), (13, 21))  # of an image of 800 x 1333
TOKENS = sum(h * w for h, w in LEVELS)
STEPS = steps.StepSize({}, "resnet50", "resnet101", 800, 1333, (2, 16), 8192)
LOADING = loading.LoadingSize(256, 480, 640, (640, 800), (0, 1, 2, 4, 8, 16), 16)
SAMPLING = [
    sampling.SamplingSize("encoder, 2 images", 2, TOKENS, LEVELS, 8, 8, 4, 32),
    sampling.SamplingSize("encoder, 16 images", 16, TOKENS, LEVELS, 8, 8, 4, 32),
    sampling.SamplingSize("decoder, 16 images", 16, 300, LEVELS, 8, 8, 4, 32),
    sampling.SamplingSize("AdaMixer, 16 images", 16, 300, LEVELS, 128, 4, 1, 64),
]
SMALL: dict[str, Any] = {"queries": 20, "layers": 2, "width": 32, "heads": 4, "feedforward": 32}
QUICK_STEPS = steps.StepSize(SMALL, "resnet18", "resnet18", 64, 96, (2,), 64, "eager", (), ("fp32",))
QUICK_LOADING = loading.LoadingSize(8, 48, 64, (48,), (0, 1), 2)
QUICK_SAMPLING = [
    sampling.SamplingSize("encoder", 2, 7, ((4, 5), (2, 3)), 2, 2, 2, 4),
    sampling.SamplingSize("AdaMixer", 1, 7, ((4, 5), (2, 3)), 4, 2, 1, 4),
]


def run() -> tuple[list[dict], list[Aim]]:
    """Measures the GPU. UserError: there is none."""
    quick = os.environ.get("QUICK") == "1"
    place = gpu()
    rows = measured_rows(place, quick=quick, budget=BUDGET)
    return rows, aims(rows)


def measured_rows(place: Place, *, quick: bool, budget: float) -> list[dict]:
    """All rows, in order of what they are worth, as far as the budget of seconds goes."""
    sizes = (QUICK_SAMPLING, QUICK_STEPS, QUICK_LOADING) if quick else (SAMPLING, STEPS, LOADING)
    parts: Iterable[dict] = chain(
        sampling.rows(place, sizes[0], 2**12 if quick else 2**28),
        steps.distilled_rows(place, sizes[1]),
        loading.rows(place, sizes[2]),
        options.rows(place, options.OptionSize(sizes[1], 4, compiled=not quick)),
        steps.rows(place, sizes[1]),
    )
    begun, rows = perf_counter(), [{"case": "device", "name": place.name}]
    for row in parts:
        rows.append(row)
        if perf_counter() - begun > budget:
            rows.append({"case": "the rest", "error": f"not measured: the {budget:g} seconds are over"})
            break
    return rows


def aims(rows: list[dict]) -> list[Aim]:
    """The aims whose rows were measured."""
    known = {row["case"]: row for row in rows}
    measured: list[Aim] = []
    for kind, most in (("deformable", 0.5), ("conditional", 0.7)):
        for how in ("eager", "compiled"):
            pairs = beside(known, kind, how)
            if pairs:
                measured.append(at_most(f"{kind}'s step, {how}: of transformers' time", max(t for t, _ in pairs), most))
            memory = [m for _, m in pairs if m is not None]
            if kind == "deformable" and memory:
                measured.append(at_most(f"{kind}'s step, {how}: of transformers' memory", max(memory), 0.6))
    distilled = [row for row in rows if "waits" in row]
    if distilled:
        measured.append(at_most("distilled step: of its parts", max(r["ratio"] for r in distilled), 1.05))
        measured.append(
            at_most("with stored logits: of the student's", max(r["stored_to_student"] for r in distilled), 1.1)
        )
        measured.append(at_most("share in which the GPU waits for matching", max(r["waits"] for r in distilled), 0.05))
    loads = [row["images_s"] for row in rows if row["case"].startswith("loader")]
    step_rates = [row["images_s"] for row in rows if ", ours, step" in row["case"] and "images_s" in row]
    if loads and step_rates:
        wait = loading.data_wait(max(step_rates), max(loads))
        measured.append(at_most("share of a step that waits for data", round(wait, 3), 0.05))
    return measured


def beside(known: dict[str, dict], kind: str, how: str) -> list[tuple[float, float | None]]:
    """The ratios of time and memory of our steps to transformers' in the same row."""
    pairs = []
    for case, ours in known.items():
        reference = known.get(case.replace(", ours,", ", theirs,"))
        if (
            case.startswith(f"{kind}, ours, step")
            and case.endswith(how)
            and reference
            and {"ms"} <= ours.keys() & reference.keys()
        ):
            memory = ours["peak_mb"] / reference["peak_mb"] if "peak_mb" in ours else None
            pairs.append((round(ours["ms"] / reference["ms"], 3), memory and round(memory, 3)))
    return pairs


def at_most(what: str, value: float, most: float) -> Aim:
    """The aim that a value is at most so much."""
    return Aim(f"{what} at most {most:g}", value, value <= most)
