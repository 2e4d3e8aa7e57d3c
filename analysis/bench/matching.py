"""Matching of many images and decoder layers, from predictions to pairs, against the plain ways.

The plain ways are transformers' matcher of Deformable DETR, unmodified: given a whole batch, layer by layer, as its own
loss calls it (each image is then priced against the objects of all); and given one image at a time, which is scipy with
a copy for every image and layer. Boxes gather round objects layer by layer, as a DETR's do: random costs would flatter
other solvers. Times are the best of several, interleaved; `work` is processor time.

With lapx installed (`pip install lapx`; not a dependency) the square problems are given to its fastest solver as well.
"""

import os
from importlib.util import find_spec

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from analysis.bench import Aim, fastest, machine
from core.errors import UserError
from core.matching.costs import Matching
from core.matching.hungarian import optimal_assignment
from core.matching.solving import assign, match_to_truth, truth_problem
from core.types import Assignment, Predictions, Targets

LAYERS, CLASSES = 6, 80
SHAPES = ((300, 7), (300, 100), (300, 300), (900, 300))
AIMED = "16 images x 6 layers x 300x300"
OBJECTS = 12  # true ones, round which queries gather
ALONE = 0.4  # share of queries that stay where they began
TIMES = 5
MANY = 10**7  # pairs of a whole batch's queries with all its objects, from which one call has to do


def run() -> tuple[list[dict], list[Aim]]:
    quick = os.environ.get("QUICK") == "1"
    begun = machine(torch.get_num_threads())
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
    return [begun, *rows, *solvers(30 if quick else 300)], aims


def keep_freed_memory() -> None:
    """glibc hands freed memory back until it has seen a large piece freed, as it has in any training run."""
    torch.ones(2**23 - 2**12)


def case(images: int, queries: int, objects: int) -> dict:
    p, targets = scene(images, queries, objects)
    cost, wanted = truth_problem(p, targets, Matching()).cost.numpy(), np.ones((LAYERS, images, objects), dtype=bool)
    ways = {
        "ours": lambda: match_to_truth({"it": (p, Matching())}, targets)["it"],
        "image by image": lambda: plain(p, targets, together=False),
        "whole batch": lambda: plain(p, targets, together=True),
        "cost": lambda: truth_problem(p, targets, Matching()),
        "solve": lambda: assign(cost, wanted, [], "it", threads=torch.get_num_threads()),
    }
    many = images**2 * queries * objects > MANY
    time = fastest(ways, times=TIMES, once=frozenset({"whole batch"} if many else ()))
    rival = min(time["image by image"].ms, time["whole batch"].ms)
    return {
        "case": f"{images} images x {LAYERS} layers x {queries}x{objects}",
        **{f"{name.replace(' ', '_')}_ms": round(t.ms, 2) for name, t in time.items()},
        "ratio": round(rival / time["ours"].ms, 2),
        "work_ratio": round(time["image by image"].work_ms / time["ours"].work_ms, 2),
        "off": excess(cost, ways["ours"](), targets),
    }


def scene(images: int, queries: int, objects: int, seed: int = 0) -> tuple[Predictions, Targets]:
    """Queries that move from where they began to an object, and as objects the last layer of others like them."""
    draw = torch.Generator().manual_seed(seed)
    truth = torch.rand(images, OBJECTS, 4, generator=draw) * torch.tensor([0.8, 0.8, 0.4, 0.4])
    truth = truth + torch.tensor([0.1, 0.1, 0.05, 0.05])
    boxes, others = gathered(draw, truth, queries), gathered(draw, truth, objects)[-1]
    logits = 2 * torch.randn(LAYERS, images, queries, CLASSES, generator=draw) - 4
    image = torch.arange(images).repeat_interleave(objects)
    labels = torch.randint(CLASSES, (images * objects,), generator=draw)
    hidden = torch.zeros(LAYERS, images, queries, 1)
    return Predictions(logits, boxes, hidden), Targets(others.flatten(0, 1), labels, image, (objects,) * images)


def gathered(draw: torch.Generator, truth: Tensor, queries: int) -> Tensor:
    """Boxes of every layer, l b q 4."""
    images = len(truth)
    size = torch.tensor([1, 1, 0.3, 0.3])
    begin = torch.rand(images, queries, 4, generator=draw) * size + torch.tensor([0, 0, 0.05, 0.05])
    whom = torch.randint(OBJECTS, (images, queries, 1), generator=draw).expand(-1, -1, 4)
    alone = torch.rand(images, queries, 1, generator=draw) < ALONE
    goal, slip = torch.where(alone, begin, truth.gather(1, whom)), torch.randn(images, queries, 4, generator=draw)
    layers = []
    for layer in range(LAYERS):
        pull = 1 - 0.6 ** (layer + 1)
        noise = 0.7 * slip + 0.3 * torch.randn(images, queries, 4, generator=draw)
        boxes = begin.lerp(goal, pull) + 0.08 * (1 - 0.7 * pull) * noise * goal[..., 2:].repeat(1, 1, 2)
        layers.append(torch.cat([boxes[..., :2], boxes[..., 2:].clamp(min=0.01)], -1))
    return torch.stack(layers)


def plain(p: Predictions, targets: Targets, *, together: bool) -> None:
    """transformers' matcher, for whole batches or for one image at a time."""
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
            some = slice(i, i + step)
            matcher({"logits": logits[some], "pred_boxes": boxes[some]}, truth[some])


def excess(cost: np.ndarray, answer: Assignment, targets: Targets) -> float:
    """By how much the total exceeds that of scipy's assignment, as a share of it, where most."""
    worst, first = 0.0, np.cumsum([0, *targets.counts])
    for layer, image in np.ndindex(*cost.shape[:2]):
        table, here = cost[layer, image].astype(np.float64), answer.of(layer=layer, image=image)
        least = table[linear_sum_assignment(table)].sum()
        total = table[here.query.numpy(), here.target.numpy() - first[image]].sum()
        worst = max(worst, float((total - least) / abs(least)))
    return worst


def solvers(side: int) -> list[dict]:
    """One square problem, priced: what each solver takes for it on one thread."""
    p, targets = scene(2, side, side)
    tables = truth_problem(p, targets, Matching()).cost.flatten(0, 1).numpy()
    ways = {
        "scipy": lambda: [linear_sum_assignment(x) for x in tables],
        "ours": lambda: [optimal_assignment(x) for x in tables],
    }
    if find_spec("lap"):
        import lap

        ways["lapx lapjvr_batch"] = lambda: lap.lapjvr_batch(tables, return_cost=False, n_threads=1)
    return [
        {
            "case": f"{side}x{side}, {name}",
            "ms": round(t.ms / len(tables), 3),
            "work_ms": round(t.work_ms / len(tables), 3),
        }
        for name, t in fastest(ways, times=TIMES).items()
    ]
