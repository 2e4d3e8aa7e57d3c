"""The set loss of DETR: a class loss for every query, and box losses for those that are matched with an object."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.boxes import giou
from core.errors import UserError
from core.limits import CountOrZero, Weight
from core.losses._bins import localisation_loss, self_distillation_loss
from core.losses._box_pairs import BoxPairs, union
from core.losses._class_losses import class_loss
from core.losses._denoising import Denoising, of_objects, restored
from core.losses.base import DetectorSpec, Loss, normaliser, scatter_to_queries
from core.matching.costs import Matching
from core.matching.solving import truth_problem
from core.types import Assignment, BinnedPredictions, Decoded, Outcome, Predictions, Problem, Queries, Targets, Trace


@dataclass(frozen=True)
class Config:
    """The class loss and the weights of the terms are those of the student's `matching`."""

    weight: Weight = 1.0  # Weight of the whole loss; 0 leaves it out.
    denoising: CountOrZero = 0  # Groups of denoising queries, for a student whose queries are boxes; 0 is off.


class Model(Loss):
    """The set loss of the student's own queries and, where these are proposals of its encoder, of the proposals too.

    Proposals without classes are matched and trained as if all objects were of class 0 (Deformable DETR,
    models/deformable_detr.py), those with classes as the queries are (RT-DETR, arXiv 2304.08069). With `denoising`, also the
    set loss of denoising queries, as a mean over their groups. Where the student's `matching` weights losses of D-FINE's bins,
    queries of both kinds have them too. With its `union`, boxes of own queries and proposals are compared in the union of all
    their matchings. UserError: the student's boxes have no bins.

    A student with several groups of queries (Group DETR, arXiv 2207.13085) has the mean of their losses in training, each group
    matched on its own, and its proposals likewise. In evaluation there is the first group alone.
    """

    least = "truth"
    poses_early = True
    reads: tuple[str, ...] = ()

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        self.matching, self.proposes, self.proposes_classes = (
            student.matching,
            student.proposes,
            student.proposes_classes,
        )
        query_weights = self.matching.loss_weights | bin_weights(student)
        if self.matching.union:
            self.adds_up = False  # the pairs of a union are those of one process and pass
        self.weights = dict(query_weights)
        if self.proposes:
            self.weights |= {f"proposal_{name}": w for name, w in self.matching.loss_weights.items()}
        self.further_groups = [f"group{k}" for k in range(1, student.query_groups)]
        self.group_weights = dict(self.weights) if self.further_groups else {}
        self.joint = bool(self.group_weights)  # all groups are decoded in one pass, before they are matched
        self.weights |= {f"group_{name}": w for name, w in self.group_weights.items()}
        self.denoising = (
            Denoising(config.denoising, student.config.classes, student.width) if config.denoising else None
        )
        if self.denoising:
            self.weights |= {f"denoising_{name}": w for name, w in query_weights.items()}
            self.adds_up = False  # queries of an image see its queries in excess, whose number is that of the batch

    def ask(self, student: Queries, teacher: Queries | None, targets: Targets) -> dict[str, Queries]:
        return dict(zip(self.further_groups, student.others or ())) | (
            self.denoising.queries(targets) if self.denoising else {}
        )

    def problems(self, student: Trace | Decoded, teacher: Trace | None, targets: Targets) -> dict[str, Problem]:
        others = self.other_groups(student)
        posed = {"groups": (predictions_of(student, others), targets)} if others else {}
        if self.proposes:
            as_proposed = self.proposal_targets(targets)
            posed["proposal"] = proposals(student, ["own"]), as_proposed
            if others:
                posed["proposals of groups"] = proposals(student, others), as_proposed
        return {name: truth_problem(p, objects, self.matching) for name, (p, objects) in posed.items()}

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        shown = {"truth": student.assignment} | ({"proposal": pairs["proposal"]} if self.proposes else {})
        own = self.groups_loss(student, ["own"], targets, shown["truth"], shown.get("proposal"))
        others = self.other_groups(student)
        if others:
            proposed = pairs["proposals of groups"] if self.proposes else None
            joined_maps = self.groups_loss(student, others, targets, pairs["groups"], proposed)
            further = {k: rearrange(x, "(g l) b q -> l b (g q)", g=len(others)) for k, x in joined_maps.items()}
        else:
            further = {name: torch.zeros_like(own[name]) for name in self.group_weights}
        maps = own | {f"group_{name}": x for name, x in further.items()}
        maps = {name: x / (1 + len(others)) for name, x in maps.items()}
        if self.denoising:
            maps |= {f"denoising_{name}": x for name, x in self.denoising_loss(student, targets).items()}
        return Outcome(maps, shown)

    def other_groups(self, student: Trace | Decoded) -> list[str]:
        """The names of the further groups of the student's own queries: only if it is trained with them."""
        return [name for name in self.further_groups if name in student.predictions]

    def groups_loss(
        self,
        student: Trace,
        groups: Sequence[str],
        targets: Targets,
        matched: Assignment,
        proposed: Assignment | None,
    ) -> dict[str, Float[Tensor, "_ b _"]]:
        """The loss of groups of the student's queries and of their proposals, joined as further layers; given both matchings."""
        predictions = predictions_of(student, groups)
        box_pairs = of_proposals = None
        if self.matching.union:
            matchings = [matched] if proposed is None else [matched, proposed]
            layers, _, queries = predictions.logits.shape[:3]
            box_pairs = union(matchings, targets, layers=layers, queries=queries)
            of_proposals = box_pairs.at(slice(len(box_pairs.pairs) // layers))
        maps = query_loss(predictions, targets, matched, self.matching, box_pairs)
        if proposed is not None:
            args = proposals(student, groups), self.proposal_targets(targets), proposed, self.matching
            maps |= {f"proposal_{name}": x for name, x in set_loss(*args, of_proposals).items()}
        return maps

    def denoising_loss(self, student: Trace, targets: Targets) -> dict[str, Float[Tensor, "l b q"]]:
        """The set loss of the denoising queries of all groups, divided by the number of groups."""
        assert self.denoising is not None
        own = student.own.logits
        groups = [student.predictions[name] for name in self.denoising.names if name in student.predictions]
        if not groups:  # no image has an object
            names = [name.removeprefix("denoising_") for name in self.weights if name.startswith("denoising_")]
            return dict.fromkeys(names, torch.zeros_like(own[:, :, :1, 0], dtype=torch.float32))
        pairs = restored(targets, len(own))
        losses = [of_objects(query_loss(p, targets, pairs, self.matching), targets) for p in groups]
        return {name: torch.cat([x[name] for x in losses], 2) / len(groups) for name in losses[0]}

    def proposal_targets(self, targets: Targets) -> Targets:
        """The objects with the classes that proposals are matched with and trained for."""
        return targets if self.proposes_classes else as_one_class(targets)


def predictions_of(trace: Trace | Decoded, groups: Sequence[str]) -> Predictions:
    """The predictions of groups of queries, whose layers follow each other group by group."""
    return joined([trace.predictions[name] for name in groups])


def proposals(trace: Trace | Decoded, groups: Sequence[str]) -> Predictions:
    """The predictions of the encoder from which a two-stage detector took the queries of groups, joined likewise."""
    return joined([p for name in groups if (p := trace.queries[name].proposals) is not None])


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions as if they were further layers of one, so that all are matched and compared at once."""
    if len(parts) == 1:
        return parts[0]
    logits, boxes, hidden = zip(*((p.logits, p.boxes, p.hidden) for p in parts))
    return Predictions(torch.cat(logits), torch.cat(boxes), torch.cat(hidden))


def as_one_class(targets: Targets) -> Targets:
    """The same objects, all of class 0."""
    return replace(targets, labels=torch.zeros_like(targets.labels))


def bin_weights(student: DetectorSpec) -> dict[str, float]:
    """The weights of the losses of bins that are on. UserError: the student's boxes have no bins."""
    weights = student.matching.bin_weights
    if (weights or student.matching.union) and not student.bins:
        raise UserError(
            f"the boxes of {student.kind} have no bins, but its matching is for boxes with bins:"
            " set fgl_weight and ddf_weight to 0, and union to False"
        )
    return weights


def query_loss(
    p: Predictions, targets: Targets, a: Assignment, m: Matching, box_pairs: BoxPairs | None = None
) -> dict[str, Float[Tensor, "l b q"]]:
    """The set loss of queries, and the losses of their bins that have a weight."""
    maps = set_loss(p, targets, a, m, box_pairs)
    if not m.bin_weights:
        return maps
    assert isinstance(p, BinnedPredictions), "a detector with bins predicts them where their losses have a weight"
    losses = {"fgl": localisation_loss, "ddf": self_distillation_loss}
    return maps | {name: losses[name](p, targets, box_pairs or BoxPairs(a)) for name in m.bin_weights}


def set_loss(
    p: Predictions, targets: Targets, a: Assignment, m: Matching, box_pairs: BoxPairs | None = None
) -> dict[str, Float[Tensor, "l b q"]]:
    """Class loss of every query, L1 and 1 - GIoU of the pairs `box_pairs` (None: those of `a`); unweighted.

    Divided by the number of objects of the whole step, at least 1, which is a mean over processes (Deformable DETR,
    models/deformable_detr.py); those of boxes also by the pairs that an object has. The terms of a query that is matched with
    an object count as much as the object does.
    """
    n, box_pairs = normaliser(targets), box_pairs or BoxPairs(a)
    predicted, true = p.boxes[box_pairs.pairs.index], targets.boxes[box_pairs.pairs.target]
    distance = (m.coordinates(predicted) - m.coordinates(true)).abs().sum(-1)
    boxes = {"l1": distance / n, "giou": (1 - giou(predicted, true)) / n}
    maps = {"class": class_loss(p, targets, a, m)}
    if targets.weights is not None:
        share = torch.ones_like(maps["class"]).index_put(a.index, targets.weights[a.target])
        maps["class"] = share * maps["class"]
    return maps | {
        name: scatter_to_queries(box_pairs.averaged(x, targets), box_pairs.pairs, like=p.logits)
        for name, x in boxes.items()
    }
