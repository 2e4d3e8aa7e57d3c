"""KD-DETR: both detectors decode the same general and specific queries, and the student says of each what the teacher says.

Wang et al., CVPR 2024, arXiv 2211.08071. General queries are drawn at random in every step, to sample the teacher's answers all
over the image; specific queries are the teacher's own. With w the teacher's highest class score of a query:

    sum w (KL(teacher || student) + L1 + (1 - GIoU))        over queries

Weights of 1, 5 and 2, a softmax over the logits of the classes at temperature 10, and as many general queries as the teacher has
are those of the release (wennyuhey/KD-DETR).

The paper leaves open, and these are the choices here: layers are compared one by one (the release compares all of the student's
with the teacher's last: `stages` "from_last"); sums are divided by the weights of an image and averaged over images (the release
does so for boxes, over the batch, and adds up the means over classes); a general query's content and position are drawn for each
channel from the normal distribution of the teacher's queries of the image, its box uniformly: the center in the image, the sides
from SMALLEST to 1 of it; in eval mode the draw is always the same, and the same for all images, so that a step can be replayed.
No objects are needed. The loss is 0 for a student that equals the teacher.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.errors import UserError
from core.limits import CountOrZero, Positive, Weight
from core.losses import logits
from core.losses._layer_mapping import LayerMapping
from core.losses._same_queries import SameQueries, assignment_of_teacher
from core.losses.base import DetectorSpec, Loss, normaliser, require_teacher
from core.types import Assignment, Outcome, Predictions, Queries, Targets, Trace

SMALLEST = 0.05  # side of a general query's box, as a fraction of the image
LEAST_WEIGHT = 1e-6  # sum of the weights of an image


@dataclass(frozen=True)
class Config:
    """The queries that are decoded, and the weights of the terms."""

    weight: Weight = 0.0  # Weight of the whole loss; 0 leaves it out.
    general: CountOrZero | None = None  # General queries of an image; 0: none, None: as many as the teacher has.
    specific: bool = True  # Compare the teacher's own queries too.
    classes: Literal["softmax", "sigmoid"] = "softmax"  # Class scores that are compared: of a softmax, or each alone.
    temperature: Positive = 10.0  # Temperature of the class scores.
    class_weight: Weight = 1.0  # Weight of the divergence of the class scores.
    l1_weight: Weight = 5.0  # Weight of the L1 distance of boxes.
    giou_weight: Weight = 2.0  # Weight of 1 - GIoU of boxes.
    normalise: Literal["weights", "sum"] = "weights"  # Divide by the weights of an image, or not (as printed).
    stages: LayerMapping = "each"  # Layer pairs: each layer with its own; only the last two; or all with the last.


class Model(Loss):
    """The three terms of the groups "general" and "specific". No weights of its own."""

    def __init__(self, config: Config, student: DetectorSpec, teacher: DetectorSpec | None):
        super().__init__()
        teacher = require_teacher("kd_detr", teacher)
        self.compared = SameQueries("kd_detr", student, teacher, config.stages)
        self.config, self.general = config, teacher.config.queries if config.general is None else config.general
        self.groups = (*["general"] * (self.general > 0), *["specific"] * config.specific)
        refuse_nothing_to_compare(self.groups, config, sum(teacher.known))
        terms = {"class": config.class_weight, "l1": config.l1_weight, "giou": config.giou_weight}
        self.weights = {f"{group}_{part}": w for group in self.groups for part, w in terms.items()}

    def ask(self, student: Queries, teacher: Queries | None, targets: Targets) -> dict[str, Queries]:
        assert teacher is not None
        own = teacher.detach()
        groups = {"general": self.draw_queries, "specific": lambda queries: queries}
        return {group: groups[group](own) for group in self.groups}

    def ask_teacher(self, student: dict[str, Queries], targets: Targets) -> dict[str, Queries]:
        return {group: student[group] for group in self.groups if group == "general"}

    def forward(self, student: Trace, teacher: Trace | None, targets: Targets, pairs: dict[str, Assignment]) -> Outcome:
        assert teacher is not None
        sources = {"general": "general", "specific": "own"}  # the teacher's groups
        maps: dict[str, Tensor] = {}
        for group in self.groups:
            losses = self.compare(student.predictions[group], teacher.predictions[sources[group]], targets)
            maps |= {f"{group}_{part}": loss for part, loss in losses.items()}
        a = assignment_of_teacher(teacher, student_layers=len(student.own.logits))
        shown = {"general": a.at(slice(0)), "specific": a}  # general queries have no objects
        return Outcome(maps, {group: shown[group] for group in self.groups})

    def compare(
        self, student: Predictions, teacher: Predictions, targets: Targets
    ) -> dict[str, Float[Tensor, "l b q"]]:
        """The terms of one group, weighted by the teacher's highest class scores."""
        student_logits, teacher_logits = self.compared.logits(student, teacher)
        weight = teacher_logits.sigmoid().amax(-1)
        if self.config.normalise == "weights":
            weight = weight / weight.sum(-1, keepdim=True).clamp(min=LEAST_WEIGHT)
        weight = weight / normaliser(targets, torch.ones_like)
        losses = {"class": self.divergence(student_logits, teacher_logits)} | self.compared.box_losses(student, teacher)
        return {part: self.compared.by_student_layer(weight * loss) for part, loss in losses.items()}

    def divergence(self, student: Float[Tensor, "*n c"], teacher: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
        """KL divergence of class scores from logits, times the square of the temperature."""
        t = self.config.temperature
        student, teacher = student / t, teacher / t
        if self.config.classes == "sigmoid":
            return t**2 * (logits.cross_entropy(student, teacher.sigmoid()) - logits.entropy(teacher))
        log_p, log_q = teacher.log_softmax(-1), student.log_softmax(-1)
        return t**2 * F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)

    def draw_queries(self, own: Queries) -> Queries:
        """General queries for a teacher with these own queries; they have the fields that the own ones have."""
        vectors = enumerate((own.content, own.position))
        content, position = (None if x is None else self.draw_vectors(x, seed) for seed, x in vectors)
        return Queries(content, position, None if own.anchors is None else self.draw_boxes(own.anchors, seed=2))

    def draw_vectors(self, own: Float[Tensor, "b q d"], seed: int) -> Float[Tensor, "b n d"]:
        """Vectors whose channels have the means and deviations of those of an image's own queries."""
        values = own.float()
        mean, deviation = values.mean(1, keepdim=True), values.std(1, keepdim=True, correction=0)
        return (mean + deviation * self.noise(torch.randn, own, seed)).to(own.dtype)

    def draw_boxes(self, own: Float[Tensor, "b q 4"], seed: int) -> Float[Tensor, "b n 4"]:
        """Boxes with centers anywhere in the image."""
        center, size = self.noise(torch.rand, own, seed).split(2, dim=-1)
        return torch.cat([center, SMALLEST + (1 - SMALLEST) * size], -1).to(own.dtype)

    def noise(self, draw: Callable[..., Tensor], like: Float[Tensor, "b q d"], seed: int) -> Float[Tensor, "b n d"]:
        """Random numbers by torch's function `draw`: new ones for each image in training; in eval mode those of the seed."""
        shape, device = (len(like), self.general, like.shape[-1]), like.device
        if self.training:
            return draw(shape, device=device)
        fixed = draw(shape[1:], device=device, generator=torch.Generator(device).manual_seed(seed))
        return fixed.expand(shape)


def refuse_nothing_to_compare(groups: tuple[str, ...], config: Config, known_classes: int) -> None:
    """Raises UserError if there are no queries to compare, or a softmax over fewer than two classes."""
    if not groups:
        raise UserError(
            "the loss 'kd_detr' has no queries to compare: set --losses.kd_detr.general above 0, or leave "
            "--losses.kd_detr.specific on"
        )
    if config.classes == "softmax" and known_classes < 2:
        raise UserError(
            "the loss 'kd_detr' compares a softmax over classes, which says nothing where the teacher knows one class: set "
            "--losses.kd_detr.classes sigmoid, or --losses.kd_detr.weight 0"
        )
