"""A term that does nothing is named in an error; the gradient of each loss is that of its own backward pass."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core import detectors, losses
from core.errors import UserError
from core.losses.fitnet import Model
from core.types import Outcome
from tests.helpers import processes, runs, tiny
from train.distributed import parallel
from train.engine import gradient_checks, loop
from train.engine.gradient_checks import GradientChecks

kinds = pytest.mark.parametrize("kind", detectors.names())


ONCE = replace(runs.OPTIM, epochs=1)


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    return loop.fit(runs.small(), tmp_path_factory.mktemp("runs") / "teacher")


def cut_off(real, ranks=(0, 1)):
    """FitNet's forward, without a gradient in these processes."""

    def forward(self, *args):
        found = real(self, *args)
        if parallel.ranks().rank not in ranks:
            return found
        return Outcome({name: x.detach() for name, x in found.maps.items()})

    return forward


def fit_cut_off(teacher: Path, path: Path, ranks) -> str:
    gradient_checks.PATIENCE = 2
    Model.forward = cut_off(Model.forward, ranks)
    try:
        return str(len(runs.steps(loop.fit(runs.small(teacher=teacher, optim=ONCE), path))))
    except UserError as error:
        return str(error).partition(":")[0]


def test_a_term_that_does_nothing_is_an_error_that_names_it(taught, tmp_path, monkeypatch):
    monkeypatch.setattr(gradient_checks, "PATIENCE", 2)
    monkeypatch.setattr(Model, "forward", cut_off(Model.forward))
    with pytest.raises(UserError, match="the term fitnet/stride4 did nothing in the first 2 steps with objects"):
        loop.fit(runs.small(teacher=taught), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_with_several_processes_it_is_enough_that_one_of_them_learns(taught, tmp_path):
    dead = "the term fitnet/stride4 did nothing in the first 2 steps with objects"
    for ranks, expected in (((0, 1), dead), ((1,), "3")):
        path = tmp_path / str(len(ranks))
        said = processes.start(fit_cut_off, taught, path, ranks, into=tmp_path / f"said{len(ranks)}")
        assert said[0] == expected
        assert said[1] == expected or ranks == (1,)


def test_steps_without_objects_do_not_count():
    step = tiny.distiller(*tiny.pair("adamixer"), names=["detection", "logits"])
    checks = GradientChecks(step)
    for _ in range(3 * gradient_checks.PATIENCE):
        checks.refuse_inactive(None, objects=False, scale=1.0)
    assert checks.inactive == [f"logits/{key}" for key in step.losses["logits"].weights]
    with pytest.raises(UserError, match=r"the term logits/positive_class did nothing"):
        for _ in range(gradient_checks.PATIENCE):
            checks.refuse_inactive(None, objects=True, scale=1.0)


def test_steps_that_leave_an_inactive_loss_out_do_not_count():
    step = tiny.distiller(*tiny.pair("adamixer"), names=["detection", "logits", "prior"])
    checks, off = GradientChecks(step), {"detection": 1.0, "logits": 1.0, "prior": 0.0}
    for _ in range(3 * gradient_checks.PATIENCE):
        checks.refuse_inactive(step(*tiny.batch(), factors=off), objects=True, scale=1.0, factors=off)
    assert checks.inactive == [f"prior/{key}" for key in step.losses["prior"].weights]
    checks.refuse_inactive(step(*tiny.batch()), objects=True, scale=1.0, factors=dict.fromkeys(off, 1.0))
    assert checks.inactive == []


@kinds
def test_every_term_of_every_loss_is_found_alive_at_once(kind, batch):
    checks = GradientChecks(tiny.distiller(*tiny.pair(kind)).train())
    torch.manual_seed(0)  # a draw in which `mgd` hides no whole level
    checks.refuse_inactive(checks.distiller(*batch), objects=True, scale=1.0)
    assert checks.inactive == []


def test_a_teacher_that_gets_a_gradient_is_told(batch):
    checks = GradientChecks(tiny.distiller(*tiny.pair("adamixer")).train())
    checks.distiller.teacher.requires_grad_(True)
    with pytest.raises(UserError, match="a gradient reaches the teacher"):
        checks.refuse_inactive(checks.distiller(*batch), objects=True, scale=1.0)


@kinds
def test_the_gradient_of_a_loss_is_that_of_its_own_backward_pass(kind, batch):
    scales = {name: 0.5 + k for k, name in enumerate(losses.names())}
    step = tiny.distiller(*tiny.pair(kind), scales=scales).train().eval()
    checks = GradientChecks(step)
    norms = checks.loss_norms(step(*batch), scale=8.0)
    decoder = {name for name, p in step.student.named_parameters() if any(p is x for x in checks.decoder)}
    stages = {"adamixer": "stages.", "hub": "network.model.decoder."}.get(kind, "decoder.")
    assert any(name.startswith(stages) for name in decoder)
    assert not any(name.split(".")[0] in ("backbone", "neck", "encoder") for name in decoder)
    for name, maps in step.weights.items():
        step.zero_grad()
        trace = step(*batch)
        for x in trace.student.memory.neck:
            x.retain_grad()
        sum(w * trace.outcomes[name].maps[key].sum() for key, w in maps.items()).backward()
        features = [x.grad for x in trace.student.memory.neck if x.grad is not None]
        weights = [p.grad for p in checks.decoder if p.grad is not None]
        for key, grads in (("features", features), ("decoder", weights)):
            expected = torch.stack([g.norm() for g in grads]).norm().item() if grads else 0.0
            assert norms[name][key] == pytest.approx(expected, rel=1e-3, abs=1e-7), (name, key)


def test_looks_come_every_so_many_steps(taught, tmp_path):
    more = replace(runs.OPTIM, epochs=2)
    path = loop.fit(runs.small(teacher=taught, optim=more, gradients_every=4), tmp_path / "run")
    found = [r for r in runs.lines(path) if "gradients" in r]
    assert [r["step"] for r in found] == [1, 5]
    assert all(r["gradients"].keys() == set(losses.names()) for r in found)
    assert all(r["gradients"]["detection"]["features"] > 0 for r in found)
    path = loop.fit(runs.small(optim=more, gradients_every=0), tmp_path / "never")
    assert not [r for r in runs.lines(path) if "gradients" in r]
