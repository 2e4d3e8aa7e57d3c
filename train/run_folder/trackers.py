"""Curves elsewhere, on request: TensorBoard in the run's folder, trackio in its own on this machine."""

from pathlib import Path

from train.run import Run


def open_boards(run: Run, folder: Path, step: int) -> list:
    """Each has add_scalars(values, step) and close(); what they hold after `step` is written again."""
    asked = ((run.tensorboard, TensorBoard), (run.trackio, Trackio))
    return [kind(folder, step) for wanted, kind in asked if wanted]


class TensorBoard:
    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and few ask for it

        self.writer = SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class Trackio:
    """Local: no Space and no server is named, so nothing leaves the machine."""

    def __init__(self, folder: Path, step: int):
        import trackio

        name = str(folder.absolute()).strip("/").replace("/", "-")
        self.run = trackio.init(project="detrdistill", name=name, resume="allow", embed=False)
        self.board = trackio

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        self.board.log(values, step=step)

    def close(self) -> None:
        self.board.finish()
