"""The gradient with which the optimiser steps: its norm is that of the log, and at most --optim.clip."""

from dataclasses import replace

import pytest
import torch

from tests.helpers import runs
from train.engine import loop


def norms_of_steps(path, monkeypatch, **optim) -> tuple[list[float], list[float]]:
    """The norm of the gradient at each step of a run, and the norm that the log holds, which is that before clipping."""
    used, real = [], torch.optim.AdamW.step

    def step(self, *arguments, **named):
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        used.append(torch.stack([g.double().norm() for g in gradients]).norm().item())
        return real(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    loop.fit(runs.small(optim=replace(runs.OPTIM, epochs=1, **optim)), path)
    return used, [record["grad_norm"] for record in runs.steps(path)]


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("clip", [1e-3, 0.5])
def test_a_longer_gradient_is_shortened_to_the_limit(clip, passes, tmp_path, monkeypatch):
    used, logged = norms_of_steps(tmp_path / "run", monkeypatch, clip=clip, passes=passes)
    assert len(used) == len(logged) == 3 and min(logged) > clip
    assert used == pytest.approx([clip] * 3, rel=1e-4)


def test_a_shorter_gradient_stays_as_it_is(tmp_path, monkeypatch):
    used, logged = norms_of_steps(tmp_path / "run", monkeypatch, clip=1e6)
    assert used == pytest.approx(logged, rel=1e-4) and min(used) > 0


def test_a_limit_between_the_norms_shortens_the_longer_ones_only(tmp_path, monkeypatch):
    _, free = norms_of_steps(tmp_path / "free", monkeypatch, clip=1e6)
    clip = (min(free[:2]) + max(free[:2])) / 2
    used, logged = norms_of_steps(tmp_path / "run", monkeypatch, clip=clip)
    assert used == pytest.approx([min(norm, clip) for norm in logged], rel=1e-4)
    assert logged[0] == pytest.approx(free[0], rel=1e-5)
