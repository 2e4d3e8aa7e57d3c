"""Small cases that the tests of several losses share."""

from dataclasses import replace

import pytest
import torch

from core import losses
from core.losses import features, logits
from core.matching.costs import Matching
from core.types import Assignment, Memory, Predictions, Queries, Targets, Trace
from tests.helpers import tiny

MATCHINGS = [Matching(), Matching(1.0, 3.0, 0.5, alpha=0.4, gamma=1.5, box="xyxy")]
COUNTS = [(3, 1), (0, 4), (2, 0, 5), (0, 0), (8, 9), (1,)]


def close(value):
    """`value` up to rounding errors of float32."""
    return pytest.approx(value, rel=2e-4, abs=1e-5)


def case_a(order=(0, 1, 2)):
    """Mini-case A, small enough to compute Eq. 3 and 4 by hand: student, teacher and targets.

    Each detector has three queries, the image two objects; the teacher's positives are its queries 0 and 2.
    """

    def pack(z, boxes):
        z, boxes = torch.tensor(z)[list(order)], torch.tensor(boxes)[list(order)]
        return Predictions(z[None, None], boxes[None, None], torch.zeros(1, 1, 3, 6))

    t = pack([[2.0, -3], [-4, -4], [-5, 1]], [[0.5, 0.5, 0.4, 0.4], [0.2, 0.2, 0.1, 0.1], [0.7, 0.3, 0.2, 0.2]])
    s = pack(
        [[-5, 0.5], [1.5, -2], [-3.0, -3]], [[0.68, 0.32, 0.2, 0.2], [0.52, 0.5, 0.36, 0.4], [0.25, 0.2, 0.1, 0.1]]
    )
    memory = Memory(
        (torch.zeros(1, 6, 1, 1),), (torch.zeros(1, 1, 1, dtype=torch.bool),), (32,), torch.tensor([[8, 8]])
    )
    where = torch.tensor([list(order).index(0), list(order).index(2)])
    assignment = Assignment(torch.zeros(2).long(), torch.zeros(2).long(), where, torch.arange(2))
    truth = Targets(t.boxes[0, 0, where], torch.tensor([0, 1]), torch.zeros(2).long(), (2,))
    return (
        Trace(memory, {"own": Queries()}, {"own": s}, assignment),
        Trace(memory, {"own": Queries()}, {"own": t}, assignment),
        truth,
    )


def logits_model(matching=MATCHINGS[0], classes=2, layers=1, **options):
    """The loss `logits` between two detectors of these sizes."""
    about = tiny.detector_stub(classes=classes, layers=layers, strides=(32,), matching=matching)
    return losses.build("logits", logits.Config(**options), about, about)


def weighted(model, outcome):
    """The sum of each map, times its weight."""
    return {key: model.weights[key] * x for key, x in tiny.sums(outcome).items()}


def case_b(q=(1.0, 0.25)):
    """Mini-case B, small enough to compute Eq. 6 to 9 by hand: teacher's and student's features, queries, q and validity."""
    teacher, student = torch.tensor([[[[1.0, 0]], [[0, 2]]]]), torch.tensor([[[[0.0, 0]], [[0, 1]]]])
    return teacher, student, torch.eye(2)[None], torch.tensor([q]), torch.ones(1, 1, 2, dtype=torch.bool)


def feature_traces(seed: int, counts=(3, 1), width: int = 8, **options):
    """(loss `features`, student, teacher, targets), random but for the seed."""
    about, teacher = tiny.detector_stub(width=width), tiny.detector_stub(width=8, queries=9)
    torch.manual_seed(seed)
    model = losses.build("features", features.Config(**options), about, teacher)
    return model, *tiny.traces(seed, counts, student=about, teacher=teacher)


def scaled(trace: Trace, features: float = 1.0, queries: float = 1.0) -> Trace:
    """The trace with features and hidden vectors multiplied by these factors."""
    neck = tuple(features * x for x in trace.memory.neck)
    own = replace(trace.own, hidden=queries * trace.own.hidden)
    return replace(trace, memory=replace(trace.memory, neck=neck), predictions=trace.predictions | {"own": own})
