"""Denoising queries: their noise, what each is to become, and what is trained."""

from dataclasses import replace

import pytest
import torch

from core.boxes import corners
from core.errors import UserError
from core.losses import _denoising, detection
from core.types import Targets
from tests.helpers import runs, tiny
from tests.oracles import slow_losses
from train.engine import loop
from train.job.build import build
from train.run import Losses

KINDS = ["adamixer", "rt_detr_v2", "d_fine", "dab-detr", "lw_detr"]


def distiller(kind: str = "adamixer", groups: int = 2):
    return tiny.distiller(tiny.detector(kind), names=["detection"], detection={"denoising": groups})


def many(count: int = 2000) -> Targets:
    """One image with many objects in its middle, so that no noise reaches the border."""
    boxes = torch.tensor([0.5, 0.5, 0.2, 0.1]).expand(count, 4)
    return Targets(boxes, torch.arange(count) % 4, torch.zeros(count, dtype=torch.long), (count,))


def queries(targets: Targets, *, training: bool = True, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Content and boxes of one group; the content says the class."""
    model = _denoising.Denoising(1, classes, classes + 1)
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(classes + 1))
    group = model.train(training).queries(targets)["denoising0"]
    return group.content.argmax(-1), group.anchors


def test_corners_move_by_a_share_of_half_a_side():
    _, boxes = queries(many())
    moved = (corners(boxes[0]) - corners(many().boxes).repeat(2, 1)).abs() / torch.tensor([0.1, 0.05, 0.1, 0.05])
    positive, negative = moved.chunk(2)
    assert positive.max() <= 1 + 1e-4 and positive.mean().item() == pytest.approx(0.5, abs=0.02)
    crossed = (boxes[0, 2000:, 2:] <= _denoising.SMALLEST).any(-1)  # corners that passed each other
    kept = negative[~crossed]
    assert kept.min() >= 1 - 1e-4 and kept.max() <= 2 + 1e-4


def test_each_corner_moves_to_either_side():
    _, boxes = queries(many())
    sign = (corners(boxes[0, :2000]) - corners(many().boxes)).sign()
    assert (sign.mean(0).abs() < 0.1).all()
    assert torch.corrcoef(sign.T).fill_diagonal_(0).abs().max() < 0.1, "each by itself"


def test_a_quarter_of_the_classes_is_drawn_at_random():
    classes, _ = queries(many())
    changed = (classes[0] != many().labels.repeat(2)).float().mean().item()
    assert changed == pytest.approx(0.25 * 3 / 4, abs=0.02) and set(classes[0].tolist()) == {0, 1, 2, 3}


def test_an_object_keeps_its_slot_and_others_are_whole_images_of_no_class():
    targets = tiny.targets((1, 0, 3), 4, torch.Generator().manual_seed(1))
    classes, boxes = queries(targets)
    assert boxes.shape == (3, 6, 4)
    empty = torch.ones(3, 3, dtype=torch.bool)
    empty[0, :1], empty[2] = False, False
    empty = empty.repeat(1, 2)
    assert (classes[empty] == 4).all() and (classes[~empty] < 4).all()
    assert (boxes[empty] == torch.tensor(_denoising.WHOLE)).all()
    inside = corners(boxes)
    assert inside.min() >= -1e-3 and inside.max() <= 1 + 1e-3 and (boxes[..., 2:] >= _denoising.SMALLEST).all()


def test_the_noise_is_new_in_training_and_the_same_in_a_replay():
    targets = many(5)
    assert torch.equal(queries(targets, training=False)[1], queries(targets, training=False)[1])
    assert not torch.equal(queries(targets)[1], queries(targets)[1])
    groups = _denoising.Denoising(2, 4, 8).eval().queries(targets)
    assert not torch.equal(groups["denoising0"].anchors, groups["denoising1"].anchors)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("counts", [(3, 1), (0, 2)])
def test_the_terms_are_the_slow_sum_over_the_queries_of_objects(kind, counts):
    step = distiller(kind)
    images, targets = tiny.batch(counts=counts, sizes=((64, 64),) * 2)
    with torch.no_grad():
        trace = step(images, targets)
    most, m, sums = max(counts), step.student.matching, dict.fromkeys(("class", "l1", "giou"), 0.0)
    layers = len(trace.student.own.logits)
    for name in ("denoising0", "denoising1"):
        p = trace.student.predictions[name]
        assert p.logits.shape[2] == 2 * most
        first = [sum(counts[:image]) for image in range(2)]
        for image, count in enumerate(counts):
            kept = [*range(count), *range(most, most + count)]
            part = type(p)(*(x[:, image : image + 1, kept] for x in vars(p).values()))
            rows = [(layer, 0, k, k) for layer in range(layers) for k in range(count)]
            of_image = slice(first[image], first[image] + count)
            truth = replace(
                targets,
                boxes=targets.boxes[of_image],
                labels=targets.labels[of_image],
                image=targets.image[of_image] * 0,
                counts=(count,),
            )
            if count and m.class_loss == "focal":
                part_sums = slow_losses.detection(slow_losses.plain(part), slow_losses.plain(truth), set(rows), m)
            elif count:
                a = _denoising.restored(truth, layers)
                part_sums = {k: float(x.sum()) for k, x in detection.set_loss(part, truth, a, m).items()}
            else:
                continue
            for key, value in part_sums.items():
                sums[key] += value * count / sum(counts) / 2
    maps = trace.outcomes["detection"].maps
    found = {key: float(maps[f"denoising_{key}"].sum()) for key in sums}
    assert found == pytest.approx(sums, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_own_queries_are_as_without_denoising(kind):
    images, targets = tiny.batch(sizes=((64, 64),) * 2)
    noisy, plain = distiller(kind), tiny.distiller(tiny.detector(kind), names=["detection"])
    with torch.no_grad():
        a, b = noisy(images, targets), plain(images, targets)
    assert torch.equal(a.student.own.logits, b.student.own.logits)
    for key, x in b.outcomes["detection"].maps.items():
        assert torch.equal(x, a.outcomes["detection"].maps[key])


def test_a_batch_without_objects_has_no_denoising_queries():
    step = distiller().train()
    trace = step(*tiny.batch(counts=(0, 0)))
    assert set(trace.student.queries) == {"own"} and trace.total.isfinite()
    assert all(not x.any() for key, x in trace.outcomes["detection"].maps.items() if key.startswith("denoising"))


def test_the_classes_embedding_and_the_decoder_are_trained():
    step = distiller().train()
    trace = step(*tiny.batch(counts=(3, 1)))
    maps = trace.outcomes["detection"].maps
    sum(x.sum() for key, x in maps.items() if key.startswith("denoising")).backward()
    gradient = step.losses["detection"].denoising.embedding.weight.grad
    assert gradient[:-1].abs().sum() > 0 and not gradient[-1].any()
    assert step.student.stages[0].get_parameter("attention.to_qkv.weight").grad.abs().sum() > 0


def test_a_run_trains_and_logs_the_terms(tmp_path):
    run = runs.small(losses=Losses(detection=detection.Config(denoising=2)))
    path = loop.fit(run, tmp_path / "run")
    record = runs.steps(path)[-1]
    assert {f"detection/denoising_{key}" for key in ("class", "l1", "giou")} <= set(record["terms"])


def test_a_student_whose_queries_are_no_boxes_is_refused():
    run = runs.small(
        student=tiny.config("conditional", classes=8), losses=Losses(detection=detection.Config(denoising=1))
    )
    with pytest.raises(UserError, match="those of conditional are not: take adamixer, or RT-DETR"):
        build(run)
