"""The options of DETRDistill's losses beyond the default profile: the release's algorithm, and what the paper leaves open."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from core import losses
from core.errors import UserError
from core.losses import features, fitnet, logits, prior
from core.losses._imitation import Imitation
from core.matching.costs import Matching
from core.types import Predictions, Targets
from tests.helpers import tiny
from tests.helpers.loss_cases import case_a, case_b, close, feature_traces, logits_model, weighted
from tests.oracles import slow_losses

RELEASE = {"match": "all", "class_weight": 1.0, "subtract_entropy": False, "clamp": True}
MERGED = {"combine": "merged", "quality": "product", "top": 100, "mask": "signed", "scale": "none", "levels": "sum"}
MERGED |= {"stages": "all", "source": "neck", "adapter": False}


# Logits.


def test_mini_case_a_as_the_release_matches_it():
    model, case = logits_model(**RELEASE | {"clamp": False}), case_a()
    found = tiny.outcome(model, *case)
    assert tiny.rows(found.pairs["all"]) == {(0, 0, 0, 2), (0, 0, 1, 0), (0, 0, 2, 1)}
    cost = model.problems(*case)["all"].cost[0, 0]
    expected = [[9.395, 6.474, -0.480], [-0.898, 8.719, 7.352], [9.396, -0.212, 7.394]]
    torch.testing.assert_close(cost, torch.tensor(expected), atol=1e-3, rtol=0)


def test_mini_case_a_as_the_release_counts_it():
    model = logits_model(**RELEASE)
    expected = {"all_class": 0.485272, "all_l1": 0.25, "all_giou": 0.735016}
    assert weighted(model, tiny.outcome(model, *case_a())) == pytest.approx(expected, abs=1e-5)


def test_the_release_has_the_teachers_entropy_as_its_least_class_loss():
    _, teacher, truth = case_a()
    found = tiny.outcome(logits_model(**RELEASE), teacher, teacher, truth)
    assert tiny.rows(found.pairs["all"]) == {(0, 0, q, q) for q in range(3)}
    assert tiny.sums(found) == pytest.approx({"all_class": 0.452924, "all_l1": 0, "all_giou": 0}, abs=1e-5)


def test_the_release_compares_the_classes_of_background():
    model = logits_model(**RELEASE, classes=4, layers=2)
    student, teacher, truth = tiny.traces(0)
    noise = torch.randn_like(teacher.own.logits)
    noise[teacher.assignment.index] = 0
    louder = replace(teacher, predictions={"own": replace(teacher.own, logits=teacher.own.logits + noise)})
    before, after = (tiny.sums(tiny.outcome(model, student, t, truth)) for t in (teacher, louder))
    assert abs(before["all_class"] - after["all_class"]) > 0.01


@pytest.mark.parametrize("entropy", [True, False])
def test_the_matching_of_all_queries_is_scipys_and_leaves_unmatched_students_out(entropy):
    matching = Matching(class_weight=1.0)
    for seed, students in enumerate((5, 9, 14)):
        student, teacher, truth = tiny.traces(seed, student=tiny.detector_stub(queries=students))
        model = logits_model(classes=4, layers=2, match="all", class_weight=1.0, subtract_entropy=entropy)
        found, s, t = (
            tiny.outcome(model, student, teacher, truth),
            slow_losses.plain(student.own),
            slow_losses.plain(teacher.own),
        )
        pairs = slow_losses.all_pairs(s, t, matching, subtract_entropy=entropy)
        assert tiny.rows(found.pairs["all"]) == pairs
        sums = slow_losses.logits(s, t, (pairs, set()), matching, divide=True, subtract_entropy=entropy)
        assert tiny.sums(found) == close({f"all_{k}": sums[f"positive_{k}"] for k in ("class", "l1", "giou")})
        assert ((found.maps["all_l1"] > 0).sum((1, 2)) == 2 * min(students, 9)).all()


def test_clamped_boxes_are_cut_at_the_image():
    student, teacher, truth = case_a()
    out = torch.tensor([[0.9, 0.5, 0.4, 0.4], [0.2, 0.2, 0.1, 0.1], [0.7, 0.3, 0.2, 0.2]])
    teacher = replace(teacher, predictions={"own": replace(teacher.own, boxes=out[None, None])})
    cut = torch.tensor([[0.85, 0.5, 0.3, 0.4], [0.2, 0.2, 0.1, 0.1], [0.7, 0.3, 0.2, 0.2]])
    inside = replace(teacher, predictions={"own": replace(teacher.own, boxes=cut[None, None])})
    free, clamped = logits_model(**RELEASE | {"clamp": False}), logits_model(**RELEASE)
    got, want = (tiny.sums(tiny.outcome(m, student, t, truth)) for m, t in ((clamped, teacher), (free, inside)))
    assert got == close(want) and tiny.sums(tiny.outcome(free, student, teacher, truth)) != close(want)


def test_positives_alone_are_the_positives_of_both():
    for seed in range(5):
        case = tiny.traces(seed, (3, 5, 0))
        both, alone = (tiny.outcome(logits_model(classes=4, layers=2, match=m), *case) for m in ("split", "positive"))
        assert alone.maps.keys() == {"positive_class", "positive_l1", "positive_giou"}
        assert all(torch.equal(x, both.maps[key]) for key, x in alone.maps.items())


@pytest.mark.parametrize("target", ["hard", "focal"])
@pytest.mark.parametrize("match", ["split", "all"])
def test_a_hard_target_is_the_best_class_of_a_matched_teacher_query(target, match):
    """Background queries, which `all` compares too, have a target of zeros."""
    m = Matching()
    for seed in range(5):
        student, teacher, truth = tiny.traces(seed, (3, 4))
        found = tiny.outcome(logits_model(classes=4, layers=2, match=match, target=target), student, teacher, truth)
        s, t = slow_losses.plain(student.own), slow_losses.plain(teacher.own)
        kind, total = {"split": "positive", "all": "all"}[match], 0.0
        matched, pairs = {row[:3] for row in tiny.rows(teacher.assignment)}, tiny.rows(found.pairs[kind])
        for k, b, i, j in pairs:
            best = int(t.logits[k, b, j].argmax()) if (k, b, j) in matched else None
            if target == "focal":
                total += slow_losses.focal_loss(s.logits[k, b, i], best, m)
            else:
                total += sum(slow_losses.bce(float(z), c == best) for c, z in enumerate(s.logits[k, b, i]))
        assert tiny.sums(found)[f"{kind}_class"] == close(total / (len(pairs) / 2))
        costs = [slow_losses.focal_cost(s.logits[k, b, i], int(t.logits[k, b, j].argmax()), m) for k, b, i, j in pairs]
        assert len(costs) == len(pairs)


@pytest.mark.parametrize("target", ["hard", "focal"])
def test_hard_targets_are_matched_at_the_detectors_own_cost(target):
    """If the teacher predicts the truth exactly, costs and pairs are those of matching with the truth."""
    for seed in range(5):
        student, teacher, truth = tiny.traces(seed, (3, 2))
        model = logits_model(classes=4, layers=2, match="positive", target=target)
        label, box = (torch.zeros(2, 2, 9).long(), teacher.own.boxes.clone())
        a = teacher.assignment
        label[a.index], box[a.index] = truth.labels[a.target], truth.boxes[a.target]
        own = Predictions(20.0 * F.one_hot(label, 4) - 10, box, teacher.own.hidden)
        found = tiny.outcome(model, student, replace(teacher, predictions={"own": own}), truth).pairs["positive"]
        object_of = {(k, b, q): t for k, b, q, t in tiny.rows(a)}
        assert {(k, b, q, object_of[k, b, t]) for k, b, q, t in tiny.rows(found)} == tiny.rows(student.assignment)


@pytest.mark.parametrize("which", ["last", "from_last"])
def test_the_last_stage_alone_or_for_all(which):
    for seed in range(5):
        student, teacher, truth = tiny.traces(seed)
        found = tiny.outcome(logits_model(classes=4, layers=2, stages=which), student, teacher, truth)
        assert set(found.pairs["positive"].target_layer.tolist()) == {1}
        whole = tiny.outcome(logits_model(classes=4, layers=2), student, teacher, truth)
        for key, x in found.maps.items():
            torch.testing.assert_close(x[1], whole.maps[key][1], msg="the last layers are paired in either case")
            assert not x[0].any() if which == "last" else x[0].any()


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_a_group_of_layers_teaches_one_layer_stage_by_stage(reduce):
    """A teacher of 4 layers and a student of 2: the sum, or mean, of two teachers of 2 layers each."""
    deep = tiny.detector_stub(width=8, queries=9, layers=4)
    for seed in range(5):
        student, teacher, truth = tiny.traces(seed, teacher=deep)
        model = losses.build("logits", logits.Config(group=reduce), tiny.detector_stub(), deep)
        found = tiny.outcome(model, student, teacher, truth)
        halves = [tiny.outcome(logits_model(classes=4, layers=2), student, part(teacher, k), truth) for k in (0, 1)]
        for key, x in found.maps.items():
            want = (halves[0].maps[key] + halves[1].maps[key]) / (2 if reduce == "mean" else 1)
            torch.testing.assert_close(x, want)
        assert len(found.pairs["positive"]) == sum(len(h.pairs["positive"]) for h in halves)


def part(teacher, first: int):
    """A teacher of 4 layers, reduced to the layers `first` and `first + 2`."""
    keep = [first, first + 2]
    a = teacher.assignment.at(torch.isin(teacher.assignment.layer, torch.tensor(keep)))
    own = Predictions(*(x[keep] for x in (teacher.own.logits, teacher.own.boxes, teacher.own.hidden)))
    return replace(teacher, predictions={"own": own}, assignment=replace(a, layer=a.layer // 2))


def test_the_prior_of_a_deeper_teacher_keeps_the_assignment_of_the_last_layer_of_each_group():
    deep = tiny.detector_stub(width=8, queries=9, layers=4)
    student, teacher, truth = tiny.traces(0, (3, 5), student=tiny.detector_stub(width=8), teacher=deep)
    found = tiny.outcome(
        losses.build("prior", prior.Config(), tiny.detector_stub(width=8), deep), student, teacher, truth
    )
    want = {(k // 2, b, q, t) for k, b, q, t in tiny.rows(teacher.assignment) if k in (1, 3)}
    assert tiny.rows(found.pairs["prior"]) == want
    shallow = tiny.detector_stub(width=8, queries=9, layers=1)
    student, teacher, truth = tiny.traces(0, (3, 5), student=tiny.detector_stub(width=8), teacher=shallow)
    found = tiny.outcome(
        losses.build("prior", prior.Config(), tiny.detector_stub(width=8), shallow), student, teacher, truth
    )
    assert tiny.rows(found.pairs["prior"]) == {(k, *row[1:]) for k in (0, 1) for row in tiny.rows(teacher.assignment)}


@pytest.mark.parametrize("target", ["soft", "hard", "focal"])
def test_classes_that_the_teacher_does_not_know_cost_and_teach_nothing(target):
    """The loss is that without these classes, and no gradient reaches them."""
    for seed in range(5):
        student, teacher, truth = tiny.traces(
            seed, student=tiny.detector_stub(classes=4), teacher=tiny.detector_stub(width=8, queries=9)
        )
        known = (True, False, True, True)
        about = tiny.detector_stub(width=8, queries=9, known=known)
        z = student.own.logits.clone().requires_grad_()
        mine = replace(student, predictions={"own": replace(student.own, logits=z)})
        found = tiny.outcome(
            losses.build("logits", logits.Config(target=target), tiny.detector_stub(), about), mine, teacher, truth
        )
        found.maps["positive_class"].sum().backward()
        assert not z.grad[..., 1].any() and z.grad[..., 0].any()
        keep = [0, 2, 3]
        fewer = (
            replace(x, predictions={"own": replace(x.own, logits=x.own.logits[..., keep])}) for x in (student, teacher)
        )
        less = tiny.outcome(logits_model(classes=3, layers=2, target=target), *fewer, truth)
        assert tiny.sums(found) == close(tiny.sums(less))


# Features.


def test_mini_case_b_in_every_form():
    theirs, mine, queries, q, valid = case_b()

    def loss(**how):
        weight = features.feature_weight(theirs, queries, q, valid, scale="none", **how)
        return (weight * (theirs - mine).pow(2).mean(1)).mean().item()

    assert loss(mask="inner", combine="each") == pytest.approx(0.25)
    assert loss(mask="inner", combine="naive") == pytest.approx(0.3125)
    for mask in ("cosine", "signed"):
        assert loss(mask=mask, combine="merged") == pytest.approx(0.265625)
    assert features.feature_weight(
        theirs, queries, q, valid, scale="none", mask="cosine", combine="merged"
    ).tolist() == [[[1, 0.0625]]]


def released(seed: int, counts=(3, 1), **options):
    return feature_traces(seed, counts, width=8, **MERGED | {"top": 12} | options)


def test_the_release_is_its_own_mask_stage_by_stage():
    """Sum over stages and levels of the mean over valid places of (mask x difference)^2."""
    for seed, counts in enumerate([(3, 1), (0, 4), (0, 0)]):
        model, student, teacher, truth = released(seed, counts)
        found, p, t = (
            tiny.outcome(model, student, teacher, truth),
            slow_losses.plain(teacher.own),
            slow_losses.plain(truth),
        )
        for level, name in enumerate(("stride8", "stride16")):
            mine, theirs = (x.memory.neck[level].double().numpy() for x in (student, teacher))
            total, padding = 0.0, teacher.memory.padding[level].numpy()
            for b, k in ((b, k) for b in range(2) for k in range(2)):
                top = slow_losses.top_pairs(p.logits[k, b], 12)
                q = [s * slow_losses.best_iou(p.boxes[k, b, i], b, t) for s, i in top]
                mask = slow_losses.merged_mask(theirs[b], [p.hidden[k, b, i] for _, i in top], q, padding[b])
                gap = (mask * (theirs[b] - mine[b])) ** 2
                total += gap[:, ~padding[b]].mean() / 2
            assert tiny.sums(found)[name] == close(total)


def test_without_any_quality_the_release_imitates_everything():
    """Its mask is 1 everywhere; that of Eq. 9 is 0."""
    model, student, teacher, truth = feature_traces(0, (0, 0), combine="merged", adapter=False, width=8)
    plain = losses.build("fitnet", fitnet.Config(), tiny.detector_stub(width=8), tiny.detector_stub(width=8))
    whole, everywhere = (tiny.outcome(m, student, teacher, truth).maps for m in (model, plain))
    for key, x in whole.items():
        torch.testing.assert_close(x, everywhere[key])
        assert x.sum() > 0


def test_quality_as_a_product_by_hand():
    boxes = torch.tensor([[[0.5, 0.5, 0.32, 0.5], [0.1, 0.1, 0.1, 0.1]]])
    truth = Targets(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), torch.tensor([1]), torch.tensor([0]), (1,))
    assert features.best_iou(boxes, truth).tolist() == [pytest.approx([0.64, 0])]
    z = torch.logit(torch.tensor([[[0.81, 0.3], [0.2, 0.5]]]))
    query, score = features.top_queries(z, 3)
    assert query.tolist() == [[0, 1, 0]] and score.tolist() == [pytest.approx([0.81, 0.5, 0.3])]
    value = score * features.best_iou(boxes, truth).gather(1, query)
    assert value.tolist() == [pytest.approx([0.5184, 0, 0.3 * 0.64])]
    every, best = features.top_queries(z, None)
    assert every.tolist() == [[0, 1]] and best.tolist() == [pytest.approx([0.81, 0.5])]


def test_the_best_iou_is_over_the_objects_of_the_own_image_and_1_without_any():
    for seed, counts in enumerate([(3, 1), (0, 4), (2, 0, 5), (0, 0)]):
        _, teacher, truth = tiny.traces(seed, counts)
        got, p, t = (
            features.best_iou(teacher.own.boxes[1], truth),
            slow_losses.plain(teacher.own),
            slow_losses.plain(truth),
        )
        for b, q in ((b, q) for b in range(len(counts)) for q in range(9)):
            assert got[b, q].item() == pytest.approx(slow_losses.best_iou(p.boxes[1, b, q], b, t), abs=1e-5)


def test_the_merged_mask_is_1_at_its_best_place_and_knows_no_scale_of_quality():
    for seed in range(10):
        draw = torch.Generator().manual_seed(seed)
        maps, queries, q = (torch.randn(s, generator=draw) for s in ((3, 5, 4, 6), (3, 9, 5), (3, 9)))
        valid = ~tiny.memory(draw, 3, tiny.detector_stub(width=5), shapes=((4, 6), (2, 3))).padding[0]
        how = {"mask": "signed", "combine": "merged", "scale": "none"}
        weight, more = (features.feature_weight(maps, queries, k * q.abs(), valid, **how) for k in (10, 1000))
        for w, v in zip(weight, valid):
            assert w[v].max() == 1 and (w > 0).all()
        torch.testing.assert_close(weight[weight > 0.01], more[weight > 0.01])  # far above the floor


def test_the_release_follows_the_features_squared_and_no_scale_of_queries():
    from tests.helpers.loss_cases import scaled

    model, student, teacher, truth = released(0)
    once = tiny.sums(tiny.outcome(model, student, teacher, truth))
    wide = tiny.sums(tiny.outcome(model, scaled(student, 2), scaled(teacher, 2), truth))
    loud = tiny.sums(tiny.outcome(model, student, scaled(teacher, queries=3), truth))
    for key, value in once.items():
        assert wide[key] == pytest.approx(4 * value, rel=1e-4) and loud[key] == pytest.approx(value, rel=1e-4)


def test_signed_cosines_are_not_floored():
    maps, queries = torch.randn(2, 5, 4, 6), torch.randn(2, 9, 5)
    signed, floored = (features.similarity_masks(maps, queries, mask) for mask in ("signed", "cosine"))
    assert -1 - 1e-6 <= signed.min() < -0.5 and torch.equal(signed.clamp(min=0), floored)


def test_the_naive_mask_knows_no_quality():
    draw = torch.Generator().manual_seed(0)
    maps, queries, q = (torch.randn(s, generator=draw) for s in ((2, 5, 4, 6), (2, 9, 5), (2, 9)))
    valid, how = torch.ones(2, 4, 6, dtype=torch.bool), {"mask": "inner", "combine": "naive", "scale": "none"}
    weight = features.feature_weight(maps, queries, q, valid, **how)
    assert torch.equal(weight, features.feature_weight(maps, queries, 3 * q, valid, **how))
    torch.testing.assert_close(weight, torch.einsum("bdhw,bqd->bhw", maps, queries / 9).pow(2))


def test_levels_are_averaged_or_summed_and_stages_are_the_last_or_all():
    for options, times in (({"levels": "sum"}, 2), ({}, 1)):
        for stages, shape in (("last", 1), ("all", 2)):
            case = feature_traces(0, **options, stages=stages)
            found, default = tiny.outcome(*case), tiny.outcome(*feature_traces(0))
            for key, x in found.maps.items():
                assert len(x) == shape
                torch.testing.assert_close(x[-1], times * default.maps[key][-1])


def test_fitnet_is_a_mask_of_1_and_padding_is_left_out():
    for seed in range(5):
        about, teacher_about = tiny.detector_stub(width=8), tiny.detector_stub(width=8, queries=9)
        model = losses.build("fitnet", fitnet.Config(), about, teacher_about)
        student, teacher, truth = tiny.traces(seed, student=about)
        found = tiny.outcome(model, student, teacher, truth)
        for key, m, t, pad in zip(
            ("stride8", "stride16"), student.memory.neck, teacher.memory.neck, teacher.memory.padding
        ):
            want = sum(((a - b) ** 2).mean(0)[~p].mean() for a, b, p in zip(m, t, pad)) / 2 / 2
            assert tiny.sums(found)[key] == close(want.item())


def test_levels_of_nearest_stride_are_paired_and_the_rest_is_noted():
    student, teacher = tiny.detector_stub(strides=(16,)), tiny.detector_stub(width=8, queries=9)
    model = losses.build("features", features.Config(), student, teacher)
    assert model.weights == {"stride16": 1.0} and model.notes == ("teacher features of stride 8 are not used",)


def test_an_adapter_is_needed_between_widths_and_fitnet_always_has_one():
    with pytest.raises(UserError, match="without its adapter"):
        losses.build("features", features.Config(adapter=False), tiny.detector_stub(), tiny.detector_stub(width=8))
    model = losses.build("fitnet", fitnet.Config(), tiny.detector_stub(), tiny.detector_stub(width=8))
    assert isinstance(model.imitation, Imitation) and model.imitation.adapters[0].weight.shape == (8, 6, 1, 1)
