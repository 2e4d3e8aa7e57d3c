"""A distillation step compared with the passes that it consists of.

These are the student's step alone, the teacher's forward pass, and one more pass through the student's decoder. Steps are
forward and backward passes without the optimiser, on random pixels and weights, with seven objects in each image. The parts
of the distillation step are timed one by one on the same trace: the matching; each loss, forward, and backward to the predictions
and features that it reads; and the teacher's queries through the student's decoder, forward and backward.

Three further steps get what the teacher computed before, as from a teacher store: with the loss `logits`; also with `prior`; and
with the queries of `prior` decoded in one pass with the student's own (`joint`), if the detector can.

The rows named `host` time the matching for 300 queries in 6 layers, whose boxes gather around objects: in training on a GPU,
`cost` runs on the GPU, while `copy`, `solve` and `index` are what the GPU waits for.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from analysis.bench import Aim, fastest, machine
from analysis.bench.matching import random_predictions
from core import detectors, losses
from core.detectors.base import Detector
from core.distiller import Distiller, map_weights, run_teacher, total
from core.losses import prior
from core.losses.base import Loss, LossConfig
from core.matching.costs import Matching
from core.matching.solving import assign, in_one_copy, match_to_truth, solve, to_device, truth_problem
from core.types import Assignment, DistillTrace, Images, Memory, Predictions, Problem, Queries, Targets, Trace
from train.memory.allocator import keep_freed_memory

T = TypeVar("T", Memory, Predictions)
LOSSES = ("detection", "logits", "features", "prior")
FULL_SIZE = ("adamixer", "conditional", "deformable")  # detectors that are timed with ResNets
# The losses of steps with a stored teacher, and their options; None takes the default ones.
STORED: dict[str, dict[str, LossConfig | None]] = {
    "stored_logits": {"detection": None, "logits": None},
    "stored_prior": {"detection": None, "logits": None, "prior": None},
    "stored_joint": {"detection": None, "logits": None, "prior": prior.Config(joint=True)},
}
# The most that these steps are to take, in steps of the student alone.
MOST_OF_STUDENT = {"stored_logits": 1.1, "stored_prior": 1.6, "stored_joint": 1.6}
OBJECTS = 7  # in each image, as in COCO
TIMES = 5
SMALL: dict[str, Any] = {
    "classes": 8,
    "frozen": 0,
    "strides": (4, 8, 16),
    "queries": 20,
    "layers": 3,
    "width": 64,
    "heads": 4,
}
SMALL |= {"points": 12, "mixed_points": 12, "feedforward": 256}  # as in the recipe `shapes_distill`
TINY: dict[str, Any] = {
    "classes": 4,
    "queries": 6,
    "layers": 2,
    "width": 32,
    "heads": 4,
    "feedforward": 32,
    "frozen": 0,
}


def run() -> tuple[list[dict], list[Aim]]:
    """Times the distillation step of the detectors written here, and the parts of matching."""
    rows = [machine(torch.get_num_threads())]
    keep_freed_memory()
    if os.environ.get("QUICK") == "1":
        rows += [case("conditional, quick", *pair("conditional", "tiny8x1", "tiny8x1", **TINY), 2, 64, 64)]
        rows.append(matching_parts(2, queries=20))
    else:
        rows += [case("shapes recipe", *pair("adamixer", "tiny16x1", "tiny32x2", **SMALL), 8, 96, 96)]
        for name in FULL_SIZE:
            rows.append(case(f"{name}, R101 to R50", *pair(name, "resnet50", "resnet101"), 2, 320, 480))
        rows += [matching_parts(images, queries=300) for images in (2, 16)]
    return rows, [aim for row in rows if "ratio" in row for aim in aims(row)]


def aims(row: dict) -> list[Aim]:
    """The aims for a step that was timed: against its parts, and with a stored teacher against the student's own step."""
    parts = f"{row['case']}: at most 1.10 x (student step + teacher + extra pass)"
    stored = f"{row['case']}: {{}} at most {{:.2f}} x the student's step"
    return [Aim(parts, row["ratio"], row["ratio"] <= 1.1)] + [
        Aim(stored.format(name, most), row[f"{name}_to_student"], row[f"{name}_to_student"] <= most)
        for name, most in MOST_OF_STUDENT.items()
    ]


def pair(name: str, student: str, teacher: str, **options: Any) -> tuple[Detector, Detector]:
    """A student and a teacher with these backbones and otherwise equal options."""
    return detectors.build(name, backbone=student, **options), detectors.build(name, backbone=teacher, **options)


def case(name: str, student: Detector, teacher: Detector, images: int, height: int, width: int) -> dict:
    """Times of the step and its parts, and the ratios of the step to its passes and to the student's own step."""
    torch.manual_seed(0)
    batch = random_batch(images, height, width, student.config.classes)
    alone, both = distiller(student, ("detection",)), distiller(student, LOSSES, teacher)
    trace = detach_trace(both(*batch))
    calls: dict[str, Callable[[], object]] = {
        "student": lambda: alone(*batch).total.backward(),
        "teacher": lambda: run_teacher(teacher, batch[0]),
        "extra": extra_pass(student, teacher, batch[0]),
        "distilled": lambda: both(*batch).total.backward(),
        **{name: stored_step(student, teacher, chosen, batch) for name, chosen in STORED.items()},
        "matching": lambda: match_all(both, trace),
        **{loss: loss_and_backward(both, loss, trace) for loss in LOSSES},
    }
    for call in calls.values():
        call()  # allocates what only the first call needs
    time = fastest(calls, times=TIMES)
    whole, parts = time["distilled"], [time[x] for x in ("student", "teacher", "extra")]
    return {
        "case": f"{name}, {images} x {height} x {width}",
        **{f"{x}_ms": round(t.ms, 2) for x, t in time.items()},
        "ratio": round(whole.ms / sum(t.ms for t in parts), 3),
        "work_ratio": round(whole.work_ms / sum(t.work_ms for t in parts), 3),
        "to_student": round(whole.ms / time["student"].ms, 2),
        **{f"{x}_to_student": round(time[x].ms / time["student"].ms, 3) for x in STORED},
        "images_per_second": {x: round(1000 * images / time[x].ms, 2) for x in ("student", "distilled", *STORED)},
    }


def stored_step(
    student: Detector, teacher: Detector, chosen: Mapping[str, LossConfig | None], batch: tuple[Images, Targets]
) -> Callable[[], None]:
    """A call of a step with these losses, which gets what the teacher computes for the batch from before."""
    step, decoded = distiller(student, chosen, teacher), run_teacher(teacher, batch[0])
    return lambda: step(*batch, decoded_teacher=decoded).total.backward()


def random_batch(images: int, height: int, width: int, classes: int) -> tuple[Images, Targets]:
    """Random images of one size, with OBJECTS random objects each."""
    size = torch.tensor([[height, width]]).repeat(images, 1)
    pixels = torch.randint(256, (images, 3, height, width), dtype=torch.uint8)
    batch = Images(pixels, torch.zeros(images, height, width, dtype=torch.bool), size, size, torch.arange(images))
    boxes = torch.rand(images * OBJECTS, 4) * torch.tensor([0.6, 0.6, 0.3, 0.3]) + torch.tensor([0.2, 0.2, 0.05, 0.05])
    labels = torch.randint(classes, (images * OBJECTS,))
    return batch, Targets(boxes, labels, torch.arange(images).repeat_interleave(OBJECTS), (OBJECTS,) * images)


def distiller(
    student: Detector, chosen: Iterable[str] | Mapping[str, LossConfig | None], teacher: Detector | None = None
) -> Distiller:
    """A distiller in training mode with these losses, each with weight 1 and the options given, or the default ones."""
    options = dict(chosen) if isinstance(chosen, Mapping) else dict.fromkeys(chosen)
    parts = {n: losses.build(n, config or losses.module(n).Config(), student, teacher) for n, config in options.items()}
    return Distiller(student, parts, map_weights(parts, dict.fromkeys(parts, 1.0)), teacher).train()


def extra_pass(student: Detector, teacher: Detector, images: Images) -> Callable[[], None]:
    """A call that decodes the teacher's queries with the student, forward, and backward to the student's memory."""
    queries = run_teacher(teacher, images).queries["own"].detach()
    with torch.no_grad():
        memory = student.encode(images)

    def call() -> None:
        p = student.decode(detach_leaf(memory), queries)
        (p.logits.mean() + p.boxes.mean()).backward()

    return call


def detach_leaf(value: T) -> T:
    """A copy of a memory or of predictions whose tensors are leaves, at which a backward pass ends."""

    def leaf(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(map(leaf, x))
        return x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x

    return replace(value, **{name: leaf(x) for name, x in vars(value).items()})


def detach_trace(trace: DistillTrace) -> DistillTrace:
    """The trace with the student's memory and predictions as leaves."""
    predictions = {name: detach_leaf(p) for name, p in trace.student.predictions.items()}
    return replace(
        trace, student=replace(trace.student, memory=detach_leaf(trace.student.memory), predictions=predictions)
    )


def match_all(step: Distiller, trace: DistillTrace) -> None:
    """Makes every matching of a distillation step: of both detectors with objects, and of the losses."""
    assert step.teacher is not None and trace.teacher is not None, "the step has a teacher"
    predictions = {"student": trace.student.own, "teacher": trace.teacher.own}
    weights = {"student": step.student.matching, "teacher": step.teacher.matching}
    match_to_truth({name: (p, weights[name]) for name, p in predictions.items()}, trace.targets)
    by_name = cast(dict[str, Loss], dict(step.losses.items()))
    solve({n: loss.problems(trace.student, trace.teacher, trace.targets) for n, loss in by_name.items()})


def loss_and_backward(step: Distiller, name: str, trace: DistillTrace) -> Callable[[], None]:
    """A call of one loss, forward and backward; its pairs are matched beforehand."""
    loss, inputs = cast(Loss, step.losses[name]), (trace.student, trace.teacher, trace.targets)
    pairs = solve({name: loss.problems(*inputs)})[name]
    return lambda: total({name: loss(*inputs, pairs)}, {name: step.weights[name]}).backward()


def matching_parts(images: int, queries: int) -> dict:
    """Times of the parts of matching: computing costs, copying them to the CPU, solving, and making index tensors."""
    student, targets = random_predictions(images, queries, OBJECTS, seed=0)
    teacher, _ = random_predictions(images, queries, OBJECTS, seed=1)
    loss = logits_loss(queries)
    weights = cast(Matching, loss.matching)
    sides = {"student": student, "teacher": teacher}
    assignments = match_to_truth({name: (p, weights) for name, p in sides.items()}, targets)
    traces = {name: trace_of(sides[name], assignments[name]) for name in sides}

    def cost() -> dict[str, Problem]:
        truth = {name: truth_problem(p, targets, weights) for name, p in sides.items()}
        return truth | loss.problems(traces["student"], traces["teacher"], targets)

    problems = cost()
    arrays = {n: (p.cost.numpy(), p.columns.numpy()) for n, p in problems.items()}

    def solve_all() -> dict[str, np.ndarray]:
        solved: dict[str, np.ndarray] = {}
        for name, problem in problems.items():
            taken = [solved[x] for x in problem.without]
            solved[name] = assign(*arrays[name], taken, name, threads=torch.get_num_threads())
        return solved

    pairs = solve_all()
    calls: dict[str, Callable[[], object]] = {
        "cost": cost,
        "copy": lambda: in_one_copy([x for p in problems.values() for x in (p.cost, p.columns)])(),
        "solve": solve_all,
        "index": lambda: to_device({"": pairs}, {"": problems}),
    }
    time = fastest(calls, times=TIMES)
    case = f"host, {images} images x {queries} queries"
    return {"case": case, **{f"{n}_ms": round(t.ms, 2) for n, t in time.items()}}


def trace_of(predictions: Predictions, assignment: Assignment) -> Trace:
    """A trace with an empty memory, as far as the problems of the loss `logits` read it."""
    images = predictions.logits.shape[1]
    memory = Memory((), (), (), torch.zeros(images, 2, dtype=torch.long))
    return Trace(memory, {"own": Queries()}, {"own": predictions}, assignment)


def logits_loss(queries: int) -> Loss:
    """The loss `logits` between detectors with this many queries, 6 layers and COCO's classes."""
    options = TINY | {"classes": 80, "queries": queries, "layers": 6}
    student, teacher = pair("conditional", "tiny8x1", "tiny8x1", **options)
    return losses.build("logits", losses.module("logits").Config(), student, teacher)
