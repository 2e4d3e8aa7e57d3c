"""An exponential moving average of the weights, which is evaluated and saved instead of the trained weights."""

from typing import Any, cast

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.detectors.base import Detector
from core.distiller import Distiller
from core.losses.base import Loss


class WeightAverage:
    """The moving average of the weights of student and losses, with a Distiller of them and the same teacher.

    `distiller` is the Distiller of the averaged weights, and `model` owns the weights (their names are in checkpoints).
    """

    def __init__(self, trained: Distiller, decay: float):
        self.source, self.decay = nn.ModuleDict({"student": trained.student, "losses": trained.losses}), decay
        self.model = AveragedModel(self.source, multi_avg_fn=self.blend)
        averaged = cast(nn.ModuleDict, self.model.module)
        student, losses = cast(Detector, averaged["student"]), cast(nn.ModuleDict, averaged["losses"])
        self.distiller = Distiller(
            student, cast(dict[str, Loss], dict(losses.items())), trained.weights, trained.teacher
        )

    def blend(self, means: Any, weights: Any, _: Any) -> None:
        """Updates the averages in place. The decay is lower in the first steps, so that the initial weights soon fade."""
        count = int(self.model.n_averaged)  # on the CPU
        get_ema_multi_avg_fn(min(self.decay, (1 + count) / (10 + count)))(means, weights, count)

    def update(self) -> None:
        """Adds the present weights to the average; called after each step."""
        self.model.update_parameters(self.source)
