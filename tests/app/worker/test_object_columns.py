"""The columns of objects hold those of every sample, in its order."""

import json

import numpy as np

from app.worker.columns import Columns, columns
from core.data.coco.dataset import Coco
from core.data.shapes.dataset import Shapes


def test_they_are_the_objects_of_the_samples(tmp_path):
    """Boxes that lie partly or wholly outside, crowd regions, images without objects, and annotations in any order."""
    rng = np.random.default_rng(0)
    images = [{"id": 3 * k - 20, "file_name": f"{k}.png", "height": 50 + k, "width": 90} for k in range(12)]
    annotations = []
    for k in range(60):
        x, y, w, h = (float(v) for v in rng.uniform((-40, -30, 1, 1), (120, 70, 40, 40)))
        box = {"bbox": [x, y, w, h], "area": float(rng.uniform(1, w * h)), "iscrowd": int(rng.uniform() < 0.2)}
        image = int(rng.choice([x["id"] for x in images[1:]]))
        annotations.append({"id": k, "image_id": image, "category_id": int(rng.choice([4, 9]))} | box)
    truth = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 9, "name": "b"}, {"id": 4, "name": "a"}],
    }
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(truth))
    for image in images:
        (tmp_path / image["file_name"]).touch()
    data = Coco(file, tmp_path)
    objects = columns(data.truth())
    assert objects.counts.sum() < 60 and objects.counts.min() == 0
    for index in range(len(data)):
        labels = data.objects(index)[1]
        assert objects.label[objects.image == index].tolist() == labels.tolist()
        assert objects.counts[index] == len(labels)


def test_sides_are_those_of_coco(tmp_path):
    data = Shapes("val", 5, 96)
    objects = columns(data.truth())
    first = objects.first.tolist()
    for index in range(5):
        x0, y0, x1, y1 = data[index].boxes.double().numpy().T
        sides = objects.side[first[index] : first[index] + objects.counts[index]]
        np.testing.assert_allclose(sides, np.sqrt((x1 - x0) * (y1 - y0)))


def test_the_image_worth_opening_has_a_few_objects_of_most_classes_which_cover_each_other_least():
    """Neither one object, nor a crowd, nor what comes after the first 200 images, however much they show."""
    draw = np.random.default_rng(1)
    for images in (1, 5, 60, 500):
        labels = [draw.integers(0, 20, draw.choice([0, 1, 2, 3, 4, 5, 6, 40])).tolist() for _ in range(images)]
        low = [draw.uniform(0, 0.7, (len(own), 2)) for own in labels]
        boxes = [np.concatenate([x, x + draw.uniform(0.05, 0.3, x.shape)], 1) for x in low]
        few = [k for k, own in enumerate(labels[:200]) if 3 <= len(own) <= 5] or range(len(labels[:200]))
        most = max(len(set(labels[k])) for k in few)
        free = {k: least_free(boxes[k]) for k in few if len(set(labels[k])) == most}
        assert of(labels, boxes).telling() == max(free, key=free.get)


def least_free(boxes: np.ndarray) -> float:
    """The least area of a box without its intersections with the others, one pair after the other."""
    areas = []
    for k, (x0, y0, x1, y1) in enumerate(boxes):
        area = (x1 - x0) * (y1 - y0)
        for a0, b0, a1, b1 in np.delete(boxes, k, 0):
            area -= max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
        areas.append(area)
    return min(areas, default=0)


def of(labels: list[list[int]], boxes: list[np.ndarray]) -> Columns:
    """The columns of images whose objects have these labels and boxes."""
    counts = np.array([len(own) for own in labels])
    label = np.array([x for own in labels for x in own], dtype=int)
    return Columns(np.repeat(np.arange(len(labels)), counts), label, np.ones(len(label)), counts, np.concatenate(boxes))
