"""Options of a training step on a GPU, each beside the same without it: precision, layout, optimiser, copies, teacher, mixing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from analysis.bench._gpu_place import Call, Place, measured, operations, tf32
from analysis.bench._gpu_steps import StepSize, batch_on, built, step_of
from analysis.bench.step import LOSSES, distiller, random_batch
from core.detectors.adamixer import SamplingAndMixing
from core.distiller import Distiller, run_teacher
from core.types import Images, Targets
from train.engine.ahead import CopiedAhead
from train.job.build import compile_parts

KIND = "deformable"  # the detector whose step is measured


@dataclass(frozen=True)
class OptionSize:
    """The sizes of the rows of options."""

    step: StepSize
    copies: int  # steps for which batches are copied
    compiled: bool  # whether there are rows of what torch compiles


def rows(place: Place, size: OptionSize) -> Iterator[dict]:
    """Rows of each option, beside the same without it."""
    torch.manual_seed(0)
    student = built(place, KIND, size.step.student, size.step.options).train()
    step = distiller(student, LOSSES[:1]).to(place.device)
    yield from optimiser_rows(place, step)
    yield from copy_rows(place, size, step)
    yield from precision_rows(place, size.step, step)
    yield from teacher_rows(place, size)
    if size.compiled:
        yield from compiled_rows(place, size.step)
    yield mixing_row(place, size.step)


def optimiser_rows(place: Place, step: Distiller) -> Iterator[dict]:
    """AdamW and the gradient's norm, by one kernel, by groups of tensors, and tensor by tensor."""
    parameters = [p for p in step.parameters() if p.requires_grad]
    for p in parameters:
        p.grad = torch.ones_like(p)
    ways: dict[str, dict[str, Any]] = {
        "fused": {"fused": True},
        "groups": {"foreach": True},
        "one by one": {"foreach": False},
    }
    for name, options in ways.items():
        yield {"case": f"AdamW, {name}"} | measured(place, torch.optim.AdamW(parameters, lr=0.0, **options).step)
    for name, groups in (("groups", True), ("one by one", False)):
        call = norm_of(parameters, groups)
        yield {"case": f"gradient norm, {name}"} | measured(place, call)


def norm_of(parameters: list[nn.Parameter], groups: bool) -> Call:
    """A call that clips the gradient."""
    return lambda: nn.utils.clip_grad_norm_(parameters, 1e6, foreach=groups)


def copy_rows(place: Place, size: OptionSize, step: Distiller) -> Iterator[dict]:
    """Milliseconds of several steps, whose batches are copied when they are asked for, or one step ahead.

    They are copied from page-locked memory, as a run does, and from ordinary memory.
    """
    plain = random_batch(size.step.batches[0], size.step.height, size.step.width, 80)
    locked = page_locked(*plain) if place.device.type == "cuda" else plain
    ways = (
        ("when asked for", locked, False),
        ("one step ahead", locked, True),
        ("when asked for, from ordinary memory", plain, False),
    )
    for name, batch, ahead in ways:
        row = measured(place, steps_of(place, step, batch, size.copies, ahead=ahead))
        yield {"case": f"{size.copies} steps, images copied {name}"} | row


def page_locked(images: Images, targets: Targets) -> tuple[Images, Targets]:
    """A batch as a loader gives it if there is a GPU."""
    return replace(images, pixels=images.pixels.pin_memory(), padding=images.padding.pin_memory()), targets


def steps_of(place: Place, step: Distiller, batch: tuple[Images, Targets], count: int, *, ahead: bool) -> Call:
    """A call of several steps, as the training loop makes them."""

    def call() -> None:
        given = iter([[batch]] * count)
        copied = CopiedAhead(given, place.device)
        for passes in copied if ahead else given:
            for images, targets in passes:
                step_of(step, images.to(place.device), targets.to(place.device))()
            if ahead:
                copied.begin()

    return call


def precision_rows(place: Place, size: StepSize, step: Distiller) -> Iterator[dict]:
    """The student's step in float32 with and without TF32, and then in bf16 in the two layouts of memory."""
    images, targets = batch_on(place, size, size.batches[0], step.student)
    call = step_of(step, images, targets)
    for name, allowed in (("off", False), ("convolutions and products", True)):
        with tf32(allowed):
            yield {"case": f"student's step, fp32, TF32 {name}"} | measured(place, call)
    cast_call = torch.autocast(place.device.type, torch.bfloat16)(call)
    for layout in (torch.contiguous_format, torch.channels_last):
        step.to(memory_format=layout)
        yield {"case": f"student's step, bf16, {str(layout).removeprefix('torch.')}"} | measured(place, cast_call)


def compiled_rows(place: Place, size: StepSize) -> Iterator[dict]:
    """The student's step in bf16: compiled, and compiled with CUDA graphs."""
    for name, mode in (("compiled", None), ("compiled with CUDA graphs", "reduce-overhead")):
        student = built(place, KIND, size.student, size.options).train()
        compile_parts(student, mode=mode)
        call = step_of(
            distiller(student, LOSSES[:1]).to(place.device), *batch_on(place, size, size.batches[0], student)
        )
        cast_call = torch.autocast(place.device.type, torch.bfloat16)(call)
        yield {"case": f"student's step, bf16, {name}"} | measured(place, cast_call)


def teacher_rows(place: Place, size: OptionSize) -> Iterator[dict]:
    """The teacher's forward pass in float32, in bf16, and compiled in bf16."""
    teacher = built(place, KIND, size.step.teacher, size.step.options).eval()
    images, _ = batch_on(place, size.step, size.step.batches[0], teacher)
    half = torch.autocast(place.device.type, torch.bfloat16)
    yield {"case": "teacher, fp32"} | measured(place, lambda: run_teacher(teacher, images))
    yield {"case": "teacher, bf16"} | measured(place, half(lambda: run_teacher(teacher, images)))
    if size.compiled:
        compile_parts(teacher)
        yield {"case": "teacher, bf16, compiled"} | measured(place, half(lambda: run_teacher(teacher, images)))


def mixing_row(place: Place, size: StepSize) -> dict:
    """AdaMixer's mixing of sampled features, forward and backward in bf16, with its operations a second."""
    detector = built(place, "adamixer", size.student, size.options)
    mixing = next(m for m in detector.modules() if isinstance(m, SamplingAndMixing))
    queries, images = detector.config.queries, size.batches[-1]
    content = torch.randn(images, queries, detector.config.width, device=place.device, requires_grad=True)
    shape = (images, queries, mixing.groups, mixing.points, mixing.channels)
    sampled = torch.randn(shape, device=place.device, requires_grad=True)

    def mixed() -> None:
        made: Tensor = mixing.mix(sampled, content)
        made.sum().backward()

    call = torch.autocast(place.device.type, torch.bfloat16)(mixed)
    row = {"case": f"AdaMixer's mixing, {images} images"} | measured(place, call)
    return row | ({"tflops": round(operations(call) / row["ms"] / 1e9, 3)} if "ms" in row else {})
