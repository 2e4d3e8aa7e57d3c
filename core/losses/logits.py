"""Hungarian-matching logits distillation: the teacher's predictions are targets, stage by stage.

DETRDistill, arXiv 2211.10156, Eq. 3 (positives: teacher queries that answer for an object) and Eq. 4 (negatives: all
others, matched among the students left over and compared by box alone). The paper leaves open how positives are chosen,
which class loss is taken and how the sums are normalised; here: the teacher's own matching to the truth, cross-entropy
with the teacher's sigmoid scores, and `normalise`.

Its release does something else, which `match` "all" gives: one matching of all student with all teacher queries, class
scores of background included. Its fill value of 80 for students without a partner is not reproduced: they are left out.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from core.boxes import centers, corners, giou
from core.errors import UserError
from core.losses._layer_mapping import LayerMapping, LayerPairs, layer_pairs
from core.losses.base import Loss, normaliser, require_teacher, scatter_to_queries
from core.losses.detection import focal_loss
from core.matching.costs import Matching, box_costs, first_objects, focal_cost, in_chunks, weighted_sum
from core.types import SILENT, Assignment, Outcome, Problem, Targets, Trace


@dataclass(frozen=True)
class Config:
    weight: float = 0.0  # Weight of the whole loss; 0 leaves it out.
    match: Literal["split", "positive", "all"] = "split"  # Match positives and negatives apart, positives only, or all.
    target: Literal["soft", "hard", "focal"] = "soft"  # Class target: all scores (soft), or the best class (others).
    class_weight: float | None = None  # Weight of the class in costs and loss; None takes the student's own.
    normalise: Literal["pairs", "sum"] = "pairs"  # Divide by the number of pairs, or not (Eq. 3 and 4 as printed).
    subtract_entropy: bool = True  # Subtract the entropy of soft targets, so that equal predictions give 0.
    clamp: bool = False  # Clip the teacher's boxes to the image, as DETRDistill's release does.
    stages: LayerMapping = "each"  # Layer pairs: each layer with its own; only the last two; or all with the last.
    group: Literal["sum", "mean"] = "sum"  # Sum or mean over the teacher's layers that teach one of the student's.


KINDS = {"split": ("positive", "negative"), "positive": ("positive",), "all": ("all",)}  # of pairs
NO_TERM = "negative", "class"  # background is all there is to say


class Model(Loss):
    def __init__(self, config: Config, student, teacher):
        super().__init__()
        require_teacher("logits", teacher)
        refuse_other_classes("logits", student, teacher)
        self.config, self.matching = config, with_class_weight(student.matching, config)
        self.stages = LayerPairs(layer_pairs(student.config.layers, teacher.config.layers, config.stages))
        self.register_buffer("known", torch.tensor(teacher.known), persistent=False)
        parts = [(kind, p) for kind in KINDS[config.match] for p in self.matching.weights if (kind, p) != NO_TERM]
        self.weights = {f"{kind}_{part}": self.matching.weights[part] for kind, part in parts}

    @torch.no_grad()
    def problems(self, student, teacher, targets):
        mine, theirs = self.stages.student, self.stages.teacher
        boxes = student.own.boxes[mine], self.boxes(teacher)[theirs]
        place = in_chunks(lambda *x: weighted_sum(box_costs(*x, self.matching), self.matching.weights), *boxes)
        found = is_matched(teacher)[theirs]
        scores = self.heard(student.own.logits)[mine], self.heard(teacher.own.logits)[theirs]

        def price(place: Tensor, mine: Tensor, theirs: Tensor, found: Tensor) -> Tensor:
            return place.add(in_chunks(self.class_price, mine, theirs, found), alpha=self.matching.class_weight)

        def positive() -> Problem:
            names, valid = (x[theirs] for x in matched_queries(teacher, targets))
            few = place.gather(-1, repeat(names, "l b t -> l b q t", q=place.shape[2]))
            return Problem(price(few, scores[0], at(scores[1], names), valid), valid, names=names)

        problems = {
            "all": lambda: Problem(price(place, *scores, found), torch.ones_like(found)),
            "positive": positive,
            "negative": lambda: Problem(place, ~found, without=("positive",)),
        }
        return {kind: problems[kind]() for kind in KINDS[self.config.match]}

    def cost_parts(self, student, teacher, targets):
        whole = self.whole(student, teacher)
        place = {name: part for name, part in whole.items() if ("negative", name) != NO_TERM}
        return {kind: place if kind == "negative" else whole for kind in KINDS[self.config.match]}

    @torch.no_grad()
    def whole(self, student: Trace, teacher: Trace) -> dict[str, Float[Tensor, "l b q t"]]:
        """Of every pair, boxes first."""
        mine, theirs = self.stages.student, self.stages.teacher
        place = box_costs(student.own.boxes[mine], self.boxes(teacher)[theirs], self.matching)
        scores = self.heard(student.own.logits)[mine], self.heard(teacher.own.logits)[theirs]
        return place | {"class": in_chunks(self.class_price, *scores, is_matched(teacher)[theirs])}

    def class_price(
        self, mine: Float[Tensor, "n q c"], theirs: Float[Tensor, "n t c"], found: Bool[Tensor, "n t"]
    ) -> Float[Tensor, "n q t"]:
        if self.config.target == "soft":
            return class_cost(mine, theirs, less_entropy=self.config.subtract_entropy)
        label = repeat(theirs.argmax(-1), "n t -> n q t", q=mine.shape[1])
        return focal_cost(mine, self.matching).gather(-1, label) * rearrange(found, "n t -> n 1 t")

    def with_layers(self, a):
        return self.stages.with_layers(a)

    def forward(self, student, teacher, targets, pairs):
        s, t, found, maps = student.own, self.boxes(teacher), is_matched(teacher), {}
        met = {kind: self.with_layers(a) for kind, a in pairs.items()}
        for kind, a in met.items():
            values, scale = {}, self.scale(pairs[kind], targets, kind, (s.logits.shape[2], t.shape[2]))
            if kind != "negative":
                scores = self.heard(s.logits[a.index]), self.heard(teacher.own.logits[a.other])
                values["class"] = self.class_loss(*scores, found[a.other])
            mine, theirs = s.boxes[a.index], t[a.other]
            distance = self.matching.coordinates(mine) - self.matching.coordinates(theirs)
            values |= {"l1": distance.abs().sum(-1), "giou": 1 - giou(mine, theirs)}
            maps |= {f"{kind}_{part}": scatter_to_queries(scale * v, a, like=s.logits) for part, v in values.items()}
        return Outcome(maps, met)

    def class_loss(
        self, mine: Float[Tensor, "m c"], theirs: Float[Tensor, "m c"], found: Bool[Tensor, " m"]
    ) -> Float[Tensor, " m"]:
        if self.config.target == "soft":
            floor = entropy(theirs) if self.config.subtract_entropy else 0
            return cross_entropy(mine, theirs.sigmoid()) - floor
        best = rearrange(theirs.argmax(-1), "m -> m 1")
        want = torch.zeros_like(theirs).scatter(-1, best, 1.0) * rearrange(found, "m -> m 1")
        return focal_loss(mine, want, self.matching) if self.config.target == "focal" else cross_entropy(mine, want)

    def heard(self, logits: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
        """In float32; of a class that the teacher does not know, nothing: no cost, no loss, no gradient."""
        return logits.float().masked_fill(~self.known, SILENT)

    def boxes(self, teacher: Trace) -> Float[Tensor, "l b t 4"]:
        found = teacher.own.boxes
        return centers(corners(found).clamp(0, 1)) if self.config.clamp else found

    def scale(self, a: Assignment, targets: Targets, kind: str, queries: tuple[int, int]) -> Float[Tensor, " m"]:
        """What each pair counts; the layers of `a` count pairs of layers."""
        share = self.stages.share[a.layer]
        share = share if self.config.group == "mean" else torch.ones_like(share)
        if self.config.normalise == "sum":
            return share * targets.processes
        return share / normaliser(targets, lambda objects: pairs_in(objects, *queries)[kind])


def pairs_in(objects: Int[Tensor, " n"], mine: int, theirs: int) -> dict[str, Int[Tensor, " n"]]:
    """Pairs of a stage, of each kind, in images of so many objects, for so many queries of student and teacher."""
    found = objects.clamp(max=theirs)
    positive = found.clamp(max=mine)
    return {
        "all": torch.full_like(objects, min(mine, theirs)),
        "positive": positive,
        "negative": (mine - positive).minimum(theirs - found),
    }


def with_class_weight(matching: Matching, config: Config) -> Matching:
    """The weights of cost and loss."""
    weight = matching.class_weight if config.class_weight is None else config.class_weight
    return replace(matching, class_weight=weight)


def refuse_other_classes(name: str, student, teacher) -> None:
    mine, theirs = student.config.classes, teacher.config.classes
    if mine != theirs:
        raise UserError(
            f"the loss {name!r} needs as many classes in the student ({mine}) as in the teacher ({theirs}): "
            f"say which is which with --class-map FILE.json, or set --losses.{name}.weight 0"
        )


def is_matched(trace: Trace) -> Bool[Tensor, "l b q"]:
    """Which queries answer for an object."""
    logits = trace.own.logits
    one = torch.ones((), dtype=torch.bool, device=logits.device)
    return torch.zeros_like(logits[..., 0], dtype=torch.bool).index_put(trace.assignment.index, one)


def matched_queries(trace: Trace, targets: Targets) -> tuple[Int[Tensor, "l b t"], Bool[Tensor, "l b t"]]:
    """The query that answers for each object of `padded`, and whether there is one."""
    a = trace.assignment
    index = a.layer, a.image, a.target - first_objects(targets)[a.image]
    names = a.query.new_zeros(*trace.own.logits.shape[:2], max(targets.counts, default=0))
    valid = torch.zeros_like(names, dtype=torch.bool).index_put(index, torch.ones_like(a.query, dtype=torch.bool))
    return names.index_put(index, a.query), valid


def at(x: Shaped[Tensor, "l b q *c"], names: Int[Tensor, "l b t"]) -> Shaped[Tensor, "l b t *c"]:
    """Those of the queries that are named."""
    layer, image = (torch.arange(n, device=x.device) for n in x.shape[:2])
    return x[rearrange(layer, "l -> l 1 1"), rearrange(image, "b -> b 1"), names]


def class_cost(
    mine: Float[Tensor, "*n q c"], theirs: Float[Tensor, "*n t c"], *, less_entropy: bool
) -> Float[Tensor, "*n q t"]:
    """Cross-entropy of every pair; less the teacher's entropy no teacher query is preferred for being sure."""
    surprise = F.softplus(mine).sum(-1)[..., :, None] - mine @ theirs.sigmoid().mT
    return surprise - entropy(theirs)[..., None, :] if less_entropy else surprise


def cross_entropy(mine: Float[Tensor, "*n c"], want: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    """Of the student's sigmoid scores under the probabilities that are wanted, summed over classes."""
    return F.binary_cross_entropy_with_logits(mine, want, reduction="none").sum(-1)


def entropy(logits: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    return cross_entropy(logits, logits.sigmoid())
