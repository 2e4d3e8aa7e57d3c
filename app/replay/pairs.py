"""Pairs of a student's and a teacher's query: what was solved for them, found again from their place in the trace."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.distiller import Distiller
from core.matching.margins import margin
from core.types import Assignment, DistillTrace, Problem


@dataclass(frozen=True)
class Met:
    """One kind of pair: the problem that was solved, and the pairs that it gave."""

    loss: str
    problem: Problem
    parts: dict[str, Tensor]  # "l b q t", unweighted
    weights: dict[str, float]  # of the parts
    pairs: Assignment  # in the layers of student and teacher
    layers: dict[tuple[int, int], int]  # of student and teacher, to the problem's own
    taken: tuple[Assignment, ...]  # pairs of earlier problems, whose queries were not to be had

    def own(self, a: Assignment) -> Assignment:
        """Pairs in the problem's own layers."""
        layer = [self.layers[pair] for pair in zip(a.layer.tolist(), a.target_layer.tolist())]
        return Assignment(torch.tensor(layer, dtype=torch.long), a.image, a.query, a.target)

    def costs(self, a: Assignment) -> Tensor:
        """What each pair cost."""
        return self.problem.cost_of(self.own(a))

    def hold(self, a: Assignment) -> tuple[float, int]:
        """Of one pair: its margin, and the query of the student that is the runner-up, -1 for none."""
        own, here = self.own(a), (a.layer, a.target_layer)
        layer, column = int(own.layer), int(self.problem.column(own))
        taken = [other.query[same(other, here)] for other in self.taken]
        free = torch.ones(self.problem.cost.shape[2], dtype=torch.bool)
        free[torch.cat(taken) if taken else []] = False
        rows, columns = free.nonzero().flatten(), self.problem.columns[layer, 0].nonzero().flatten()
        cost = self.problem.cost[layer, 0][rows][:, columns].double().numpy()
        best = self.costs(self.pairs.at(same(self.pairs, here))).double().sum().item()
        dear, heir = margin(cost, best, rows.tolist().index(int(a.query)), columns.tolist().index(column))
        return dear, heir if heir < 0 else int(rows[heir])


def same(a: Assignment, layers: tuple[Tensor, Tensor]) -> Tensor:
    return (a.layer == layers[0]) & (a.target_layer == layers[1])


def meetings(trace: DistillTrace) -> dict[str, tuple[str, Assignment]]:
    """Pairs of student queries with teacher queries, by name, with the loss that compares them."""
    found = {name: (loss, a) for loss, o in trace.outcomes.items() for name, a in o.pairs.items()}
    return {name: (loss, a) for name, (loss, a) in found.items() if a.target_layer is not None}


def met(trace: DistillTrace, distiller: Distiller) -> dict[str, Met]:
    """By the pairs' name. Losses that compare pairs which they did not have solved are not here."""
    found, traces, meet = {}, (trace.student, trace.teacher, trace.targets), meetings(trace)
    owners = {owner: distiller.losses[owner] for owner, _ in meet.values()}
    told = {owner: (loss.problems(*traces), loss.cost_parts(*traces)) for owner, loss in owners.items()}
    for name, (owner, pairs) in meet.items():
        loss, (problems, parts) = owners[owner], told[owner]
        if name in problems:
            problem = problems[name]
            weights = {part: loss.weights[f"{name}_{part}"] for part in parts[name]}
            taken = tuple(trace.outcomes[owner].pairs[earlier] for earlier in problem.without)
            found[name] = Met(owner, problem, parts[name], weights, pairs, layers_of(loss, problem), taken)
    return found


def layers_of(loss, problem: Problem) -> dict[tuple[int, int], int]:
    every = torch.arange(len(problem.cost))
    none = torch.zeros_like(every)
    told = loss.with_layers(Assignment(every, none, none, none))
    return {pair: k for k, pair in enumerate(zip(told.layer.tolist(), told.target_layer.tolist()))}
