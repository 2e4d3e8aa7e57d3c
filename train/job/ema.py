"""A running mean of the weights, which is measured and kept in their place."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.distiller import Distiller


class Mean:
    """Of a Distiller's student and losses; `distiller` is that of the mean, under the same teacher."""

    def __init__(self, of: Distiller, decay: float):
        self.source, self.decay = nn.ModuleDict({"student": of.student, "losses": of.losses}), decay
        self.model = AveragedModel(self.source, multi_avg_fn=self.average)
        kept = self.model.module
        self.distiller = Distiller(kept["student"], dict(kept["losses"].items()), of.weights, of.teacher)

    def average(self, means, weights, _) -> None:
        """At first the mean forgets faster, or it would hold the first weights for long."""
        count = int(self.model.n_averaged)  # on the host
        get_ema_multi_avg_fn(min(self.decay, (1 + count) / (10 + count)))(means, weights, count)

    def update(self) -> None:
        self.model.update_parameters(self.source)
