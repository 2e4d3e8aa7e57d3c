from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from core import detectors, losses
from core.errors import UserError
from core.losses import _class_losses, base, detection, features, logits, prior
from core.matching.costs import Matching
from core.matching.solving import truth_problem
from core.types import Assignment, Images, Memory, Predictions, Queries, Targets, Trace
from tests.helpers import tiny
from tests.helpers.loss_cases import (
    COUNTS,
    MATCHINGS,
    case_a,
    case_b,
    close,
    feature_traces,
    logits_model,
    scaled,
    weighted,
)
from tests.oracles import slow_losses

every_loss = pytest.mark.parametrize("name", losses.names())
OF_TEACHER = ("prior", "fixed", "specific")  # groups of the teacher's queries that the student decodes
PRINTED = {
    "logits": {"normalise": "sum", "subtract_entropy": False},
    "features": {"mask": "inner", "scale": "none", "adapter": False},
}


# The contract: what holds for any loss, between any two detectors.


def distiller(name: str, same: bool = False, **options):
    student, teacher = tiny.pair(detectors.names()[0])
    if same:
        teacher = tiny.pair(detectors.names()[0])[0]
    return tiny.distiller(student, teacher, [name], **{name: options})


@every_loss
def test_maps_have_weights_and_first_axes_layer_and_image(name, batch):
    step = distiller(name)
    for key, found in step(*batch).outcomes[name].maps.items():
        assert found.shape[0] in (1, 2) and found.shape[1] == 2 and found.dim() in (3, 4), key
        assert found.isfinite().all() and (found.detach().sum((0, 1)).abs() > 0).any(), key
    assert step.losses[name].weights.keys() == step(*batch).outcomes[name].maps.keys()


@every_loss
def test_teacher_equal_to_student_gives_the_least_loss(name, batch):
    """Nothing is left to learn from the teacher; the prior equals the detection loss, whose targets are the truth."""
    step = distiller(name, same=True)
    with torch.no_grad():
        found, least = step(*batch), step.losses[name].least
    if least == "truth":
        alone = tiny.distiller(step.student)(*batch).outcomes["detection"]
        assert all(torch.equal(x, alone.maps[key]) for key, x in found.outcomes[name].maps.items())
    elif least == "zero":
        unlike = distiller(name)(*batch)
        for key, x in found.outcomes[name].maps.items():
            assert x.max() < 1e-5 * unlike.outcomes[name].maps[key].max().clamp(min=1), "all that is left is rounding"
        assert unlike.total > 0.01
    else:
        assert least == "learnt"
        train_own_weights(step.losses[name], found, batch[1])
        equal, *others = (
            total(step.losses[name], *x, batch[1]) for x in ((found.student, found.teacher), *noisy(found))
        )
        assert equal < min(others)


def train_own_weights(model, trace, truth, steps: int = 40) -> None:
    """Trains the loss's own weights on a student that equals the teacher."""
    adam = torch.optim.Adam(model.train().parameters(), lr=3e-3)
    for _ in range(steps):
        adam.zero_grad()
        sum(x.sum() for x in tiny.outcome(model, trace.student, trace.teacher, truth).maps.values()).backward()
        adam.step()
    model.eval()


def total(model, student: Trace, teacher: Trace, truth: Targets) -> float:
    """The sum of all maps, unweighted."""
    return sum(tiny.sums(tiny.outcome(model, student, teacher, truth)).values())


def noisy(trace, draws: int = 4):
    """Pairs of the student with noise on its features and hidden vectors, but its own boxes and classes, and the teacher."""
    for _ in range(draws):
        own, memory = trace.student.own, trace.student.memory
        own = replace(own, hidden=own.hidden + torch.randn_like(own.hidden))
        memory = replace(memory, neck=tuple(x + torch.randn_like(x) for x in memory.neck))
        yield replace(trace.student, memory=memory, predictions={"own": own}), trace.teacher


@every_loss
def test_no_gradient_reaches_the_teacher(name, batch):
    step = distiller(name)
    found = step.train()(*batch)
    found.total.backward()
    assert all(p.grad is None and not p.requires_grad for p in step.teacher.parameters())
    seen = [*vars(found.teacher.own).values(), *found.teacher.memory.neck]
    seen += [x for q in found.teacher.queries.values() for x in vars(q).values() if x is not None]
    assert not any(x.requires_grad for x in seen)


@every_loss
def test_no_cost_of_matching_has_a_gradient(name, batch):
    """Neither the costs of matching nor its assignments are differentiated."""
    step = distiller(name)
    found = step.train()(*batch)
    problems = step.losses[name].problems(found.student, found.teacher, found.targets)
    problems["truth"] = truth_problem(found.student.own, found.targets, step.student.matching)
    assert found.student.own.boxes.requires_grad and found.student.own.logits.requires_grad
    assert not any(problem.cost.requires_grad for problem in problems.values())


@every_loss
def test_what_a_loss_asks_the_student_to_decode_is_detached(name, batch):
    learnt = Queries(*(torch.randn(2, 12, n, requires_grad=True) for n in (32, 32, 4)))
    for group in distiller(name).losses[name].ask(learnt, learnt, batch[1]).values():
        assert not any(x.requires_grad for x in vars(group).values() if x is not None)


@every_loss
@pytest.mark.parametrize("counts", [(0, 0), (0, 2), (2, 0)])
def test_images_without_objects_are_legal(name, counts):
    step = distiller(name).train()
    found = step(*tiny.batch(counts=counts))
    assert found.total.isfinite() and all(x.isfinite().all() for x in found.outcomes[name].maps.values())
    if found.total.requires_grad:
        found.total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in step.parameters())


@every_loss
@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_the_order_of_queries_does_not_matter(name, whose, batch, monkeypatch):
    """Neither the sums nor the pairs change."""
    step = distiller(name)
    before = step(*batch)
    count = {"student": 10, "teacher": 12}[whose]
    orders = [torch.randperm(count) for _ in range(3)]
    model = getattr(step, whose)
    propose = model.propose
    for order in orders:
        monkeypatch.setattr(model, "propose", lambda memory, order=order: tiny.reordered(propose(memory), order))
        after = step(*batch)
        assert tiny.sums(after.outcomes[name]) == close(tiny.sums(before.outcomes[name]))
        for key, pairs in after.outcomes[name].pairs.items():
            was = tiny.rows(before.outcomes[name].pairs[key])
            with_teacher = pairs.target_layer is not None
            assert {undo(row, key, whose, order, with_teacher) for row in tiny.rows(pairs)} == was


def undo(row, key, whose, order, with_teacher):
    """The pair with the numbers that queries had before `order`."""
    layer, image, query, target = row
    asked = whose == "student" if key not in OF_TEACHER else whose == "teacher"
    query = int(order[query]) if asked else query
    return layer, image, query, int(order[target]) if with_teacher and whose == "teacher" else target


@every_loss
def test_maps_of_half_precision_traces_are_float32(name):
    student, teacher, truth = tiny.traces(0, student=tiny.detector_stub(width=8))
    student, teacher = (
        replace(
            x,
            predictions={k: halved(p) for k, p in x.predictions.items()},
            memory=replace(x.memory, neck=tuple(f.bfloat16() for f in x.memory.neck)),
        )
        for x in (student, teacher)
    )
    model = losses.build(
        name, losses.module(name).Config(), tiny.detector_stub(width=8), tiny.detector_stub(width=8, queries=9)
    )
    for found in tiny.outcome(model, student, teacher, truth).maps.values():
        assert found.dtype == torch.float32 and found.isfinite().all()


def halved(p: Predictions) -> Predictions:
    return Predictions(*(x.bfloat16() for x in vars(p).values()))


@pytest.mark.parametrize("name", [n for n in losses.names() if n != "detection"])
def test_a_loss_that_needs_a_teacher_says_so(name):
    with pytest.raises(UserError, match=f"the loss '{name}' needs a teacher: give --teacher RUN"):
        losses.build(name, losses.module(name).Config(), tiny.detector_stub(), None)


@pytest.mark.parametrize(
    "name, student, teacher, words",
    [
        ("logits", {"classes": 3}, {}, "as many classes in the student .3. as in the teacher .4."),
        ("prior", {"kind": "yolo"}, {}, "the student is yolo of width 6 with learnt queries and the teacher adamixer"),
        ("prior", {}, {"width": 8}, "the teacher adamixer of width 8"),
        (
            "prior",
            {},
            {"proposes": True},
            "width 6 with queries from the encoder: take a teacher of the student's kind",
        ),
    ],
)
def test_detectors_that_do_not_fit_are_refused_in_one_sentence(name, student, teacher, words):
    with pytest.raises(UserError, match=words) as error:
        losses.build(name, losses.module(name).Config(), tiny.detector_stub(**student), tiny.detector_stub(**teacher))
    assert "\n" not in str(error.value) and "weight 0" in str(error.value)


def test_widths_that_differ_need_the_adapter():
    config = features.Config(adapter=False)
    with pytest.raises(UserError, match="width 6 with a teacher of width 8 without its adapter"):
        losses.build("features", config, tiny.detector_stub(), tiny.detector_stub(width=8))


def test_an_unknown_loss_is_refused_before_anything_is_imported():
    for name in ("logit", "base", "os", "../prior", "prior.Model"):
        with pytest.raises(ValueError, match="no loss .*; there are .*prior"):
            losses.module(name)


# Detection and prior.


@pytest.mark.parametrize("kind", MATCHINGS)
def test_detection_is_the_slow_sum_over_queries(kind):
    about = tiny.detector_stub(matching=kind)
    model = losses.build("detection", detection.Config(), about, None)
    assert model.weights == {"class": kind.class_weight, "l1": kind.l1_weight, "giou": kind.giou_weight}
    for seed, counts in enumerate(COUNTS * 2):
        student, _, truth = tiny.traces(seed, counts, student=about)
        found = tiny.outcome(model, student, None, truth)
        p, t = slow_losses.plain(student.own), slow_losses.plain(truth)
        assert tiny.rows(found.pairs["truth"]) == (pairs := slow_losses.to_truth(p, t, kind))
        assert tiny.sums(found) == close(slow_losses.detection(p, t, pairs, kind))


def prior_model(kind=MATCHINGS[0]):
    about = tiny.detector_stub(width=8, matching=kind)
    return losses.build("prior", prior.Config(), about, tiny.detector_stub(width=8, queries=9, matching=kind)), about


@pytest.mark.parametrize("kind", MATCHINGS)
def test_prior_is_the_slow_sum_over_the_group_under_the_teachers_matching(kind):
    """Eq. 10. The teacher's assignment is neither the optimum of the group nor that of the student's own queries."""
    model, about = prior_model(kind)
    teacher_about = tiny.detector_stub(width=8, queries=9, matching=kind)
    for seed, counts in enumerate(COUNTS * 2):
        student, teacher, truth = tiny.traces(seed, counts, student=about, teacher=teacher_about)
        found = tiny.outcome(model, student, teacher, truth)
        rows = slow_losses.to_truth(slow_losses.plain(teacher.own), slow_losses.plain(truth), kind)
        assert tiny.rows(found.pairs["prior"]) == rows
        assert tiny.sums(found) == close(
            slow_losses.detection(slow_losses.plain(student.predictions["prior"]), slow_losses.plain(truth), rows, kind)
        )


def test_targets_of_the_group_do_not_follow_its_predictions():
    model, about = prior_model()
    for seed in range(10):
        student, teacher, truth = tiny.traces(seed, student=about)
        other, _, _ = tiny.traces(seed + 100, student=about)
        before, after = (tiny.outcome(model, x, teacher, truth).pairs["prior"] for x in (student, other))
        assert tiny.rows(before) == tiny.rows(after) == tiny.rows(teacher.assignment)


def test_unmatched_queries_of_the_group_are_trained_to_background_with_weight_1():
    model, about = prior_model()
    for seed in range(10):
        student, teacher, truth = tiny.traces(seed, student=about)
        group = student.predictions["prior"]
        group.logits.requires_grad_()
        found = tiny.outcome(model, student, teacher, truth)
        matched = torch.zeros(2, 2, 9, dtype=torch.bool).index_put(teacher.assignment.index, torch.tensor(True))
        for place in (~matched).nonzero().tolist():
            expected = slow_losses.focal_loss(group.logits[tuple(place)].tolist(), None, model.matching) / len(truth)
            assert found.maps["class"][tuple(place)].item() == close(expected)
        for part in ("l1", "giou"):
            assert (found.maps[part] != 0).sum((1, 2)).tolist() == [len(truth)] * 2
            assert not found.maps[part][~matched].any()
        found.maps["class"].sum().backward()
        assert (group.logits.grad[~matched] > 0).all(), "every class of a background query is pushed down"


def test_the_class_loss_pulls_the_assigned_class_up_and_all_others_down():
    m, z = Matching(), torch.zeros(1, 1, 3, 4, requires_grad=True)
    p = Predictions(z, torch.full((1, 1, 3, 4), 0.5), torch.zeros(1, 1, 3, 2))
    truth = Targets(torch.full((1, 4), 0.5), torch.tensor([2]), torch.tensor([0]), (1,))
    a = Assignment(*torch.tensor([[0], [0], [1], [0]]))
    detection.set_loss(p, truth, a, m)["class"].sum().backward()
    up = torch.zeros(3, 4, dtype=torch.bool)
    up[1, 2] = True
    assert torch.equal(z.grad[0, 0] < 0, up) and torch.equal(z.grad[0, 0] > 0, ~up)


def test_focal_loss_is_finite_for_extreme_logits():
    z = torch.tensor([[-1e4, 1e4, 50.0, -50.0]], requires_grad=True)
    _class_losses.focal_loss(z, torch.tensor([[1.0, 0, 1, 0]]), 0.25, 2.0).sum().backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("counts, mean", [((3, 5), 4.0), ((0, 0), 0.5), ((0, 1), 0.5), ((2, 1), 1.5), ((3, -1), 1.5)])
def test_a_normaliser_is_that_of_the_whole_step_by_its_processes(counts, mean):
    alone = tiny.targets(counts[:1], 4, torch.Generator())
    assert base.normaliser(alone).item() == max(counts[0], 1)
    part = replace(alone, step=torch.tensor(counts), processes=2)
    assert base.normaliser(part).item() == mean
    assert base.normaliser(part, torch.ones_like).item() == sum(n >= 0 for n in counts) / 2


@pytest.mark.parametrize("seed", range(5))
def test_parts_of_a_step_add_up_to_the_whole(seed):
    """Every loss with `adds_up`: for two processes, whose gradients are averaged, and three passes, whose gradients are added."""
    step = tiny.distiller(*tiny.pair("adamixer"))
    names = [name for name, loss in step.losses.items() if loss.adds_up]
    assert {"detection", "logits", "features", "prior"} < set(names)
    step = tiny.distiller(step.student, step.teacher, names).requires_grad_(False)
    images, truth = tiny.batch(sizes=((64, 64),) * 6, counts=(3, 0, 12, 1, 0, seed), seed=seed)
    whole = step(images, truth).parts()
    for bounds, processes in (((0, 2, 6), 2), ((0, 1, 3, 6), 1)):
        sums = dict.fromkeys(whole, 0.0)
        for a, b in zip(bounds, bounds[1:]):
            objects = (truth.image >= a) & (truth.image < b)
            part = Targets(truth.boxes[objects], truth.labels[objects], truth.image[objects] - a, truth.counts[a:b])
            part = replace(part, step=torch.tensor(truth.counts), processes=processes)
            some = Images(*(None if x is None else x[a:b] for x in vars(images).values()))
            for name, value in step(some, part).parts().items():
                sums[name] += float(value) / processes
        assert sums == pytest.approx({name: float(value) for name, value in whole.items()}, rel=1e-4, abs=1e-6)


# Logits: mini-case A (tests/helpers/loss_cases.py), computed by hand, then relations.


def test_mini_case_a():
    model = logits_model(**PRINTED["logits"])
    found = tiny.outcome(model, *case_a())
    assert tiny.rows(found.pairs["positive"]) == {(0, 0, 0, 2), (0, 0, 1, 0)}
    assert tiny.rows(found.pairs["negative"]) == {(0, 0, 2, 1)}
    assert tiny.sums(found)["positive_class"] == pytest.approx(1.250725, abs=1e-5)
    assert weighted(model, found) == pytest.approx(
        {
            "positive_class": 2 * 1.250725,
            "positive_l1": 0.5,
            "positive_giou": 0.871713,
            "negative_l1": 0.25,
            "negative_giou": 1.333333,
        },
        abs=1e-5,
    )
    assert "negative_class" not in found.maps, "the class term of a negative pair is exactly 0: there is none"


def test_mini_case_a_in_the_default_profile_is_divided_by_the_pairs_of_each_kind_and_less_the_entropy():
    model, (student, teacher, truth) = logits_model(), case_a()
    found = tiny.sums(tiny.outcome(model, student, teacher, truth))
    entropy = sum(slow_losses.soft_bce(z, z) for z in teacher.own.logits[0, 0, [0, 2]].tolist())
    assert found["positive_class"] == pytest.approx((1.250725 - entropy) / 2, abs=1e-5)
    assert 5 * found["positive_l1"] == pytest.approx(0.5 / 2, abs=1e-5) and 5 * found["negative_l1"] == pytest.approx(
        0.25, abs=1e-5
    )
    assert 2 * found["positive_giou"] == pytest.approx(0.871713 / 2, abs=1e-5)


def test_teacher_equal_to_student_on_mini_case_a():
    _, teacher, truth = case_a()
    assert logits.entropy(teacher.own.logits).mean().item() == pytest.approx(0.452924, abs=1e-5)
    for options in ({}, PRINTED["logits"]):
        found = tiny.outcome(logits_model(**options), teacher, teacher, truth)
        assert tiny.rows(found.pairs["positive"]) == {(0, 0, 0, 0), (0, 0, 2, 2)} and tiny.rows(
            found.pairs["negative"]
        ) == {(0, 0, 1, 1)}
        floor = logits.entropy(teacher.own.logits[0, 0, [0, 2]]).sum().item() if options else 0
        assert tiny.sums(found) == pytest.approx({**dict.fromkeys(found.maps, 0), "positive_class": floor}, abs=1e-5)


def test_teacher_equal_to_student_is_the_identity_without_gradient_on_any_draw():
    for seed in range(20):
        teacher = tiny.traces(seed)[1]
        p = Predictions(teacher.own.logits.clone().requires_grad_(), teacher.own.boxes, teacher.own.hidden)
        student = replace(teacher, predictions={"own": p})
        found = tiny.outcome(logits_model(classes=4, layers=2), student, teacher, tiny.traces(seed)[2])
        assert all(torch.equal(a.query, a.target) for a in found.pairs.values())
        assert sum(len(a) for a in found.pairs.values()) == 2 * 2 * 9
        assert tiny.sums(found) == pytest.approx(dict.fromkeys(found.maps, 0), abs=1e-4)
        found.maps["positive_class"].sum().backward()
        assert p.logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("kind", MATCHINGS)
@pytest.mark.parametrize("options", [{}, PRINTED["logits"]], ids=["default", "printed"])
def test_logits_is_the_slow_sum_over_pairs_and_pairs_are_scipys(kind, options):
    """Eq. 3 and 4 for several numbers of queries and objects; there is one positive pair for each object."""
    about = tiny.detector_stub(matching=kind)
    for seed, (counts, students) in enumerate(product(COUNTS, (7, 12))):
        student, teacher, truth = tiny.traces(seed, counts, student=tiny.detector_stub(queries=students, matching=kind))
        found = tiny.outcome(losses.build("logits", logits.Config(**options), about, about), student, teacher, truth)
        s, t = slow_losses.plain(student.own), slow_losses.plain(teacher.own)
        pairs = slow_losses.logits_pairs(s, t, tiny.rows(teacher.assignment), kind, subtract_entropy=not options)
        assert tuple(tiny.rows(found.pairs[k]) for k in ("positive", "negative")) == pairs
        expected = slow_losses.logits(s, t, pairs, kind, divide=not options, subtract_entropy=not options)
        assert tiny.sums(found) == close(expected)
        assert len(found.pairs["positive"]) == 2 * sum(min(n, students) for n in counts)


def test_order_of_queries_on_mini_case_a():
    model = logits_model(**PRINTED["logits"])
    expected = tiny.sums(tiny.outcome(model, *case_a()))
    for order in ((2, 0, 1), (1, 0, 2), (2, 1, 0)):
        for student, teacher in ((case_a(order)[0], case_a()[1]), (case_a()[0], case_a(order)[1]), case_a(order)[:2]):
            assert tiny.sums(tiny.outcome(model, student, teacher, case_a()[2])) == pytest.approx(expected, abs=1e-6)


def test_class_scores_of_a_teachers_negatives_change_nothing():
    model = logits_model(classes=4, layers=2)
    for seed in range(20):
        student, teacher, truth = tiny.traces(seed)
        noise = 5 * torch.randn_like(teacher.own.logits)
        noise[teacher.assignment.index] = 0
        louder = replace(teacher, predictions={"own": replace(teacher.own, logits=teacher.own.logits + noise)})
        before, after = (tiny.outcome(model, student, t, truth) for t in (teacher, louder))
        assert all(torch.equal(x, after.maps[key]) for key, x in before.maps.items())
        assert all(tiny.rows(x) == tiny.rows(after.pairs[key]) for key, x in before.pairs.items())


def test_class_scores_of_a_teachers_positives_do_change_the_loss():
    student, teacher, truth = case_a()
    noise = torch.zeros_like(teacher.own.logits)
    noise[teacher.assignment.index] = 1
    louder = replace(teacher, predictions={"own": replace(teacher.own, logits=teacher.own.logits + noise)})
    before, after = (tiny.sums(tiny.outcome(logits_model(), student, t, truth)) for t in (teacher, louder))
    assert before["positive_class"] != close(after["positive_class"]) and before["negative_l1"] == after["negative_l1"]


def test_without_objects_only_the_negatives_teach():
    for options in ({}, PRINTED["logits"]):
        student, teacher, truth = tiny.traces(0, (0, 0))
        found = tiny.outcome(logits_model(classes=4, layers=2, **options), student, teacher, truth)
        assert len(found.pairs["positive"]) == 0 and len(found.pairs["negative"]) == 2 * 2 * 7
        for key, value in tiny.sums(found).items():
            assert value > 0 if key.startswith("negative") else value == 0


def test_positives_are_as_many_as_objects_on_average():
    model, objects, positives = logits_model(classes=4, layers=2), [], []
    for seed in range(30):
        counts = tuple(np.random.default_rng(seed).integers(0, 7, 3).tolist())
        found = tiny.outcome(model, *tiny.traces(seed, counts))
        objects += counts
        positives.append(len(found.pairs["positive"]) / 2 / 3)
    assert np.mean(positives) == pytest.approx(np.mean(objects))


def test_layers_teach_layer_by_layer():
    """The loss of K layers is the sum of K losses of one layer each, each with its own pairs."""
    for seed in range(5):
        student, teacher, truth = tiny.traces(seed)
        whole = tiny.outcome(logits_model(classes=4, layers=2), student, teacher, truth)
        for layer in range(2):
            s, t = (only(x, layer) for x in (student, teacher))
            alone = tiny.outcome(logits_model(classes=4), s, t, truth)
            assert all(torch.equal(x[layer], alone.maps[key][0]) for key, x in whole.maps.items())


def only(trace: Trace, layer: int) -> Trace:
    p = Predictions(*(x[layer : layer + 1] for x in vars(trace.own).values()))
    a = trace.assignment
    here = [x[a.layer == layer] for x in (a.image, a.query, a.target)]
    return replace(trace, predictions={"own": p}, assignment=Assignment(torch.zeros_like(here[0]), *here))


def test_classes_of_score_0_in_both_detectors_change_nothing():
    student, teacher, truth = case_a()
    far = [
        replace(x, predictions={"own": replace(x.own, logits=torch.nn.functional.pad(x.own.logits, (0, 5), value=-60))})
        for x in (student, teacher)
    ]
    models = [logits_model(**PRINTED["logits"], classes=count) for count in (2, 7)]
    before, after = (tiny.sums(tiny.outcome(m, *x, truth)) for m, x in zip(models, ((student, teacher), far)))
    assert before == pytest.approx(after, abs=1e-6)


def test_a_teacher_query_is_not_preferred_for_low_entropy():
    """One student query for two positives takes the one with the closer scores, though the other is more confident."""
    sure, unsure, mine = [-9.0, -9.0], [-0.9, -0.9], [-1.0, -1.0]
    price = logits.soft_class_cost(torch.tensor([[[mine]]]), torch.tensor([[[sure, unsure]]]), subtract_entropy=True)[
        0, 0, 0
    ]
    assert price[1] < price[0] and slow_losses.soft_bce(mine, sure) < slow_losses.soft_bce(mine, unsure)
    for seed in range(20):
        s, t = torch.randn(2, 1, 3, 4) * 3, torch.randn(2, 1, 5, 4, generator=torch.Generator().manual_seed(seed)) * 3
        for place in np.ndindex(2, 1, 3, 5):
            a, b = s[place[:3]].tolist(), t[place[0], place[1], place[3]].tolist()
            got = logits.soft_class_cost(s, t, subtract_entropy=True)[place].item()
            assert (
                got == pytest.approx(slow_losses.soft_bce(a, b) - slow_losses.soft_bce(b, b), abs=1e-4) and got >= -1e-5
            )


def test_no_student_query_is_paired_twice_in_a_layer():
    for seed in range(20):
        found = tiny.outcome(logits_model(classes=4, layers=2), *tiny.traces(seed, (3, 5, 0)))
        rows = [row[:3] for a in found.pairs.values() for row in tiny.rows(a)]
        assert len(rows) == len(set(rows)) == 2 * 3 * 7


def test_class_weights_have_no_influence_on_the_matching_of_negatives():
    """Negatives are matched by box alone, so that another class weight leaves their pairs as they are."""
    for seed in range(10):
        student, teacher, truth = tiny.traces(seed, (0, 0))
        pairs = [
            tiny.rows(
                tiny.outcome(
                    logits_model(Matching(class_weight=w), classes=4, layers=2), student, teacher, truth
                ).pairs["negative"]
            )
            for w in (0.0, 2.0, 100.0)
        ]
        assert pairs[0] == pairs[1] == pairs[2]


# Features: mini-case B, computed by hand, then relations.


def eq_9(q=(1.0, 0.25)):
    theirs, mine, queries, q, valid = case_b(q)
    weight = features.feature_weight(theirs, queries, q, valid, mask="inner", combine="each", scale="none")
    return (weight * (theirs - mine).pow(2).mean(1)).mean().item()


def test_mini_case_b():
    assert eq_9() == pytest.approx(0.25)
    theirs, mine, queries, _, _ = case_b()
    naive = features.similarity_masks(theirs, queries, "inner").mean(1)  # Eq. 7
    assert (naive[:, None] * (theirs - mine)).pow(2).mean().item() == pytest.approx(0.3125)  # Eq. 6


def slow_features(model, student, teacher, truth) -> dict[str, float]:
    config, p = model.config, slow_losses.plain(teacher.own)
    q = slow_losses.quality(p, slow_losses.plain(truth), tiny.rows(teacher.assignment), config.gamma)
    sums = {}
    for i, stride in enumerate((8, 16)):
        mine = model.imitation.adapters[i](student.memory.neck[i]).detach().double().numpy()
        theirs, pad = teacher.memory.neck[i].double().numpy(), teacher.memory.padding[i].numpy()
        sums[f"stride{stride}"] = (
            slow_losses.features(mine, theirs, p.hidden[-1], q, pad, mask=config.mask, scale=config.scale) / 2
        )
    return sums


@pytest.mark.parametrize(
    "options",
    [{}, PRINTED["features"], {"gamma": 0.2}, {"gamma": 1.0, "mask": "inner"}, {"gamma": 0.0, "scale": "none"}],
    ids=["default", "printed", "gamma .2", "gamma 1, inner", "gamma 0, no scale"],
)
def test_features_is_the_slow_sum_of_eq_9_over_queries(options):
    """The collapsed form is the sum over queries, on the valid places of every level."""
    for seed, counts in enumerate(COUNTS):
        case = feature_traces(seed, counts, width=8 if not options.get("adapter", True) else 6, **options)
        assert tiny.sums(tiny.outcome(*case)) == pytest.approx(slow_features(*case), rel=1e-4, abs=1e-6)


def test_collapsed_and_direct_form_of_eq_9_are_equal():
    for seed in range(30):
        draw = torch.Generator().manual_seed(seed)
        theirs, mine = torch.randn(2, 2, 5, 4, 6, generator=draw, dtype=torch.double)
        queries, q = (
            torch.randn(2, 9, 5, generator=draw, dtype=torch.double),
            torch.rand(2, 9, generator=draw, dtype=torch.double),
        )
        psi = torch.einsum("bdhw,bqd->bqhw", theirs, queries)
        direct = (q[..., None, None, None] * (psi[:, :, None] * (theirs - mine)[:, None]).pow(2)).sum(1).mean() / 9
        weight = features.feature_weight(
            theirs.float(),
            queries.float(),
            q.float(),
            torch.ones(2, 4, 6, dtype=torch.bool),
            mask="inner",
            combine="each",
            scale="none",
        )
        assert (weight.double() * (theirs - mine).pow(2).mean(1)).mean().item() == pytest.approx(
            direct.item(), rel=1e-6
        )


def test_a_query_of_no_quality_counts_only_in_the_number_of_queries():
    for seed in range(10):
        draw = torch.Generator().manual_seed(seed)
        theirs, queries, q = (torch.randn(s, generator=draw) for s in ((2, 5, 4, 6), (2, 9, 5), (2, 9)))
        q, valid = q.abs(), torch.ones(2, 4, 6, dtype=torch.bool)
        q[:, 4] = 0
        keep = [0, 1, 2, 3, 5, 6, 7, 8]
        whole = features.feature_weight(theirs, queries, q, valid, mask="inner", combine="each", scale="none")
        less = features.feature_weight(
            theirs, queries[:, keep], q[:, keep], valid, mask="inner", combine="each", scale="none"
        )
        torch.testing.assert_close(less, whole * 9 / 8)


@pytest.mark.parametrize("options", [{}, PRINTED["features"]], ids=["default", "printed"])
def test_without_quality_there_is_no_loss(options):
    """No object, so every q is 0: the loss is 0, never the whole map."""
    found = tiny.outcome(*feature_traces(0, (0, 0), **options))
    assert all(value == 0 for value in tiny.sums(found).values())
    assert eq_9((0.0, 0.0)) == 0


def test_equal_features_have_no_loss_and_no_gradient():
    for seed in range(5):
        for options in ({}, PRINTED["features"]):
            model, student, teacher, truth = feature_traces(seed, **options)
            neck = tuple(x.clone().requires_grad_() for x in teacher.memory.neck)
            same = replace(student, memory=replace(teacher.memory, neck=neck))
            found = tiny.outcome(model, same, teacher, truth)
            assert all(value == 0 for value in tiny.sums(found).values()), (
                "phi is the identity at first where widths agree"
            )
            sum(x.sum() for x in found.maps.values()).backward()
            assert all(not x.grad.any() for x in neck)


def one_query(score: float, overlap: float):
    """A teacher with one query, matched with an object with this score and this IoU."""
    boxes, truth = torch.tensor([0.5, 0.5, 0.5 * overlap, 0.5]), torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    z = torch.logit(torch.tensor([0.99, score])).clamp(-80, 80)  # the other class's score is no matter
    p = Predictions(z[None, None, None], boxes[None, None, None], torch.zeros(1, 1, 1, 6))
    memory = Memory(
        (torch.zeros(1, 6, 1, 1),), (torch.zeros(1, 1, 1, dtype=torch.bool),), (32,), torch.tensor([[8, 8]])
    )
    found = Assignment(*torch.zeros(4, 1, dtype=torch.long))
    return Trace(memory, {"own": Queries()}, {"own": p}, found), Targets(
        truth, torch.tensor([1]), torch.tensor([0]), (1,)
    )


def quality(score, overlap, gamma):
    return features.assigned_quality(*one_query(score, overlap), gamma).item()


def test_quality_by_hand():
    assert quality(0.81, 0.64, 0.5) == pytest.approx(0.72, abs=1e-5)
    assert quality(0.81, 0.64, 1.0) == pytest.approx(0.81, abs=1e-5)
    assert quality(0.81, 0.64, 0.0) == pytest.approx(0.64, abs=1e-5)
    assert quality(0.81, 0.64, 0.25) == pytest.approx(0.81**0.25 * 0.64**0.75, abs=1e-5)
    assert quality(0.81, 0.0, 0.5) == 0 and quality(0.0, 0.64, 0.5) == pytest.approx(0, abs=1e-5)


def test_quality_lies_between_0_and_1_and_grows_with_score_and_overlap():
    steps = np.linspace(0.05, 0.95, 7)
    for gamma in (0.2, 0.5, 0.9):
        table = np.array([[quality(c, u, gamma) for u in steps] for c in steps])
        assert table.min() >= 0 and table.max() <= 1
        assert (np.diff(table, axis=0) > 0).all() and (np.diff(table, axis=1) > 0).all()


def test_quality_is_of_the_last_layer_and_of_the_assigned_object():
    for seed in range(10):
        _, teacher, truth = tiny.traces(seed, (3, 0, 5))
        expected = slow_losses.quality(
            slow_losses.plain(teacher.own), slow_losses.plain(truth), tiny.rows(teacher.assignment), 0.3
        )
        got = features.assigned_quality(teacher, truth, 0.3)
        assert got.numpy() == pytest.approx(expected, abs=1e-5) and (got > 0).sum(1).tolist() <= [3, 0, 5]


def test_the_mask_is_the_teachers_alone():
    """If the student's difference doubles, the loss is four times as high: the weight of a place did not change."""
    for seed in range(5):
        for options in ({}, PRINTED["features"]):
            model, student, teacher, truth = feature_traces(seed, **options)
            far = tuple(t + 2 * (s - t) for s, t in zip(student.memory.neck, teacher.memory.neck))
            further = replace(student, memory=replace(student.memory, neck=far))
            near, far = (tiny.outcome(model, s, teacher, truth).maps for s in (student, further))
            for key, x in near.items():
                torch.testing.assert_close(far[key], 4 * x, rtol=1e-4, atol=1e-5)


def test_the_mask_has_no_gradient_and_does_not_know_the_students_width():
    maps, queries, q = (
        torch.randn(1, 5, 3, 3, requires_grad=True),
        torch.randn(1, 4, 5, requires_grad=True),
        torch.rand(1, 4),
    )
    weight = features.feature_weight(
        maps,
        queries,
        q.requires_grad_(),
        torch.ones(1, 3, 3, dtype=torch.bool),
        mask="cosine",
        combine="each",
        scale="mean",
    )
    assert not weight.requires_grad
    found = []
    for width in (3, 6, 8, 20):
        model, _, teacher, truth = feature_traces(0, width=width)
        student = tiny.traces(0, student=tiny.detector_stub(width=width))[0]
        student = replace(student, memory=replace(student.memory, padding=teacher.memory.padding))
        for conv in model.imitation.adapters:
            torch.nn.init.zeros_(conv.weight)
            torch.nn.init.zeros_(conv.bias)
        _, _, teacher, truth = feature_traces(0)
        found.append(tiny.sums(tiny.outcome(model, student, teacher, truth)))
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize(
    "options, of_features, of_queries", [(PRINTED["features"], 16, 4), ({}, 4, 1)], ids=["printed", "default"]
)
def test_the_loss_follows_the_scale_of_features_and_queries(options, of_features, of_queries):
    model, student, teacher, truth = feature_traces(0, **options)
    once = tiny.sums(tiny.outcome(model, student, teacher, truth))
    wide = tiny.sums(tiny.outcome(model, scaled(student, 2), scaled(teacher, 2), truth))
    loud = tiny.sums(tiny.outcome(model, student, scaled(teacher, queries=2), truth))
    for key, value in once.items():
        assert wide[key] == pytest.approx(of_features * value, rel=1e-4) and loud[key] == pytest.approx(
            of_queries * value, rel=1e-4
        )


def test_the_weight_of_places_is_1_on_average_over_the_valid_ones():
    for seed in range(10):
        draw = torch.Generator().manual_seed(seed)
        maps, queries, q = (torch.randn(s, generator=draw) for s in ((3, 5, 4, 6), (3, 9, 5), (3, 9)))
        valid = ~tiny.memory(draw, 3, tiny.detector_stub(width=5), shapes=((4, 6), (2, 3))).padding[0]
        weight = features.feature_weight(maps, queries, q.abs(), valid, mask="cosine", combine="each", scale="mean")
        for w, v in zip(weight, valid):
            assert w[v].mean().item() == pytest.approx(1, abs=1e-5) and (w >= 0).all()


def test_the_mask_is_never_negative_and_a_cosine():
    maps, queries = torch.randn(2, 5, 4, 6), torch.randn(2, 9, 5)
    psi = features.similarity_masks(maps, queries, "cosine")
    assert psi.min() == 0 and 0.5 < psi.max() <= 1 + 1e-6
    assert features.similarity_masks(maps, queries, "inner").min() < 0
    assert features.similarity_masks(queries[:, 3, :, None, None], queries, "cosine")[
        :, 3
    ].flatten().tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("options", [{}, PRINTED["features"]], ids=["default", "printed"])
def test_padding_is_never_read_by_the_feature_loss(options):
    for seed in range(5):
        model, student, teacher, truth = feature_traces(seed, **options)
        pads = teacher.memory.padding

        def disturbed(trace, pads=pads):
            neck = tuple(x + 100 * torch.randn_like(x) * pad[:, None] for x, pad in zip(trace.memory.neck, pads))
            return replace(trace, memory=replace(trace.memory, neck=neck))

        before, after = (
            tiny.outcome(model, s, t, truth).maps
            for s, t in ((student, teacher), (disturbed(student), disturbed(teacher)))
        )
        for (key, x), pad in zip(before.items(), pads):
            torch.testing.assert_close(after[key], x)
            assert not x[0][pad].any()
        assert any(pad.any() for pad in pads)


def test_a_padded_image_has_the_loss_of_the_image_without_its_padding():
    for seed in range(5):
        model, student, teacher, truth = feature_traces(seed, (3,))
        rows = [int((~p[0]).any(1).sum()) for p in teacher.memory.padding]
        columns = [int((~p[0]).any(0).sum()) for p in teacher.memory.padding]

        def cut(trace, rows=rows, columns=columns):
            neck = tuple(x[..., :h, :w] for x, h, w in zip(trace.memory.neck, rows, columns))
            padding = tuple(x[..., :h, :w] for x, h, w in zip(trace.memory.padding, rows, columns))
            return replace(trace, memory=replace(trace.memory, neck=neck, padding=padding))

        whole, part = (
            tiny.sums(tiny.outcome(model, s, t, truth)) for s, t in ((student, teacher), (cut(student), cut(teacher)))
        )
        assert whole == pytest.approx(part, rel=1e-4)


def test_features_are_those_of_the_encoder_or_of_the_neck_as_asked():
    for source in ("encoder", "neck"):
        model, student, teacher, truth = feature_traces(0, source=source)
        tokens = torch.randn(2, 26, 8)
        other = replace(teacher, memory=replace(teacher.memory, tokens=tokens))
        mine = replace(student, memory=replace(student.memory, tokens=torch.randn(2, 26, 8)))
        before, after = (tiny.sums(tiny.outcome(model, *x, truth)) for x in ((student, teacher), (mine, other)))
        assert (before == after) == (source == "neck")


def test_the_adapter_trains_and_is_not_of_the_student():
    """phi is among the parameters of the loss, one 1x1 convolution for each level, unless it is switched off."""
    step = distiller("features")
    own = {id(p) for p in step.student.parameters()}
    phi = list(step.losses["features"].parameters())
    assert len(phi) == 2 * len(step.student.strides) and all(p.requires_grad and id(p) not in own for p in phi)
    step.train()(*tiny.batch()).total.backward()
    assert all(p.grad.abs().max() > 0 for p in phi)
    assert not list(distiller("features", adapter=False).losses["features"].parameters())


def test_no_targets_is_what_an_upload_has(batch):
    images, _ = batch
    for name in losses.names():
        assert distiller(name)(images, tiny.no_targets(2)).total.isfinite()
