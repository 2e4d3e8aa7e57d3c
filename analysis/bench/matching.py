"""Matching of whole batches compared with the matcher of transformers.

Both go from predictions to pairs. The reference is transformers' matcher of Deformable DETR, unmodified, used in two ways:
layer by layer on a whole batch, as its own loss calls it (which computes the costs of each image's queries with the objects
of all images); and on one image at a time, which is scipy with a copy to the CPU for every image and layer. Boxes gather
around objects layer by layer, as those of a DETR do, because random costs would favour other solvers. Times are the least of
several calls that take turns; `work` is processor time.

With lapx installed (`pip install lapx`; not a dependency), its fastest solver is timed on the square problems as well.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from analysis.bench import Aim, fastest, machine
from core.errors import UserError
from core.matching.costs import Matching
from core.matching.hungarian import optimal_assignment
from core.matching.solving import assign, match_to_truth, truth_problem
from core.types import Assignment, Predictions, Targets
from train.memory.allocator import keep_freed_memory

LAYERS, CLASSES = 6, 80
SHAPES = ((300, 7), (300, 100), (300, 300), (900, 300))  # queries, objects
AIMED = "16 images x 6 layers x 300x300"  # the case with an aim of its own
OBJECTS = 12  # around which queries gather, in each image
ALONE = 0.4  # share of queries that stay at their initial boxes
TIMES = 5
MANY = 10**7  # pairs of the batch's queries with all its objects, from which a whole batch is timed once only


def run() -> tuple[list[dict], list[Aim]]:
    """Times all cases and solvers."""
    quick = os.environ.get("QUICK") == "1"
    start = machine(torch.get_num_threads())
    keep_freed_memory()
    shapes, images = (((20, 3), (30, 30)), (2,)) if quick else (SHAPES, (2, 16))
    rows = [case(n, *shape) for n in images for shape in shapes]
    least = min(r["ratio"] for r in rows)
    aims = [Aim("never slower than the faster plain way", least, least >= 1)]
    aims += [
        Aim("300x300 x 96 at least 4 times as fast", r["ratio"], r["ratio"] >= 4) for r in rows if r["case"] == AIMED
    ]
    worst = max(r["off"] for r in rows)
    aims.append(Aim("excess over scipy's optimum at most 1e-9 of it", worst, worst <= 1e-9))
    return [start, *rows, *solvers(30 if quick else 300)], aims


def case(images: int, queries: int, objects: int) -> dict:
    """Times of our matching, its parts and both references, and the excess over scipy's optimum ("off")."""
    p, targets = random_predictions(images, queries, objects)
    cost, columns = truth_problem(p, targets, Matching()).cost.numpy(), np.ones((LAYERS, images, objects), dtype=bool)

    def ours() -> Assignment:
        return match_to_truth({"it": (p, Matching())}, targets)["it"]

    calls: dict[str, Callable[[], object]] = {
        "ours": ours,
        "image by image": lambda: match_with_transformers(p, targets, together=False),
        "whole batch": lambda: match_with_transformers(p, targets, together=True),
        "cost": lambda: truth_problem(p, targets, Matching()),
        "solve": lambda: assign(cost, columns, [], "it", threads=torch.get_num_threads()),
    }
    many = images**2 * queries * objects > MANY
    time = fastest(calls, times=TIMES, once=frozenset({"whole batch"} if many else ()))
    reference = min(time["image by image"].ms, time["whole batch"].ms)
    return {
        "case": f"{images} images x {LAYERS} layers x {queries}x{objects}",
        **{f"{name.replace(' ', '_')}_ms": round(t.ms, 2) for name, t in time.items()},
        "ratio": round(reference / time["ours"].ms, 2),
        "work_ratio": round(time["image by image"].work_ms / time["ours"].work_ms, 2),
        "off": excess(cost, ours(), targets),
    }


def random_predictions(images: int, queries: int, objects: int, seed: int = 0) -> tuple[Predictions, Targets]:
    """Random predictions whose boxes approach objects layer by layer, and their targets.

    The targets are boxes of other queries' last layer, so that costs look like those of a trained detector.
    """
    draw = torch.Generator().manual_seed(seed)
    truth = torch.rand(images, OBJECTS, 4, generator=draw) * torch.tensor([0.8, 0.8, 0.4, 0.4])
    truth = truth + torch.tensor([0.1, 0.1, 0.05, 0.05])
    boxes, others = gathered(draw, truth, queries), gathered(draw, truth, objects)[-1]
    logits = 2 * torch.randn(LAYERS, images, queries, CLASSES, generator=draw) - 4
    image = torch.arange(images).repeat_interleave(objects)
    labels = torch.randint(CLASSES, (images * objects,), generator=draw)
    hidden = torch.zeros(LAYERS, images, queries, 1)
    return Predictions(logits, boxes, hidden), Targets(others.flatten(0, 1), labels, image, (objects,) * images)


def gathered(draw: torch.Generator, truth: Float[Tensor, "b t 4"], queries: int) -> Float[Tensor, "l b q 4"]:
    """Boxes that move from random places to objects over the layers; a share of ALONE stays near its place."""
    images = len(truth)
    size = torch.tensor([1, 1, 0.3, 0.3])
    begin = torch.rand(images, queries, 4, generator=draw) * size + torch.tensor([0, 0, 0.05, 0.05])
    index = torch.randint(OBJECTS, (images, queries, 1), generator=draw).expand(-1, -1, 4)
    alone = torch.rand(images, queries, 1, generator=draw) < ALONE
    goal = torch.where(alone, begin, truth.gather(1, index))
    offset = torch.randn(images, queries, 4, generator=draw)
    layers = []
    for layer in range(LAYERS):
        pull = 1 - 0.6 ** (layer + 1)
        noise = 0.7 * offset + 0.3 * torch.randn(images, queries, 4, generator=draw)
        boxes = begin.lerp(goal, pull) + 0.08 * (1 - 0.7 * pull) * noise * goal[..., 2:].repeat(1, 1, 2)
        layers.append(torch.cat([boxes[..., :2], boxes[..., 2:].clamp(min=0.01)], -1))
    return torch.stack(layers)


def match_with_transformers(p: Predictions, targets: Targets, *, together: bool) -> None:
    """Matches with transformers' matcher, on the whole batch (`together`) or on one image at a time.

    UserError: transformers is not installed.
    """
    try:
        from transformers.loss.loss_deformable_detr import DeformableDetrHungarianMatcher
    except ImportError:
        raise UserError("this needs transformers: pip install -e '.[dev]'") from None
    matcher = DeformableDetrHungarianMatcher(class_cost=2, bbox_cost=5, giou_cost=2)
    truth = [
        {"class_labels": labels, "boxes": boxes}
        for labels, boxes in zip(targets.labels.split(targets.counts), targets.boxes.split(targets.counts))
    ]
    step = len(truth) if together else 1
    for logits, boxes in zip(p.logits, p.boxes):
        for i in range(0, len(truth), step):
            part = slice(i, i + step)
            matcher({"logits": logits[part], "pred_boxes": boxes[part]}, truth[part])


def excess(cost: Float[np.ndarray, "l b q t"], assignment: Assignment, targets: Targets) -> float:
    """The relative excess of an assignment's total cost over scipy's, the largest over layers and images."""
    worst, first = 0.0, np.cumsum([0, *targets.counts])
    for layer, image in np.ndindex(*cost.shape[:2]):
        table, pairs = cost[layer, image].astype(np.float64), assignment.of(layer=layer, image=image)
        least = table[linear_sum_assignment(table)].sum()
        total = table[pairs.query.numpy(), pairs.target.numpy() - first[image]].sum()
        worst = max(worst, float((total - least) / abs(least)))
    return worst


def solvers(side: int) -> list[dict]:
    """Milliseconds of each solver for one square problem with given costs, on one thread."""
    p, targets = random_predictions(2, side, side)
    tables = truth_problem(p, targets, Matching()).cost.flatten(0, 1).numpy()
    calls: dict[str, Callable[[], object]] = {
        "scipy": lambda: [linear_sum_assignment(x) for x in tables],
        "ours": lambda: [optimal_assignment(x) for x in tables],
    }
    if find_spec("lap"):
        import lap  # type: ignore[import-not-found]  # optional

        calls["lapx lapjvr_batch"] = lambda: lap.lapjvr_batch(tables, return_cost=False, n_threads=1)
    return [
        {
            "case": f"{side}x{side}, {name}",
            "ms": round(t.ms / len(tables), 3),
            "work_ms": round(t.work_ms / len(tables), 3),
        }
        for name, t in fastest(calls, times=TIMES).items()
    ]
