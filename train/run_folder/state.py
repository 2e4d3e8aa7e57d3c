"""All that a run needs to go on: one file of tensors, with the counters in its header."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from core.errors import UserError
from core.files import write_bytes
from train.job.ema import Mean
from train.job.optim import trainable


@dataclass
class Progress:
    epoch: int = 0  # epochs finished, with their evaluation
    position: int = 0  # steps of the present epoch that are done
    step: int = 0  # steps of all epochs that are done
    best: float | None = None  # highest AP so far
    best_epoch: int | None = None
    lengths: dict[str, int] = field(default_factory=dict)  # bytes of each log up to here
    scaler: dict = field(default_factory=dict)  # of fp16
    skipped: int = 0  # steps in a row that were left out

    def next_step(self) -> dict:
        """Counts a step, and says which it was."""
        self.step, self.position = self.step + 1, self.position + 1
        return {"step": self.step, "epoch": self.epoch + 1}

    def next_epoch(self) -> None:
        self.epoch, self.position = self.epoch + 1, 0

    def improved(self, ap: float) -> bool:
        if self.best is not None and ap <= self.best:
            return False
        self.best, self.best_epoch = ap, self.epoch + 1
        return True


def path(folder: Path) -> Path:
    return folder / "last" / "state.safetensors"


def write(
    folder: Path,
    progress: Progress,
    distiller: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: Mean | None = None,
    *,
    keep: int = 1,
) -> None:
    """The last one is state.safetensors; with `keep` > 1 it and those before stay as state-STEP.safetensors too."""
    tensors = learnt(distiller) | moments(distiller, optimizer) | averages(mean)
    tensors = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
    data = save(tensors, metadata={"progress": json.dumps(asdict(progress))})
    if keep > 1:
        write_bytes(path(folder).with_name(f"state-{progress.step}.safetensors"), data)
    write_bytes(path(folder), data)
    for old in copies(folder)[: -keep if keep > 1 else None]:
        old.unlink()


def copies(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(path(folder).parent.glob("state-*.safetensors"), key=lambda p: int(p.stem.partition("-")[2]))


def read(folder: Path, distiller: nn.Module, optimizer: torch.optim.Optimizer, mean: Mean | None = None) -> Progress:
    """Puts weights, moments and means in place. A run without a file starts anew; UserError: the file fits no such run."""
    if not path(folder).exists():
        return Progress()
    progress, tensors = header(folder), load_file(path(folder))
    fill(tensors, distiller, optimizer, mean, folder)
    return progress


def header(folder: Path) -> Progress:
    try:
        with safe_open(path(folder), "pt") as file:
            return Progress(**json.loads(file.metadata()["progress"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        older = [p.name for p in copies(folder)[-1:]]
        way = f"put {older[0]} beside it in its place" if older else "start the run anew"
        raise UserError(f"{path(folder)} is not a checkpoint of this version ({error}); {way}") from None


def learnt(distiller: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers of the student and the losses."""
    return {name: x for name, x in distiller.state_dict().items() if not name.startswith("teacher.")}


def moments(distiller: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimizer/{key}/{name}": x
        for name, parameter in trainable(distiller).items()
        for key, x in optimizer.state.get(parameter, {}).items()
    }


def averages(mean: Mean | None) -> dict[str, Tensor]:
    return {} if mean is None else {f"ema/{name}": x for name, x in mean.model.state_dict().items()}


def fill(
    tensors: dict[str, Tensor],
    distiller: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: Mean | None,
    folder: Path,
) -> None:
    weights = {name: x for name, x in tensors.items() if not name.startswith("optimizer/")}
    own = learnt(distiller) | averages(mean)
    shapes, own = ({name: x.shape for name, x in group.items()} for group in (weights, own))
    if shapes != own:
        odd = sorted(name for name in shapes.keys() | own.keys() if shapes.get(name) != own.get(name))
        raise UserError(f"{path(folder)} does not fit the run's card at {odd[0]!r}; start the run anew")
    distiller.load_state_dict({name: x for name, x in weights.items() if "/" not in name}, strict=False)
    if mean is not None:
        mean.model.load_state_dict({name.removeprefix("ema/"): x for name, x in weights.items() if "/" in name})
    for name, parameter in trainable(distiller).items():
        kept = {key: tensors.get(f"optimizer/{key}/{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
        if kept["step"] is not None:
            optimizer.state[parameter] = {key: x.to(parameter.device) for key, x in kept.items()}
