"""Recognises annotation formats of other programs that are not read, and says how to turn each into one that is."""

from typing import Any

EXPORT = "export the annotations as COCO, or as YOLO or VOC, and give that folder by --data"

LVIS = (
    "it is a file of LVIS, where each image is labelled with some classes only, which training and AP here do not know; to use it"
    " as if all were labelled, remove not_exhaustive_category_ids and give each image the file_name that ends its coco_url"
)


def is_lvis(images: list) -> bool:
    """Returns whether images say which classes are labelled only in part, as those of LVIS do."""
    return bool(images) and type(images[0]) is dict and "not_exhaustive_category_ids" in images[0]


def advice(data: Any) -> str:
    """The name of the format of a JSON value, with what to do; "" if it is unknown."""
    if type(data) is dict and type(data.get("shapes")) is list and "imagePath" in data:
        return f"it is a file of labelme, for one image; {EXPORT}, with labelme's own examples/bbox_detection/labelme2voc.py"
    if type(data) is dict and (
        "_via_settings" in data or any(type(v) is dict and "regions" in v for v in data.values())
    ):
        return "it is a project of the VGG Image Annotator (VIA); open it there, and choose Export Annotations (COCO format)"
    first = data[0] if type(data) is list and data else None
    if type(first) is dict and "annotations" in first and ("image" in first or "imagefilename" in first):
        return f"it is a file of CreateML; {EXPORT}"
    if type(first) is dict and "annotations" in first and "data" in first:
        return "it is Label Studio's JSON; choose COCO in its export"
    if type(first) is dict and {"image_id", "category_id", "bbox"} <= first.keys():
        return "it is a list of results, without images and classes; give the instances file that they belong to"
    return ""
