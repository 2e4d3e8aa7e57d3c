"""Images without labels: folders, files of predictions, mixtures; and how they become batches."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.boxes import centers
from core.data.batch import collate
from core.data.category import Category
from core.data.coco.dataset import Coco
from core.data.order import mixed_batches
from core.data.packed_batch import pack, unpack
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment, crop, flip, train_transform
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.mixed import Mixed, Part
from core.data.unlabelled.predicted import is_results, read_predicted
from core.errors import UserError
from core.pseudo import PseudoRule
from tests.helpers import coco_folder

CATEGORIES = (Category(0, "none"), Category(7, "dog"), Category(90, "cat"))


# Folders


def test_a_folder_lists_its_images_by_name(tmp_path):
    coco_folder.write_folder(tmp_path)
    (tmp_path / "images" / "sub").mkdir()
    Image.fromarray(coco_folder.picture(1, (20, 30))).save(tmp_path / "images" / "sub" / "a.JPG")
    (tmp_path / "images" / "note.txt").write_text("no image")
    files = ImageFiles(tmp_path / "images", CATEGORIES)
    assert files.names == ("12.png", "4.png", "5.png", "sub/a.JPG") and files.ids == (1, 2, 3, 4)
    assert files.sizes.tolist() == [[24, 32]] * 3 + [[20, 30]]
    sample = files[1]
    assert np.array_equal(sample.pixels.permute(1, 2, 0).numpy(), coco_folder.picture(4))
    assert sample.truth == "unknown" and sample.id == 2 and not len(sample.labels)
    without = ImageFiles(tmp_path / "images", CATEGORIES, frozenset([(tmp_path / "images" / "4.png").resolve()]))
    assert without.names == ("12.png", "5.png", "sub/a.JPG")


def test_a_photo_on_its_side_has_the_size_that_is_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(coco_folder.picture(1, (20, 30))).save(tmp_path / "a.jpg", exif=exif)
    files = ImageFiles(tmp_path, CATEGORIES)
    assert files.sizes.tolist() == [[30, 20]] and files[0].size == (30, 20)


@pytest.mark.parametrize("name, said", [("empty", "holds no image"), ("none", "is no folder")])
def test_a_folder_without_images_is_refused(name, said, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=said):
        ImageFiles(tmp_path / name, CATEGORIES)


def test_a_subfolder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    coco_folder.write_folder(tmp_path)
    (closed := tmp_path / "images" / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=f"{closed} cannot be listed .Permission denied."):
        ImageFiles(tmp_path / "images", CATEGORIES)


# Files of predictions


def scored(change=lambda value: None) -> dict:
    value = coco_folder.instances()
    for k, record in enumerate(value["annotations"]):
        record["score"] = 0.2 + 0.2 * k
    change(value)
    return value


def test_predictions_are_objects_where_the_rule_says_so(tmp_path):
    """The crowd region never is; an image without predictions has no objects."""
    path = coco_folder.write_folder(tmp_path, scored())
    data = read_predicted(path, CATEGORIES)
    assert data.ids == (12, 5, 4) and [len(data[k].labels) for k in range(3)] == [2, 0, 1]
    assert all(data[k].truth == "pseudo" and data[k].weights is None for k in range(3))
    for least, expected in ((0.2, [2, 0, 1]), (0.3, [1, 0, 1]), (0.4, [1, 0, 1]), (0.41, [1, 0, 0]), (1.0, [0, 0, 0])):
        ruled = replace(data, rule=PseudoRule((least,) * 3))
        assert [len(ruled[k].labels) for k in range(3)] == expected, least
    soft = replace(data, rule=PseudoRule((0.3, 0.3, 0.3), soft=True))[0]
    assert soft.weights.tolist() == pytest.approx([0.6]) and soft.labels.tolist() == [0]
    assert soft.boxes.tolist() == [[4, 4, 12, 12]]
    labels = Coco(path)
    assert all(torch.equal(data[k].boxes, labels[k].boxes) for k in range(3))


def test_a_class_that_the_data_lacks_is_left_out(tmp_path):
    data = read_predicted(coco_folder.write_folder(tmp_path, scored()), CATEGORIES[1:])
    assert data.dropped == {"none": 1} and data[0].labels.tolist() == [1]  # "cat", with another label than in the file
    other = (Category(1, "cat"), Category(2, "dog"))
    renamed = read_predicted(tmp_path / "instances.json", other)
    assert renamed[0].labels.tolist() == [0] and renamed[2].labels.tolist() == [1] and renamed.dropped == {"none": 1}


def test_results_of_another_tool_belong_to_the_images_of_a_file(tmp_path):
    path = coco_folder.write_folder(tmp_path)
    bare = json.loads(path.read_text())
    del bare["annotations"], bare["categories"]
    path.write_text(json.dumps(bare))
    assert [read_predicted(path, CATEGORIES)[k].truth for k in range(3)] == ["unknown"] * 3
    records = [
        {"image_id": 5, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 5, "category_id": 8, "bbox": [1, 2, 3, 4], "score": 0.9},
    ]
    results = tmp_path / "results.json"
    results.write_text(json.dumps(records))
    assert is_results(results) and not is_results(path)
    data = read_predicted(path, CATEGORIES, None, (results,))
    assert data[1].labels.tolist() == [2] and data[1].boxes.tolist() == [[1, 2, 4, 6]] and data.dropped == {"id 8": 1}
    assert data[0].truth == "pseudo" and not len(data[0].labels)
    results.write_text("[]")
    assert read_predicted(path, CATEGORIES, None, (results,))[1].truth == "pseudo"


def test_annotations_without_scores_are_withheld(tmp_path):
    sample = read_predicted(coco_folder.write_folder(tmp_path), CATEGORIES)[0]
    assert sample.truth == "withheld" and len(sample.labels) == 2


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda v: v["annotations"][1].pop("score"), "annotation of image 4 has no score"),
        (lambda v: v["annotations"][1].update(image_id=77), "image_id 77; no image has that id"),
        (lambda v: v["annotations"][1].update(bbox=[1, 2, -3, 4]), "it must be .x, y, width, height."),
        (lambda v: v["images"][0].update(file_name="x.png"), "image 12 is 'x.png', which"),
        (lambda v: v.update(info={"images": 5000}), "images of info is 5000; it must be the path of a folder"),
        (lambda v: v["categories"][0].update(id=[1]), r"categories\[0\] has id \[1\]; it must be a whole number"),
        (lambda v: v["annotations"][1].update(category_id=[1]), r"has category_id \[1\]; it must be a whole number"),
        (lambda v: v.pop("images"), "has no list of images"),
        (lambda v: v.update(annotations={}), "its annotations are no list"),
    ],
)
def test_a_wrong_file_is_one_sentence(change, said, tmp_path):
    path = coco_folder.write_folder(tmp_path, scored(change))
    with pytest.raises(UserError, match=said):
        read_predicted(path, CATEGORIES)


def test_results_without_scores_are_refused(tmp_path):
    path = coco_folder.write_folder(tmp_path)
    (tmp_path / "r.json").write_text('[{"image_id": 5}]')
    with pytest.raises(UserError, match=r"r.json: \[0\] has no score"):
        read_predicted(path, CATEGORIES, None, (tmp_path / "r.json",))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bbox": [1, 2, -3, 4]}, "has bbox .1, 2, -3, 4.; it must be"),
        ({"image_id": 77}, "has image_id 77; no image has that id"),
        ({"category_id": [90]}, "has category_id .90.; it must be a whole number"),
    ],
)
def test_a_wrong_result_is_named_by_its_file_and_place(change, said, tmp_path):
    path = coco_folder.write_folder(tmp_path)
    sound = {"image_id": 5, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "r.json").write_text(json.dumps([sound, sound | {"category_id": 8}, sound | change]))
    with pytest.raises(UserError, match=rf"r.json: \[2\] {said}"):
        read_predicted(path, CATEGORIES, None, (tmp_path / "r.json",))


# Mixtures


def mixed() -> Mixed:
    shapes = Shapes("train", 6, 32)
    return Mixed(
        [Part(shapes, (0, 2), "given"), Part(shapes, (1,), "withheld"), Part(shapes, (4, 5), "unknown")],
        shapes.categories,
        2,
    )


def test_a_mixture_has_the_images_of_its_parts():
    data, shapes = mixed(), Shapes("train", 6, 32)
    assert len(data) == 5 and data.ids == (1, 3, 2, 5, 6) and data.sizes.tolist() == [[32, 32]] * 5 and data.pending
    for k, index in enumerate((0, 2, 1, 4, 5)):
        assert torch.equal(data[k].pixels, shapes[index].pixels) and data[k].id == data.ids[k]
    assert [data[k].truth for k in range(5)] == ["given", "given", "withheld", "unknown", "unknown"]
    truth = data.truth()
    assert [i["id"] for i in truth["images"]] == list(data.ids) and {a["image_id"] for a in truth["annotations"]} == {
        1,
        3,
    }
    assert not Mixed(data.parts[:1], data.categories, 2).pending


def test_images_of_one_id_are_told_apart():
    """An image with labels keeps its id."""
    shapes = Shapes("train", 6, 32)
    data = Mixed([Part(shapes, (0, 1), "given"), Part(shapes, (1, 3), "unknown")], shapes.categories, 2)
    assert data.ids == (1, 2, 3, 4) and data[2].id == 3 and torch.equal(data[2].pixels, shapes[1].pixels)


def test_a_batch_holds_only_given_objects():
    data = mixed()
    samples = [data[k] for k in range(5)]
    images, targets = collate(samples)
    assert targets.counts == (len(samples[0].labels), len(samples[1].labels), 0, 0, 0) and targets.pending
    assert targets.unlabelled == (False, False, True, True, True) and targets.weights is None
    assert targets.withheld.known == (
        False,
        False,
        True,
        False,
        False,
    ) and targets.withheld.image.unique().tolist() == [2]
    assert torch.equal(targets.withheld.labels, samples[2].labels)
    assert torch.allclose(targets.withheld.boxes, centers(samples[2].boxes / 32))
    again = unpack(pack(images, targets))[1]
    assert (again.counts, again.unlabelled, again.pending) == (targets.counts, targets.unlabelled, True)
    assert torch.equal(again.withheld.boxes, targets.withheld.boxes) and again.withheld.known == targets.withheld.known
    assert torch.equal(again.boxes, targets.boxes)


def test_weights_stay_with_their_objects():
    sample = Shapes("train", 1, 64)[0]
    count = len(sample.labels)
    soft = replace(sample, truth="pseudo", weights=torch.arange(1, count + 1) / count)
    _, targets = collate([sample, soft])
    assert targets.weights.tolist() == pytest.approx([1.0] * count + soft.weights.tolist()) and not targets.pending
    assert unpack(pack(*collate([soft])))[1].weights.tolist() == soft.weights.tolist()
    part = crop(soft, 0, 0, 24, 64)
    assert 0 < len(part.labels) < count and len(part.weights) == len(part.labels)
    assert collate([sample])[1].unlabelled == () and collate([sample])[1].weights is None


@pytest.mark.parametrize("seed", range(20))
def test_the_view_carries_boxes_as_augmentation_does(seed):
    """For objects that no crop cuts: source box x scale + offset is the box of the augmented sample."""
    rng = np.random.default_rng(seed)
    sample = Shapes("train", 1, 96, seed=seed)[0]
    viewed = train_transform(sample, rng, Augment(flip=0.5, sizes=(64, 80, 128)))
    if seed % 2:
        viewed = crop(viewed, 1, 2, viewed.size[0] - 3, viewed.size[1] - 5)
        viewed = flip(viewed) if seed % 3 else viewed
    scale = torch.tensor(viewed.view[:2] * 2)
    offset = torch.tensor(viewed.view[2:] * 2)
    height, width = viewed.size
    a, b = (sample.boxes / 96 * scale + offset).split(2, -1)
    expected = torch.cat([torch.minimum(a, b), torch.maximum(a, b)], -1)
    inside = ((expected >= 0) & (expected <= 1)).all(-1)
    own = viewed.boxes / torch.tensor([width, height] * 2)
    for box in expected[inside]:
        assert (own - box).abs().amax(-1).min() < 1e-5
    assert inside.any()


# Orders


@pytest.mark.parametrize("share, each", [(0.25, 2), (0.5, 4), (0.01, 1), (0.99, 7)])
def test_a_step_has_its_share_of_images_with_labels(share, each):
    order = mixed_batches(50, 10, 8, share, np.random.default_rng(0))
    plain = [[i % 50 for i in step] for step in order]
    assert all(sum(i < 10 for i in step) == each for step in plain)
    assert sorted(i for step in plain for i in step if i >= 10) == list(range(10, 50))
    counts = Counter(i for step in plain for i in step if i < 10)
    assert max(counts.values()) - min(counts[i] for i in range(10)) <= 1
    every = [i for step in order for i in step]
    assert len(set(every)) == len(every), "a repeat has an index of its own, and so its own augmentation"
    assert all(len(step) == 8 for step in order[:-1])
    assert order != mixed_batches(50, 10, 8, share, np.random.default_rng(1))


def test_a_last_step_that_is_too_small_joins_the_one_before():
    order = mixed_batches(23, 10, 8, 0.25, np.random.default_rng(0), smallest=4)
    assert [len(step) for step in order] == [8, 11]
    assert sorted(i % 23 for step in order for i in step if i % 23 >= 10) == list(range(10, 23))
