"""The time of a step is that of training's own steps, also where a loss is left out of some."""

from dataclasses import replace
from itertools import islice

import pytest

from core.losses import prior
from tests.helpers import runs
from train.engine import loop
from train.job.build import build
from train.studies import _pace


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    teacher = loop.fit(runs.small(), tmp_path_factory.mktemp("runs") / "teacher")
    run = runs.small(teacher=teacher)
    return build(replace(run, losses=replace(run.losses, prior=prior.Config(weight=1.0, every=4))))


def test_a_loss_of_every_fourth_step_is_computed_in_no_other(job, monkeypatch):
    computed, real = [], job.distiller.forward

    def forward(*arguments, factors, **more):
        computed.append([name for name, factor in factors.items() if factor])
        return real(*arguments, factors=factors, **more)

    monkeypatch.setattr(job.distiller, "forward", forward)
    list(islice(_pace.training_steps(job), 6))
    assert _pace.period_of(job) == 4
    assert ["prior" in names for names in computed] == [True, False, False, False, True, False]
    assert all({"detection", "logits"} <= set(names) for names in computed)


def test_steps_of_a_period_count_alike():
    assert _pace.typical_seconds([4, 1, 2, 1, 6, 1, 2, 1, 5, 9, 2, 1], 4) == (5 + 1 + 2 + 1) / 4
    assert _pace.typical_seconds([3.0, 9.0, 4.0], 1) == 4.0
