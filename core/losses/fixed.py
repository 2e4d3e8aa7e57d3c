"""Fixed matching: the student also decodes the teacher's queries, and says of each what the teacher says of it.

D3ETR, arXiv 2211.09768: the teacher's queries are fed to the student's decoder as an auxiliary group, and the two predictions of
a query are compared, because it is the same query: nothing is matched. Of the paper's MixMatcher this is the second half; the
first, adaptive matching, is the loss `logits`. The paper also compares attention maps, which is not done here.

The paper's code is not public, and these are the choices here: the class term is the cross-entropy with the teacher's sigmoid
scores less their entropy, so that equal predictions give 0; all queries count alike, and a term is their mean over the images of
a step; the weights of the terms are those of the student's matching.
"""

from dataclasses import dataclass

import torch

from core.limits import Weight
from core.losses import logits
from core.losses._layer_mapping import LayerMapping
from core.losses._same_queries import SameQueries, assignment_of_teacher
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.types import Assignment, Outcome, Queries, Targets, Trace


@dataclass(frozen=True)
class Config:
    """Weights, and which layers are compared."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    class_weight: Weight | None = None  # Weight of the class term; None takes the student's own.
    stages: LayerMapping = "each"  # Layer pairs: each layer with its own; only the last two; or all with the last.


class Model(Loss):
    """Class, L1 and GIoU between student and teacher for the group "fixed". No weights of its own."""

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("fixed", teacher)
        self.compared = SameQueries("fixed", student, teacher, config.stages)
        self.weights = logits.with_class_weight(student.matching, config.class_weight).weights

    def ask(self, student: Queries, teacher: Queries | None, targets: Targets) -> dict[str, Queries]:
        assert teacher is not None
        return {"fixed": teacher.detach()}

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        group = student.predictions["fixed"]
        student_logits, teacher_logits = self.compared.logits(group, teacher.own)
        divergence = logits.cross_entropy(student_logits, teacher_logits.sigmoid()) - logits.entropy(teacher_logits)
        losses = {"class": divergence} | self.compared.box_losses(group, teacher.own)
        queries = normaliser(targets, torch.ones_like) * group.logits.shape[2]
        maps = {part: self.compared.by_student_layer(loss) / queries for part, loss in losses.items()}
        return Outcome(maps, {"fixed": assignment_of_teacher(teacher, student_layers=len(student.own.logits))})
