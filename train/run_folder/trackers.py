"""Experiment trackers that a run may log to: TensorBoard in the run's folder, and trackio in its own on this machine."""

from pathlib import Path
from typing import Protocol

from train.run import Run


class Tracker(Protocol):
    """The interface of a tracker, as the log uses it."""

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        """Logs numbers of a step, by name."""

    def close(self) -> None:
        """Finishes writing."""


def open_trackers(run: Run, folder: Path, step: int) -> list[Tracker]:
    """The trackers that the run asks for. What they hold after `step`, the last step of the checkpoint, is written again."""
    trackers: list[Tracker] = []
    if run.tensorboard:
        trackers.append(TensorBoard(folder, step))
    if run.trackio:
        trackers.append(Trackio(folder, step))
    return trackers


class TensorBoard:
    """Writes event files to the folder `tensorboard` of the run."""

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and seldom used

        self.writer = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        """Logs numbers of a step, by name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Writes what is buffered and closes the file."""
        self.writer.close()


class Trackio:
    """Logs to trackio on this machine: no Space and no server is given, so nothing leaves the machine."""

    def __init__(self, folder: Path, step: int):
        import trackio

        name = str(folder.absolute()).strip("/").replace("/", "-")
        self.run = trackio.init(project="detrdistill", name=name, resume="allow", embed=False)
        self.trackio = trackio

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        """Logs numbers of a step, by name."""
        self.trackio.log(values, step=step)

    def close(self) -> None:
        """Finishes trackio's run."""
        self.trackio.finish()
