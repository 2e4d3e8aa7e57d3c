"""The methods that DETRDistill is compared with: their releases' own numbers, then their equations place by place."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from core import detectors, losses
from core.errors import UserError
from core.losses import fgd, fgfi, fkd
from core.losses._imitation import Level
from core.types import Assignment, Memory, Outcome, Predictions, Queries, Targets, Trace
from tests.helpers import tiny
from tests.helpers.loss_cases import COUNTS, close
from tests.oracles import slow_losses, slow_maps

METHODS = ["fgd", "fkd", "fgfi", "mgd"]
methods = pytest.mark.parametrize("name", METHODS)


# What the releases' own code gave for these inputs: FGD, MGD, FGFI and DETRDistill's from their repositories (c03a6cf,
# 2c9da0b, c6583f3, b5ee33d), FKD from its supplement, with the numbers for one-stage detectors and without BatchNorm.


def wave(*shape: int, k: float) -> torch.Tensor:
    """Deterministic numbers, reproducible outside this repository."""
    return (torch.arange(math.prod(shape), dtype=torch.float64) * 0.37 * k + k).sin().reshape(shape).float()


@torch.no_grad()
def fill(*layers) -> None:
    """The parameters of layers, one after another."""
    parameters = [p for layer in layers for p in layer.parameters()]
    for k, p in enumerate(parameters):
        p.copy_(0.5 * wave(p.numel(), k=k + 1).view_as(p))


SIZE, SHAPES = (64, 96), ((8, 12), (4, 6))
TRUTH = torch.tensor([[9.0, 5, 41, 37], [30, 20, 70, 60]])  # corners, of the first image; the second has none


def wavy(width: int, k: float, images: int) -> Trace:
    neck = tuple(1.5 * wave(images, width, *shape, k=k + i / 2) for i, shape in enumerate(SHAPES))
    return seen(neck, tuple(torch.zeros(images, *shape, dtype=torch.bool) for shape in SHAPES), SIZE)


NOBODY = Assignment(*torch.zeros(4, 0).long())


def seen(neck, padding, size, strides=(8, 16)) -> Trace:
    """The trace of a detector with these features and no queries."""
    memory = Memory(neck, padding, strides, torch.tensor([size] * len(neck[0])))
    said = Predictions(torch.zeros(1, len(neck[0]), 0, 4), *(torch.zeros(1, len(neck[0]), 0, n) for n in (4, 6)))
    return Trace(memory, {"own": Queries()}, {"own": said}, NOBODY)


def objects(corners: torch.Tensor, size, counts) -> Targets:
    low, high = corners.split(2, 1)
    boxes = torch.cat([(low + high) / 2, high - low], 1) / torch.tensor([size[1], size[0]] * 2)
    image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return Targets(boxes, torch.zeros(len(boxes)).long(), image, counts)


def built(name: str, student, teacher, **options):
    return losses.build(name, losses.module(name).Config(**options), student, teacher)


@pytest.mark.parametrize(
    "alpha, beta, at_8, at_16",
    [(1.0, 0.0, 8.34288215637207, 6.5292816162109375), (0.0, 1.0, 10.95451545715332, 12.164467811584473)],
    ids=["foreground", "background"],
)
def test_fgd_has_its_releases_numbers(alpha, beta, at_8, at_16):
    model = filled_fgd(foreground=alpha, background=beta)
    found = tiny.outcome(model, wavy(6, 1.3, 2), wavy(8, 2.1, 2), objects(TRUTH, SIZE, (2, 0)))
    expected = {
        "feature_stride8": at_8,
        "feature_stride16": at_16,
        "relation_stride8": 1256.0418701171875,
        "relation_stride16": 297.5352783203125,
        "attention": 14.928865432739258 + 3.2449710369110107,
        "channels": 0.7192373275756836 + 1.4176784753799438,
    }
    assert tiny.sums(found) == pytest.approx(expected, rel=1e-4)


def test_fgd_weighs_its_parts_as_its_release():
    model = filled_fgd()
    found = tiny.outcome(model, wavy(6, 1.3, 2), wavy(8, 2.1, 2), objects(TRUTH, SIZE, (2, 0)))
    assert weighted(model, found) == pytest.approx(0.02792440354824066 + 0.01643051765859127, rel=1e-4)


def filled_fgd(**options):
    model = built("fgd", tiny.detector_stub(width=6), tiny.detector_stub(width=8), **options)
    for phi, relation in zip(model.imitation.adapters, model.relations):
        mine, theirs = relation.mine, relation.theirs
        fill(phi, mine.look, theirs.look, mine.change, theirs.change)
    return model


def weighted(model, outcome: Outcome) -> float:
    """The sum of all maps, each times its weight."""
    return sum(model.weights[key] * value for key, value in tiny.sums(outcome).items())


def test_mgd_has_its_releases_numbers(monkeypatch):
    """Its release hides a place where the draw is above 1 - lambda; Eq. 2, and we, where it is below lambda."""
    model = built("mgd", tiny.detector_stub(width=6), tiny.detector_stub(width=8)).train()
    for phi, block in zip(model.imitation.adapters, model.blocks):
        fill(phi, block.first, block.second)
    monkeypatch.setattr(torch, "rand", lambda shape, **_: (wave(*shape, k=5) + 1) / 2)
    found = tiny.outcome(model, wavy(6, 1.3, 2), wavy(8, 2.1, 2), objects(TRUTH, SIZE, (2, 0)))
    expected = {"stride8": 0.029154257848858833 / 2e-5, "stride16": 0.005597475916147232 / 2e-5}
    assert tiny.sums(found) == pytest.approx(expected, rel=1e-4)
    assert weighted(model, found) == pytest.approx(0.029154257848858833 + 0.005597475916147232, rel=1e-4)


def test_fkd_has_its_releases_numbers():
    """Its phi is the identity here: only then are its release's attentions, of raw features, ours."""
    model = built("fkd", tiny.detector_stub(width=8), tiny.detector_stub(width=8))
    for head in model.heads:
        blocks = [layer for x in (head.mine, head.theirs) for layer in (x.query, x.key, x.value, x.out)]
        fill(head.channel, head.spatial, head.relation, *blocks)
    found = tiny.outcome(model, wavy(8, 1.3, 1), wavy(8, 2.1, 1), objects(TRUTH, SIZE, (2,)))
    expected = {
        "feature_stride8": 0.017598377151489257,
        "spatial_stride8": 0.08899277114868163,
        "relation_stride8": 0.029147276458740233,
        "feature_stride16": 0.009026021804809568,
        "spatial_stride16": 0.052012836456298825,
        "relation_stride16": 0.007805422439575194,
        "channel": 0.024219992637634278 + 0.023978137493133544,
    }
    got = {key: model.weights[key] * value for key, value in tiny.sums(found).items()}
    assert got == pytest.approx(expected, rel=1e-4)


NEAR = """
..............................
...............#..............
...............##.............
..............###.............
...............##.............
...............#..............
..............................
..............................
..............................
..............................
.......#####..................
......#######.................
.....#########................
..###.#######.................
.####..#####..................
#######.###...................
#######.......................
#######.......................
.#####........................
..###.........................
""".split()


def test_fgfi_has_its_releases_mask_and_number():
    """Faster R-CNN's one map of stride 16, with its anchors for COCO; its boxes are a pixel larger than ours, which these
    objects do not show."""
    size = (320, 480)
    corners = torch.tensor([[0.0, 211, 108, 320], [70, 136, 234, 266], [226, 0, 274, 110]])
    student, teacher = (
        seen((wave(1, 6, 20, 30, k=k),), (torch.zeros(1, 20, 30, dtype=torch.bool),), size, (16,)) for k in (1.3, 2.1)
    )
    about, sides = tiny.detector_stub(strides=(16,)), (64.0, 128.0, 256.0, 512.0)
    model = built("fgfi", about, about, sides=sides)
    found = tiny.outcome(model, student, teacher, objects(corners, size, (3,)))
    assert ["".join(".#"[x > 0] for x in row) for row in found.maps["stride16"][0, 0]] == NEAR
    assert weighted(model, found) == pytest.approx(0.030318215452594523, rel=1e-4)


def test_contrast_has_its_releases_number():
    """Ten pairs of one stage, by the release's head; here the student's queries are 1 to 10, in two images."""
    about, teacher_about = (tiny.detector_stub(width=w, layers=1, queries=5, strides=(8,)) for w in (6, 8))
    model = built("contrast", about, teacher_about, width=16).train()
    fill(model.mine, model.theirs)
    hidden = [wave(10, w, k=k).view(1, 2, 5, w) for w, k in ((6, 1.3), (8, 2.1))]
    found = tiny.outcome(model, *alike(hidden), objects(torch.zeros(0, 4), SIZE, (0, 0)))
    assert tiny.rows(found.pairs["contrast"]) == {(0, b, q, q) for b in range(2) for q in range(5)}
    assert found.maps["contrast"].shape == (1, 2, 5)
    assert weighted(model, found) == pytest.approx(0.45862576365470886, rel=1e-4)


def alike(hidden: list[torch.Tensor]) -> list[Trace]:
    """Detectors whose queries predict the same, so that each is matched with the one of its own number."""
    said = tiny.predictions(torch.Generator().manual_seed(0), 2, layers=1, queries=hidden[0].shape[2])
    boxes = tiny.boxes(said.boxes.shape[:3], torch.Generator().manual_seed(1))
    own = [Predictions(said.logits, boxes, h) for h in hidden]
    return [replace(wavy(p.hidden.shape[-1], 1.0, 2), predictions={"own": p}) for p in own]


# Their equations, place by place, with padding, other widths, and any weights.


def case(name: str, seed: int, counts=(3, 1), width: int = 6, **options):
    """(loss, student, teacher, targets); none of the loss's own weights is at rest."""
    about, teacher = tiny.detector_stub(width=width), tiny.detector_stub(width=8, queries=9)
    torch.manual_seed(seed)
    model = tiny.stir(built(name, about, teacher, **options)).eval()
    return model, *tiny.traces(seed, counts, student=about, teacher=teacher)


def pictures(student: Trace, teacher: Trace, truth: Targets):
    """(level, image, student's map, teacher's, padding, boxes) in float64, of every level and image."""
    for level, b in np.ndindex(2, len(truth.counts)):
        mine, theirs = (x.memory.neck[level][b].double().numpy() for x in (student, teacher))
        yield level, b, mine, theirs, teacher.memory.padding[level][b].numpy(), truth.boxes[truth.image == b].tolist()


STRIDES, SHAPE = (8, 16), (32, 40)  # of tiny.traces


def added(sums: list[dict[str, float]], images: int) -> dict[str, float]:
    """The sum of each key over all levels and images, divided by the number of images."""
    return {key: sum(x.get(key, 0.0) for x in sums) / images for key in {k for x in sums for k in x}}


every_draw = pytest.mark.parametrize("width", [6, 8])


@every_draw
def test_fgd_is_its_equations(width):
    for seed, counts in enumerate(COUNTS):
        model, student, teacher, truth = case(
            "fgd", seed, counts, width, temperature=0.7, foreground=0.3, background=0.2
        )
        found = []
        for level, _, mine, theirs, pad, boxes in pictures(student, teacher, truth):
            if width == 6:
                mine = slow_maps.point(mine, model.imitation.adapters[level])
            parts = slow_maps.fgd(mine, theirs, pad, boxes, SHAPE, STRIDES[level], 0.7)
            block = model.relations[level]
            contexts = slow_maps.context(theirs, pad, block.theirs), slow_maps.context(mine, pad, block.mine)
            by_level = {
                "feature": 0.3 * parts.pop("foreground") + 0.2 * parts.pop("background"),
                "relation": slow_maps.squared(*contexts, pad),
            }
            found.append(parts | {f"{k}_stride{STRIDES[level]}": v for k, v in by_level.items()})
        assert tiny.sums(tiny.outcome(model, student, teacher, truth)) == close(added(found, len(counts)))


@every_draw
def test_fkd_is_its_equations(width):
    for seed, counts in enumerate(COUNTS):
        model, student, teacher, truth = case("fkd", seed, counts, width, temperature=0.3)
        found = []
        for level, _, mine, theirs, pad, _ in pictures(student, teacher, truth):
            parts = slow_maps.fkd(mine, theirs, pad, model.heads[level])
            found.append({k if k == "channel" else f"{k}_stride{STRIDES[level]}": v for k, v in parts.items()})
        assert tiny.sums(tiny.outcome(model, student, teacher, truth)) == close(added(found, len(counts)))


@every_draw
def test_mgd_is_its_equations(width):
    for seed, counts in enumerate(COUNTS):
        model, student, teacher, truth = case("mgd", seed, counts, width, hidden=0.4)
        levels, found = model.imitation(student.memory, teacher.memory), []
        seen = [x.numpy() for x in model.draw_masks(levels)]
        for level, b, mine, theirs, pad, _ in pictures(student, teacher, truth):
            if width == 6:
                mine = slow_maps.point(mine, model.imitation.adapters[level])
            found.append(
                {f"stride{STRIDES[level]}": slow_maps.mgd(mine, theirs, pad, seen[level][b], model.blocks[level])}
            )
        assert tiny.sums(tiny.outcome(model, student, teacher, truth)) == close(added(found, len(counts)))


@pytest.mark.parametrize(
    "psi, sides, ratios", [(0.5, (12.0, 20.0), (0.5, 2.0)), (0.8, (6.0,), (1.0,)), (0.2, (9.0, 40.0), (3.0,))]
)
def test_fgfi_is_its_equations(psi, sides, ratios):
    for seed, counts in enumerate(COUNTS):
        model, student, teacher, truth = case("fgfi", seed, counts, psi=psi, sides=sides, ratios=ratios)
        gaps, near = {}, {}
        for level, b, mine, theirs, pad, boxes in pictures(student, teacher, truth):
            gap = ((theirs - slow_maps.point(mine, model.imitation.adapters[level])) ** 2).sum(0)
            near[level, b] = slow_maps.near(boxes, pad, SHAPE, STRIDES[level], sides, ratios, psi)
            gaps[level, b] = sum(gap[p] for p in near[level, b])
        many = [max(sum(len(near[level, b]) for level in range(2)), 1) for b in range(len(counts))]
        found = [{f"stride{STRIDES[level]}": gap / 2 / many[b]} for (level, b), gap in gaps.items()]
        assert tiny.sums(tiny.outcome(model, student, teacher, truth)) == close(added(found, len(counts)))


@pytest.mark.parametrize("students", [7, 9, 12])
def test_contrast_is_its_equation_over_the_pairs_of_one_matching(students):
    matching = replace(tiny.detector_stub().matching, class_weight=1.0)
    for seed, counts in enumerate(COUNTS[:4]):
        about, teacher_about = tiny.detector_stub(queries=students), tiny.detector_stub(width=8, queries=9)
        torch.manual_seed(seed)
        model = tiny.stir(built("contrast", about, teacher_about, width=10, clamp=False, temperature=0.3)).train()
        student, teacher, truth = tiny.traces(seed, counts, student=about, teacher=teacher_about)
        found, s, t = (
            tiny.outcome(model, student, teacher, truth),
            slow_losses.plain(student.own),
            slow_losses.plain(teacher.own),
        )
        pairs = slow_losses.all_pairs(s, t, matching, subtract_entropy=True)
        assert tiny.rows(found.pairs["contrast"]) == pairs
        for layer in range(2):
            here = sorted(row for row in pairs if row[0] == layer)
            mine, theirs = (np.stack([x.hidden[row[0], row[1], row[i]] for row in here]) for x, i in ((s, 2), (t, 3)))
            values = slow_maps.info_nce(
                slow_maps.project(mine, model.mine), slow_maps.project(theirs, model.theirs), 0.3
            )
            want = np.zeros(s.logits.shape[1:3])
            for row, value in zip(here, values):
                want[row[1:3]] = value / len(here)
            assert found.maps["contrast"][layer].detach().numpy() == pytest.approx(want, rel=1e-3, abs=1e-5)


# What holds beyond the equations.


@methods
def test_padding_is_never_read(name):
    for seed in range(3):
        model, student, teacher, truth = case(name, seed)
        pads = teacher.memory.padding

        def disturbed(trace, pads=pads):
            neck = tuple(x + 100 * torch.randn_like(x) * pad[:, None] for x, pad in zip(trace.memory.neck, pads))
            return replace(trace, memory=replace(trace.memory, neck=neck))

        before, after = (
            tiny.outcome(model, *x, truth).maps for x in ((student, teacher), (disturbed(student), disturbed(teacher)))
        )
        for key, x in before.items():
            torch.testing.assert_close(after[key], x)
            if x.dim() == 4:
                assert not x[0][pads[key.endswith("16")]].any()
        assert any(pad.any() for pad in pads)


@methods
def test_a_padded_image_has_the_loss_of_the_image_without_its_padding(name):
    for seed in range(5):
        model, student, teacher, truth = case(name, seed, (3,), **({"hidden": 0.0} if name == "mgd" else {}))

        def cut(trace):
            kept = [(int((~p[0]).any(1).sum()), int((~p[0]).any(0).sum())) for p in trace.memory.padding]
            neck, padding = (
                tuple(x[..., :h, :w] for x, (h, w) in zip(y, kept)) for y in (trace.memory.neck, trace.memory.padding)
            )
            return replace(trace, memory=replace(trace.memory, neck=neck, padding=padding))

        whole, part = (
            tiny.sums(tiny.outcome(model, s, t, truth)) for s, t in ((student, teacher), (cut(student), cut(teacher)))
        )
        assert whole == pytest.approx(part, rel=1e-4)


@methods
def test_a_student_of_another_stride_is_compared_on_the_teachers_places(name):
    """The student's map is resampled to the teacher's places, and a note says so."""
    about, teacher_about = tiny.detector_stub(strides=(16, 32)), tiny.detector_stub(width=8)
    model = built(name, about, teacher_about)
    draw = torch.Generator().manual_seed(0)
    student = tiny.traces(0, student=about)[0]
    student = replace(student, memory=tiny.memory(draw, 2, about, shapes=((2, 3), (1, 2))))
    _, teacher, truth = tiny.traces(0, teacher=teacher_about)
    found = tiny.outcome(model, student, teacher, truth)
    assert model.notes == ("student features of stride 32 are resampled to the teacher's stride 8",)
    assert all(x.isfinite().all() for x in found.maps.values()) and found.maps.keys() == model.weights.keys()
    for i, stride in enumerate(teacher_about.strides):
        shapes = {x.shape[2:] for key, x in found.maps.items() if key.endswith(f"stride{stride}")}
        assert shapes == {teacher.memory.neck[i].shape[2:]}


@methods
def test_each_source_of_features_is_read_as_asked(name):
    for source in ("encoder", "neck"):
        model, student, teacher, truth = case(name, 0, source=source)
        other = [
            replace(x, memory=replace(x.memory, tokens=torch.randn(2, 26, d))) for x, d in ((student, 6), (teacher, 8))
        ]
        before, after = (tiny.sums(tiny.outcome(model, *x, truth)) for x in ((student, teacher), other))
        assert (before == after) == (source == "neck")


def level(valid, stride=8, width=2) -> Level:
    maps = torch.zeros(len(valid), width, *valid.shape[1:])
    return Level(stride, maps, maps, valid)


def test_fgd_shares_a_place_by_its_smallest_object_and_the_rest_alike():
    """Worked by hand: an object on places (1..2, 0..1), a larger one on rows 0 to 3 of columns 1 to 4, one column is padding."""
    valid = torch.ones(1, 4, 6, dtype=torch.bool)
    valid[..., 5] = False
    truth = objects(torch.tensor([[1.0, 9, 8, 15.9], [8, 0, 31, 24]]), (32, 40), (2,))
    inside, outside = fgd.scaled_masks(level(valid), truth, torch.tensor([[32, 40]]))
    small, large, rest = 1 / 4, 1 / 16, 1 / 2
    want = torch.tensor([[0, large, large, large, large, 0]] * 4)
    want[1:3, :2] = small
    torch.testing.assert_close(inside[0], want)
    assert outside[0].nonzero().tolist() == [[0, 0], [3, 0]] and outside[0, 0, 0] == rest


def test_fgd_without_objects_is_all_background():
    model, *rest = case("fgd", 0, (0, 0), foreground=1.0, background=0.0)
    found = tiny.sums(tiny.outcome(model, *rest))
    assert found["feature_stride8"] == found["feature_stride16"] == 0
    assert tiny.sums(tiny.outcome(*case("fgd", 0, (0, 0))))["feature_stride8"] > 0


def test_fgd_has_no_part_of_weight_0():
    for off, gone in (({"relation": 0.0}, "relation"), ({"foreground": 0.0, "background": 0.0}, "feature")):
        model, *rest = case("fgd", 0, **off)
        assert model.weights.keys() == tiny.outcome(model, *rest).maps.keys()
        assert not any(gone in key for key in model.weights) and len(model.weights) == 4
        assert bool(list(model.relations.parameters())) == (gone != "relation")


def test_fgd_and_mgd_have_phi_only_between_widths():
    for name in ("fgd", "mgd"):
        same, wider = (built(name, tiny.detector_stub(width=w), tiny.detector_stub(width=8)).imitation for w in (8, 6))
        assert not list(same.parameters()) and wider.adapters[0].weight.shape == (8, 6, 1, 1)


def test_the_papers_numbers_weigh_the_parts():
    about = tiny.detector_stub()
    weights = {name: built(name, about, about).weights for name in [*METHODS, "contrast"]}
    assert weights["fgd"] == {
        **{f"feature_stride{s}": 1.0 for s in STRIDES},
        **{f"relation_stride{s}": 5e-6 for s in STRIDES},
        "attention": 5e-4,
        "channels": 5e-4,
    }
    config = fgd.Config()
    assert (config.foreground, config.background, config.temperature) == (1e-3, 5e-4, 0.5)
    assert weights["mgd"] == {"stride8": 2e-5, "stride16": 2e-5} and weights["contrast"] == {"contrast": 0.2}
    assert weights["fgfi"] == {"stride8": 0.01, "stride16": 0.01}
    assert weights["fkd"] == pytest.approx(
        {
            **{f"{part}_stride{s}": 6 * 7e-5 for s in STRIDES for part in ("feature", "relation")},
            **{f"spatial_stride{s}": 6 * 4e-3 for s in STRIDES},
            "channel": 6 * 4e-3,
        }
    )


def test_mgd_draws_a_new_mask_in_training_and_always_the_same_in_eval():
    model, student, teacher, truth = case("mgd", 0)
    levels = model.imitation(student.memory, teacher.memory)
    first, second = (model.eval().draw_masks(levels) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert all(torch.equal(x[0], x[1]) for x in first), "images of a batch alike, so that its parts add up to it"
    model.train()
    torch.manual_seed(3)
    drawn = [model.draw_masks(levels) for _ in range(2)]
    assert not all(torch.equal(a, b) for a, b in zip(*drawn)) and not torch.equal(*drawn[0][0])
    torch.manual_seed(3)
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], model.draw_masks(levels)))


@pytest.mark.parametrize("hidden", [0.0, 0.3, 0.65, 1.0])
def test_mgd_hides_its_share_and_what_is_hidden_learns_nothing(hidden):
    model = built("mgd", tiny.detector_stub(), tiny.detector_stub(), hidden=hidden).train()
    big = level(torch.ones(4, 50, 50, dtype=torch.bool))
    assert 1 - model.draw_masks([big])[0].float().mean().item() == pytest.approx(hidden, abs=0.02)
    x = torch.randn(1, 6, 5, 5, requires_grad=True)
    seen, valid = torch.rand(1, 5, 5) >= hidden, torch.ones(1, 5, 5, dtype=torch.bool)
    model.blocks[0](x, seen, valid).pow(2).sum().backward()
    assert torch.equal(x.grad.abs().sum(1) > 0, seen)


def test_fkd_attends_without_gradient_and_alike_to_both():
    torch.manual_seed(0)
    head = fkd.Head(6, 6, 8, 0.5)
    valid = torch.ones(2, 4, 5, dtype=torch.bool)
    theirs, mine = torch.randn(2, 2, 6, 4, 5).requires_grad_()
    there, back = (
        head.guide(torch.ones(2, 6, 4, 5), b, Level(8, b, a, valid)) for a, b in ((theirs, mine), (mine, theirs))
    )
    assert not there.requires_grad
    torch.testing.assert_close(there, back)


def test_fkd_without_a_difference_has_no_gradient_and_is_finite():
    model, student, teacher, truth = case("fkd", 0, width=8)
    model = built("fkd", tiny.detector_stub(width=8), tiny.detector_stub(width=8))
    neck = tuple(x.clone().requires_grad_() for x in teacher.memory.neck)
    found = tiny.outcome(model, replace(student, memory=replace(teacher.memory, neck=neck)), teacher, truth)
    assert all(value == 0 for value in tiny.sums(found).values())
    sum(x.sum() for x in found.maps.values()).backward()
    assert all(x.grad is not None and not x.grad.any() for x in neck)


def test_fgfi_is_nothing_without_objects_and_with_psi_1():
    for counts, options in (((0, 0), {}), ((3, 1), {"psi": 1.0})):
        found = tiny.sums(tiny.outcome(*case("fgfi", 0, counts, **options)))
        assert found == {"stride8": 0, "stride16": 0}
    model, student, teacher, truth = case("fgfi", 0, (3, 0), sides=(16.0,))
    for x in tiny.outcome(model, student, teacher, truth).maps.values():
        assert x[:, 0].any() and not x[:, 1].any()


def test_fgfi_takes_more_places_the_lower_psi_is():
    counts = []
    for psi in (0.0, 0.2, 0.5, 0.8):
        found = tiny.outcome(*case("fgfi", 1, (2, 2), psi=psi, sides=(12.0, 24.0)))
        counts.append(sum(int((x > 0).sum()) for x in found.maps.values()))
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == 4


def test_anchors_have_the_area_of_their_side_and_the_ratio_of_height_to_width():
    for (width, height), (side, ratio) in zip(
        fgfi.anchors((32.0, 64.0), (0.5, 2.0)), ((32, 0.5), (32, 2), (64, 0.5), (64, 2))
    ):
        assert width * height == pytest.approx(side**2) and height / width == pytest.approx(ratio)


def test_the_contrast_of_a_single_pair_is_0():
    about = tiny.detector_stub(queries=1, layers=1, strides=(8,))
    model = built("contrast", about, about).train()
    hidden = [torch.randn(1, 1, 1, 6) for _ in range(2)]
    one = [
        replace(x, predictions={"own": Predictions(x.own.logits[:, :1], x.own.boxes[:, :1], h)})
        for x, h in zip(alike([torch.zeros(1, 2, 1, 6)] * 2), hidden)
    ]
    found = tiny.outcome(model, *one, objects(torch.zeros(0, 4), SIZE, (0,)))
    assert found.maps["contrast"].tolist() == [[[0.0]]]


def test_contrast_refuses_other_classes_by_its_own_name():
    with pytest.raises(UserError, match="'contrast' needs as many classes .*--losses.contrast.weight 0"):
        built("contrast", tiny.detector_stub(classes=3), tiny.detector_stub())


@pytest.mark.parametrize("student, teacher", list(product(detectors.names(), repeat=2)))
def test_each_method_runs_between_any_two_detectors(student, teacher, batch):
    """Widths and levels differ; the student gets a gradient, the teacher none."""
    names = [*METHODS, "contrast"]
    step = tiny.distiller(tiny.detector(student), tiny.detector(teacher, seed=2, width=32, queries=12), names).train()
    found = step(*batch)
    for name in names:
        step.zero_grad()
        weights = step.weights[name]
        sum(weights[key] * x.sum() for key, x in found.outcomes[name].maps.items()).backward(retain_graph=True)
        reached = [p for p in step.student.parameters() if p.grad is not None and p.grad.any()]
        assert reached and all(p.grad.isfinite().all() for p in reached), name
        assert all(p.grad is None for p in step.teacher.parameters())
