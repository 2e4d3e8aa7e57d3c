"""The losses of D-FINE's bins: against transformers' own code, slow sums, and their properties."""

from dataclasses import replace

import pytest
import torch

from core.errors import UserError
from core.losses import detection
from core.losses._bins import distribution, edge_distances, localisation_loss, self_distillation_loss
from core.losses._box_pairs import BoxPairs, union
from core.matching.costs import Matching
from core.matching.solving import match_to_truth
from core.types import BinnedPredictions, Targets
from tests.helpers import tiny

COUNTS = [(3, 1), (0, 2), (0, 0), (9, 1)]
MATCHING = Matching()
DISTANCES = 0.5 + torch.tensor([-4.0, -2.0, -0.5, -0.2, 0.0, 0.2, 0.5, 2.0, 4.0]) / 4
together = pytest.mark.parametrize("together", [False, True], ids=["own pairs", "union"])
cases = pytest.mark.parametrize(("seed", "counts"), list(enumerate(COUNTS)))


def binned(seed: int, counts, layers: int = 3):
    """Random predictions, of whose layers all but the first have bins, with their targets and assignment."""
    draw = torch.Generator().manual_seed(seed)
    p, truth = tiny.predictions(draw, len(counts), layers), tiny.targets(counts, 4, draw)
    shape = layers - 1, len(counts), 7
    bins = 2 * torch.randn(*shape, 4, len(DISTANCES), generator=draw)
    p = BinnedPredictions(*vars(p).values(), bins, tiny.boxes(shape, draw), DISTANCES)
    return p, truth, own_pairs(p, truth)


def own_pairs(p, truth: Targets, matching: Matching = MATCHING) -> BoxPairs:
    """The pairs of each layer's own matching."""
    return BoxPairs(match_to_truth({"it": (p, matching)}, truth)["it"])


def union_pairs(p, truth: Targets, matching: Matching = MATCHING) -> BoxPairs:
    """The pairs of the matchings of all layers."""
    layers, _, queries = p.logits.shape[:3]
    return union([own_pairs(p, truth, matching).pairs], truth, layers=layers, queries=queries)


def pairs_for_transformers(
    compared: BoxPairs, layer: int, counts
) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], int]:
    """The pairs of a layer as transformers takes them, queries and objects of each image, and their number, at least 1."""
    kept = compared.pairs.at((compared.counts if compared.counts is not None else torch.ones(len(compared.pairs))) > 0)
    indices = []
    for image in range(len(counts)):
        pairs = kept.of(layer=layer, image=image)
        unique = torch.stack([pairs.query, pairs.target - sum(counts[:image])], 1).unique(dim=0)
        indices.append((unique[:, 0], unique[:, 1]))
    return indices, max(sum(len(q) for q, _ in indices), 1)


@cases
def test_the_localisation_loss_is_the_slow_sum(seed, counts):
    p, truth, a = binned(seed, counts)
    found, expected = localisation_loss(p, truth, a), torch.zeros(3, len(counts), 7)
    for layer, image, query, target in tiny.rows(a.pairs):
        if layer:
            expected[layer, image, query] = slow_loss(p, truth, layer, image, query, target) / max(sum(counts), 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert bool(found.any()) == bool(len(truth)) and not found[0].any()


def slow_loss(p, truth, layer: int, image: int, query: int, target: int) -> float:
    """The loss of one matched query, edge by edge."""
    cx, cy, w, h = p.references[layer - 1, image, query].tolist()
    x, y, width, height = truth.boxes[target].tolist()
    wanted = [
        (cx - (x - width / 2)) / w,
        (cy - (y - height / 2)) / h,
        (x + width / 2 - cx) / w,
        (y + height / 2 - cy) / h,
    ]
    values, total = DISTANCES.tolist(), 0.0
    for edge, distance in enumerate(wanted):
        distance = min(max(distance, values[0]), values[-1])
        left = max(k for k in range(len(values) - 1) if values[k] <= distance)
        share = (distance - values[left]) / (values[left + 1] - values[left])
        log_p = p.bins[layer - 1, image, query, edge].log_softmax(0).tolist()
        total -= (1 - share) * log_p[left] + share * log_p[left + 1]
    return total * overlap(p.boxes[layer, image, query].tolist(), (x, y, width, height))


def overlap(a, b) -> float:
    """IoU of two boxes (cx, cy, w, h)."""
    sides = [
        max(0.0, min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2))
        for k in (0, 1)
    ]
    inner = sides[0] * sides[1]
    return inner / (a[2] * a[3] + b[2] * b[3] - inner)


def near_the_truth(p, truth):
    """The predictions with boxes that overlap with objects, since rounding decides tiny overlaps."""
    if not len(truth):
        return p
    queries = p.boxes[0, ..., 0]
    near = truth.boxes[torch.arange(queries.numel()) % len(truth)].unflatten(0, queries.shape)
    return replace(p, boxes=torch.lerp(p.boxes.detach(), near.expand_as(p.boxes), 0.7))


@cases
@together
def test_the_localisation_loss_is_that_of_transformers(seed, counts, together):
    """Its own code is given one layer's predictions and matching: it pairs layers and bins wrongly where it does so itself."""
    from transformers.loss.loss_d_fine import DFineLoss

    model = tiny.detector("d_fine", seed=seed, layers=3, matching=Matching(fgl_weight=0.15))
    images, truth = tiny.batch(((128, 128), (128, 128)), counts)
    p = near_the_truth(model(images), truth)
    a = (union_pairs if together else own_pairs)(p, truth, model.matching)
    found = localisation_loss(p, truth, a).sum((1, 2))
    loss, decoder = DFineLoss(model.network.config), model.network.model.decoder
    loss.up, loss.reg_scale = decoder.up, decoder.reg_scale.detach()  # which have noise here, as all weights
    assert len(p.bins) == 3
    for layer in range(1, 4):
        outputs = {
            "pred_boxes": p.boxes[layer],
            "pred_corners": p.bins[layer - 1].flatten(-2),
            "ref_points": p.references[layer - 1],
            "teacher_corners": p.bins[layer - 1],
        }
        labels = [{"boxes": truth.boxes[truth.image == k]} for k in range(2)]
        pairs = pairs_for_transformers(a, layer, counts)
        expected = loss.loss_local(outputs, labels, *pairs)["loss_fgl"]
        torch.testing.assert_close(found[layer], expected, rtol=1e-4, atol=1e-5)


@cases
@together
def test_the_self_distillation_loss_is_that_of_transformers(seed, counts, together):
    """Its own code is given one layer's predictions, matching and bins, and the last layer as the teacher."""
    from transformers import DFineConfig
    from transformers.loss.loss_d_fine import DFineLoss

    p, truth, _ = binned(seed, counts, layers=4)
    p = near_the_truth(p, truth)
    a = (union_pairs if together else own_pairs)(p, truth)
    found = self_distillation_loss(p, truth, a).sum((1, 2))
    loss = DFineLoss(DFineConfig(max_num_bins=len(DISTANCES) - 1))
    assert not found[0] and not found[-1]
    for layer in (1, 2):
        outputs = {
            "pred_boxes": p.boxes[layer],
            "pred_corners": p.bins[layer - 1].flatten(-2),
            "ref_points": p.references[layer - 1],
            "teacher_corners": p.bins[-1],
            "teacher_logits": p.logits[-1],
        }
        labels = [{"boxes": truth.boxes[truth.image == k]} for k in range(2)]
        pairs = pairs_for_transformers(a, layer, counts)
        expected = loss.loss_local(outputs, labels, *pairs)["loss_ddf"]
        torch.testing.assert_close(found[layer], expected, rtol=1e-4, atol=1e-5)
        assert expected > 0


def test_self_distillation_moves_earlier_layers_alone_towards_the_last():
    p, truth, _ = binned(0, (3, 1), layers=4)
    p = replace(near_the_truth(p, truth), bins=p.bins.clone().requires_grad_())
    a = own_pairs(p, truth)
    before = self_distillation_loss(p, truth, a).sum()
    before.backward()
    assert not p.bins.grad[-1].any() and (p.bins.grad[:-1].abs().sum((-2, -1)) > 0).float().mean() > 0.8
    moved = replace(p, bins=(p.bins - 0.5 * p.bins.grad).detach())
    assert self_distillation_loss(moved, truth, a).sum() < before
    same = replace(p, bins=p.bins.detach()[-1:].expand_as(p.bins))
    assert float(self_distillation_loss(same, truth, a).abs().max()) < 1e-6


@cases
def test_self_distillation_of_the_parts_of_a_step_adds_up(seed, counts):
    """Two images as one step, and as two passes of it."""
    p, truth, a = binned(seed, counts)
    whole, parts = self_distillation_loss(p, truth, a), []
    for k in range(2):
        of_image = truth.image == k
        part = Targets(truth.boxes[of_image], truth.labels[of_image], truth.image[of_image] - k, (counts[k],))
        part = part.within(torch.tensor(counts), 1)
        cut = [x[:, k : k + 1] for x in (p.logits, p.boxes, p.hidden, p.bins, p.references)]
        one = BinnedPredictions(*cut, DISTANCES)
        parts.append(self_distillation_loss(one, part, own_pairs(one, part)))
    torch.testing.assert_close(torch.cat(parts, 1), whole)


def test_boxes_are_the_means_of_their_bins():
    """The loss and the detector turn a distribution into the same place of an edge."""
    model = tiny.detector("d_fine", layers=2, matching=Matching(fgl_weight=1.0))
    p = model(tiny.batch(((128, 128), (96, 128)))[0])
    distance = (p.bins.softmax(-1) * p.distances).sum(-1)
    torch.testing.assert_close(edge_distances(p.boxes[1:], p.references), distance, rtol=1e-3, atol=1e-4)


def test_a_distribution_has_its_distance_as_mean():
    distances = torch.rand(50, 4) * 2 - 0.5
    made = distribution(distances, DISTANCES)
    torch.testing.assert_close((made * DISTANCES).sum(-1), distances.clamp(DISTANCES[0], DISTANCES[-1]))
    torch.testing.assert_close(made.sum(-1), torch.ones(50, 4))
    assert int((made > 0).sum(-1).max()) <= 2
    at = distribution(DISTANCES[None, :4], DISTANCES)
    torch.testing.assert_close(at[0], torch.eye(len(DISTANCES))[:4])


def test_the_gradient_makes_the_bins_those_of_the_truth():
    p, truth, a = binned(0, (3, 1))
    p = replace(p, bins=p.bins.clone().requires_grad_())
    before = localisation_loss(p, truth, a).sum()
    before.backward()
    moved = replace(p, bins=(p.bins - 0.5 * p.bins.grad).detach())
    assert localisation_loss(moved, truth, a).sum() < before
    touched = {tuple(x) for x in p.bins.grad.abs().sum((-2, -1)).nonzero().tolist()}
    assert touched <= {(x - 1, b, q) for x, b, q, _ in tiny.rows(a.pairs)}


def test_an_object_counts_as_much_as_its_weight():
    p, truth, a = binned(0, (3, 1))
    half = replace(truth, weights=torch.full((4,), 0.5))
    torch.testing.assert_close(localisation_loss(p, half, a), 0.5 * localisation_loss(p, truth, a))


@pytest.mark.parametrize("family", ["d_fine", "deimv2"])
def test_a_detection_loss_has_the_term_where_it_has_a_weight(family):
    images, truth = tiny.batch(((128, 128), (128, 128)))
    plain, weighted = (
        tiny.detector(family, layers=3, matching=Matching(fgl_weight=w, ddf_weight=3 * w)) for w in (0.0, 0.5)
    )
    trace, without = tiny.distiller(weighted)(images, truth), tiny.distiller(plain)(images, truth)
    terms = [trace.outcomes["detection"].maps[name].sum() for name in ("fgl", "ddf")]
    torch.testing.assert_close(trace.total, without.total + 0.5 * terms[0] + 1.5 * terms[1])
    assert min(terms) > 0 and not {"fgl", "ddf"} & without.outcomes["detection"].maps.keys()
    assert torch.equal(trace.student.own.boxes, without.student.own.boxes)
    denoised = tiny.distiller(weighted, detection={"denoising": 1})(images, truth).outcomes["detection"].maps
    assert denoised["denoising_fgl"].sum() > 0
    assert tiny.distiller(weighted)(*tiny.batch(((128, 128),), (0,))).outcomes["detection"].maps["fgl"].sum() == 0


def test_a_detector_without_bins_is_refused():
    with pytest.raises(UserError, match="the boxes of rt_detr have no bins"):
        tiny.distiller(tiny.detector("rt_detr", matching=Matching(fgl_weight=0.15)))
    with pytest.raises(UserError, match="set fgl_weight and ddf_weight to 0, and union to False"):
        tiny.distiller(tiny.detector("rt_detr", matching=Matching(union=True)))
    detection.Model(detection.Config(), tiny.detector("rt_detr"), None)
