"""Copies the images of the next step to a GPU on a stream of their own, while the GPU computes the present step."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from core.types import Images, Targets

Passes = list[tuple[Images, Targets]]
LARGE = ("pixels", "padding")  # of Images; the rest is small, and its ids are read on the host


class CopiedAhead(Iterator[Passes]):
    """The passes of each step, in order, with their pixels on the device.

    `begin` reads the passes of the next step and begins to copy them; without it a step's are copied when they are asked for. The
    error of an image that cannot be read is raised in its own step's turn, as without this.
    """

    def __init__(self, steps: Iterator[Passes], device: torch.device):
        self.steps, self.device = steps, device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.begun: Callable[[], Passes] | None = None  # gives the passes of the next step

    def begin(self) -> None:
        """Reads the passes of the next step, and begins to copy them."""
        if self.begun is None:
            self.begun = self.read()

    def __next__(self) -> Passes:
        self.begin()
        assert self.begun
        give, self.begun = self.begun, None
        return give()

    def read(self) -> Callable[[], Passes]:
        """A call that gives the next passes, or raises what reading them raised."""
        try:
            passes = next(self.steps)
        except Exception as error:
            return raising(error)
        with torch.cuda.stream(self.stream):  # which does nothing for None
            copied = [(moved(images, self.device), targets) for images, targets in passes]
        return lambda: self.after_copying(copied)

    def after_copying(self, passes: Passes) -> Passes:
        """The passes, which the present stream uses after they are copied, and whose memory it then may give back."""
        if self.stream is not None:
            present = torch.cuda.current_stream(self.device)
            present.wait_stream(self.stream)
            for images, _ in passes:
                for x in large(images).values():
                    x.record_stream(present)
        return passes


def moved(images: Images, device: torch.device) -> Images:
    """The images with their pixels and padding on the device, copied without waiting."""
    return replace(images, **{name: x.to(device, non_blocking=True) for name, x in large(images).items()})


def large(images: Images) -> dict[str, Tensor]:
    """The large tensors of images, by name."""
    return {name: getattr(images, name) for name in LARGE}


def raising(error: Exception) -> Callable[[], Passes]:
    """A call that raises the error."""

    def call() -> Passes:
        raise error

    return call
