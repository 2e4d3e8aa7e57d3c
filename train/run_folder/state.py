"""Checkpoints: all that a run needs to continue, in one safetensors file with the counters in its header."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from core.errors import UserError
from core.files import write_bytes
from core.runs.checksums import KEY, load_checked, with_checksums
from train.job.ema import WeightAverage
from train.job.optim import trainable


@dataclass
class Progress:
    """How far a run is: the counters of a checkpoint."""

    epoch: int = 0  # epochs finished, with their evaluation
    position: int = 0  # steps of the present epoch that are done
    step: int = 0  # steps of all epochs that are done
    best: float | None = None  # highest AP so far
    best_epoch: int | None = None
    lengths: dict[str, int] = field(default_factory=dict)  # bytes of each log file when the checkpoint was written
    scaler: dict = field(default_factory=dict)  # state of the gradient scaler of fp16
    skipped: int = 0  # steps in a row that were left out

    def next_step(self) -> dict:
        """Counts a step; returns its number and its epoch, which both start at 1."""
        self.step, self.position = self.step + 1, self.position + 1
        return {"step": self.step, "epoch": self.epoch + 1}

    def next_epoch(self) -> None:
        """Counts an epoch."""
        self.epoch, self.position = self.epoch + 1, 0

    def update_best(self, ap: float) -> bool:
        """Notes the AP of the present epoch if it is the highest so far; returns whether it is."""
        if self.best is not None and ap <= self.best:
            return False
        self.best, self.best_epoch = ap, self.epoch + 1
        return True


def path(folder: Path) -> Path:
    """The latest checkpoint of a run."""
    return folder / "last" / "state.safetensors"


def write(
    folder: Path,
    progress: Progress,
    distiller: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None = None,
    *,
    keep: int = 1,
) -> None:
    """Writes state.safetensors; if `keep` > 1, the latest `keep` checkpoints are kept as state-STEP.safetensors too."""
    tensors = trained_tensors(distiller) | optimizer_tensors(distiller, optimizer) | average_tensors(average)
    tensors = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
    data = save(tensors, metadata={"progress": with_checksums(asdict(progress), tensors)})
    if keep > 1:
        write_bytes(path(folder).with_name(f"state-{progress.step}.safetensors"), data, within=folder)
    write_bytes(path(folder), data, within=folder)
    for old in numbered_copies(folder)[: -keep if keep > 1 else None]:
        old.unlink()


def numbered_copies(folder: Path) -> list[Path]:
    """The checkpoints state-STEP.safetensors of a run, the oldest first."""
    return sorted(path(folder).parent.glob("state-*.safetensors"), key=lambda p: int(p.stem.partition("-")[2]))


def read(
    folder: Path, distiller: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage | None = None
) -> Progress:
    """Loads the latest checkpoint into networks, optimiser and moving average; a run without one starts from the beginning.

    UserError: the file cannot be read, has changed since it was written, or does not fit the run's configuration.
    """
    if not path(folder).exists():
        return Progress()
    progress = read_progress(folder)
    try:
        tensors, _ = load_checked(path(folder).read_bytes(), read_header(folder), path(folder))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path(folder)} is damaged ({error}); take the file from a backup") from None
    restore(tensors, distiller, optimizer, average, folder)
    return progress


def read_progress(folder: Path) -> Progress:
    """The counters of the latest checkpoint. UserError: it is damaged, or of another version."""
    try:
        counters = {key: value for key, value in read_header(folder).items() if key != KEY}
        return checked(Progress(**counters))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        older = [p.name for p in numbered_copies(folder)[-1:]]
        way = f"put {older[0]} beside it in its place" if older else "start a new run"
        raise UserError(f"{path(folder)} is not a checkpoint of this version ({error}); {way}") from None


def read_header(folder: Path) -> dict:
    """The object in the header of the latest checkpoint: the counters, and the checksums of its tensors."""
    with safe_open(path(folder), "pt") as file:
        return json.loads(file.metadata()["progress"])


def checked(progress: Progress) -> Progress:
    """The counters themselves. ValueError: one is not a number, or not an object, as it should be."""
    numbers = progress.epoch, progress.position, progress.step, progress.skipped, *progress.lengths.values()
    if not all(isinstance(x, int) and x >= 0 for x in numbers) or not isinstance(progress.scaler, dict):
        raise ValueError("its counters are no numbers")
    if not isinstance(progress.best, int | float | None):
        raise ValueError("its best AP is no number")
    return progress


def trained_tensors(distiller: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers of the student and the losses, by name."""
    return {name: x for name, x in distiller.state_dict().items() if not name.startswith("teacher.")}


def optimizer_tensors(distiller: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's state, under optimizer/KEY/PARAMETER."""
    return {
        f"optimizer/{key}/{name}": x
        for name, parameter in trainable(distiller).items()
        for key, x in optimizer.state.get(parameter, {}).items()
    }


def average_tensors(average: WeightAverage | None) -> dict[str, Tensor]:
    """The moving average of the weights, under ema/NAME; {} if the run keeps none."""
    return {} if average is None else {f"ema/{name}": x for name, x in average.model.state_dict().items()}


def restore(
    tensors: dict[str, Tensor],
    distiller: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    folder: Path,
) -> None:
    """Loads the tensors of a checkpoint. UserError: a name or a shape differs from that of the run."""
    weights = {name: x for name, x in tensors.items() if not name.startswith("optimizer/")}
    expected = trained_tensors(distiller) | average_tensors(average)
    shapes, expected_shapes = ({name: x.shape for name, x in group.items()} for group in (weights, expected))
    if shapes != expected_shapes:
        names = shapes.keys() | expected_shapes.keys()
        different = sorted(name for name in names if shapes.get(name) != expected_shapes.get(name))
        raise UserError(f"{path(folder)} does not fit the run's card at {different[0]!r}; start a new run")
    distiller.load_state_dict({name: x for name, x in weights.items() if "/" not in name}, strict=False)
    if average is not None:
        average.model.load_state_dict({name.removeprefix("ema/"): x for name, x in weights.items() if "/" in name})
    for name, parameter in trainable(distiller).items():
        if f"optimizer/step/{name}" in tensors:
            state = {key: tensors[f"optimizer/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {key: x.to(parameter.device) for key, x in state.items()}
