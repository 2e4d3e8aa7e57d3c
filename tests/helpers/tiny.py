"""Builders of small inputs for tests: batches, detectors with random weights, random traces, distillers."""

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from core import detectors, losses
from core.distiller import Distiller, map_weights
from core.matching.costs import Matching
from core.matching.solving import match_to_truth, solve
from core.types import Images, Memory, Outcome, Predictions, Queries, Targets, Trace
from tests.helpers import hub

COMMON = {
    "classes": 4,
    "backbone": "tiny8x1",
    "frozen": 0,
    "queries": 10,
    "layers": 2,
    "encoder_layers": 1,
    "width": 64,
    "heads": 4,
    "feedforward": 32,
}
OPTIONS = {
    "adamixer": {"groups": 4, "points": 4, "mixed_points": 4},
    "conditional": {"strides": (16,)},
    "deformable": {"points": 2},
}


NATIVE = ("adamixer", "conditional", "deformable")  # detectors of this project


def kinds() -> list[str]:
    """Every detector: the names of files in core/detectors, and for `hub` each family of transformers."""
    return [*(name for name in detectors.names() if name != "hub"), *hub.NAMES]


def config(name: str, **options: Any) -> Any:
    """The detector's Config at a size that takes milliseconds; options that it does not have are left out.

    `name` is a file of core/detectors, or a family of transformers.
    """
    if name in ("hub", *hub.NAMES):
        return hub.config("conditional_detr" if name == "hub" else name, **options)
    kind = detectors.module(name).Config
    known = {f.name for f in fields(kind)}
    return kind(**{k: v for k, v in (COMMON | OPTIONS.get(name, {}) | options).items() if k in known})


def detector(name: str, *, seed: int = 1, noise: float | None = None, **options: Any) -> Any:
    """A detector in eval mode, with noise on every parameter, so that all layers have effects and all queries differ.

    `noise` is the scale of the noise; by default one with which outputs differ.
    """
    torch.manual_seed(seed)
    made = config(name, **options)
    return stir(detectors.module(detectors.name_of(made)).Model(made), noise or hub.SCALES.get(name, 1.0)).eval()


@torch.no_grad()
def stir(module: nn.Module, scale: float = 1.0) -> nn.Module:
    """Adds noise to every parameter in place; returns the module."""
    for p in module.parameters():
        p.add_(torch.randn_like(p), alpha=0.2 * scale if p.dim() == 1 else scale / p[0].numel() ** 0.5)
    return module


def batch(sizes=((64, 64), (48, 64)), counts=(3, 1), classes: int = 4, seed: int = 0) -> tuple[Images, Targets]:
    """Coloured squares of these sizes (height, width), padded with zeros, and boxes inside [0, 1]."""
    draw = torch.Generator().manual_seed(seed)
    height, width = (max(x) for x in zip(*sizes))
    squares = torch.randint(
        0, 256, (len(sizes), 3, -(-height // 16), -(-width // 16)), generator=draw, dtype=torch.uint8
    )
    pixels = squares.repeat_interleave(16, 2).repeat_interleave(16, 3)[..., :height, :width]
    padding = torch.ones(len(sizes), height, width, dtype=torch.bool)
    for pad, (h, w) in zip(padding, sizes):
        pad[:h, :w] = False
    pixels = pixels.masked_fill(padding[:, None], 0)
    sizes = torch.tensor(sizes)
    return Images(pixels, padding, sizes, 2 * sizes, torch.arange(len(sizes)) + 7), targets(counts, classes, draw)


def targets(counts: tuple[int, ...], classes: int, draw: torch.Generator) -> Targets:
    """Random objects, `counts` of them in each image."""
    labels = torch.randint(0, classes, (sum(counts),), generator=draw)
    image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return Targets(boxes((sum(counts),), draw), labels, image, tuple(counts))


def no_targets(images: int) -> Targets:
    """The targets of a batch of images without objects."""
    empty = torch.zeros(0, dtype=torch.long)
    return Targets(torch.zeros(0, 4), empty, empty, (0,) * images)


def boxes(shape: tuple[int, ...], draw: torch.Generator) -> torch.Tensor:
    """Random boxes inside [0, 1]."""
    size = torch.rand(*shape, 2, generator=draw) * 0.45 + 0.05
    center = size / 2 + torch.rand(*shape, 2, generator=draw) * (1 - size)
    return torch.cat([center, size], -1)


def distiller(student, teacher=None, names=None, scales=None, **configs) -> Distiller:
    """A distiller in eval mode with the losses `names`, each of scale 1 unless `scales` says otherwise.

    By default all losses, or the detection loss alone if there is no teacher; `configs` are options of losses, by name.
    """
    names = names or (losses.names() if teacher else ["detection"])
    parts = {n: losses.build(n, losses.module(n).Config(**configs.get(n, {})), student, teacher) for n in names}
    return Distiller(student, parts, map_weights(parts, dict.fromkeys(names, 1.0) | (scales or {})), teacher).eval()


def pair(name: str, **options: Any) -> tuple:
    """A student, and a teacher with other weights and more queries, to which `options` apply (`noise` to both)."""
    return detector(name, seed=1, noise=options.get("noise")), detector(name, **({"seed": 2, "queries": 12} | options))


def reordered(queries: Queries, order: torch.Tensor) -> Queries:
    """The queries in another order."""
    return replace(queries, **{k: x[:, order] for k, x in vars(queries).items() if isinstance(x, torch.Tensor)})


def detector_stub(**options: Any) -> SimpleNamespace:
    """A stand-in for a detector that has what a loss may read of one, changed by `options`."""
    about = {
        "kind": "adamixer",
        "width": 6,
        "strides": (8, 16),
        "layers": 2,
        "classes": 4,
        "queries": 7,
        "matching": Matching(),
        "proposes": False,
        "proposes_classes": False,
        "bins": False,
        "query_groups": 1,
    }
    about |= options
    about["known"] = about.get("known", (True,) * about["classes"])
    return SimpleNamespace(**about, config=SimpleNamespace(**about))


def predictions(
    draw: torch.Generator, images: int, layers: int = 2, queries: int = 7, classes: int = 4, width: int = 6
) -> Predictions:
    """Random logits and boxes; some boxes reach beyond the image."""
    shape = layers, images, queries
    shift = 0.1 * torch.randn(*shape, 2, generator=draw).clamp(-2, 2)
    inside = boxes(shape, draw)
    reaching = torch.cat([inside[..., :2] + shift, inside[..., 2:]], -1)
    return Predictions(
        torch.randn(*shape, classes, generator=draw) * 2, reaching, torch.randn(*shape, width, generator=draw)
    )


def memory(draw: torch.Generator, images: int, about, padded: bool = True, shapes=((4, 5), (2, 3))) -> Memory:
    """Random features; a corner of each level is valid."""
    neck = tuple(torch.randn(images, about.width, h, w, generator=draw) for h, w in shapes)
    padding = tuple(torch.zeros(images, h, w, dtype=torch.bool) for h, w in shapes)
    for pad in padding if padded else ():
        for image in pad:
            image[int(torch.randint(1, 5, (), generator=draw)) :] = True
            image[:, int(torch.randint(1, 6, (), generator=draw)) :] = True
    return Memory(neck, padding, about.strides, torch.tensor([[32, 40]] * images))


def traces(seed: int, counts=(3, 1), *, student=None, teacher=None) -> tuple[Trace, Trace, Targets]:
    """Random traces of a student, which has decoded the teacher's queries too, and of a teacher, with their targets.

    The groups "prior", "fixed" and "specific" are one; both have decoded four queries more as the group "general".
    """
    draw, student, teacher = (
        torch.Generator().manual_seed(seed),
        student or detector_stub(),
        teacher or detector_stub(width=8, queries=9),
    )
    truth, images = targets(counts, student.classes, draw), len(counts)
    s, t = (predictions(draw, images, x.layers, x.queries, x.classes, x.width) for x in (student, teacher))
    prior = predictions(draw, images, student.layers, teacher.queries, student.classes, student.width)
    assignments = match_to_truth({"s": (s, student.matching), "t": (t, teacher.matching)}, truth)
    student_memory, m = memory(draw, images, student), memory(draw, images, teacher)
    teacher_memory = Memory(m.neck, student_memory.padding, m.strides, m.sizes)
    general = [predictions(draw, images, x.layers, 4, x.classes, x.width) for x in (student, teacher)]
    groups = {"own": s, **dict.fromkeys(("prior", "fixed", "specific"), prior), "general": general[0]}
    student_trace = Trace(student_memory, {"own": Queries()}, groups, assignments["s"])
    teacher_groups = {"own": t, "general": general[1]}
    return student_trace, Trace(teacher_memory, {"own": Queries()}, teacher_groups, assignments["t"]), truth


def outcome(loss, student: Trace, teacher: Trace | None, truth: Targets) -> Outcome:
    """The outcome of one loss, as the Distiller computes it."""
    return loss(student, teacher, truth, solve({"loss": loss.problems(student, teacher, truth)})["loss"])


def sums(outcome: Outcome) -> dict[str, float]:
    """The terms of a loss by the names of its maps."""
    return {name: float(x.detach().sum()) for name, x in outcome.maps.items()}


def rows(a) -> set[tuple[int, ...]]:
    """The pairs (layer, image, query, target) of an assignment."""
    return set(zip(*(x.tolist() for x in (a.layer, a.image, a.query, a.target))))
