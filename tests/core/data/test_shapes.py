"""The generated shapes: what an image depends on, its boxes, and which shapes are objects."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.sample import Dataset
from core.data.shapes import dataset
from core.data.shapes.dataset import COUNTS, Shapes
from core.data.shapes.outlines import HOLES, NAMES, OUTLINES
from core.data.shapes.scenes import (
    COUNT,
    RADIUS,
    VISIBLE,
    Scene,
    draw_scene,
    draw_shape,
    paint,
    stencil,
    visible_shapes,
    visible_shares,
)
from core.errors import UserError


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    """60 validation images."""
    return Shapes("val", 60)


def same(a, b) -> bool:
    """Whether two samples have the same image and objects."""
    return all(torch.equal(x, y) for x, y in ((a.pixels, b.pixels), (a.boxes, b.boxes), (a.labels, b.labels)))


def test_an_image_depends_on_seed_split_and_index_alone(shapes):
    assert all(same(a, shapes[k]) for k, a in enumerate(Shapes("val", 7)))
    for other in (Shapes("train", 7), Shapes("test", 7), Shapes("val", 7, seed=1)):
        assert not any(same(a, shapes[k]) for k, a in enumerate(other))


def test_an_image_is_painted_when_it_is_first_read(shapes, monkeypatch):
    painted, real = [], dataset.paint
    monkeypatch.setattr(dataset, "paint", lambda scene, size: painted.append(size) or real(scene, size))
    later = Shapes("val", 7, painted=False)
    assert later.truth()["images"] == shapes.truth()["images"][:7] and not painted, "objects are known without pictures"
    assert all(same(later[k], shapes[k]) for k in (5, 2, 5, 6)) and len(painted) == 3
    assert torch.equal(later.pixels, shapes.pixels[:7]) and len(painted) == 7
    assert all(same(a, shapes[k]) for k, a in enumerate(later)) and len(painted) == 7


def test_threads_that_read_an_image_at_once_get_the_same_picture(shapes):
    later = Shapes("val", 12, painted=False)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda k: (k, later[k].pixels), list(range(12)) * 4))
    assert all(torch.equal(pixels, shapes[k].pixels) for k, pixels in read)


def test_a_scene_is_the_same_at_any_size(shapes):
    for index, large in enumerate(Shapes("val", 8, size=288)):
        small = shapes[index]
        assert torch.equal(large.labels, small.labels)
        torch.testing.assert_close(large.boxes, 3 * small.boxes)
        shrunk = Image.fromarray(large.pixels.permute(1, 2, 0).numpy()).reduce(3)
        assert np.abs(np.asarray(shrunk, float) - small.pixels.permute(1, 2, 0).numpy()).mean() < 4


def test_every_image_has_the_documented_properties(shapes):
    counts, labels = [len(s.labels) for s in shapes], torch.cat([s.labels for s in shapes])
    boxes = torch.cat([s.boxes for s in shapes])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert 1 <= min(counts) and max(counts) <= COUNT[1] and len(set(counts)) > 4
    assert set(labels.tolist()) == set(range(len(NAMES)))
    assert boxes.min() >= 0 and boxes.max() <= 96
    assert sides.min() > RADIUS[0] * 96 / 2 and sides.max() < RADIUS[1] * 96 * 2.3
    assert all(s.size == s.original == (96, 96) for s in shapes) and isinstance(shapes, Dataset)


def test_default_counts():
    assert COUNTS == {"train": 2400, "val": 500, "test": 500}


def test_outlines_touch_the_unit_circle_and_stay_in_it():
    for outline in OUTLINES.values():
        assert np.linalg.norm(outline, axis=1).max() == pytest.approx(1)
    assert len(NAMES) == 8 and set(HOLES) <= set(NAMES)


def test_boxes_are_tight():
    size = 600
    for seed in range(40):
        shape = draw_shape(np.random.default_rng(seed))
        left, top, right, bottom = stencil(shape, size, np.zeros(2, int), np.full(2, size)).getbbox()
        np.testing.assert_allclose([left, top, right, bottom], shape.box * size, atol=1.5)


def test_shapes_are_painted_where_their_boxes_are():
    """The shadow is offset by 1/64 of the side to the right and down. A shift by half a pixel would show in the mean."""
    size, errors = 128, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ground, shape = draw_scene(rng).ground, draw_shape(rng)
        changed = (paint(Scene(ground, (shape,)), size) != paint(Scene(ground, ()), size)).any(-1)
        y, x = np.nonzero(changed)
        box = shape.box * size
        errors.append(
            [x.min() - np.floor(box[0]), y.min() - np.floor(box[1]), x.max() - 1 - box[2], y.max() - 1 - box[3]]
        )
    mean = np.mean(errors, axis=0)
    assert np.abs(mean[:2]).max() < 0.25 and np.abs(mean[2:]).max() < 0.6 and np.abs(errors).max() < 3


def inside(outline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether each point is inside, by the even-odd rule: a ray to the right crosses an odd number of edges."""
    (x0, y0), (x1, y1) = outline.T, np.roll(outline, -1, axis=0).T
    x, y = points[..., :1], points[..., 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))).sum(-1) % 2 == 1


def covers(shape, points: np.ndarray) -> np.ndarray:
    """Whether the shape covers each point; its hole does not."""
    covered = inside(shape.outline, points)
    return covered if shape.hole is None else covered & ~inside(shape.hole, points)


def test_visibility_is_the_share_of_points_that_nothing_covers():
    points = np.random.default_rng(0).random((40000, 2))
    errors = []
    for seed in range(12):
        scene = draw_scene(np.random.default_rng(seed))
        masks = [covers(shape, points) for shape in scene.shapes]
        hidden = [np.any([points[:, 0] < 0, *masks[k + 1 :]], axis=0) for k in range(len(masks))]
        expected = [(mask & ~h).sum() / mask.sum() for mask, h in zip(masks, hidden)]
        errors.extend(visible_shares(scene) - expected)
    assert np.abs(errors).max() < 0.1 and np.abs(errors).mean() < 0.015


def test_hidden_shapes_are_painted_but_are_no_objects():
    rng = np.random.default_rng(5)
    for _ in range(20):
        scene = draw_scene(rng)
        assert [
            s is t for s, t in zip(visible_shapes(Scene(scene.ground, scene.shapes[-1:] * 2)), scene.shapes[-1:])
        ] == [True]
        shares = visible_shares(scene)
        assert [id(s) for s in visible_shapes(scene)] == [id(s) for s, v in zip(scene.shapes, shares) if v >= VISIBLE]
        assert shares[-1] == 1
        for k in range(len(scene.shapes)):
            without = Scene(scene.ground, scene.shapes[:k] + scene.shapes[k + 1 :])
            assert shares[k] < 0.05 or (paint(scene, 96) != paint(without, 96)).any()


def test_a_shape_in_front_hides_what_is_behind():
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed))
        front = scene.shapes[-1]
        points = (np.mgrid[:96, :96][::-1].transpose(1, 2, 0) + 0.5) / 96
        deep = np.all([covers(front, points + step) for step in 0.015 * np.mgrid[-1:2, -1:2].reshape(2, 9).T], axis=0)
        alone, among = paint(Scene(scene.ground, (front,)), 96)[deep], paint(scene, 96)[deep]
        assert np.array_equal(alone, among)


def test_colour_does_not_depend_on_the_class():
    rng = np.random.default_rng(0)
    drawn = [draw_shape(rng) for _ in range(4000)]
    labels = np.array([s.label for s in drawn])
    colours = np.array([s.colours[0] for s in drawn])
    means = np.array([colours[labels == k].mean(0) for k in range(len(NAMES))])
    assert np.abs(means - colours.mean(0)).max() < 5 * colours.std() / np.sqrt(500)
    assert colours.std(0).min() > 50


def test_truth_says_what_the_samples_say(shapes):
    truth = shapes.truth()
    assert [a["id"] for a in truth["annotations"]] == list(range(1, len(truth["annotations"]) + 1))
    assert [i["id"] for i in truth["images"]] == list(shapes.ids) == list(range(1, 61))
    assert [c["id"] for c in truth["categories"]] == list(range(1, 9))
    for sample in shapes:
        own = [a for a in truth["annotations"] if a["image_id"] == sample.id]
        boxes = torch.tensor([a["bbox"] for a in own])
        torch.testing.assert_close(torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1), sample.boxes)
        assert [shapes.categories[k].id for k in sample.labels] == [a["category_id"] for a in own]
        assert all(a["area"] == pytest.approx(a["bbox"][2] * a["bbox"][3]) and a["iscrowd"] == 0 for a in own)


@pytest.mark.parametrize(
    "arguments, needle", [({"split": "dev"}, "train, val, test"), ({"count": 0}, "count"), ({"size": 8}, "size")]
)
def test_wrong_arguments(arguments, needle):
    with pytest.raises(UserError, match=needle):
        Shapes(**arguments)
