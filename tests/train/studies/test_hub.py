"""The study of detectors of transformers: its reference has our loss where the two should agree, and it ends in its file."""

import pytest
import torch

from core.detectors import hub as detector
from core.files import read_json
from core.runs.checkpoint import read_tensors
from tests.helpers import tiny
from train.studies import _hub_detectors, _hub_reference, backbones, hub


@pytest.fixture(autouse=True)
def quick_and_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(backbones, "EPOCHS", 1)


@pytest.mark.parametrize("objects", [(3, 2), (0, 2), (0, 0)])
@pytest.mark.parametrize("family", ["rt_detr_v2", "rf_detr"])
def test_the_reference_has_our_loss_where_transformers_makes_no_mistake(family, objects):
    """RT-DETRv2 and RF-DETR with all groups: the same total and the same gradients by transformers' loss and by ours."""
    torch.manual_seed(sum(objects))
    student = tiny.stir(detector.Model(_hub_detectors.tiny_config(family)), 0.5).train()
    images, targets = tiny.batch(((96, 96), (96, 96)), objects)
    found = []
    for total in (
        lambda: _hub_reference.own_loss(student, images, targets),
        lambda: tiny.distiller(student).train()(images, targets).total,
    ):
        student.zero_grad()
        loss = total()
        loss.backward()
        found.append((loss.detach(), [p.grad for p in student.parameters() if p.grad is not None]))
    (theirs, expected), (ours, gradients) = found
    if not any(objects):  # RF-DETR divides by the objects of all groups, at least 1; we by those of a group, at least 1
        ours = ours * student.query_groups
        gradients = [x * student.query_groups for x in gradients]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert len(expected) == len(gradients) > 100
    largest = max(float(x.abs().max()) for x in expected)
    for x, y in zip(gradients, expected):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5 * largest)


def test_the_reference_of_d_fine_lacks_terms():
    """Of four layers of predictions, the first without bins, it trains three, and the distributions of two of three layers.

    When transformers does otherwise, the study's docstring and docs/detectors.md need another sentence.
    """
    student = detector.Model(_hub_detectors.tiny_config("d_fine")).train()
    images, targets = tiny.batch(((96, 96), (96, 96)))
    out = student.network(student.padded(images)[0], labels=_hub_reference.labels_of(targets))
    terms = {name for name in out.loss_dict if name.startswith(("loss_vfl", "loss_fgl"))}
    proposals = {"loss_vfl_aux_2"}
    assert terms - proposals == {"loss_vfl", "loss_vfl_aux_0", "loss_vfl_aux_1", "loss_fgl_aux_0", "loss_fgl_aux_1"}
    ours = tiny.distiller(student).train()(images, targets).outcomes["detection"].maps
    assert (ours["class"].sum((1, 2)) > 0).all() and ours["fgl"].sum((1, 2)).count_nonzero() == 3


def test_first_weights_share_a_backbone_and_differ_by_seed():
    a, b = (read_tensors(_hub_detectors.first_weights("rt_detr_v2", seed, images=16))[0] for seed in (0, 1))
    same = {name for name in a if torch.equal(a[name], b[name])}
    backbone = {name for name in a if ".backbone." in name}
    assert backbone <= same and "network.model.enc_output.0.weight" not in same
    fresh = detector.Model(_hub_detectors.tiny_config("rt_detr_v2")).state_dict()
    assert all((a[name] - fresh[name]).abs().max() > 0 for name in backbone if "running_mean" in name)


def test_a_reference_starts_as_the_student_and_is_trained_once(monkeypatch):
    monkeypatch.setattr(hub, "FAMILIES", ("rt_detr_v2",))
    run = hub.alone(3)["rt_detr_v2, alone-3"]
    row = _hub_reference.reference_row(run)
    assert row["seed"] == 3 and row["steps"] == 4 and 0 <= row["ap"] == row["ap_by_epoch"][-1]
    monkeypatch.setattr(_hub_reference, "build", None)
    assert _hub_reference.reference_row(run) == row


def test_the_study_ends_in_its_file(monkeypatch, tmp_path, capsys):
    """Trained rows stand in for themselves here; the slow test trains them."""
    written = []

    def references(runs):
        return {name.replace("alone", "reference"): run for name, run in runs.items()}

    def rows_of(runs, on_row=None, **_):
        rows = {name: {"ap": 0.01 * len(name) + 0.1 * run.seed} for name, run in runs.items()}
        on_row(rows)
        written.append(read_json(tmp_path / "runs" / "hub.json")["unfinished"])
        return rows

    monkeypatch.setattr(hub, "run_rows", rows_of)
    monkeypatch.setattr(hub, "train_references", lambda runs, at_once, write: rows_of(references(runs), on_row=write))
    monkeypatch.setattr(hub, "first_weights", lambda *_, **__: tmp_path / "first.safetensors")
    hub.main(out=tmp_path / "elsewhere.json")
    assert len(written) == 7 and written[-1] == [] and set(written[0]) > set(written[1])
    assert list(read_json(tmp_path / "runs" / "hub.json")["rows"]) == hub.names()
    assert "rt_detr_v2   own kind" in capsys.readouterr().out


@pytest.mark.slow
def test_all_rows_of_a_family_are_trained(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(hub, "FAMILIES", ("rt_detr_v2",))
    monkeypatch.setattr(hub, "SEEDS", (0,))
    hub.main()
    written = read_json(tmp_path / "runs" / "hub.json")
    assert list(written["rows"]) == hub.names() and written["unfinished"] == []
    assert written["rows"]["rt_detr_v2, own kind-0"]["teacher"] is not None
    assert "rt_detr_v2   reference  AP" in capsys.readouterr().out
