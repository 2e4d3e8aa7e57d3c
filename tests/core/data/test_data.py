"""Transforms, batches, loaders, COCO folders and the decoding of images."""

import os
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.boxes import corners
from core.data.batch import collate
from core.data.category import Category
from core.data.coco.dataset import Coco, read_image
from core.data.loader import Loader, evaluation
from core.data.order import aspect_group, batches
from core.data.packed_batch import pack, unpack
from core.data.sample import Dataset, Sample
from core.data.shapes.dataset import Shapes
from core.data.transforms import (
    Augment,
    crop,
    eval_transform,
    flip,
    jitter,
    random_crop,
    resize,
    resized_size,
    train_transform,
)
from core.errors import UserError
from tests.helpers.coco_folder import SIZE, instances, picture, write_folder

DRAWS = 60
EVERYTHING = Augment(flip=0.5, jitter=0.3, sizes=(40, 48, 56), longest=80, crop=True)


def painted(seed: int) -> Sample:
    """One bright rectangle on black, and its exact box: pixels and boxes must move together."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(60, 120, 2).tolist()
    x0, y0 = int(rng.integers(width - 12)), int(rng.integers(height - 12))
    x1, y1 = int(rng.integers(x0 + 8, width + 1)), int(rng.integers(y0 + 8, height + 1))
    pixels = torch.zeros(3, height, width, dtype=torch.uint8)
    pixels[:, y0:y1, x0:x1] = 255
    boxes = torch.tensor([[x0, y0, x1, y1]], dtype=torch.float32)
    return Sample(pixels, boxes, torch.tensor([seed % 5]), seed, (height, width))


def bright(sample: Sample) -> torch.Tensor | None:
    """The box around the bright pixels."""
    y, x = torch.nonzero(sample.pixels[0] > 127, as_tuple=True)
    return torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float() if len(x) else None


def check_follows(sample: Sample, slack: float) -> None:
    """Asserts that the sample's box is the one around its bright pixels, but for `slack` pixels."""
    box = bright(sample)
    if box is None:  # a box may keep a sliver thinner than half a pixel
        assert len(sample.boxes) == 0 or (sample.boxes[0, 2:] - sample.boxes[0, :2]).min() <= slack
    else:
        torch.testing.assert_close(sample.boxes[0], box, atol=slack, rtol=0)
        assert sample.labels.tolist() == [sample.id % 5]


def equal(a, b) -> bool:
    """Whether all fields of two dataclasses are equal."""
    return all(torch.equal(x, y) if torch.is_tensor(x) else x == y for x, y in zip(vars(a).values(), vars(b).values()))


def same_batches(a, b) -> bool:
    """Whether two streams of batches are equal."""
    a, b = list(a), list(b)
    return len(a) == len(b) and all(equal(x, y) for left, right in zip(a, b) for x, y in zip(left, right))


# Transforms


@pytest.mark.parametrize("seed", range(DRAWS))
def test_boxes_follow_pixels(seed):
    sample, rng = painted(seed), np.random.default_rng(seed)
    check_follows(flip(sample), 0)
    check_follows(random_crop(sample, rng), 0)
    check_follows(resize(sample, int(rng.integers(40, 150)), 200), 1)
    check_follows(train_transform(sample, rng, replace(EVERYTHING, jitter=0.0)), 1)


@pytest.mark.parametrize("seed", range(20))
def test_flip_is_its_own_inverse(seed):
    sample = painted(seed)
    assert equal(flip(flip(sample)), sample)


def test_flip_happens_as_often_as_asked():
    sample = painted(0)
    flipped = flip(sample).boxes
    for chance in (0.0, 0.3, 1.0):
        draws = [train_transform(sample, np.random.default_rng(k), Augment(flip=chance)).boxes for k in range(400)]
        assert np.mean([torch.equal(boxes, flipped) for boxes in draws]) == pytest.approx(chance, abs=0.07)


@pytest.mark.parametrize("seed", range(20))
def test_jitter_changes_colour_only(seed):
    sample = Shapes("val", 1, seed=seed)[0]
    other = jitter(sample, np.random.default_rng(seed), 0.3)
    assert torch.equal(other.boxes, sample.boxes) and not torch.equal(other.pixels, sample.pixels)
    assert equal(jitter(sample, np.random.default_rng(seed), 0.0), sample)
    assert equal(train_transform(sample, np.random.default_rng(seed), Augment(flip=0.0)), sample)


@pytest.mark.parametrize(
    "size, short, longest, expected",
    [
        ((480, 640), 800, 1333, (800, 1066)),  # 1066.67 is cut
        ((640, 427), 800, 1333, (1199, 800)),
        ((427, 640), 512, 1333, (512, 767)),
        ((333, 500), None, 1333, (333, 500)),
        ((200, 1000), 800, 1333, (267, 1333)),  # 1333 / 5 is 266.6, and 5 * 267 would be 1335
        ((640, 640), 480, 1333, (480, 480)),
    ],
)
def test_sizes_are_rounded_as_detr_does(size, short, longest, expected):
    assert resized_size(size, short, longest) == expected


@pytest.mark.parametrize("seed", range(DRAWS))
def test_resize_keeps_its_bounds_and_the_proportions(seed):
    sample, rng = painted(seed), np.random.default_rng(seed)
    short, longest = (int(n) for n in rng.integers(30, 200, 2))
    new = resize(sample, short, longest)
    assert min(new.size) == short or max(new.size) >= longest - 0.5 * max(sample.size) / min(sample.size) - 1
    assert min(new.size) <= short and max(new.size) <= longest
    assert new.size[0] * sample.size[1] == pytest.approx(new.size[1] * sample.size[0], abs=max(sample.size))
    assert new.original == sample.original and new.id == sample.id


def test_the_box_of_the_whole_image_stays_that():
    for seed in range(20):
        sample = painted(seed)
        height, width = sample.size
        whole = replace(sample, boxes=torch.tensor([[0, 0, width, height]]).float())
        new = resize(whole, 37 + seed, 75)
        torch.testing.assert_close(new.boxes[0], torch.tensor([0, 0, *new.size[::-1]]).float())


def test_without_sizes_an_image_only_shrinks():
    sample = painted(1)
    assert resize(sample, None, 1000) is sample
    assert max(resize(sample, None, 50).size) in (49, 50)


def test_plain_takes_the_largest_size_and_draws_nothing():
    for seed in range(10):
        sample = painted(seed)
        assert equal(eval_transform(sample, replace(EVERYTHING, longest=500)), resize(sample, 56, 500))


def test_training_draws_every_size():
    augment = replace(EVERYTHING, crop=False, longest=500)
    views = [train_transform(painted(3), np.random.default_rng(k), augment) for k in range(40)]
    assert {min(view.size) for view in views} == {40, 48, 56}


def test_objects_of_a_crop_are_those_it_shows():
    rng = np.random.default_rng(0)
    for _ in range(DRAWS):
        low = rng.integers(0, 50, (6, 2))
        boxes = np.concatenate([low, low + rng.integers(1, 30, (6, 2))], 1)
        sample = Sample(
            torch.zeros(3, 80, 80, dtype=torch.uint8), torch.tensor(boxes).float(), torch.arange(6), 0, (80, 80)
        )
        top, left = rng.integers(0, 40, 2).tolist()
        height, width = rng.integers(1, 40, 2).tolist()
        shown = []
        for x0, y0, x1, y1 in boxes:
            mask = torch.zeros(80, 80, dtype=torch.bool)
            mask[y0:y1, x0:x1] = True
            shown.append(int(mask[top : top + height, left : left + width].sum()))
        new = crop(sample, top, left, height, width)
        assert new.labels.tolist() == [k for k, area in enumerate(shown) if area]
        sides = new.boxes[:, 2:] - new.boxes[:, :2]
        assert sides.prod(1).tolist() == [area for area in shown if area]
        assert new.size == (height, width)


def test_every_other_image_is_cropped():
    sample, augment = painted(0), Augment(flip=0.0, crop=True)
    uncropped = [train_transform(sample, np.random.default_rng(k), augment).size == sample.size for k in range(300)]
    assert np.mean(uncropped) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("size", [(480, 640), (90, 60), (300, 300), (100, 1000)])
def test_crops_are_those_of_detr(size):
    """The sides of a crop are 384 .. 600, if the short side of the image is scaled to 400, 500 or 600."""
    sample = Sample(
        torch.zeros(3, *size, dtype=torch.uint8), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 0, size
    )
    sides = np.array([random_crop(sample, np.random.default_rng(k)).size for k in range(200)]) / min(size)
    assert 384 / 600 - 0.02 <= sides.min() <= 0.68
    long = max(size) / min(size)
    assert sides[:, int(size[1] > size[0])].max() <= min(long, 600 / 400) + 0.02
    assert sides[:, int(size[1] > size[0])].max() >= 0.9 * min(long, 600 / 400)


# Batches


def test_collate_pads_at_the_bottom_and_on_the_right():
    samples = [painted(k) for k in range(5)]
    samples[2] = replace(samples[2], boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    images, targets = collate(samples)
    assert targets.counts == (1, 1, 0, 1, 1) and targets.image.tolist() == [0, 1, 3, 4]
    assert targets.labels.tolist() == [0, 1, 3, 4] and images.ids.tolist() == [0, 1, 2, 3, 4]
    for k, sample in enumerate(samples):
        height, width = sample.size
        assert images.sizes[k].tolist() == [height, width] and images.original[k].tolist() == list(sample.original)
        assert torch.equal(images.pixels[k, :, :height, :width], sample.pixels)
        assert not images.padding[k, :height, :width].any() and images.padding[k].sum() == (
            images.padding[k].numel() - height * width
        )
        assert images.pixels[k].sum() == sample.pixels.sum()
        own = corners(targets.boxes[targets.image == k]) * torch.tensor([width, height, width, height])
        torch.testing.assert_close(own, sample.boxes)


@pytest.mark.parametrize("seed", range(10))
def test_a_packed_batch_is_one_piece_of_memory(seed):
    """Odd sizes leave gaps between tensors; some images, or all, have no objects."""
    samples = [eval_transform(painted(10 * seed + k), Augment(sizes=(31 + seed,), longest=45)) for k in range(3)]
    bare = [replace(s, boxes=s.boxes[:0], labels=s.labels[:0]) for s in samples]
    for chosen in (samples, samples[:1] + bare, bare):
        batch = collate(chosen)
        unpacked = unpack(pack(*batch))
        assert same_batches([unpacked], [batch])
        tensors = [x for part in unpacked for x in vars(part).values() if torch.is_tensor(x)]
        assert len(tensors) == 8 and len({x.untyped_storage().data_ptr() for x in tensors}) == 1
        assert all(x.data_ptr() % x.element_size() == 0 for x in tensors)


def test_a_batch_without_objects():
    empty = replace(painted(0), boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    _, targets = collate([empty, empty])
    assert len(targets) == 0 and targets.counts == (0, 0) and targets.boxes.shape == (0, 4)


# Loaders


@dataclass(frozen=True)
class Rectangles:
    """A dataset of `count` painted samples, of which the image `broken` cannot be read."""

    count: int
    broken: int | None = None
    categories = tuple(Category(k, str(k)) for k in range(5))

    @property
    def ids(self) -> tuple[int, ...]:
        """0 .. count - 1."""
        return tuple(range(self.count))

    @property
    def sizes(self) -> np.ndarray:
        """(height, width) of each image."""
        return np.array([painted(index).size for index in self.ids])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise UserError(f"image {index} is broken; mend it")
        return painted(index)

    def truth(self) -> dict:
        """Not needed here."""
        raise NotImplementedError


def parts_of(loader: Loader, epoch: int) -> list[list[int]]:
    """The ids of the images in each step of a process."""
    return [
        [id for images, _ in step for id in images.ids.tolist()] for step in loader.steps(epoch, 0, until=epoch + 1)
    ]


@pytest.mark.parametrize(
    "count, processes, passes", [(23, 2, 1), (23, 3, 2), (25, 4, 1), (16, 2, 4), (17, 4, 2), (9, 8, 1)]
)
def test_processes_share_every_step_and_no_image(count, processes, passes):
    loader = Loader(Rectangles(count), Augment(), batch=8, passes=passes)
    each = [replace(loader, rank=k, processes=processes) for k in range(processes)]
    whole = [sorted(sum(step, [])) for step in zip(*(parts_of(one, 2) for one in each))]
    assert {len(one) for one in each} == {len(whole)}
    assert sorted(sum(whole, [])) == list(range(count))
    assert all(len(step) >= processes * passes for step in whole), "each has an image for each pass"
    assert all(len(part) <= one.max_images for one in each for part in parts_of(one, 2))
    alone = [sorted(step) for step in parts_of(replace(loader, passes=1), 2)]
    assert whole[:-1] == alone[: len(whole) - 1], "the same images make a step, however many share it"


def test_passes_make_no_other_step():
    one, two = (Loader(Rectangles(11), EVERYTHING, batch=4, passes=k) for k in (1, 2))
    for (whole,), (first, second) in zip(one.steps(1, 0, until=2), two.steps(1, 0, until=2), strict=True):
        assert whole[0].ids.tolist() == first[0].ids.tolist() + second[0].ids.tolist()
        assert torch.equal(whole[1].boxes, torch.cat([first[1].boxes, second[1].boxes]))


@pytest.mark.parametrize("workers", [0, 2])
def test_steps_run_on_through_the_epochs(workers):
    loader = Loader(Rectangles(10), EVERYTHING, batch=4, seed=5, workers=workers)
    found = [batch for (batch,) in loader.steps(1, 2, until=4)]
    assert same_batches(found, [*loader.epoch(1, 2), *loader.epoch(2), *loader.epoch(3)])


SQUARES = Augment(flip=0.5, sizes=(32, 40, 48), longest=64, square=True)


def sides(stream) -> list[tuple[int, int]]:
    """Height and width of each batch, none of which has padding."""
    found = []
    for images, _ in stream:
        assert not images.padding.any()
        found.append(tuple(images.pixels.shape[-2:]))
    return found


def test_all_squares_of_a_step_have_one_size_that_is_drawn_for_the_step():
    """However many processes and passes share it, from whichever step a run goes on, and in an epoch of its own."""
    loader = Loader(Rectangles(60), SQUARES, batch=4, seed=3)
    whole = sides(loader.epoch(0))
    assert {(k, k) for k in SQUARES.sizes} == set(whole) and whole != sides(loader.epoch(1))
    assert whole != sides(replace(loader, seed=4).epoch(0))
    assert sides(loader.epoch(0, start=6)) == whole[6:]
    for other in (
        replace(loader, rank=0, processes=2),
        replace(loader, rank=1, processes=2),
        replace(loader, workers=2),
    ):
        assert sides(other.epoch(0)) == whole
    passes = sides(replace(loader, passes=2).epoch(0))
    assert passes[::2] == passes[1::2] == whole


def test_evaluation_has_a_size_of_its_own():
    for augment, expected in (
        (SQUARES, (48, 48)),
        (replace(SQUARES, eval_size=40), (40, 40)),
        (replace(SQUARES, eval_size=200), (64, 64)),
        (replace(SQUARES, sizes=(), eval_size=24), (24, 24)),
    ):
        assert set(sides(evaluation(Rectangles(5), augment, 2))) == {expected}
        assert augment.eval_short == expected[0]
    sizes = [eval_transform(painted(k), Augment(sizes=(40, 56), eval_size=48, longest=999)).size for k in range(9)]
    assert {min(size) for size in sizes} == {48} and Augment().eval_short is None


def test_too_few_images_for_the_processes_are_refused():
    for options in ({"batch": 3}, {"batch": 8, "passes": 3}):
        with pytest.raises(UserError, match="4 processes with . passes each need"):
            Loader(Rectangles(9), Augment(), processes=4, **options)


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_has_images_of_similar_aspect_ratio(seed):
    """There are four groups of width / height: below 1/2, to 1, to 2, and above. The images left over come last."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(30, 200, (101, 2))
    ratio = sizes[:, 1] / sizes[:, 0]
    group = (ratio >= 0.5).astype(int) + (ratio >= 1) + (ratio >= 2)
    assert np.array_equal(aspect_group(sizes, 1), group)
    found = batches(101, 8, np.random.default_rng(seed), sizes, 1)
    assert sorted(sum(found, [])) == list(range(101))
    full = sum(int((group == k).sum()) // 8 for k in range(4))
    assert all(len(set(group[step].tolist())) == 1 and len(step) == 8 for step in found[:full])
    assert found == batches(101, 8, np.random.default_rng(seed), sizes, 1)
    assert found != batches(101, 8, np.random.default_rng(seed + 1), sizes, 1)


@pytest.mark.parametrize("count, processes", [(11, 1), (11, 2), (8, 3), (2, 4)])
def test_processes_share_an_evaluation(count, processes):
    data = Rectangles(count)
    parts = [list(evaluation(data, EVERYTHING, 2, rank=k, processes=processes)) for k in range(processes)]
    order = [batch for row in zip_longest(*parts) for batch in row if batch is not None]
    assert same_batches(order, evaluation(data, EVERYTHING, 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_starting_position_change_nothing(workers):
    loader = Loader(Rectangles(23), EVERYTHING, batch=4, seed=5)
    other = replace(loader, workers=workers)
    whole = list(loader.epoch(3))
    assert same_batches(whole, other.epoch(3))
    assert same_batches(whole[2:], other.epoch(3, start=2))
    assert list(other.epoch(3, start=6)) == []


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    loader = Loader(Rectangles(23), EVERYTHING, batch=4)
    orders = [[id for images, _ in loader.epoch(k) for id in images.ids.tolist()] for k in range(4)]
    assert all(sorted(order) == list(range(23)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert len(loader) == 6 == len(list(loader.epoch(0)))
    assert [len(images.ids) for images, _ in loader.epoch(0)] == [4, 4, 4, 4, 4, 3]


def test_augmentation_differs_between_epochs_and_seeds():
    views = set()
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        for images, targets in Loader(Rectangles(23), EVERYTHING, batch=1, seed=seed).epoch(epoch):
            if images.ids.item() == 3:
                views.add((images.pixels.shape, images.pixels.sum().item(), targets.boxes.sum().item()))
    assert len(views) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_draws_nothing_from_the_global_generator(workers):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(Loader(Rectangles(5), EVERYTHING, batch=2, workers=workers).epoch(0))
    list(evaluation(Rectangles(5), EVERYTHING, batch=2, workers=workers))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_users_mistake_comes_through_as_its_sentence(workers):
    data = Rectangles(12, broken=7)
    for stream in (Loader(data, EVERYTHING, 2, workers=workers).epoch(0), evaluation(data, EVERYTHING, 2, workers)):
        with pytest.raises(UserError) as caught:
            list(stream)
        assert str(caught.value) == "image 7 is broken; mend it"


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_shows_plain_samples_in_order(workers):
    data = Rectangles(11)
    seen = list(evaluation(data, EVERYTHING, 4, workers))
    assert [id for images, _ in seen for id in images.ids.tolist()] == list(range(11))
    assert same_batches(seen[1:2], [collate([eval_transform(data[k], EVERYTHING) for k in range(4, 8)])])


class Groups(Rectangles):
    """Samples whose id is the process group of the process that reads them."""

    def __getitem__(self, index: int) -> Sample:
        return replace(painted(index), id=os.getpgrp())


def test_workers_are_not_in_the_process_group_that_gets_ctrl_c():
    images, _ = next(iter(evaluation(Groups(2), EVERYTHING, 2, workers=1)))
    assert os.getpgrp() not in images.ids.tolist()


# COCO folders


@pytest.fixture
def folder(tmp_path) -> Path:
    """The instances file of a small COCO folder."""
    return write_folder(tmp_path / "data")


def test_a_coco_folder(folder):
    data = Coco(folder)
    assert isinstance(data, Dataset) and len(data) == 3 and data.ids == (12, 5, 4)
    assert data.categories == (Category(0, "none"), Category(7, "dog"), Category(90, "cat"))
    samples = [data[k] for k in range(3)]
    assert [s.labels.tolist() for s in samples] == [[2, 0], [], [1]]
    assert samples[0].boxes.tolist() == [[1, 2, 11, 14], [4, 4, 12, 12]]
    assert samples[2].boxes.tolist() == [[0.5, 0.25, 30.5, 20.25]]
    for sample in samples:
        assert sample.original == sample.size == SIZE
        assert np.array_equal(sample.pixels.permute(1, 2, 0), picture(sample.id))


def test_truth_is_the_file(folder):
    truth, file = Coco(folder).truth(), instances()
    by_id = {a["id"]: a for a in truth["annotations"]}
    assert len(by_id) == len(truth["annotations"])
    assert by_id == {a["id"]: {k: v for k, v in a.items() if k != "segmentation"} for a in file["annotations"]}
    assert truth["images"] == file["images"]
    assert sorted(truth["categories"], key=str) == sorted(file["categories"], key=str)


def test_limit_takes_the_first_images(folder):
    (folder.parent / "images" / "4.png").unlink()
    data = Coco(folder, limit=2)
    assert data.ids == (12, 5) and len(data) == 2 and [s.id for s in map(data.__getitem__, range(2))] == [12, 5]
    truth = data.truth()
    assert {i["id"] for i in truth["images"]} == {12, 5}
    assert {a["id"] for a in truth["annotations"]} == {3, 9, 8}
    assert Coco(folder, limit=1).ids == (12,)


def test_boxes_are_clipped_and_empty_ones_not_learnt(tmp_path):
    value = instances()
    for annotation, box in zip(value["annotations"], ([-5, -5, 10, 10], [30, 20, 9, 9], [40, 2, 5, 5], [0, 0, 1, 1])):
        annotation["bbox"] = box
    value["annotations"].append(value["annotations"][1] | {"id": 77, "bbox": [3, 3, 0, 8]})
    data = Coco(write_folder(tmp_path / "data", value))
    assert data[0].boxes.tolist() == [[0, 0, 5, 5]] and data[2].boxes.tolist() == [[30, 20, 32, 24]]
    assert {tuple(a["bbox"]) for a in data.truth()["annotations"]} >= {(-5, -5, 10, 10), (40, 2, 5, 5), (3, 3, 0, 8)}


def test_area_and_crowd_may_be_left_out(tmp_path):
    value = instances()
    for annotation in value["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    data = Coco(write_folder(tmp_path / "data", value))
    assert all(a["area"] == a["bbox"][2] * a["bbox"][3] and a["iscrowd"] == 0 for a in data.truth()["annotations"])
    assert data[0].labels.tolist() == [2, 0, 1]


def test_a_folder_without_annotations(tmp_path):
    data = Coco(write_folder(tmp_path / "data", instances() | {"annotations": []}))
    assert [len(data[k].labels) for k in range(3)] == [0, 0, 0] and data.truth()["annotations"] == []


def test_images_where_coco_itself_has_them(tmp_path):
    path = write_folder(tmp_path / "annotations")
    own = tmp_path / "annotations" / "images"
    (tmp_path / "annotations" / "val").mkdir()  # is ignored
    moved = path.rename(path.with_name("instances_train2017.json"))
    assert len(Coco(moved)) == 3, "images beside the file go first"
    own.rename(tmp_path / "train2017")
    assert Coco(moved).folder == tmp_path / "train2017"
    with pytest.raises(UserError, match="images cannot be listed"):
        Coco(moved.rename(moved.with_name("train2017.json")))


def test_images_may_be_elsewhere_and_in_subfolders(tmp_path):
    value = instances()
    for image in value["images"]:
        image["file_name"] = f"a/{image['id'] % 2}/{image['file_name']}"
    path = write_folder(tmp_path / "data", value)
    for image in value["images"]:
        target = tmp_path / "elsewhere" / image["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((path.parent / "images" / f"{image['id']}.png").read_bytes())
    data = Coco(path, tmp_path / "elsewhere")
    assert np.array_equal(data[1].pixels.permute(1, 2, 0), picture(5))


# Pictures

TURNS = {  # the upright image, from the stored one, by EXIF orientation
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


def save_turned(path: Path, orientation: int) -> np.ndarray:
    """Saves an image with an EXIF orientation, and returns its stored pixels."""
    stored = picture(orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, exif=exif)
    return stored


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied(tmp_path, orientation):
    stored = save_turned(tmp_path / "a.png", orientation)
    upright = TURNS[orientation](stored)
    for size in (None, upright.shape[:2]):
        assert np.array_equal(read_image(tmp_path / "a.png", size).permute(1, 2, 0), upright)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_refer_to_the_declared_size(tmp_path, orientation):
    """If the declared size is that of the stored image, the annotator has seen the stored image."""
    stored = save_turned(tmp_path / "a.png", orientation)
    assert np.array_equal(read_image(tmp_path / "a.png", SIZE).permute(1, 2, 0), stored)


def grey(seed: int, high: int, kind: type) -> np.ndarray:
    """A random grey image with values below `high`."""
    return np.random.default_rng(seed).integers(high, size=SIZE, dtype=kind)


def test_every_kind_of_pixel_becomes_rgb(tmp_path):
    colour = Image.fromarray(picture(0))
    alpha = Image.fromarray(grey(1, 256, np.uint8))
    opaque = colour.copy()
    opaque.putalpha(alpha)
    flat = colour.quantize(16)
    kinds = {
        "rgba.png": (opaque, picture(0)),
        "grey.png": (colour.convert("L"), np.stack([np.asarray(colour.convert("L"))] * 3, -1)),
        "two.png": (colour.convert("1"), 255 * np.stack([np.asarray(colour.convert("1"))] * 3, -1)),
        "la.png": (colour.convert("LA"), np.stack([np.asarray(colour.convert("L"))] * 3, -1)),
        "palette.png": (flat, np.asarray(flat.convert("RGB"))),
        "palette.bmp": (flat, np.asarray(flat.convert("RGB"))),
        "cmyk.tiff": (colour.convert("CMYK"), picture(0)),
        "plain.tiff": (colour, picture(0)),
        "plain.bmp": (colour, picture(0)),
    }
    for name, (image, expected) in kinds.items():
        image.save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name).permute(1, 2, 0), expected), name
    colour.save(tmp_path / "plain.webp", lossless=True)
    assert np.array_equal(read_image(tmp_path / "plain.webp").permute(1, 2, 0), picture(0))


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_sixteen_bits_keep_their_upper_half(tmp_path, name):
    values = grey(2, 65536, np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name), np.stack([values >> 8] * 3))


def test_a_transparent_palette_is_no_warning(tmp_path):
    flat = Image.fromarray(picture(0)).quantize(16)
    flat.save(tmp_path / "a.png", transparency=bytes(range(16)))
    assert np.array_equal(read_image(tmp_path / "a.png").permute(1, 2, 0), np.asarray(flat.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg(tmp_path, mode):
    smooth = Image.fromarray(picture(0, (3, 4))).resize((64, 48), Image.Resampling.BICUBIC)
    smooth.convert(mode).save(tmp_path / "a.jpg", quality=95)
    expected = np.asarray(smooth.convert(mode).convert("RGB"), float)
    found = read_image(tmp_path / "a.jpg").permute(1, 2, 0).numpy()
    assert np.abs(found - expected).mean() < 4


def test_several_pictures_in_a_jpeg_as_phones_write_them(tmp_path):
    first, second = (Image.fromarray(np.full((*SIZE, 3), k, np.uint8)) for k in (40, 200))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_image(tmp_path / "a.jpg").float().mean() == pytest.approx(40, abs=1)
