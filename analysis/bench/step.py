"""The distilled step against what it is made of: the student's own step, the teacher's forward, one more decoder pass.

Steps are forward and backward, without the optimiser, on random pixels and weights; a batch has seven objects an image.
The parts of the distilled step are taken one by one from the same trace: the matching, each loss forward and backward to
the predictions and features it reads, and the teacher's queries through the student's decoder and back.

The rows named `host` are for 300 queries in 6 layers, whose boxes gather round objects: what a GPU would wait for. There
the costs are the GPU's own, and `solve` is the host's.
"""

import os
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from analysis.bench import Aim, fastest, machine
from analysis.bench.matching import keep_freed_memory, scene
from core import detectors, losses
from core.detectors.base import Detector
from core.distiller import Distiller, map_weights, run_teacher, total
from core.losses.base import Loss
from core.matching.solving import assign, in_one_copy, match_to_truth, solve, to_device, truth_problem
from core.types import DistillTrace, Images, Memory, Predictions, Problem, Queries, Targets, Trace

LOSSES = ("detection", "logits", "features", "prior")
OBJECTS = 7  # an image, as in COCO
TIMES = 5
SMALL = {"classes": 8, "frozen": 0, "strides": (4, 8, 16), "queries": 20, "layers": 3, "width": 64, "heads": 4}
SMALL |= {"points": 12, "mixed_points": 12, "feedforward": 256}  # of the recipe `shapes_distill`
TINY = {"classes": 4, "queries": 6, "layers": 2, "width": 32, "heads": 4, "feedforward": 32, "frozen": 0}


def run() -> tuple[list[dict], list[Aim]]:
    rows = [machine(torch.get_num_threads())]
    keep_freed_memory()
    if os.environ.get("QUICK") == "1":
        rows += [case("conditional, quick", *pair("conditional", "tiny8x1", "tiny8x1", **TINY), 2, 64, 64)]
        rows.append(host(2, queries=20))
    else:
        rows += [case("shapes recipe", *pair("adamixer", "tiny16x1", "tiny32x2", **SMALL), 8, 96, 96)]
        for name in detectors.names():
            rows.append(case(f"{name}, R101 to R50", *pair(name, "resnet50", "resnet101"), 2, 320, 480))
        rows += [host(images, queries=300) for images in (2, 16)]
    aim = "{}: at most 1.10 x (student step + teacher + extra pass)"
    return rows, [Aim(aim.format(r["case"]), r["ratio"], r["ratio"] <= 1.1) for r in rows if "ratio" in r]


def pair(name: str, mine: str, theirs: str, **options) -> tuple[Detector, Detector]:
    return detectors.build(name, backbone=mine, **options), detectors.build(name, backbone=theirs, **options)


def case(name: str, student: Detector, teacher: Detector, images: int, height: int, width: int) -> dict:
    torch.manual_seed(0)
    batch = random_batch(images, height, width, student.config.classes)
    alone, both = distiller(student, ("detection",)), distiller(student, LOSSES, teacher)
    trace = leaves(both(*batch))
    ways = {
        "student": lambda: alone(*batch).total.backward(),
        "teacher": lambda: run_teacher(teacher, batch[0]),
        "extra": extra(student, teacher, batch[0]),
        "distilled": lambda: both(*batch).total.backward(),
        "matching": lambda: matched(both, trace),
        **{loss: imitation(both, loss, trace) for loss in LOSSES},
    }
    for way in ways.values():
        way()
    time = fastest(ways, times=TIMES)
    whole, parts = time["distilled"], [time[x] for x in ("student", "teacher", "extra")]
    return {
        "case": f"{name}, {images} x {height} x {width}",
        **{f"{x}_ms": round(t.ms, 2) for x, t in time.items()},
        "ratio": round(whole.ms / sum(t.ms for t in parts), 3),
        "work_ratio": round(whole.work_ms / sum(t.work_ms for t in parts), 3),
        "to_student": round(whole.ms / time["student"].ms, 2),
    }


def random_batch(images: int, height: int, width: int, classes: int) -> tuple[Images, Targets]:
    size = torch.tensor([[height, width]]).repeat(images, 1)
    pixels = torch.randint(256, (images, 3, height, width), dtype=torch.uint8)
    batch = Images(pixels, torch.zeros(images, height, width, dtype=torch.bool), size, size, torch.arange(images))
    boxes = torch.rand(images * OBJECTS, 4) * torch.tensor([0.6, 0.6, 0.3, 0.3]) + torch.tensor([0.2, 0.2, 0.05, 0.05])
    labels = torch.randint(classes, (images * OBJECTS,))
    return batch, Targets(boxes, labels, torch.arange(images).repeat_interleave(OBJECTS), (OBJECTS,) * images)


def distiller(student: Detector, names: tuple[str, ...], teacher: Detector | None = None) -> Distiller:
    parts = {n: losses.build(n, losses.module(n).Config(), student, teacher) for n in names}
    return Distiller(student, parts, map_weights(parts, dict.fromkeys(names, 1.0)), teacher).train()


def extra(student: Detector, teacher: Detector, images: Images) -> Callable[[], None]:
    """The teacher's queries through the student's decoder, and back to its memory."""
    queries = run_teacher(teacher, images).queries["own"].detach()
    with torch.no_grad():
        memory = student.encode(images)

    def way() -> None:
        p = student.decode(leaf(memory), queries)
        (p.logits.mean() + p.boxes.mean()).backward()

    return way


def leaf(noun: Memory | Predictions):
    """The same, cut off from what made it: where a backward ends."""

    def end(x):
        if isinstance(x, tuple):
            return tuple(map(end, x))
        return x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x

    return replace(noun, **{name: end(x) for name, x in vars(noun).items()})


def leaves(trace: DistillTrace) -> DistillTrace:
    predictions = {name: leaf(p) for name, p in trace.student.predictions.items()}
    return replace(trace, student=replace(trace.student, memory=leaf(trace.student.memory), predictions=predictions))


def matched(step: Distiller, trace: DistillTrace) -> None:
    sides = {"student": (step.student, trace.student), "teacher": (step.teacher, trace.teacher)}
    match_to_truth({name: (t.own, detector.matching) for name, (detector, t) in sides.items()}, trace.targets)
    solve({n: loss.problems(trace.student, trace.teacher, trace.targets) for n, loss in step.losses.items()})


def imitation(step: Distiller, name: str, trace: DistillTrace) -> Callable[[], None]:
    """One loss, forward and backward."""
    loss, of = step.losses[name], (trace.student, trace.teacher, trace.targets)
    pairs = solve({name: loss.problems(*of)})[name]
    return lambda: total({name: loss(*of, pairs)}, {name: step.weights[name]}).backward()


def host(images: int, queries: int) -> dict:
    """The parts of matching: pricing, the copy to the host, solving, and the pairs as indices."""
    (mine, targets), (theirs, _) = scene(images, queries, OBJECTS, seed=0), scene(images, queries, OBJECTS, seed=1)
    loss = logits_loss(queries)
    sides = {"student": mine, "teacher": theirs}
    student, teacher = (
        Trace(Memory((), (), (), torch.zeros(images, 2, dtype=torch.long)), {"own": Queries()}, {"own": p}, a)
        for p, a in zip(
            sides.values(), match_to_truth({n: (p, loss.matching) for n, p in sides.items()}, targets).values()
        )
    )

    def cost() -> dict[str, Problem]:
        return {n: truth_problem(p, targets, loss.matching) for n, p in sides.items()} | loss.problems(
            student, teacher, targets
        )

    problems = cost()
    arrays = {n: (p.cost.numpy(), p.columns.numpy()) for n, p in problems.items()}

    def solved() -> dict:
        found = {}
        for name, problem in problems.items():
            taken = [found[x] for x in problem.without]
            found[name] = assign(*arrays[name], taken, name, threads=torch.get_num_threads())
        return found

    pairs = solved()
    ways = {
        "cost": cost,
        "copy": lambda: in_one_copy([x for p in problems.values() for x in (p.cost, p.columns)]),
        "solve": solved,
        "index": lambda: to_device({"": pairs}, {"": problems}),
    }
    time = fastest(ways, times=TIMES)
    case = f"host, {images} images x {queries} queries"
    return {"case": case, **{f"{n}_ms": round(t.ms, 2) for n, t in time.items()}}


def logits_loss(queries: int) -> Loss:
    """For detectors of this many queries and COCO's classes, of which it keeps sizes only."""
    student, teacher = pair(
        "conditional", "tiny8x1", "tiny8x1", **TINY | {"classes": 80, "queries": queries, "layers": 6}
    )
    return losses.build("logits", losses.module("logits").Config(), student, teacher)
