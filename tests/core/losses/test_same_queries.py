"""Losses between predictions of the same queries, index by index: `fixed` and `kd_detr`."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from core import losses
from core.errors import UserError
from core.limits import refuse_outside
from core.losses import fixed, kd_detr
from core.losses._layer_mapping import layer_pairs
from core.matching.costs import Matching
from core.types import Queries
from tests.helpers import tiny
from tests.helpers.loss_cases import COUNTS, MATCHINGS, close
from tests.oracles import slow_losses

DEPTHS = [(2, 2), (2, 4), (3, 2), (1, 3)]
GROUPS = {"fixed": ("own",), "kd_detr": ("general", "own")}


def case(
    name: str, seed: int = 0, counts=(3, 1), depths=(2, 2), known=None, matching: Matching = MATCHINGS[0], **options
):
    """(loss, student, teacher, targets), random but for the seed; `known` are the teacher's classes."""
    about = tiny.detector_stub(width=8, layers=depths[0], matching=matching)
    other = tiny.detector_stub(width=8, layers=depths[1], queries=9, matching=matching)
    if known is not None:
        other.known = known
    model = losses.build(name, losses.module(name).Config(**options), about, other).eval()
    return model, *tiny.traces(seed, counts, student=about, teacher=other)


def changed(trace, group: str, **fields):
    """The trace with other predictions of one group."""
    p = replace(trace.predictions[group], **fields)
    return replace(trace, predictions=trace.predictions | {group: p})


def slow_layers(student, teacher, mapping, value):
    """The sum over the student's layers of the mean of value(student layer, teacher layer)."""
    pairs = layer_pairs(student, teacher, mapping)
    found = [[value(s, t) for s, t in pairs if s == layer] for layer in range(student)]
    return sum(sum(values) / len(values) for values in found if values)


def slow_parts(s, t, k, j, m):
    """L1 and 1 - GIoU of the boxes at places k and j."""
    return {
        "l1": slow_losses.l1(s.boxes[k], t.boxes[j], m.box),
        "giou": 1 - slow_losses.overlap(s.boxes[k], t.boxes[j])[1],
    }


# fixed ----------------------------------------------------------------------------------------------------------------


def slow_fixed(s, t, a, b, part, m):
    """One part of the loss between layer a of the student and layer b of the teacher: the mean over images and queries."""
    places = list(np.ndindex(*s.logits.shape[1:3]))
    total = 0
    for k, j in (((a, *place), (b, *place)) for place in places):
        divergence = slow_losses.soft_bce(s.logits[k], t.logits[j]) - slow_losses.soft_bce(t.logits[j], t.logits[j])
        total += ({"class": divergence} | slow_parts(s, t, k, j, m))[part]
    return total / len(places)


@pytest.mark.parametrize("mapping", ["each", "last", "from_last"])
@pytest.mark.parametrize("depths", DEPTHS)
def test_fixed_is_the_slow_mean_over_queries(depths, mapping):
    for seed, kind in enumerate(MATCHINGS):
        model, student, teacher, truth = case("fixed", seed, COUNTS[seed], depths, matching=kind, stages=mapping)
        s, t = slow_losses.plain(student.predictions["fixed"]), slow_losses.plain(teacher.own)
        expected = {
            part: slow_layers(*depths, mapping, lambda a, b, x=(s, t), y=(part, kind): slow_fixed(*x, a, b, *y))
            for part in ("class", "l1", "giou")
        }
        assert tiny.sums(tiny.outcome(model, student, teacher, truth)) == close(expected)


def test_fixed_weights_are_those_of_the_students_matching():
    m = Matching(1.5, 3.0, 0.5)
    assert case("fixed", matching=m)[0].weights == {"class": 1.5, "l1": 3.0, "giou": 0.5}
    assert case("fixed", matching=m, class_weight=0.25)[0].weights == {"class": 0.25, "l1": 3.0, "giou": 0.5}


@pytest.mark.parametrize("depths, chosen", [((2, 2), (0, 1)), ((2, 4), (1, 3)), ((3, 2), (0, 0, 1))])
@pytest.mark.parametrize("name, group", [("fixed", "fixed"), ("kd_detr", "specific")])
def test_pairs_of_the_group_are_the_objects_of_the_teachers_queries(name, group, depths, chosen):
    found = tiny.outcome(*case(name, 1, (3, 2), depths)).pairs[group]
    a = case(name, 1, (3, 2), depths)[2].assignment
    by_layer = [{row[1:] for row in tiny.rows(a) if row[0] == layer} for layer in chosen]
    assert [{row[1:] for row in tiny.rows(found) if row[0] == layer} for layer in range(depths[0])] == by_layer


# Both -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GROUPS)
def test_queries_are_compared_by_their_index_and_nothing_else(name):
    """Turning the student's queries alone changes the loss; turning those of both detectors does not."""
    model, student, teacher, truth = case(name)
    before = tiny.sums(tiny.outcome(model, student, teacher, truth))

    def turned(trace, groups):
        for group in groups:
            p = trace.predictions[group]
            trace = changed(trace, group, **{k: x.flip(2) for k, x in vars(p).items()})
        return trace

    asked = ("fixed",) if name == "fixed" else ("general", "specific")
    one = tiny.sums(tiny.outcome(model, turned(student, asked), teacher, truth))
    both = tiny.sums(tiny.outcome(model, turned(student, asked), turned(teacher, GROUPS[name]), truth))
    assert both == close(before) and all(abs(one[key] - before[key]) > 1e-3 for key in one)


@pytest.mark.parametrize("name", GROUPS)
def test_the_students_own_predictions_are_not_read(name):
    model, student, teacher, truth = case(name)
    other = changed(student, "own", logits=student.own.logits + 1, boxes=student.own.boxes * 0.5)
    before, after = (tiny.sums(tiny.outcome(model, s, teacher, truth)) for s in (student, other))
    assert before == after


@pytest.mark.parametrize("name", GROUPS)
def test_a_class_that_the_teacher_does_not_know_gets_no_gradient(name):
    model, student, teacher, truth = case(name, known=(True, False, True, True))
    group = {"fixed": "fixed", "kd_detr": "specific"}[name]
    z = student.predictions[group].logits.clone().requires_grad_()
    found = tiny.outcome(model, changed(student, group, logits=z), teacher, truth)
    sum(m.sum() for key, m in found.maps.items() if key.endswith("class")).backward()
    assert not z.grad[..., 1].any() and all(z.grad[..., c].abs().min() > 0 for c in (0, 2, 3))


@pytest.mark.parametrize("name", GROUPS)
def test_the_gradient_pulls_towards_the_teacher(name):
    """A small step against it makes every term smaller."""
    model, student, teacher, truth = case(name, 3)
    for group in ("fixed",) if name == "fixed" else ("general", "specific"):
        p = student.predictions[group]
        z, boxes = p.logits.clone().requires_grad_(), p.boxes.clone().requires_grad_()
        before = tiny.outcome(model, changed(student, group, logits=z, boxes=boxes), teacher, truth)
        sum(m.sum() for m in before.maps.values()).backward()
        moved = changed(student, group, logits=(z - z.grad).detach(), boxes=(boxes - 1e-3 * boxes.grad).detach())
        after = tiny.sums(tiny.outcome(model, moved, teacher, truth))
        prefix = "" if name == "fixed" else f"{group}_"
        assert after[f"{prefix}class"] < tiny.sums(before)[f"{prefix}class"]
        boxes_before, boxes_after = (x[f"{prefix}l1"] + x[f"{prefix}giou"] for x in (tiny.sums(before), after))
        assert boxes_after < boxes_before


@pytest.mark.parametrize("name", GROUPS)
def test_other_kinds_and_other_classes_are_refused_in_one_sentence(name):
    about, config = tiny.detector_stub, losses.module(name).Config()
    for student, teacher, words in (
        (about(), about(width=8), f"the loss '{name}' has the student decode the teacher's queries, but .* of width 8"),
        (about(kind="yolo"), about(), "the student is yolo of width 6"),
        (about(), about(proposes=True), "with queries from the encoder: take a teacher"),
        (about(classes=3), about(), f"the loss '{name}' needs as many classes in the student .3. as"),
    ):
        with pytest.raises(UserError, match=words) as error:
            losses.build(name, config, student, teacher)
        assert f"set --losses.{name}.weight 0" in str(error.value) and "\n" not in str(error.value)


# kd_detr --------------------------------------------------------------------------------------------------------------


def slow_kl(student, teacher, t, classes):
    """KL divergence of class scores at temperature t, times t squared."""
    student, teacher = ([float(x) / t for x in z] for z in (student, teacher))
    if classes == "sigmoid":
        both = zip(student, teacher)
        return t**2 * sum(
            slow_losses.bce(z, slow_losses.sigmoid(y)) - slow_losses.bce(y, slow_losses.sigmoid(y)) for z, y in both
        )
    p, q = (np.exp(z) / np.exp(z).sum() for z in (teacher, student))
    return t**2 * sum(a * math.log(a / b) for a, b in zip(p, q))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stages": "from_last"},
        {"classes": "sigmoid", "temperature": 1.5},
        {"temperature": 2.0, "normalise": "sum"},
    ],
    ids=["default", "release's layers", "sigmoid", "printed sum"],
)
@pytest.mark.parametrize("depths", [(2, 2), (2, 4), (3, 2)])
def test_kd_detr_is_the_slow_weighted_sum_over_queries(depths, options):
    chosen = {"stages": "each", "classes": "softmax", "temperature": 10.0, "normalise": "weights"} | options
    for seed, counts in enumerate(COUNTS[:3]):
        model, student, teacher, truth = case("kd_detr", seed, counts, depths, **options)
        expected = {}
        for group, source in (("general", "general"), ("specific", "own")):
            s, t = (slow_losses.plain(x) for x in (student.predictions[group], teacher.predictions[source]))
            images, queries = s.logits.shape[1:3]

            def weight(place, t=t, chosen=chosen, queries=queries):
                def score(q):
                    return max(slow_losses.sigmoid(float(z)) for z in t.logits[(*place[:2], q)])

                whole = sum(map(score, range(queries))) if chosen["normalise"] == "weights" else 1
                return score(place[2]) / whole

            def value(a, b, part, s=s, t=t, images=images, queries=queries, weight=weight):
                total = 0
                for place in np.ndindex(images, queries):
                    k, j = (a, *place), (b, *place)
                    divergence = slow_kl(s.logits[k], t.logits[j], chosen["temperature"], chosen["classes"])
                    parts = {"class": divergence} | slow_parts(s, t, k, j, MATCHINGS[0])
                    total += weight(j) * parts[part]
                return total / images

            for part in ("class", "l1", "giou"):
                sums = slow_layers(*depths, chosen["stages"], lambda a, b, part=part, value=value: value(a, b, part))
                expected[f"{group}_{part}"] = sums
        assert tiny.sums(tiny.outcome(model, student, teacher, truth)) == close(expected)


def test_weights_of_the_terms_are_those_of_the_config():
    model = case("kd_detr", class_weight=3.0, l1_weight=0.0)[0]
    terms = {"class": 3.0, "l1": 0.0, "giou": 2.0}
    assert model.weights == {f"{group}_{part}": w for group in ("general", "specific") for part, w in terms.items()}


def test_without_general_queries_the_specific_ones_are_compared():
    refuse_outside(losses.module("kd_detr").Config(general=0))
    model = case("kd_detr", general=0)[0]
    assert model.groups == ("specific",) and model.ask(own_queries(), own_queries(), tiny.no_targets(2)).keys() == {
        "specific"
    }


def own_queries(images: int = 2, queries: int = 50, width: int = 6) -> Queries:
    draw = torch.Generator().manual_seed(0)
    content = 3 * torch.randn(images, queries, width, generator=draw) + torch.arange(width)
    position = torch.full((images, queries, width), 0.5)
    return Queries(content, position, tiny.boxes((images, queries), draw))


def test_general_queries_are_drawn_anew_in_training_and_once_for_all_in_eval_mode():
    model, own = case("kd_detr", general=40)[0], own_queries()
    torch.manual_seed(0)
    first, second = (model.train().ask(own, own, tiny.no_targets(2))["general"] for _ in range(2))
    assert not torch.equal(first.content, second.content) and not torch.equal(first.anchors, second.anchors)
    assert not torch.equal(first.anchors[0], first.anchors[1])
    fixed, again = (model.eval().ask(own, own, tiny.no_targets(2))["general"] for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(vars(fixed).values(), vars(again).values()) if x is not None)
    assert torch.equal(fixed.anchors[0], fixed.anchors[1]) and not torch.equal(fixed.content[0], fixed.content[1])
    same = Queries(own.content, own.content)
    both = model.ask(same, same, tiny.no_targets(2))["general"]
    assert not torch.allclose(both.content, both.position), "fields have draws of their own"
    one = Queries(*(x[1:] for x in (own.content, own.position, own.anchors)))
    assert torch.equal(model.ask(one, one, tiny.no_targets(1))["general"].content[0], fixed.content[1]), (
        "images do not see each other"
    )


def test_general_queries_are_spread_as_the_teachers_and_their_boxes_over_the_image():
    model, own = case("kd_detr", general=4000)[0].train(), own_queries()
    found = model.ask(own, own, tiny.no_targets(2))["general"]
    for b in range(2):
        mean, deviation = own.content[b].mean(0), own.content[b].std(0, correction=0)
        assert torch.allclose(found.content[b].mean(0), mean, atol=0.2)
        assert torch.allclose(found.content[b].std(0), deviation, atol=0.2)
    assert torch.allclose(found.position, torch.tensor(0.5)), "what all own queries share, all general ones have"
    center, size = found.anchors.split(2, dim=-1)
    assert 0 <= center.min() < 0.01 and 0.99 < center.max() <= 1 and abs(center.mean() - 0.5) < 0.02
    assert kd_detr.SMALLEST <= size.min() < 0.06 and 0.99 < size.max() <= 1
    assert found.proposals is None


@pytest.mark.parametrize("fields", [("content", "anchors"), ("position",), ("content", "position")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_general_queries_have_the_fields_and_the_precision_of_the_own_ones(fields, dtype):
    own = Queries(**{k: x.to(dtype) for k, x in vars(own_queries()).items() if k in fields})
    asked = case("kd_detr")[0].ask(own, own, tiny.no_targets(2))
    drawn = {k: x for k, x in vars(asked["general"]).items() if x is not None}
    assert drawn.keys() == set(fields)
    assert all(x.dtype == dtype and x.shape[1] == 9 and x.isfinite().all() for x in drawn.values())
    assert all(torch.equal(getattr(asked["specific"], k), getattr(own, k)) for k in fields)


@pytest.mark.parametrize("kind", tiny.kinds())
def test_both_detectors_decode_the_same_general_queries(kind, batch):
    step = tiny.distiller(*tiny.pair(kind), ["detection", "fixed", "kd_detr"], kd_detr={"general": 5}).train()
    found = step(*batch)
    mine, theirs = (x.queries["general"] for x in (found.student, found.teacher))
    assert all(torch.equal(x, getattr(theirs, k)) for k, x in vars(mine).items() if x is not None)
    for trace in (found.student, found.teacher):
        assert trace.predictions["general"].boxes.shape[1:] == (2, 5, 4)
    assert found.student.predictions["specific"].boxes.shape[1:] == (2, 12, 4)
    assert found.teacher.predictions.keys() == {"own", "general"}, "its own queries are decoded once"
    found.total.backward()
    assert all(p.grad is None for p in step.teacher.parameters())


def test_each_kind_of_query_can_be_left_out(batch):
    for options, groups in (({"general": 0}, {"specific"}), ({"specific": False}, {"general"})):
        step = tiny.distiller(*tiny.pair("adamixer"), ["kd_detr"], kd_detr=options)
        found = step(*batch)
        assert found.student.predictions.keys() == {"own", *groups} and found.outcomes["kd_detr"].pairs.keys() == groups
        assert {key.partition("_")[0] for key in found.outcomes["kd_detr"].maps} == groups


@pytest.mark.parametrize(
    "options, known, words",
    [
        ({"general": 0, "specific": False}, None, "no queries to compare: set --losses.kd_detr.general above 0"),
        (
            {},
            (False, True, False, False),
            "a softmax over classes, which says nothing where the teacher knows one class",
        ),
    ],
)
def test_a_loss_that_would_be_nothing_is_refused(options, known, words):
    with pytest.raises(UserError, match=words):
        case("kd_detr", known=known, **options)


def test_one_known_class_is_compared_by_its_sigmoid():
    model, student, teacher, truth = case("kd_detr", known=(False, True, False, False), classes="sigmoid")
    assert tiny.sums(tiny.outcome(model, student, teacher, truth))["specific_class"] > 0.01


def test_queries_that_the_teacher_takes_for_background_hardly_count():
    model, student, teacher, truth = case("kd_detr", temperature=1.0)
    z = teacher.own.logits.clone()
    z[:, :, 2:] = -20.0
    found = tiny.outcome(model, student, changed(teacher, "own", logits=z), truth)
    for part in ("class", "l1", "giou"):
        m = found.maps[f"specific_{part}"]
        assert m[:, :, 2:].abs().max() < 1e-5 < m[:, :, :2].min()


def test_configs_have_the_documented_defaults():
    assert kd_detr.Config() == kd_detr.Config(0.0, None, True, "softmax", 10.0, 1.0, 5.0, 2.0, "weights", "each")
    assert fixed.Config() == fixed.Config(0.0, None, "each")
