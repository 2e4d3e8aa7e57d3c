"""Training with several groups of queries (Group DETR), as LW- and RF-DETR train."""

from dataclasses import replace

import pytest
import torch

from core.detectors import hub as detector
from core.losses.detection import set_loss
from core.matching.solving import match_to_truth, solve
from core.types import Queries
from tests.helpers import hub, tiny

families = pytest.mark.parametrize("family", ["lw_detr", "rf_detr"])


def grouped(family: str, groups: str = "all") -> detector.Model:
    """A detector whose config.json has three groups."""
    torch.manual_seed(1)
    config = hub.config(family)
    plain = config.config_json.replace('"group_detr"', '"dropout": 0.0, "group_detr"')
    return tiny.stir(detector.Model(replace(config, config_json=plain, groups=groups)))


def batch(counts=(3, 1)):
    return tiny.batch(((128, 128), (128, 128)), counts)


@families
def test_only_training_has_further_groups_and_they_do_not_change_the_first(family):
    images, targets = batch()
    model, alone = grouped(family), grouped(family, "first")
    trained = tiny.distiller(model).train()(images, targets)
    assert len(trained.student.queries["own"].others) == 2
    assert {"group1", "group2"} <= trained.student.predictions.keys()
    for other in (tiny.distiller(model)(images, targets), tiny.distiller(alone).train()(images, targets)):
        assert other.student.predictions.keys() == {"own"} and not other.student.queries["own"].others
        torch.testing.assert_close(trained.student.own.boxes, other.student.own.boxes, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(trained.student.own.logits, other.student.own.logits, rtol=1e-5, atol=1e-5)
    groups = [trained.student.predictions[name].boxes for name in ("own", "group1", "group2")]
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(groups, groups[1:]))


@families
def test_groups_that_are_decoded_in_one_pass_do_not_see_each_other(family, monkeypatch):
    """Predictions, and gradients of the weights, are those of a pass for each; groups of another size have one of their own."""
    model = grouped(family).train()
    memory = model.encode(batch()[0])
    own = model.propose(memory)
    fewer = Queries(*(None if x is None else x[:, 2:5] for x in (own.content, own.position, own.anchors)))
    groups = {"own": own, "fewer": fewer, "group1": own.others[0], "group2": own.others[1]}
    passes, real = [], type(model.network.model.decoder).forward
    monkeypatch.setattr(
        type(model.network.model.decoder), "forward", lambda *args, **kwargs: passes.append(1) or real(*args, **kwargs)
    )
    together = model.decode_groups(memory, groups)
    assert list(together) == list(groups) and len(passes) == 2
    apart = {name: model.decode(memory, q) for name, q in groups.items()}
    for name, p in apart.items():
        for x, y in zip(vars(together[name]).values(), vars(p).values(), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)
    weights = [p for n, p in model.named_parameters() if "decoder.layers" in n and p.requires_grad]

    def gradients(found):
        total = sum((k + 1) * (p.logits.sin().sum() + p.boxes.sum()) for k, p in enumerate(found.values()))
        return torch.autograd.grad(total, weights, retain_graph=True)

    for x, y in zip(gradients(together), gradients(apart)):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-3)


@families
def test_the_loss_is_the_mean_of_the_losses_of_groups_that_are_matched_on_their_own(family):
    images, targets = batch()
    model = grouped(family)
    trace = tiny.distiller(model).train()(images, targets)
    totals = []
    for name in ("own", "group1", "group2"):
        queries, p = trace.student.queries[name], trace.student.predictions[name]
        alone = tiny.distiller(grouped(family, "first"))
        alone.student.propose = lambda memory, queries=queries: replace(queries, others=None)
        alone.student.decode = lambda memory, queries, p=p: p
        totals.append(alone(images, targets).total)
    torch.testing.assert_close(trace.total, sum(totals) / 3, rtol=1e-5, atol=1e-5)
    assert len({round(float(x.detach()), 4) for x in totals}) == 3


@families
@pytest.mark.parametrize("counts", [(3, 1), (0, 2), (0, 0)])
def test_every_group_gets_a_gradient_with_and_without_objects(family, counts):
    model = grouped(family)
    tiny.distiller(model).train()(*batch(counts)).total.backward()
    heads = model.network.model.enc_out_class_embed
    assert all(head.weight.grad.abs().sum() > 0 for head in heads)
    for weight in (model.network.model.query_feat.weight, model.network.model.reference_point_embed.weight):
        assert (weight.grad.abs().sum(-1) > 0).all(), "every query of every group"
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@families
def test_groups_after_the_first_are_not_trained_by_default(family):
    model = grouped(family, "first")
    assert detector.Config().groups == "first" and model.query_groups == 1
    tiny.distiller(model).train()(*batch()).total.backward()
    rows = model.network.model.query_feat.weight.grad.abs().sum(-1)
    assert (rows[:10] > 0).all() and not rows[10:].any()
    assert model.network.model.enc_out_class_embed[1].weight.grad is None


def test_every_group_and_its_proposals_are_matched_on_their_own():
    images, targets = batch()
    model = grouped("rf_detr")
    step = tiny.distiller(model).train()
    student = step(images, targets).student
    problems = step.losses["detection"].problems(student, None, targets)
    assert set(problems) == {"proposal", "groups", "proposals of groups"}
    solved = solve({"detection": problems})["detection"]
    for key, of in (
        ("groups", lambda name: student.predictions[name]),
        ("proposals of groups", lambda name: student.queries[name].proposals),
    ):
        expected = []
        for group, name in enumerate(("group1", "group2")):
            alone = match_to_truth({"it": (of(name), model.matching)}, targets)["it"]
            expected += [(layer + group * len(of(name).boxes), *rest) for layer, *rest in tiny.rows(alone)]
        assert tiny.rows(solved[key]) == set(expected)


def test_the_maps_of_groups_are_those_of_each_group_side_by_side():
    """In the order of the groups, layer by layer: the set loss of a group is where its queries are."""
    images, targets = batch()
    model = grouped("rf_detr")
    trace = tiny.distiller(model).train()(images, targets)
    maps, queries = trace.outcomes["detection"].maps, model.config.queries
    for group, name in enumerate(("group1", "group2")):
        p, part = trace.student.predictions[name], slice(group * queries, (group + 1) * queries)
        pairs = match_to_truth({"it": (p, model.matching)}, targets)["it"]
        for term, expected in set_loss(p, targets, pairs, model.matching).items():
            torch.testing.assert_close(maps[f"group_{term}"][:, :, part], expected / 3, rtol=1e-5, atol=1e-6)
