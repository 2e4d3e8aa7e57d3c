"""Training runs that take a second."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core import losses
from core.data.transforms import Augment
from tests.helpers import tiny
from train.engine import loop
from train.run import Data, Losses, Optim, Run

DATA = Data(train_limit=10, val_limit=4, size=48, augment=Augment(flip=0.5, jitter=0.3))
OPTIM = Optim(lr=1e-3, epochs=3, batch=4, warmup=2)  # three steps an epoch, the last of two images


def small(**more) -> Run:
    """Of every loss if there is a teacher."""
    names = losses.names() if more.get("teacher") else ["detection"]
    wanted = Losses(**{name: losses.module(name).Config(weight=1.0) for name in names})
    student = tiny.config("adamixer", classes=8)
    run = Run("small", student, wanted, DATA, OPTIM, seed=3, threads=1, checkpoint_every=2)
    return replace(run, **more)


def lines(path: Path, name: str = "metrics.jsonl") -> list[dict]:
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def steps(path: Path, name: str = "metrics.jsonl") -> list[dict]:
    """The records of steps, without those of evaluations and looks."""
    return [r for r in lines(path, name) if not {"eval", "witness", "instability", "gradients"} & r.keys()]


def scores(path: Path) -> list[dict]:
    return [r for r in lines(path) if "eval" in r]


def fit_until_power_cut(run: Run, path: Path, monkeypatch, *, step: int = 5) -> None:
    """Trains, and breaks off before the optimiser's step of this number, as without power."""
    calls, real = [], loop.optim.set_rate

    def cut(optimizer, rate):
        calls.append(rate)
        if len(calls) == step:
            raise RuntimeError("power cut")
        real(optimizer, rate)

    monkeypatch.setattr(loop.optim, "set_rate", cut)
    with pytest.raises(RuntimeError, match="power cut"):
        loop.fit(run, path)
    monkeypatch.setattr(loop.optim, "set_rate", real)
