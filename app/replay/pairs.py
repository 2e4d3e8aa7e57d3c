"""Pairs of student and teacher queries, with the matching problems that gave them.

A trace holds the pairs only. Their problems are posed again by the loss, so that the page can show each pair's cost and margin.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from core.losses.base import Loss
from core.matching.margins import margin
from core.types import Assignment, DistillTrace, Problem


@dataclass(frozen=True)
class SolvedPairs:
    """The pairs of one kind, such as "positive", and the matching problem that they solve."""

    assignment: Assignment  # in the layers of student and teacher
    problem: Problem
    cost_parts: dict[str, Tensor]  # unweighted, "l b q t" in the problem's layers
    weights: dict[str, float]  # of each part
    problem_layers: dict[tuple[int, int], int]  # the problem's layer for (student layer, teacher layer)
    taken: tuple[Assignment, ...]  # pairs of earlier problems, whose student queries this problem may not use

    def in_problem_layers(self, pairs: Assignment) -> Assignment:
        """Pairs with the problem's layers instead of those of student and teacher."""
        layers = [self.problem_layers[both] for both in zip(*layer_pairs(pairs))]
        return Assignment(torch.tensor(layers, dtype=torch.long), pairs.image, pairs.query, pairs.target)

    def cost(self, pairs: Assignment) -> Tensor:
        """The weighted cost of each pair."""
        return self.problem.cost_of(self.in_problem_layers(pairs))

    def margin(self, pair: Assignment) -> tuple[float, int]:
        """The margin of one pair, and the student query that is its runner-up, -1 for none."""
        solved = self.in_problem_layers(pair)
        student, teacher = int(pair.layer), int(target_layer(pair))
        layer, column = int(solved.layer), int(self.problem.column(solved))
        free = torch.ones(self.problem.cost.shape[2], dtype=torch.bool)
        for earlier in self.taken:
            free[earlier.query[in_layers(earlier, student, teacher)]] = False
        rows, columns = free.nonzero().flatten(), self.problem.columns[layer, 0].nonzero().flatten()
        cost = self.problem.cost[layer, 0][rows][:, columns].double().numpy()
        optimum = self.assignment.at(in_layers(self.assignment, student, teacher))
        best = self.cost(optimum).double().sum().item()
        value, runner_up = margin(cost, best, rows.tolist().index(int(pair.query)), columns.tolist().index(column))
        return value, runner_up if runner_up < 0 else int(rows[runner_up])


def solved_pairs(trace: DistillTrace, losses: Mapping[str, Loss]) -> dict[str, SolvedPairs]:
    """The pairs of student and teacher queries that matching found, by the name of the kind of pair.

    Pairs that a loss forms without a matching problem are left out.
    """
    owners = {
        name: loss
        for loss, outcome in trace.outcomes.items()
        for name, pairs in outcome.pairs.items()
        if pairs.target_layer is not None
    }
    traces = trace.student, trace.teacher, trace.targets
    posed = {loss: (losses[loss].problems(*traces), losses[loss].cost_parts(*traces)) for loss in owners.values()}
    solved = {}
    for name, owner in owners.items():
        loss, outcome, (problems, cost_parts) = losses[owner], trace.outcomes[owner], posed[owner]
        if name in problems:
            problem = problems[name]
            solved[name] = SolvedPairs(
                assignment=outcome.pairs[name],
                problem=problem,
                cost_parts=cost_parts[name],
                weights={part: loss.weights[f"{name}_{part}"] for part in cost_parts[name]},
                problem_layers=problem_layers(loss, problem),
                taken=tuple(outcome.pairs[earlier] for earlier in problem.without),
            )
    return solved


def problem_layers(loss: Loss, problem: Problem) -> dict[tuple[int, int], int]:
    """The problem's layer for each pair of a student layer and a teacher layer that the loss compares."""
    layers = torch.arange(len(problem.cost))
    zero = torch.zeros_like(layers)
    pairs = loss.with_layers(Assignment(layers, zero, zero, zero))
    return {both: layer for layer, both in enumerate(zip(*layer_pairs(pairs)))}


def layer_pairs(pairs: Assignment) -> tuple[list[int], list[int]]:
    """The student layer and the teacher layer of each pair."""
    return pairs.layer.tolist(), target_layer(pairs).tolist()


def target_layer(pairs: Assignment) -> Tensor:
    """The teacher layer of each pair; pairs with objects have none, and are a mistake here."""
    assert pairs.target_layer is not None
    return pairs.target_layer


def in_layers(pairs: Assignment, student: int, teacher: int) -> Tensor:
    """Returns whether each pair is between this student layer and this teacher layer."""
    return (pairs.layer == student) & (target_layer(pairs) == teacher)
