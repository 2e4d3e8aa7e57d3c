"""The class losses of detection: against slow sums, the originals' properties, and transformers' own code."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core import detectors, losses
from core.boxes import iou
from core.losses import _class_losses, detection
from core.losses._class_losses import class_loss, log_no_object
from core.matching.costs import Matching, costs
from core.matching.solving import match_to_truth
from core.runs.config import decode, encode
from core.types import Assignment, Predictions, Targets
from tests.helpers import tiny
from tests.helpers.loss_cases import COUNTS, close
from tests.oracles import slow_losses

KINDS = ("focal", "vfl", "mal", "ia_bce", "softmax")
SET = {"loss_alpha": 0.4, "loss_gamma": 1.25, "no_object": 0.3}
every_kind = pytest.mark.parametrize("kind", KINDS)


def of_softmax(raw):
    """Sigmoid logits with the probabilities of a softmax whose last class is "no object"."""
    log_p = raw.log_softmax(-1)[..., :-1]
    return log_p - torch.log1p(-log_p.exp())


def case(seed: int, counts, kind: str, **options):
    """Predictions, targets, their assignment and the matching; for `softmax` the logits are of one."""
    m = Matching(class_loss=kind, **options)
    draw = torch.Generator().manual_seed(seed)
    p = tiny.predictions(draw, len(counts), classes=5 if kind == "softmax" else 4)
    truth = tiny.targets(counts, 4, draw)
    if kind == "softmax":
        p = replace(p, logits=of_softmax(p.logits.double()).to(p.logits.dtype))
    if len(truth):
        near = truth.boxes[torch.arange(7 * len(counts)) % len(truth)].unflatten(0, (len(counts), 7))
        p = replace(p, boxes=torch.lerp(p.boxes, near.expand_as(p.boxes), 0.7))  # so that most pairs overlap
    return p, truth, match_to_truth({"it": (p, m)}, truth)["it"], m


@every_kind
@pytest.mark.parametrize("options", [{}, SET, {"alpha": 0.6, "gamma": 3.0}], ids=["paper's", "set", "of the cost"])
def test_a_class_loss_is_the_slow_sum_over_queries(kind, options):
    for seed, counts in enumerate(COUNTS):
        p, truth, a, m = case(seed, counts, kind, **options)
        found = class_loss(p, truth, a, m)
        s, t = slow_losses.plain(p), slow_losses.plain(truth)
        objects = {row[:3]: row[3] for row in tiny.rows(a)}
        n = max(len(truth), 1)
        if kind == "softmax":
            n = sum(min(c, 7) + m.no_object * (7 - min(c, 7)) for c in counts)
        for k in np.ndindex(*found.shape):
            object_ = objects.get(k)
            label = None if object_ is None else int(t.labels[object_])
            u = 0 if object_ is None else slow_losses.overlap(s.boxes[k], t.boxes[object_])[0]
            assert found[k].item() == close(slow_losses.class_loss(s.logits[k], label, u, m) / n)


def test_kinds_differ_and_most_pairs_overlap():
    """Otherwise the tests here would not tell the losses apart."""
    p, truth, a, m = case(0, (3, 1), "focal")
    assert (iou(p.boxes[a.index], truth.boxes[a.target]) > 0.2).float().mean() > 0.5
    sums = [class_loss(p, truth, a, replace(m, class_loss=kind)).sum().item() for kind in KINDS]
    assert min(abs(x - y) for i, x in enumerate(sums) for y in sums[:i]) > 0.01


def test_focal_without_new_settings_is_bit_for_bit_the_focal_loss_of_the_cost():
    for seed, counts in enumerate(COUNTS):
        p, truth, a, m = case(seed, counts, "focal", alpha=0.3, gamma=1.5)
        positive = torch.zeros_like(p.logits).index_put((*a.index, truth.labels[a.target]), torch.tensor(1.0))
        score = p.logits.sigmoid()
        error = positive * (1 - score) + (1 - positive) * score
        balance = positive * 0.3 + (1 - positive) * (1 - 0.3)
        entropy = F.binary_cross_entropy_with_logits(p.logits, positive, reduction="none")
        expected = (balance * error**1.5 * entropy).sum(-1) / torch.tensor(len(truth)).clamp(min=1).float()
        assert torch.equal(class_loss(p, truth, a, m), expected)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "softmax"])
def test_scores_below_what_is_wanted_are_pulled_up_and_all_others_down(kind):
    """One query with an object that it covers by half; the gradient of every logit has a sign known beforehand."""
    z = torch.full((1, 1, 3, 4), -4.0, requires_grad=True)
    boxes = torch.tensor([0.5, 0.5, 0.2, 0.2]).expand(1, 1, 3, 4)
    truth = Targets(torch.tensor([[0.5, 0.5, 0.2, 0.1]]), torch.tensor([2]), torch.tensor([0]), (1,))
    a = Assignment(*torch.tensor([[0], [0], [1], [0]]))
    class_loss(Predictions(z, boxes, torch.zeros(1, 1, 3, 2)), truth, a, Matching(class_loss=kind)).sum().backward()
    up = torch.zeros(3, 4, dtype=torch.bool)
    up[1, 2] = True
    assert torch.equal(z.grad[0, 0] < 0, up) and torch.equal(z.grad[0, 0] > 0, ~up)


@pytest.mark.parametrize("kind, best", [("vfl", 0.5), ("mal", 0.5**1.5), ("ia_bce", 0.5)])
def test_the_score_of_a_positive_comes_to_rest_at_the_quality_of_its_box(kind, best):
    """IoU, its power, and the score at which score^a IoU^(1 - a) is the score itself."""
    z = torch.tensor(best).logit().expand(1, 1, 1, 1).clone().requires_grad_()
    boxes = torch.tensor([[[[0.5, 0.5, 0.2, 0.2]]]])
    truth = Targets(torch.tensor([[0.5, 0.5, 0.2, 0.1]]), torch.tensor([0]), torch.tensor([0]), (1,))
    a = Assignment(*torch.zeros(4, 1, dtype=torch.long))
    class_loss(Predictions(z, boxes, torch.zeros(1, 1, 1, 2)), truth, a, Matching(class_loss=kind)).sum().backward()
    assert z.grad.abs().item() < 1e-6


@every_kind
def test_boxes_get_no_gradient_from_a_class_loss(kind):
    p, truth, a, m = case(0, (3, 1), kind)
    boxes, z = p.boxes.clone().requires_grad_(), p.logits.clone().requires_grad_()
    class_loss(replace(p, boxes=boxes, logits=z), truth, a, m).sum().backward()
    assert boxes.grad is None and (z.grad != 0).any(-1).all()


@every_kind
@pytest.mark.parametrize("size", [0.0, 30.0, 1e4])
def test_class_losses_are_finite_for_extreme_logits_and_empty_boxes(kind, size):
    truth = tiny.batch()[1]
    z = (size * torch.randn(2, 2, 7, 4).sign()).requires_grad_()
    boxes = torch.zeros(2, 2, 7, 4)
    p, m = Predictions(z, boxes, torch.zeros(2, 2, 7, 2)), Matching(class_loss=kind)
    found = class_loss(p, truth, match_to_truth({"it": (p, m)}, truth)["it"], m)
    found.sum().backward()
    assert found.isfinite().all() and (found >= 0).all() and z.grad.isfinite().all()


@every_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(kind, dtype):
    p, truth, a, m = case(1, (3, 1), kind)
    low = replace(p, logits=p.logits.to(dtype))
    same = replace(p, logits=low.logits.float())
    found = class_loss(low, truth, a, m)
    assert found.dtype == torch.float32 and torch.equal(found, class_loss(same, truth, a, m))


# Softmax.


def test_softmax_is_the_cross_entropy_of_detrs_logits_with_its_gradient():
    """The value, and what reaches the network's own logits, of the softmax over classes and "no object"."""
    for seed, counts in enumerate(COUNTS):
        raw = (torch.randn(2, len(counts), 7, 5, generator=torch.Generator().manual_seed(seed)) * 3).double()
        raw.requires_grad_()
        p, truth, _, m = case(seed, counts, "softmax", class_cost="score")
        p = replace(p, logits=of_softmax(raw).float())
        a = match_to_truth({"it": (p, m)}, truth)["it"]
        label = torch.full(raw.shape[:3], 4).index_put(a.index, truth.labels[a.target])
        weight = torch.tensor([1.0] * 4 + [0.1], dtype=torch.float64)
        found = class_loss(p, truth, a, m).sum((1, 2))
        wanted = torch.stack([F.cross_entropy(x.flatten(0, 1), y.flatten(), weight) for x, y in zip(raw, label)])
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)
        grads = [torch.autograd.grad(x.sum(), raw, retain_graph=True)[0] for x in (found, wanted)]
        assert (grads[0] - grads[1]).abs().max() < 2e-3 * grads[1].abs().max()


def test_the_rest_of_a_confident_softmax_is_exact_where_a_plain_sum_is_not():
    raw = torch.tensor([[13.0, -2.0, -3.0, 0.0]]).double()
    found = log_no_object(of_softmax(raw).float())
    assert found.item() == pytest.approx(raw.log_softmax(-1)[0, -1].item(), abs=1e-3)


def test_scores_that_are_no_softmax_are_pulled_down_until_they_add_up_to_less_than_one():
    z = torch.tensor([[2.0, 1.0, 0.0]], requires_grad=True)
    assert z.sigmoid().sum() > 1
    (-log_no_object(z)).sum().backward()
    assert (z.grad > 0).all()
    sums = torch.tensor([0.2, 0.999, 1.0, 1.3, 2.0])
    values = log_no_object((sums[:, None] / 4).expand(5, 4).logit())
    assert values.isfinite().all() and (values.diff() < 0).all()


@pytest.mark.parametrize("no_object", [0.0, 0.1, 1.0])
def test_softmax_divides_by_the_weights_of_all_queries_of_the_step(no_object):
    """Also without any objects, where a weight of 0 leaves nothing to learn."""
    for counts in ((0, 0), (3, 9)):
        p, truth, a, m = case(2, counts, "softmax", no_object=no_object)
        found = class_loss(p, truth, a, m)
        matched = sum(min(c, 7) for c in counts)
        weights = matched + no_object * (14 - matched)
        single = class_loss(p, replace(truth, step=torch.tensor([*counts, 7, -1]), processes=2), a, m)
        assert found.isfinite().all()
        if weights:
            torch.testing.assert_close(single, found * weights / ((weights + 7) / 2))
        else:
            assert not found.any()


# Costs and losses apart.


def test_weights_of_losses_are_those_of_costs_unless_they_are_set():
    m = Matching(1.0, 3.0, 0.5)
    assert m.loss_weights == m.weights == {"class": 1.0, "l1": 3.0, "giou": 0.5}
    apart = replace(m, class_loss_weight=0.25, giou_loss_weight=0.0)
    assert apart.weights == m.weights and apart.loss_weights == {"class": 0.25, "l1": 3.0, "giou": 0.0}
    assert replace(m, l1_loss_weight=7.0).loss_weights == {"class": 1.0, "l1": 7.0, "giou": 0.5}
    about = tiny.detector_stub(matching=apart, proposes=True)
    model = losses.build("detection", detection.Config(), about, None)
    assert model.weights == apart.loss_weights | {f"proposal_{k}": w for k, w in apart.loss_weights.items()}
    prior = losses.build("prior", losses.module("prior").Config(), about, about)
    assert prior.weights == apart.loss_weights


@every_kind
def test_what_a_loss_is_made_of_does_not_change_who_is_matched(kind):
    for seed, counts in enumerate(COUNTS):
        p, truth, a, _ = case(seed, counts, "focal")
        m = Matching(class_loss=kind, **SET, class_loss_weight=9.0, l1_loss_weight=0.0)
        assert tiny.rows(match_to_truth({"it": (p, m)}, truth)["it"]) == tiny.rows(a)


def test_class_cost_score_is_slow_and_minus_the_softmax_for_detr():
    for seed, counts in enumerate(COUNTS):
        raw = torch.randn(2, len(counts), 7, 5, generator=torch.Generator().manual_seed(seed))
        p, truth, _, m = case(seed, counts, "softmax", class_cost="score", class_weight=1.0)
        p = replace(p, logits=of_softmax(raw))
        pairs = slow_losses.to_truth(slow_losses.plain(p), slow_losses.plain(truth), m)
        assert tiny.rows(match_to_truth({"it": (p, m)}, truth)["it"]) == pairs
        if len(truth):
            label = truth.labels[0]
            first = int(truth.image[0])
            expected = -raw[:, first].softmax(-1)[..., label]
            torch.testing.assert_close(costs(p, truth, m)["class"][:, first, :, 0], expected)


def test_cards_without_the_new_settings_have_the_old_ones():
    old = {"class_weight": 2.0, "l1_weight": 5.0, "giou_weight": 2.0, "alpha": 0.25, "gamma": 2.0, "eps": 1e-8}
    assert decode(Matching, old | {"box": "cxcywh"}, "card") == Matching()
    new = Matching(class_loss="vfl", class_cost="score", loss_alpha=0.5, class_loss_weight=1.0)
    assert decode(Matching, encode(new), "card") == new


# Steps.


@every_kind
def test_every_loss_works_with_a_student_and_a_teacher_of_each_class_loss(kind, batch):
    matching = Matching(class_loss=kind, class_cost="score" if kind == "softmax" else "focal", class_loss_weight=1.0)
    student = tiny.detector(detectors.names()[0], seed=1, matching=matching)
    teacher = tiny.detector(detectors.names()[0], seed=2, queries=12, matching=matching)
    step = tiny.distiller(student, teacher).train()
    for counts in ((3, 1), (0, 0)):
        found = step(*tiny.batch(counts=counts))
        found.total.backward()
        assert found.total.isfinite() and all(x.isfinite() for x in found.parts().values())
        assert all(p.grad is None or p.grad.isfinite().all() for p in step.parameters())
    same = tiny.distiller(student, tiny.detector(detectors.names()[0], seed=1, matching=matching), ["prior"])
    alone = tiny.distiller(student)(*batch).outcomes["detection"]
    assert all(torch.equal(x, alone.maps[key]) for key, x in same(*batch).outcomes["prior"].maps.items())


@every_kind
def test_parts_of_a_step_add_up_to_the_whole(kind):
    matching = Matching(class_loss=kind, class_cost="score")
    student = tiny.detector("deformable", matching=matching, refine=True, two_stage=True)
    step = tiny.distiller(student).requires_grad_(False)
    images, truth = tiny.batch(sizes=((64, 64),) * 4, counts=(3, 0, 12, 1))
    whole = step(images, truth).parts()
    counts, found = torch.tensor(truth.counts), []
    for chosen in (slice(0, 1), slice(1, 4)):
        part_images = replace(images, **{k: x[chosen] for k, x in vars(images).items() if x is not None})
        inside = torch.isin(truth.image, torch.arange(4)[chosen])
        part = Targets(
            truth.boxes[inside], truth.labels[inside], truth.image[inside] - chosen.start, truth.counts[chosen]
        )
        found.append(step(part_images, part.within(counts, 1)).parts())
    assert {k: sum(x[k].item() for x in found) for k in whole} == close({k: x.item() for k, x in whole.items()})


# Against transformers' own code, where that is right: its losses of one layer, without denoising queries.


def of_transformers(kind: str, p: Predictions, truth: Targets, a: Assignment):
    """The class loss of each layer, by the method of transformers' loss of that name, for the same assignment."""
    modules = {k: pytest.importorskip(f"transformers.loss.loss_{k}") for k in ("rt_detr", "deimv2", "lw_detr")}
    of_object = pytest.importorskip("transformers.loss.loss_for_object_detection")
    focal = pytest.importorskip("transformers.loss.loss_deformable_detr")
    options = {"num_classes": 4, "alpha": 0.75, "gamma": 1.5 if kind == "mal" else 2.0, "focal_alpha": 0.25}
    own = SimpleNamespace(**options, mal_alpha=None, empty_weight=torch.tensor([1.0] * 4 + [0.1]))
    own._get_source_permutation_idx = partial(of_object.ImageLoss._get_source_permutation_idx, own)
    method = {
        "focal": focal.DeformableDetrImageLoss.loss_labels,
        "vfl": modules["rt_detr"].RTDetrLoss.loss_labels_vfl,
        "mal": modules["deimv2"].Deimv2Loss.loss_labels_mal,
        "ia_bce": modules["lw_detr"].LwDetrImageLoss.loss_labels,
        "softmax": of_object.ImageLoss.loss_labels,
    }[kind]
    objects = [truth.image == b for b in range(len(truth.counts))]
    targets = [{"class_labels": truth.labels[x], "boxes": truth.boxes[x]} for x in objects]
    first = np.cumsum([0, *truth.counts])
    values = []
    for layer in range(len(p.logits)):
        pairs = [a.of(layer=layer, image=b) for b in range(len(truth.counts))]
        indices = [(x.query, x.target - int(first[b])) for b, x in enumerate(pairs)]
        outputs = {"logits": p.logits[layer], "pred_boxes": p.boxes[layer]}
        (value,) = method(own, outputs, targets, indices, max(len(truth), 1)).values()
        values.append(value)
    return torch.stack(values)


@every_kind
def test_parity_of_values_and_gradients_with_transformers(kind):
    pytest.importorskip("transformers")
    for seed, counts in enumerate([(3, 1), (0, 4), (2, 0, 5), (6, 7)]):
        p, truth, a, m = case(seed, counts, kind)
        raw = torch.randn(2, len(counts), 7, 5, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        if kind == "softmax":
            ours, theirs = replace(p, logits=of_softmax(raw)), replace(p, logits=raw)
        else:
            raw = p.logits.clone().requires_grad_()
            ours = theirs = replace(p, logits=raw)
        found, expected = class_loss(ours, truth, a, m).sum((1, 2)), of_transformers(kind, theirs, truth, a)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        grads = [torch.autograd.grad(x.sum(), raw)[0] for x in (found, expected)]
        torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-6)


def test_parity_of_detrs_matching_with_transformers():
    matcher = pytest.importorskip("transformers.loss.loss_for_object_detection").HungarianMatcher(1, 5, 2)
    for seed, counts in enumerate([(3, 1), (1, 4), (2, 3, 5)]):
        p, truth, _, m = case(seed, counts, "softmax", class_cost="score", class_weight=1.0)
        raw = torch.randn(2, len(counts), 7, 5, generator=torch.Generator().manual_seed(seed))
        found = match_to_truth({"it": (replace(p, logits=of_softmax(raw)), m)}, truth)["it"]
        targets = [
            {"class_labels": truth.labels[truth.image == b], "boxes": truth.boxes[truth.image == b]}
            for b in range(len(counts))
        ]
        first = np.cumsum([0, *counts])
        rows = set()
        for layer in range(2):
            indices = matcher({"logits": raw[layer], "pred_boxes": p.boxes[layer]}, targets)
            for b, (query, target) in enumerate(indices):
                rows |= {(layer, b, q, int(first[b]) + t) for q, t in zip(query.tolist(), target.tolist())}
        assert tiny.rows(found) == rows


def test_constants_are_the_papers():
    assert _class_losses.constants(Matching(class_loss="mal")) == (1.0, 1.5)
    assert _class_losses.constants(Matching(class_loss="vfl", alpha=0.1, gamma=9.0)) == (0.75, 2.0)
    assert _class_losses.constants(Matching(alpha=0.1, gamma=9.0)) == (0.1, 9.0)
    assert _class_losses.constants(Matching(class_loss="ia_bce", loss_gamma=0.0)) == (0.25, 0.0)
    assert Matching().no_object == 0.1
