"""Fixtures of the tests of studies."""

from collections.abc import Callable

import pytest

from train.studies import _pace, cheaper, photos


@pytest.fixture
def one_step_each(monkeypatch):
    """The time of a step is that of the first one, whatever a study asks for."""
    real = _pace.step_seconds

    def step_seconds(runs: dict, *, steps: int = 1, clock: Callable[[], float] = _pace.perf_counter) -> dict:
        return real(runs, steps=1, clock=clock)

    monkeypatch.setattr(_pace, "WARM", 0)
    for study in (_pace, cheaper, photos):
        monkeypatch.setattr(study, "step_seconds", step_seconds)
