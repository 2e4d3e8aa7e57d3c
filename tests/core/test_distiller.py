from copy import deepcopy
from itertools import product

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from core import detectors, losses
from core.distiller import Distiller, map_weights, run_teacher, total
from core.losses.base import Loss
from core.matching import solving
from core.matching.solving import truth_problem
from core.types import DistillTrace, Outcome, Queries
from tests.helpers import tiny

kinds = pytest.mark.parametrize("kind", detectors.names())
DISTILLING = [n for n in losses.names() if n != "detection"]
GROUPS = {"prior": ["prior"], "fixed": ["fixed"], "kd_detr": ["general", "specific"]}  # that losses ask the student for
DETRDISTILL = ["logits", "features", "prior"]


@pytest.fixture
def solved(monkeypatch):
    """Shapes of the problems that the solver was given."""
    calls, real = [], solving.optimal_assignment
    monkeypatch.setattr(solving, "optimal_assignment", lambda cost: calls.append(cost.shape) or real(cost))
    return calls


@pytest.fixture
def copied(monkeypatch):
    """What went to the host, copy by copy."""
    calls, real = [], solving.copy_to_host
    monkeypatch.setattr(
        solving, "copy_to_host", lambda tensors: (tensors and calls.append(len(tensors))) or real(tensors)
    )
    return calls


def same(a: DistillTrace, b: DistillTrace) -> bool:
    maps = [(x, b.outcomes[name].maps[key]) for name, o in a.outcomes.items() for key, x in o.maps.items()]
    return torch.equal(a.total, b.total) and all(torch.equal(x, y) for x, y in maps)


@kinds
def test_the_total_is_the_sum_of_the_logged_parts(kind, batch):
    """Each part is weighted as its weight says, and there is no other part."""
    scales = {name: 0.5 + i for i, name in enumerate(losses.names())}
    step = tiny.distiller(*tiny.pair(kind), scales=scales)
    trace = step(*batch)
    parts = trace.parts()
    assert {f"{name}/{key}" for name, w in step.weights.items() for key in w} == parts.keys()
    expected = sum(
        scales[n] * loss.weights[key] * parts[f"{n}/{key}"] for n, loss in step.losses.items() for key in loss.weights
    )
    assert trace.total.item() == pytest.approx(float(expected), rel=1e-5)
    assert not any(x.requires_grad for x in parts.values())
    for name, key in ((n, k) for n, w in step.weights.items() for k in w):
        more = {n: {k: x + 10 * ((n, k) == (name, key)) for k, x in w.items()} for n, w in step.weights.items()}
        gained = (total(trace.outcomes, more) - trace.total).item()
        assert gained == pytest.approx(10 * float(parts[f"{name}/{key}"]), rel=1e-3, abs=1e-3)


def test_weights_and_maps_must_be_the_same(batch):
    step = tiny.distiller(tiny.detector("adamixer"))
    for weights in ({}, {"class": 1.0}, {"class": 1.0, "l1": 1.0, "giou": 1.0, "goiu": 1.0}):
        with pytest.raises(KeyError, match="'detection'"):
            Distiller(step.student, dict(step.losses), {"detection": weights})(*batch)
    for weights in ({}, {**step.weights, "priro": {"class": 1.0}}):
        with pytest.raises(KeyError, match="priro|detection"):
            Distiller(step.student, dict(step.losses), weights)(*batch)


@kinds
def test_losses_of_factor_0_are_left_out_and_the_others_multiplied(kind, batch, monkeypatch):
    """A loss with a factor of 0 adds nothing to the total. The teacher does not run if detection is the only loss left."""
    student, teacher = tiny.pair(kind)
    step = tiny.distiller(student, teacher, ["detection", "logits", "prior"])
    expected = tiny.distiller(student, teacher, ["detection", "logits"], scales={"detection": 2.0, "logits": 0.5})(
        *batch
    )
    trace = step(*batch, factors={"detection": 2.0, "logits": 0.5, "prior": 0.0})
    assert same(expected, trace) and trace.outcomes.keys() == {"detection", "logits"}
    assert set(trace.student.predictions) == {"own"}, "no group is decoded that no loss reads"
    assert same(step(*batch), step(*batch, factors=dict.fromkeys(step.losses, 1.0)))
    answer = run_teacher(teacher, batch[0])
    monkeypatch.setattr(teacher, "encode", None)
    alone, off = tiny.distiller(student)(*batch), {"detection": 1.0, "logits": 0.0, "prior": 0.0}
    for decoded in (None, answer):
        trace = step(*batch, decoded_teacher=decoded, factors=off)
        assert same(alone, trace) and trace.teacher is None


@kinds
def test_a_prior_that_is_decoded_with_the_own_queries_changes_nothing_but_the_passes(kind, batch, monkeypatch):
    student, teacher = tiny.pair(kind)
    names = ["detection", "logits", "prior"]
    expected = tiny.distiller(student, teacher, names)(*batch)
    calls, real = [], student.decode_groups
    monkeypatch.setattr(
        student, "decode_groups", lambda memory, groups: calls.append(list(groups)) or real(memory, groups)
    )
    trace = tiny.distiller(student, teacher, names, prior={"joint": True})(*batch)
    assert calls == [["own", "prior"]] and list(trace.student.predictions) == ["own", "prior"]
    assert trace.parts().keys() == expected.parts().keys()
    for name, value in expected.parts().items():
        torch.testing.assert_close(trace.parts()[name], value, rtol=1e-4, atol=1e-5)


@kinds
def test_25_queries_of_the_teacher_cost_no_solver_call(kind, batch, solved):
    """K layers x B images: so many calls for the student's own, so many for the teacher, none for the group."""
    student, teacher = tiny.pair(kind)
    for names, times in (
        (["detection"], 2),
        (["detection", "prior"], 2),
        (["detection", "features"], 2),
        (["detection", "prior", "logits"], 4),
    ):
        solved.clear()
        tiny.distiller(student, teacher, names)(*batch)
        assert len(solved) == times * 2 * 2, names
    solved.clear()
    tiny.distiller(student)(*batch)
    assert sorted(solved) == sorted([(10, 3), (10, 1)] * 2)


@kinds
def test_a_step_copies_to_the_host_once_for_each_detector_and_once_for_its_losses(kind, batch, copied):
    tiny.distiller(*tiny.pair(kind))(*batch)
    assert len(copied) == 3
    copied.clear()
    tiny.distiller(tiny.detector(kind))(*batch)
    assert len(copied) == 1


@kinds
def test_a_device_has_the_further_groups_to_decode_while_the_host_solves(kind, batch, monkeypatch):
    """The costs of the losses are copied before the further groups, which are all given to the device before they are solved."""
    student, teacher = tiny.pair(kind)
    step, done = tiny.distiller(student, teacher), list[str]()

    def note(owner: object, name: str, what: str) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **kwargs: done.append(what) or real(*args, **kwargs))

    for who, detector in (("teacher", teacher), ("student", student)):
        note(detector, "encode", f"{who} encodes")
        note(detector, "decode", f"{who} decodes")
    note(solving, "in_one_copy", "costs copied")
    note(solving, "assign", "solved")
    monkeypatch.setattr(solving, "copy_to_host", lambda tensors: solving.in_one_copy(tensors) if tensors else list)
    step(*batch)
    groups = sum(map(len, GROUPS.values()))
    problems = done.count("solved") - 2
    assert problems >= 2, "positives and negatives"
    assert [x for x in done if x != "teacher decodes"] == [
        *("teacher encodes", "costs copied", "student encodes", "student decodes", "costs copied"),
        *("solved", "costs copied"),  # the teacher's matching, which the losses' costs depend on
        *["student decodes"] * groups,
        *["solved"] * (1 + problems),
    ]


def test_problems_that_read_further_groups_are_posed_late(batch):
    """A loss may match a group that it asked for, beside losses whose problems are solved before the group is decoded."""

    class Asking(Loss):
        weights: dict = {"pairs": 1.0}

        def ask(self, student, teacher, targets):
            return {"again": student.detach()}

        def problems(self, student, teacher, targets):
            return {"again": truth_problem(student.predictions["again"], targets, matching)}

        def forward(self, student, teacher, targets, pairs):
            assert torch.equal(student.assignment.target, pairs["again"].target)
            return Outcome({"pairs": student.own.boxes.sum(-1)}, pairs)

    student, teacher = tiny.pair("adamixer")
    matching = student.matching
    early = tiny.distiller(student, teacher).losses
    losses = {"asking": Asking(), **early}
    trace = Distiller(student, losses, map_weights(losses, dict.fromkeys(losses, 1.0)), teacher)(*batch)
    plain = tiny.distiller(student, teacher)(*batch)
    assert len(trace.outcomes["asking"].pairs["again"]) == len(trace.student.assignment) > 0
    for name, outcome in plain.outcomes.items():
        for key, pairs in outcome.pairs.items():
            found = trace.outcomes[name].pairs[key]
            assert torch.equal(found.query, pairs.query) and torch.equal(found.target, pairs.target)


class Watch(TorchDispatchMode):
    """Lists the operations whose result's size or value Python has to ask the device for."""

    ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.asked = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "_unsafe_index") and any(
            x is not None and x.dtype == torch.bool for x in args[1]
        )
        if by_mask or any(word in name for word in self.ASKING):
            self.asked.append(name)
        return func(*args, **(kwargs or {}))


@kinds
def test_nothing_else_waits_for_the_device(kind, batch):
    if kind == "hub":
        pytest.skip("transformers' own code looks at values of tensors")
    step = tiny.distiller(*tiny.pair(kind)).train()
    with Watch() as watch:
        step(*batch).total.backward()
    assert watch.asked == []


@kinds
def test_losses_are_float32_under_autocast(kind, batch):
    """Their own layers too: under bfloat16 they are those of the same detectors' bfloat16 outputs."""
    step = tiny.distiller(*tiny.pair(kind))
    with torch.autocast("cpu", torch.bfloat16):
        found = step(*batch)
    pairs = {name: o.pairs for name, o in found.outcomes.items()}
    assert found.total.dtype == torch.float32
    for name, loss in step.losses.items():
        again = tiny.outcome(loss, found.student, found.teacher, found.targets)
        assert again.pairs.keys() == pairs[name].keys()
        for key, x in found.outcomes[name].maps.items():
            assert x.dtype == torch.float32 and torch.equal(x, again.maps[key]), (name, key)


@kinds
def test_26_teacher_equal_to_student_makes_the_prior_the_detection_loss(kind):
    student = tiny.detector(kind)
    step = tiny.distiller(student, deepcopy(student))
    for seed in range(4):
        found = step(*tiny.batch(seed=seed, counts=(4, seed))).outcomes
        for key, expected in found["detection"].maps.items():
            torch.testing.assert_close(found["prior"].maps[key], expected)
        assert tiny.rows(found["prior"].pairs["prior"]) == tiny.rows(found["detection"].pairs["truth"])


@kinds
def test_27_the_group_keeps_the_teachers_assignment_as_the_student_changes(kind, batch):
    step = tiny.distiller(*tiny.pair(kind))
    before = step(*batch)
    tiny.stir(step.student, 0.5)
    after = step(*batch)
    assert not torch.equal(before.student.predictions["prior"].boxes, after.student.predictions["prior"].boxes)
    for trace in (before, after):
        assert tiny.rows(trace.outcomes["prior"].pairs["prior"]) == tiny.rows(before.teacher.assignment)
    assert tiny.rows(before.teacher.assignment) != tiny.rows(before.student.assignment)


@kinds
def test_28_groups_are_apart(kind, batch, monkeypatch):
    """Own predictions are the same bits with the group and without; the group's do not know the student's queries."""
    student, teacher = tiny.pair(kind)
    step = tiny.distiller(student, teacher)
    full, plain = step(*batch), tiny.distiller(student)(*batch)
    for field, x in vars(plain.student.own).items():
        assert torch.equal(x, getattr(full.student.own, field))
    propose, order = student.propose, torch.randperm(10)
    monkeypatch.setattr(student, "propose", lambda memory: tiny.reordered(propose(memory), order[:6]))
    other = step(*batch)
    assert other.student.own.boxes.shape[2] == 6
    for field, x in vars(full.student.predictions["prior"]).items():
        assert torch.equal(x, getattr(other.student.predictions["prior"], field))
    assert full.student.predictions["prior"].boxes.shape[2] == 12, "as many as the teacher has queries"


@kinds
def test_the_group_is_the_teachers_queries_decoded_by_the_student(kind, batch):
    step = tiny.distiller(*tiny.pair(kind))
    trace = step(*batch)
    direct = step.student.decode(trace.student.memory, trace.teacher.queries["own"])
    assert torch.equal(direct.boxes, trace.student.predictions["prior"].boxes)
    assert torch.equal(step.teacher(batch[0]).logits, trace.teacher.own.logits)
    assert torch.equal(step.student(batch[0]).logits, trace.student.own.logits)


@kinds
def test_34_losses_of_weight_0_are_absent_bit_for_bit(kind, batch):
    student, teacher = tiny.pair(kind)
    plain, off = tiny.distiller(student), tiny.distiller(student, teacher, scales=dict.fromkeys(DISTILLING, 0.0))
    gradients = []
    for step in (plain, off):
        student.zero_grad()
        trace = step(*batch)
        trace.total.backward()
        gradients.append([p.grad.clone() for p in student.parameters() if p.requires_grad])
        assert torch.equal(trace.total, plain(*batch).total)
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


def test_34_each_term_can_be_switched_on_alone(batch):
    """The rows of the paper's Table 7, the rest of their grid, and each other loss: the same whatever stands beside it."""
    student, teacher = tiny.pair("adamixer")
    everything = tiny.distiller(student, teacher)
    found = everything(*batch)
    rows = [[n for n, on in zip(DETRDISTILL, row) if on] for row in product((False, True), repeat=len(DETRDISTILL))]
    for row in rows + [[n] for n in DISTILLING if n not in DETRDISTILL]:
        step = tiny.distiller(student, teacher, ["detection", *row])
        for name, loss in step.losses.items():
            loss.load_state_dict(everything.losses[name].state_dict())
        trace = step(*batch)
        assert list(trace.outcomes) == ["detection", *row]
        asked = [group for name in row for group in GROUPS.get(name, ())]
        assert list(trace.student.predictions) == ["own", *asked]
        assert list(trace.teacher.predictions) == (["own", "general"] if "kd_detr" in row else ["own"])
        for name, outcome in trace.outcomes.items():
            for key, x in outcome.maps.items():
                torch.testing.assert_close(x, found.outcomes[name].maps[key])


@kinds
def test_35_the_teacher_is_untouched_by_training(kind, batch):
    step = tiny.distiller(*tiny.pair(kind)).train()
    before = deepcopy(step.teacher.state_dict())
    optimizer = torch.optim.AdamW([p for p in step.parameters() if p.requires_grad], lr=3e-3, weight_decay=0.1)
    totals = []
    for _ in range(12):
        trace = step(*batch)
        optimizer.zero_grad()
        trace.total.backward()
        optimizer.step()
        totals.append(trace.total.item())
    assert not any(m.training for m in step.teacher.modules())
    assert all(torch.equal(x, before[name]) for name, x in step.teacher.state_dict().items())
    assert all(p.grad is None and not p.requires_grad for p in step.teacher.parameters())
    assert totals[-1] < 0.9 * totals[0], "and the student learns"


@kinds
def test_train_and_eval_leave_the_teacher_in_eval(kind):
    step = tiny.distiller(*tiny.pair(kind))
    for mode in (True, False, True):
        assert step.train(mode) is step and step.student.training == mode and not step.teacher.training
    assert all(loss.training for loss in step.losses.values())


@kinds
def test_replaying_a_step_gives_the_same_bits(kind, batch):
    step = tiny.distiller(*tiny.pair(kind))
    trained = step(*batch)
    with torch.no_grad():
        assert same(trained, step(*batch)) and same(trained, deepcopy(step)(*batch))


@kinds
def test_a_batch_is_its_images_taken_together(kind):
    """Maps of an image do not depend on its neighbours, but for what they are divided by: objects, pairs, images."""
    step = tiny.distiller(*tiny.pair(kind))
    images, truth = tiny.batch(((64, 64), (64, 64)), counts=(2, 3))
    whole = step(images, truth)
    for i in (0, 1):
        keep = truth.image == i
        one = type(images)(*(x if x is None else x[i : i + 1] for x in vars(images).values()))
        alone = step(
            one, type(truth)(truth.boxes[keep], truth.labels[keep], 0 * truth.labels[keep], (truth.counts[i],))
        )
        shares = dict.fromkeys(("detection", "prior"), truth.counts[i] / 5)
        shares |= dict.fromkeys(("features", "fitnet", "fgd", "fkd", "fgfi", "mgd", "fixed", "kd_detr"), 1 / 2)
        for name, share in shares.items():
            for key, x in whole.outcomes[name].maps.items():
                torch.testing.assert_close(x[:, i], alone.outcomes[name].maps[key][:, 0] * share, rtol=2e-3, atol=1e-5)


def test_without_truth_the_teacher_still_teaches(batch):
    images, _ = batch
    trace = tiny.distiller(*tiny.pair("adamixer"))(images, tiny.no_targets(2))
    parts = trace.parts()
    assert parts["logits/negative_l1"] > 0 and parts["logits/positive_l1"] == parts["detection/l1"] == 0
    assert all(parts[k] == 0 for k in parts if k.startswith(("features", "fgfi")))


def test_a_cost_that_is_not_finite_names_detector_layer_and_image(batch):
    for whose in ("student", "teacher"):
        step = tiny.distiller(*tiny.pair("adamixer"))
        model = getattr(step, whose)
        with torch.no_grad():
            model.stages[1].to_class[-1].bias.fill_(torch.nan)
        with pytest.raises(FloatingPointError, match=f"truth {whose}.*layer 1, image 0"):
            step(*batch)


class Shared(Loss):
    """Asks both detectors to decode one group, and the teacher alone to decode the student's queries in reverse order."""

    def __init__(self):
        super().__init__()
        self.weights = {"difference": 1.0}

    def ask(self, student, teacher, targets):
        draw = torch.Generator().manual_seed(0)
        fields = {k: x for k, x in vars(teacher.detach()).items() if x is not None}
        return {
            "shared": Queries(**{k: x[:, :5] + torch.rand(x[:, :5].shape, generator=draw) for k, x in fields.items()})
        }

    def ask_teacher(self, student, targets):
        return {"shared": student["shared"], "turned": tiny.reordered(student["own"], torch.arange(9, -1, -1))}

    def forward(self, student, teacher, targets, pairs):
        mine, theirs = (x.predictions["shared"].hidden for x in (student, teacher))
        turned = teacher.predictions["turned"].hidden.flip(2)
        own = (student.own.hidden - turned).pow(2).sum((2, 3))[..., None]
        return Outcome({"difference": (mine - theirs).pow(2).sum(-1) + own})


@kinds
def test_the_teacher_decodes_further_groups_without_gradient_and_its_own_stay_the_same_bits(kind, batch):
    student, teacher = tiny.pair(kind)
    plain = tiny.distiller(student, teacher, ["detection"])(*batch)
    loss = Shared()
    step = Distiller(student, {"shared": loss}, {"shared": loss.weights}, teacher).train()
    found = step(*batch)
    assert found.student.predictions.keys() == {"own", "shared"}
    assert found.teacher.predictions.keys() == found.teacher.queries.keys() == {"own", "shared", "turned"}
    for field, x in vars(plain.teacher.own).items():
        assert torch.equal(x, getattr(found.teacher.own, field))
    for name, expected in (
        ("shared", found.student.queries["shared"]),
        ("turned", tiny.reordered(found.student.queries["own"], torch.arange(9, -1, -1))),
    ):
        direct = teacher.decode(found.teacher.memory, expected)
        assert torch.equal(direct.logits, found.teacher.predictions[name].logits), name
    found.total.backward()
    assert all(p.grad is None for p in teacher.parameters()) and any(p.grad is not None for p in student.parameters())
    held = [*found.teacher.queries.values(), *found.teacher.predictions.values()]
    assert not any(x.requires_grad for group in held for x in vars(group).values() if x is not None)


@kinds
def test_a_teacher_like_the_student_says_the_same_of_shared_queries(kind, batch):
    student = tiny.detector(kind)
    loss = Shared()
    step = Distiller(student, {"shared": loss}, {"shared": loss.weights}, deepcopy(student)).eval()
    assert step(*batch).total.item() < 1e-6
