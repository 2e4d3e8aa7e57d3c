"""Instances files of COCO's size are read correctly, and with little memory."""

import json

import numpy as np
import pytest

from analysis.bench import coco
from core.data.coco.instances import Instances, read_instances


@pytest.mark.parametrize(
    "images, boxes, gigabytes",
    [(300, 4000, 0.2), pytest.param(coco.IMAGES, coco.BOXES, 3.0, marks=pytest.mark.slow)],
)
def test_every_record_is_read(tmp_path, images, boxes, gigabytes):
    row = coco.reading(images, boxes)
    assert row["case"] == f"read {images} images, {boxes} boxes" and row["peak_GB"] < gigabytes
    path = tmp_path / "instances.json"
    coco.write_coco(path, images, boxes)
    check_equal(read_instances(path), json.loads(path.read_text()))


def check_equal(instances: Instances, file: dict) -> None:
    """Asserts that the arrays hold the records that Python's json reads from the file."""
    by_id = {a["id"]: a for a in file["annotations"]}
    records = [by_id[id] for id in instances.ids.tolist()]
    assert len(records) == len(file["annotations"]) and any(type(a["segmentation"]) is dict for a in records)
    assert np.array_equal(instances.boxes, [a["bbox"] for a in records])
    assert np.array_equal(instances.areas, [a["area"] for a in records])
    assert np.array_equal(instances.crowd, [a["iscrowd"] for a in records])
    assert [instances.image_ids[k] for k in instances.image.tolist()] == [a["image_id"] for a in records]
    assert [instances.categories[k].id for k in instances.label.tolist()] == [a["category_id"] for a in records]
    assert instances.names == tuple(i["file_name"] for i in file["images"])


SEGMENTATIONS = [
    "[[1, 2.5, -3e-2]]",
    "[]",
    "[[ ], [1]]",
    '{"counts": [1, 2], "size": [3, 4]}',
    '{"counts": "a]b", "size": []}',
]


@pytest.mark.parametrize("segmentation", SEGMENTATIONS)
@pytest.mark.parametrize("last", [False, True])
def test_segmentations_are_skipped_wherever_they_are(tmp_path, segmentation, last):
    """Names that look like a segmentation stay as they are."""
    fields = ['"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]', f'"segmentation" :\n{segmentation}']
    annotation = ", ".join(fields if last else fields[::-1])
    name = json.dumps('x"segmentation": [1]')
    path = tmp_path / "a.json"
    path.write_text(
        f'{{"images": [{{"id": 1, "file_name": {name}, "height": 9, "width": 9}}], "annotations": [{{{annotation}}}],'
        f' "categories": [{{"id": 1, "name": {name}}}]}}'
    )
    instances = read_instances(path)
    assert instances.boxes.tolist() == [[1, 2, 3, 4]] and instances.areas.tolist() == [12]
    assert instances.names == ('x"segmentation": [1]',) and instances.categories[0].name == 'x"segmentation": [1]'
