"""Hungarian-matching logits distillation: the teacher's predictions are targets for the student's, layer by layer.

DETRDistill, arXiv 2211.10156; a decoder layer is a stage in the paper. Eq. 3: positives, the teacher queries that are matched
with an object. Eq. 4: negatives, all others, which are matched with the remaining student queries and compared by box alone.
The paper leaves open how positives are chosen, which class loss is taken and how the sums are normalised; here: the teacher's
own matching to the truth, cross-entropy with the teacher's sigmoid scores, and `normalise`.

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

from core.boxes import clipped, giou
from core.errors import UserError
from core.limits import Weight
from core.losses._class_losses import focal_loss
from core.losses._layer_mapping import LayerMapping, LayerPairs, layer_pairs
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher, scatter_to_queries
from core.matching.costs import Matching, box_costs, first_objects, in_chunks, label_costs, weighted_sum
from core.types import SILENT, Assignment, Decoded, Outcome, Problem, Targets, Trace


@dataclass(frozen=True)
class Config:
    """Choices that the paper leaves open, and those of its release."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    match: Literal["split", "positive", "all"] = "split"  # Match positives and negatives apart, positives only, or all.
    target: Literal["soft", "hard", "focal"] = "soft"  # Class target: all scores (soft), or the best class (others).
    class_weight: Weight | None = None  # Weight of the class in costs and loss; None takes the student's own.
    normalise: Literal["pairs", "sum"] = "pairs"  # Divide by the number of pairs, or not (Eq. 3 and 4 as printed).
    subtract_entropy: bool = True  # Subtract the entropy of soft targets, so that equal predictions give 0.
    clamp: bool = False  # Clip the teacher's boxes to the image, as DETRDistill's release does.
    stages: LayerMapping = "each"  # Layer pairs: each layer with its own; only the last two; or all with the last.
    group: Literal["sum", "mean"] = "sum"  # Sum or mean over the teacher's layers that teach one of the student's.


Kind = Literal["all", "positive", "negative"]  # of pairs
KINDS: dict[str, tuple[Kind, ...]] = {"split": ("positive", "negative"), "positive": ("positive",), "all": ("all",)}
NO_TERM = "negative", "class"  # negatives have no class term (Eq. 4): all of them are background


class Model(Loss):
    """Eq. 3 and 4, or the release's matching. No weights of its own.

    The problems are posed for pairs of layers; `with_layers` converts their assignments to layers of the two detectors.
    """

    poses_early = True
    reads: tuple[str, ...] = ()
    known: Bool[Tensor, " c"]  # classes that the teacher can predict

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("logits", teacher)
        refuse_other_classes("logits", student, teacher)
        self.config, self.matching = config, with_class_weight(student.matching, config.class_weight)
        self.layers = LayerPairs(layer_pairs(student.config.layers, teacher.config.layers, config.stages))
        self.register_buffer("known", torch.tensor(teacher.known), persistent=False)
        terms = [(kind, p) for kind in KINDS[config.match] for p in self.matching.weights if (kind, p) != NO_TERM]
        self.weights = {f"{kind}_{part}": self.matching.weights[part] for kind, part in terms}

    @torch.no_grad()
    def problems(self, student: Trace | Decoded, teacher: Trace | None, targets: Targets) -> dict[str, Problem]:
        assert teacher is not None
        s, t = self.layers.student, self.layers.teacher
        student_logits = self.known_logits(student.own.logits)[s]
        teacher_logits, matched = self.known_logits(teacher.own.logits)[t], is_matched(teacher)[t]
        valid_queries = torch.ones_like(matched)
        if teacher.valid is not None:
            valid_queries = valid_queries & teacher.valid
        box_cost = in_chunks(self.box_cost, student.own.boxes[s], self.teacher_boxes(teacher)[t])
        problems: dict[str, Problem] = {}
        for kind in KINDS[self.config.match]:
            if kind == "negative":
                problems[kind] = Problem(box_cost, ~matched & valid_queries, without=("positive",))
            elif kind == "all":
                cost = self.with_class_cost(box_cost, student_logits, teacher_logits, matched)
                problems[kind] = Problem(cost, valid_queries)
            else:
                query, valid = (x[t] for x in matched_queries(teacher, targets))
                boxes = box_cost.gather(-1, repeat(query, "l b t -> l b q t", q=box_cost.shape[2]))
                cost = self.with_class_cost(boxes, student_logits, gather_queries(teacher_logits, query), valid)
                problems[kind] = Problem(cost, valid, names=query)
        return problems

    def with_class_cost(
        self,
        box_cost: Float[Tensor, "l b q t"],
        student_logits: Float[Tensor, "l b q c"],
        teacher_logits: Float[Tensor, "l b t c"],
        matched: Bool[Tensor, "l b t"],
    ) -> Float[Tensor, "l b q t"]:
        """The costs of boxes, and those of classes times their weight."""
        class_cost = in_chunks(self.class_cost, student_logits, teacher_logits, matched)
        return box_cost.add(class_cost, alpha=self.matching.class_weight)

    @torch.no_grad()
    def cost_parts(self, student: Trace, teacher: Trace | None, targets: Targets) -> dict[str, dict[str, Tensor]]:
        assert teacher is not None
        s, t = self.layers.student, self.layers.teacher
        boxes = box_costs(student.own.boxes[s], self.teacher_boxes(teacher)[t], self.matching)
        student_logits, teacher_logits = (self.known_logits(x.own.logits)[k] for x, k in ((student, s), (teacher, t)))
        parts = boxes | {"class": in_chunks(self.class_cost, student_logits, teacher_logits, is_matched(teacher)[t])}
        return {
            kind: {part: cost for part, cost in parts.items() if (kind, part) != NO_TERM}
            for kind in KINDS[self.config.match]
        }

    def with_layers(self, a: Assignment) -> Assignment:
        return self.layers.with_layers(a)

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        s, teacher_boxes, matched = student.own, self.teacher_boxes(teacher), is_matched(teacher)
        compared = {kind: self.with_layers(a) for kind, a in pairs.items()}
        maps = {}
        for kind, a in compared.items():
            losses = {}
            if kind != "negative":
                student_logits, teacher_logits = s.logits[a.index], teacher.own.logits[a.other]
                losses["class"] = self.class_loss(
                    self.known_logits(student_logits), self.known_logits(teacher_logits), matched[a.other]
                )
            predicted, target = s.boxes[a.index], teacher_boxes[a.other]
            losses["l1"] = (self.matching.coordinates(predicted) - self.matching.coordinates(target)).abs().sum(-1)
            losses["giou"] = 1 - giou(predicted, target)
            weight = self.pair_weight(pairs[kind], targets, kind, (s.logits.shape[2], teacher_boxes.shape[2]))
            for part, loss in losses.items():
                maps[f"{kind}_{part}"] = scatter_to_queries(weight * loss, a, like=s.logits)
        return Outcome(maps, compared)

    def box_cost(self, student: Float[Tensor, "n q 4"], teacher: Float[Tensor, "n t 4"]) -> Float[Tensor, "n q t"]:
        """Weighted L1 and GIoU cost of every student box with every teacher box: the box terms of Eq. 3 and 4."""
        return weighted_sum(box_costs(student, teacher, self.matching), self.matching.weights)

    def class_cost(
        self, student: Float[Tensor, "n q c"], teacher: Float[Tensor, "n t c"], matched: Bool[Tensor, "n t"]
    ) -> Float[Tensor, "n q t"]:
        """Unweighted class cost of every pair, from the logits of both: the class term of Eq. 3.

        With hard targets it is the student's own class cost of the teacher's best class, and 0 for unmatched teacher queries.
        """
        if self.config.target == "soft":
            return soft_class_cost(student, teacher, subtract_entropy=self.config.subtract_entropy)
        label = repeat(teacher.argmax(-1), "n t -> n q t", q=student.shape[1])
        return label_costs(student, self.matching).gather(-1, label) * rearrange(matched, "n t -> n 1 t")

    def class_loss(
        self, student: Float[Tensor, "m c"], teacher: Float[Tensor, "m c"], matched: Bool[Tensor, " m"]
    ) -> Float[Tensor, " m"]:
        """Class loss of each pair, from the logits of both; hard targets of unmatched teacher queries are background."""
        if self.config.target == "soft":
            floor = entropy(teacher) if self.config.subtract_entropy else 0
            return cross_entropy(student, teacher.sigmoid()) - floor
        best = rearrange(teacher.argmax(-1), "m -> m 1")
        target = torch.zeros_like(teacher).scatter(-1, best, 1.0) * rearrange(matched, "m -> m 1")
        if self.config.target == "focal":
            return focal_loss(student, target, self.matching.alpha, self.matching.gamma)
        return cross_entropy(student, target)

    def known_logits(self, logits: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
        """Logits in float32; a class that the teacher does not know gets SILENT: no cost, no loss, no gradient."""
        return logits.float().masked_fill(~self.known, SILENT)

    def teacher_boxes(self, teacher: Trace) -> Float[Tensor, "l b t 4"]:
        """Boxes of the teacher's own queries, clipped to the image if the config says so."""
        boxes = teacher.own.boxes
        return clipped(boxes) if self.config.clamp else boxes

    def pair_weight(self, a: Assignment, targets: Targets, kind: str, queries: tuple[int, int]) -> Float[Tensor, " m"]:
        """Factor of each pair: 1 / number of pairs of its kind in a layer and the whole step, or 1 with `normalise` "sum".

        `a` is a solution of `problems`. `queries` are the numbers of student and teacher queries. With `group` "mean" the factor
        is also divided by the number of teacher layers that teach the same student layer.
        """
        share = self.layers.share[a.layer]
        share = share if self.config.group == "mean" else torch.ones_like(share)
        if self.config.normalise == "sum":
            return share * targets.processes
        return share / normaliser(targets, lambda objects: pair_counts(objects, *queries)[kind])


def pair_counts(objects: Int[Tensor, " n"], student: int, teacher: int) -> dict[str, Int[Tensor, " n"]]:
    """Number of pairs of each kind in a layer, for images of so many objects and so many queries of student and teacher."""
    matched = objects.clamp(max=teacher)
    positive = matched.clamp(max=student)
    return {
        "all": torch.full_like(objects, min(student, teacher)),
        "positive": positive,
        "negative": (student - positive).minimum(teacher - matched),
    }


def with_class_weight(matching: Matching, class_weight: float | None) -> Matching:
    """The student's weights of costs and losses, with another class weight unless it is None."""
    return matching if class_weight is None else replace(matching, class_weight=class_weight)


def refuse_other_classes(name: str, student: DetectorSpec, teacher: DetectorSpec) -> None:
    """Raises UserError if the two detectors differ in their number of classes; `name` is the loss's."""
    student_classes, teacher_classes = student.config.classes, teacher.config.classes
    if student_classes != teacher_classes:
        raise UserError(
            f"the loss {name!r} needs as many classes in the student ({student_classes}) as in the teacher "
            f"({teacher_classes}): say which is which with --class-map FILE.json, or set --losses.{name}.weight 0"
        )


def is_matched(trace: Trace) -> Bool[Tensor, "l b q"]:
    """Returns whether each query is matched with an object."""
    logits = trace.own.logits
    one = torch.ones((), dtype=torch.bool, device=logits.device)
    return torch.zeros_like(logits[..., 0], dtype=torch.bool).index_put(trace.assignment.index, one)


def matched_queries(trace: Trace, targets: Targets) -> tuple[Int[Tensor, "l b t"], Bool[Tensor, "l b t"]]:
    """The query that is matched with each object, and whether there is one; objects as in `padded_targets`."""
    a = trace.assignment
    index = a.layer, a.image, a.target - first_objects(targets)[a.image]
    query = a.query.new_zeros(*trace.own.logits.shape[:2], max(targets.counts, default=0))
    valid = torch.zeros_like(query, dtype=torch.bool).index_put(index, torch.ones_like(a.query, dtype=torch.bool))
    return query.index_put(index, a.query), valid


def gather_queries(x: Shaped[Tensor, "l b q *c"], query: Int[Tensor, "l b t"]) -> Shaped[Tensor, "l b t *c"]:
    """The values of some queries of each layer and image, by the queries' indices."""
    layer, image = (torch.arange(n, device=x.device) for n in x.shape[:2])
    return x[rearrange(layer, "l -> l 1 1"), rearrange(image, "b -> b 1"), query]


def soft_class_cost(
    student: Float[Tensor, "*n q c"], teacher: Float[Tensor, "*n t c"], *, subtract_entropy: bool
) -> Float[Tensor, "*n q t"]:
    """Cross-entropy of every pair, from logits, with the teacher's sigmoid scores as targets.

    Minus the teacher's entropy it is a divergence: no teacher query is preferred because it is confident.
    """
    cost = F.softplus(student).sum(-1)[..., :, None] - student @ teacher.sigmoid().mT
    return cost - entropy(teacher)[..., None, :] if subtract_entropy else cost


def cross_entropy(logits: Float[Tensor, "*n c"], target: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    """Binary cross-entropy of sigmoid scores with target probabilities, summed over classes."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)


def entropy(logits: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    """Entropy of sigmoid scores, summed over classes: the least cross-entropy with them as targets."""
    return cross_entropy(logits, logits.sigmoid())
