"""Training steps on a GPU: of each detector beside transformers' own, and distilled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from analysis.bench._gpu_place import Place, measured, operations, product_rate, tf32
from analysis.bench.detectors import calls_of, open_foreign
from analysis.bench.step import FULL_SIZE, LOSSES, distiller, extra_pass, random_batch
from core import detectors
from core.detectors.base import Detector
from core.distiller import Distiller, run_teacher
from core.matching import solving
from core.types import Images, Targets
from train.exports import hf
from train.job.build import compile_parts

PRECISIONS = {"bf16": torch.bfloat16, "fp32": None}
FOREIGN = ("conditional", "deformable")  # detectors that transformers has too
STORED = ("detection", "logits")  # losses that need no more than what a store holds


@dataclass(frozen=True)
class StepSize:
    """The sizes of the rows of steps."""

    options: dict[str, Any]  # of every detector
    student: str
    teacher: str
    height: int
    width: int
    batches: tuple[int, ...]
    product: int  # side of the matrices whose product says what the device does at most
    backend: str = "inductor"  # of torch.compile
    compiled: tuple[str, ...] = FOREIGN  # detectors that are measured compiled too
    precisions: tuple[str, ...] = ("bf16", "fp32")  # the first is that of distilled steps


def rows(place: Place, size: StepSize) -> Iterator[dict]:
    """The rows of all detectors, precisions and batches; one after another, so that a budget may end them."""
    chosen = {name: PRECISIONS[name] for name in size.precisions}
    rates = {name: product_rate(place, dtype or torch.float32, size.product) for name, dtype in chosen.items()}
    yield {"case": "products", **{f"{name}_tflops": round(rate / 1e12, 3) for name, rate in rates.items()}}
    for compiled in (False, True):
        for kind in FULL_SIZE:
            if compiled and kind not in size.compiled:
                continue
            for batch in size.batches:
                for precision in size.precisions:
                    yield from beside_foreign(place, size, kind, batch, precision, rates[precision], compiled)


def beside_foreign(
    place: Place, size: StepSize, kind: str, batch: int, precision: str, rate: float, compiled: bool
) -> Iterator[dict]:
    """Rows of our detector and of transformers', forward and step."""
    torch.manual_seed(0)
    ours = built(place, kind, size.student, size.options | {"dropout": 0.0, "frozen": 0}).train()
    inputs = batch_on(place, size, batch, ours)
    networks: dict[str, nn.Module] = {"ours": ours} | foreign(ours, kind, place)
    for name, network in networks.items():
        calls = calls_of(in_precision(network, place, precision, size if compiled else None), *inputs, ours.matching)
        for what, call in calls.items():
            case = f"{kind}, {name}, {what}, {precision}, batch {batch}, {'compiled' if compiled else 'eager'}"
            with tf32(False):
                row = {"case": case} | measured(place, call)
                yield row | speeds(row, batch, call if what == "step" and not compiled else None, rate)
    if kind in FOREIGN and "theirs" not in networks:
        yield {"case": f"{kind}, theirs, batch {batch}", "error": "transformers is not installed"}


def batch_on(place: Place, size: StepSize, batch: int, detector: Detector) -> tuple[Images, Targets]:
    """Random images and objects on the device."""
    images, targets = random_batch(batch, size.height, size.width, detector.config.classes)
    return images.to(place.device), targets.to(place.device)


def built(place: Place, kind: str, backbone: str, options: dict[str, Any]) -> Detector:
    """A detector with random weights, and with those of the options that it has."""
    known = {f.name for f in fields(detectors.module(kind).Config)}
    wanted = {name: value for name, value in options.items() if name in known}
    return detectors.build(kind, backbone=backbone, **wanted).to(place.device)


def speeds(row: dict, batch: int, call: Callable[[], object] | None, rate: float) -> dict:
    """Images a second, and the share of the operations that the device could make in that time."""
    if "ms" not in row:
        return {}
    made = {"images_s": round(1e3 * batch / row["ms"], 2)}
    if call:
        made["share_of_peak"] = round(operations(call) / rate / (1e-3 * row["ms"]), 4)
    return made


def foreign(ours: Detector, kind: str, place: Place) -> dict[str, nn.Module]:
    """The detector of transformers with our weights under "theirs"; nothing where there is none."""
    if kind not in FOREIGN or not find_spec("transformers"):
        return {}
    with TemporaryDirectory() as folder:
        categories = [{"id": k, "name": str(k)} for k in range(ours.config.classes)]
        hf.export(ours, {"categories": categories}, Path(folder) / "theirs")
        return {"theirs": open_foreign(Path(folder)).to(place.device)}


def in_precision(network: nn.Module, place: Place, precision: str, compiled: StepSize | None) -> nn.Module:
    """The network, whose calls are under autocast, and compiled if asked; ours as `--compile` does it."""
    if compiled and isinstance(network, Detector):
        compile_parts(network, backend=compiled.backend)
    elif compiled:
        network.compile(backend=compiled.backend)
    dtype = PRECISIONS[precision]
    if dtype is not None:
        network.forward = torch.autocast(place.device.type, dtype)(network.forward)
    return network


def distilled_rows(place: Place, size: StepSize) -> Iterator[dict]:
    """Rows of the distilled step of each detector: its parts, each loss, a stored teacher, and the wait for matching."""
    for kind in FULL_SIZE:
        for batch in size.batches:
            yield distilled_row(place, size, kind, batch)


def distilled_row(place: Place, size: StepSize, kind: str, batch: int) -> dict:
    """Milliseconds of the parts, and the ratios of the distilled step to them and to the student's own step."""
    torch.manual_seed(0)
    student, teacher = (built(place, kind, name, size.options) for name in (size.student, size.teacher))
    images, targets = batch_on(place, size, batch, student)
    dtype = PRECISIONS[size.precisions[0]]
    cast = torch.autocast(place.device.type, dtype, enabled=dtype is not None)
    alone, both = distiller(student, LOSSES[:1]).to(place.device), distiller(student, LOSSES, teacher).to(place.device)
    with cast:
        answer = run_teacher(teacher, images)
        extra = extra_pass(student, teacher, images)
    parts: dict[str, Callable[[], object]] = {
        "student": step_of(alone, images, targets),
        "teacher": lambda: run_teacher(teacher, images),
        "extra": extra,
        "distilled": step_of(both, images, targets),
        "stored": step_of(distiller(student, STORED, teacher).to(place.device), images, targets, answer),
    }
    for name in LOSSES[1:]:
        one = distiller(student, (LOSSES[0], name), teacher).to(place.device)
        parts[name] = step_of(one, images, targets)
    times = {name: measured(place, cast(call)) for name, call in parts.items()}
    row: dict[str, Any] = {
        "case": f"distilled, {kind}, {size.teacher} to {size.student}, {size.precisions[0]}, batch {batch}"
    }
    row = row | {f"{name}_ms": time.get("ms", time.get("error")) for name, time in times.items()}
    if any("ms" not in time for time in times.values()):
        return row
    ms = {name: time["ms"] for name, time in times.items()}
    row |= {"ratio": round(ms["distilled"] / (ms["student"] + ms["teacher"] + ms["extra"]), 3)}
    row |= {f"{name}_to_student": round(ms[name] / ms["student"], 3) for name in ("distilled", "stored", *LOSSES[1:])}
    return row | {"waits": round(share_of_waits(place, cast(parts["distilled"]), ms["distilled"]), 4)}


def step_of(step: Distiller, images: Images, targets: Targets, answer: Any = None) -> Callable[[], object]:
    """A call of a step, forward and backward, without the optimiser."""

    def call() -> None:
        step.zero_grad()
        step(images, targets, decoded_teacher=answer).total.backward()

    return call


def share_of_waits(place: Place, call: Callable[[], object], ms: float) -> float:
    """The share of a step's `ms` that it does not take if the solver's answers are known: in it the GPU waits for the host."""
    answers = solutions_of(call)
    with patch.object(solving, "assign", lambda *args, **kwargs: next(answers)):
        known = measured(place, call)
    return max(0.0, 1 - known["ms"] / ms)


def solutions_of(call: Callable[[], object]) -> Iterator[Any]:
    """Calls once, and repeats the solutions of its matchings in their order without end."""
    solutions: list[Any] = []
    real = solving.assign

    def recorded(*args: Any, **kwargs: Any) -> Any:
        solutions.append(real(*args, **kwargs))
        return solutions[-1]

    with patch.object(solving, "assign", recorded):
        call()
    return cycle(solutions)
