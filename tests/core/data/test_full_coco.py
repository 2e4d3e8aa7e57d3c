"""Instances files of COCO's size: read whole and right, in a small memory."""

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
    same(read_instances(path), json.loads(path.read_text()))


def same(found: Instances, file: dict) -> None:
    """As Python's own reader has it, outlines and all."""
    by_id = {a["id"]: a for a in file["annotations"]}
    own = [by_id[id] for id in found.ids.tolist()]
    assert len(own) == len(file["annotations"]) and any(type(a["segmentation"]) is dict for a in own)
    assert np.array_equal(found.boxes, [a["bbox"] for a in own])
    assert np.array_equal(found.areas, [a["area"] for a in own])
    assert np.array_equal(found.crowd, [a["iscrowd"] for a in own])
    assert [found.image_ids[k] for k in found.image.tolist()] == [a["image_id"] for a in own]
    assert [found.categories[k].id for k in found.label.tolist()] == [a["category_id"] for a in own]
    assert found.names == tuple(i["file_name"] for i in file["images"])


OUTLINES = [
    "[[1, 2.5, -3e-2]]",
    "[]",
    "[[ ], [1]]",
    '{"counts": [1, 2], "size": [3, 4]}',
    '{"counts": "a]b", "size": []}',
]


@pytest.mark.parametrize("outline", OUTLINES)
@pytest.mark.parametrize("last", [False, True])
def test_outlines_are_skipped_wherever_they_stand(tmp_path, outline, last):
    """And names that look like one are left alone."""
    fields = ['"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]', f'"segmentation" :\n{outline}']
    annotation = ", ".join(fields if last else fields[::-1])
    name = json.dumps('x"segmentation": [1]')
    path = tmp_path / "a.json"
    path.write_text(
        f'{{"images": [{{"id": 1, "file_name": {name}, "height": 9, "width": 9}}], "annotations": [{{{annotation}}}],'
        f' "categories": [{{"id": 1, "name": {name}}}]}}'
    )
    found = read_instances(path)
    assert found.boxes.tolist() == [[1, 2, 3, 4]] and found.areas.tolist() == [12]
    assert found.names == ('x"segmentation": [1]',) and found.categories[0].name == 'x"segmentation": [1]'
