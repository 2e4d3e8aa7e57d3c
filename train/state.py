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
from train.optim import trainable


@dataclass
class Progress:
    epoch: int = 0  # epochs finished, with their evaluation
    position: int = 0  # steps of the present epoch that are done
    step: int = 0  # steps of all epochs that are done
    best: float | None = None  # highest AP so far
    best_epoch: int | None = None
    lengths: dict[str, int] = field(default_factory=dict)  # bytes of each log up to here
    scaler: dict = field(default_factory=dict)  # of fp16

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


def write(folder: Path, progress: Progress, distiller: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tensors = learnt(distiller) | moments(distiller, optimizer)
    tensors = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
    write_bytes(path(folder), save(tensors, metadata={"progress": json.dumps(asdict(progress))}))


def read(folder: Path, distiller: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Puts weights and moments in place. A run without a file starts anew; UserError: the file fits no such run."""
    if not path(folder).exists():
        return Progress()
    progress, tensors = header(folder), load_file(path(folder))
    fill(tensors, distiller, optimizer, folder)
    return progress


def header(folder: Path) -> Progress:
    try:
        with safe_open(path(folder), "pt") as file:
            return Progress(**json.loads(file.metadata()["progress"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path(folder)} is not a checkpoint of this version ({error}); start the run anew") from None


def learnt(distiller: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers of the student and the losses."""
    return {name: x for name, x in distiller.state_dict().items() if not name.startswith("teacher.")}


def moments(distiller: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimizer/{key}/{name}": x
        for name, parameter in trainable(distiller).items()
        for key, x in optimizer.state.get(parameter, {}).items()
    }


def fill(tensors: dict[str, Tensor], distiller: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    weights = {name: x for name, x in tensors.items() if not name.startswith("optimizer/")}
    shapes, own = ({name: x.shape for name, x in group.items()} for group in (weights, learnt(distiller)))
    if shapes != own:
        odd = sorted(name for name in shapes.keys() | own.keys() if shapes.get(name) != own.get(name))
        raise UserError(f"{path(folder)} does not fit the run's card at {odd[0]!r}; start the run anew")
    distiller.load_state_dict(weights, strict=False)
    for name, parameter in trainable(distiller).items():
        kept = {key: tensors.get(f"optimizer/{key}/{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
        if kept["step"] is not None:
            optimizer.state[parameter] = {key: x.to(parameter.device) for key, x in kept.items()}
