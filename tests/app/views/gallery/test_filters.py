"""Filters of the gallery and their histograms, against a search object by object on random facts."""

from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.replay.facts import Facts
from app.views.gallery.filters import ALL, Filters, parse_filters, parse_range, passing_images, table
from app.views.gallery.histograms import BARS, OF_SCORES, histograms
from app.worker.columns import columns
from app.worker.survey import Survey
from core.errors import UserError

IMAGES, CLASSES = 40, ("disc", "ring", "star")
CHOICES: dict[str, tuple] = {
    "label": (None, 0, 2),
    "change": ("", "kept", "gained", "lost", "missed"),
    "objects": (ALL, (2.0, 3.0), (0.0, 0.0)),
    "size": (ALL, (0.0, 32.0), (32.0, 96.0)),
    "score": (ALL, (0.0, 0.0), (0.25, 0.8)),
}


def random_truth(rng: np.random.Generator) -> dict:
    """Images of up to 5 objects, some of them of COCO's limits, and a crowd region that is no object."""
    annotations: list[dict] = []
    for image, count in enumerate(rng.integers(0, 6, IMAGES).tolist()):
        for k in range(count + 1):
            side = rng.choice([32.0, 96.0, rng.uniform(4, 200)])
            about = {"id": len(annotations), "image_id": 10 + image, "category_id": 5 + int(rng.integers(3))}
            annotations.append(about | {"bbox": [1, 1, side, side], "area": side * side, "iscrowd": int(k == count)})
    images = [{"id": 10 + k, "height": 300, "width": 300} for k in range(IMAGES)]
    categories = [{"id": 5 + k, "name": name} for k, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def objects_by_hand(truth: dict, image: int) -> list[tuple[int, float]]:
    """Label and side of each object of an image."""
    rows = [a for a in truth["annotations"] if a["image_id"] == 10 + image and not a["iscrowd"]]
    return [(a["category_id"] - 5, a["area"] ** 0.5) for a in rows]


def random_survey(truth: dict, rng: np.random.Generator, known: int) -> Survey:
    """A survey that has reached some of the images, in an order of its own."""
    run = SimpleNamespace(data=SimpleNamespace(ids=[x["id"] for x in truth["images"]]))
    samples: Any = SimpleNamespace(columns=columns(truth), run=run)
    survey = Survey(samples)
    for image in rng.permutation(IMAGES)[:known].tolist():
        survey.known[image] = facts(len(objects_by_hand(truth, image)), rng)
    return survey


def facts(objects: int, rng: np.random.Generator) -> Facts:
    """Random scores of the detections that found the objects, some of which none did."""
    scores = rng.uniform(0, 1, objects) * (rng.uniform(size=objects) > 0.3)
    return Facts(0.0, 0.0, 0, (), (), tuple(scores.tolist()), 0)


def kind_of(after: float, before: float) -> str:
    names = {(True, True): "kept", (True, False): "gained", (False, True): "lost", (False, False): "missed"}
    return names[after >= 0.3, before >= 0.3]


def passes(truth: dict, surveys: list[Survey], image: int, asked: Filters) -> list[int] | None:
    """The objects of an image that pass, or None if the image does not."""
    objects = objects_by_hand(truth, image)
    low, high = asked.ranges.get("objects", ALL)
    if not low <= len(objects) <= high:
        return None
    passing = [k for k, (label, side) in enumerate(objects) if good(surveys, image, k, label, side, asked)]
    of_objects = asked.label is not None or asked.change or {"size", "score"} & set(asked.ranges)
    return passing if passing or not of_objects else None


def good(surveys: list[Survey], image: int, k: int, label: int, side: float, asked: Filters) -> bool:
    known = [survey.known.get(image) for survey in surveys]
    low, high = asked.ranges.get("size", ALL)
    if (asked.label is not None and label != asked.label) or not low <= side <= high:
        return False
    if "score" in asked.ranges:
        low, high = asked.ranges["score"]
        if known[0] is None or not low <= known[0].object_scores[k] <= high:
            return False
    if asked.change:
        if any(f is None for f in known):
            return False
        return kind_of(known[0].object_scores[k], known[-1].object_scores[k]) == asked.change
    return True


def every_choice() -> list[Filters]:
    choices = []
    for label, change, *limits in product(*CHOICES.values()):
        ranges = {name: r for name, r in zip(("objects", "size", "score"), limits) if r != ALL}
        choices.append(Filters(label, change, ranges))
    return choices


@pytest.mark.parametrize("seed, known", [(0, (IMAGES, IMAGES)), (1, (25, 31)), (2, (0, 9)), (3, (22,))])
def test_images_pass_as_in_a_search_object_by_object(seed, known):
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    surveys = [random_survey(truth, rng, n) for n in known]
    sizes = set()
    for asked in every_choice():
        wanted = [passes(truth, surveys, image, asked) is not None for image in range(IMAGES)]
        assert passing_images(table(surveys), asked).tolist() == wanted, asked
        sizes.add(sum(wanted))
    assert {0, IMAGES} <= sizes and len(sizes) > 5  # the choices are neither all empty nor all alike


@pytest.mark.parametrize("seed", [4, 5])
def test_histograms_count_what_the_other_filters_leave(seed):
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    surveys = [random_survey(truth, rng, n) for n in (30, 36)]
    for asked in every_choice():
        answer = histograms(surveys, asked)
        assert answer["matching"] == int(passing_images(table(surveys), asked).sum())
        for made in answer["histograms"]:
            values = left_by_hand(truth, surveys, asked.without(made["id"]), made["id"])
            assert sum(made["bars"]) == len(values) and len(made["bars"]) <= BARS
            edges = np.arange(len(made["bars"]) + 1) * made["width"]
            edges[-1] += 1e-9  # the largest value is in the last bar
            assert made["bars"] == np.histogram(np.array(values), edges)[0].tolist(), (asked, made)


def left_by_hand(truth: dict, surveys: list[Survey], others: Filters, name: str) -> list[float]:
    """The values that a histogram counts."""
    values: list[float] = []
    for image in range(IMAGES):
        passing = passes(truth, surveys, image, others)
        objects, known = objects_by_hand(truth, image), surveys[0].known.get(image)
        if passing is None:
            continue
        if name == "objects":
            values.append(len(objects))
        elif name == "size":
            values += [objects[k][1] for k in passing]
        elif known is not None:
            values += [known.object_scores[k] for k in passing]
    return values


def test_it_says_of_how_many_images_it_knows():
    rng = np.random.default_rng(6)
    truth = random_truth(rng)
    first, second = random_survey(truth, rng, 12), random_survey(truth, rng, 7)
    answer = histograms([first, second], Filters(change="missed"))
    assert (answer["known"], answer["images"], answer["analysed"]) == (7, IMAGES, True)
    assert [c["id"] for c in answer["changes"]] == ["kept", "gained", "lost", "missed"]
    alone = histograms([first], Filters(label=1, ranges={"size": (0.0, 50.0), "objects": (1.0, 3.0)}))
    assert not alone["analysed"] and [c["id"] for c in alone["changes"]] == ["kept", "missed"]


def test_scores_follow_a_survey_that_goes_on():
    """Each image is read once; a survey whose facts are replaced is read anew."""
    rng = np.random.default_rng(7)
    truth = random_truth(rng)
    survey = random_survey(truth, rng, 0)
    some, all_of_them = Filters(ranges={"score": (0.5, 1.0)}), Filters(ranges={"score": (0.0, 1.0)})
    for image in range(IMAGES):
        survey.known[image] = facts(len(objects_by_hand(truth, image)), rng)
        known = [passes(truth, [survey], k, some) is not None for k in range(IMAGES)]
        assert passing_images(table([survey]), some).tolist() == known
    before = survey.object_scores()
    assert survey.object_scores() is before  # nothing came
    survey.known = {}
    assert not passing_images(table([survey]), all_of_them).any()


def test_data_without_objects_has_nothing_to_filter_by():
    truth = random_truth(np.random.default_rng(8)) | {"annotations": []}
    answer = histograms([random_survey(truth, np.random.default_rng(9), IMAGES)], Filters())
    assert answer["matching"] == IMAGES and [h["most"] for h in answer["histograms"]] == [0, 0, 1]
    assert [sum(h["bars"]) for h in answer["histograms"]] == [IMAGES, 0, 0] and len(
        answer["histograms"][2]["bars"]
    ) == OF_SCORES


def test_ranges_are_read_or_refused():
    assert parse_range("2-5", "objects") == (2, 5) and parse_range("-0.35", "score") == (0, 0.35)
    assert parse_range("96-", "size") == (96, float("inf"))
    for text in ("5", "a-b", "-1--2", "1e5-", "١-٢", "1-2-3", "<b>", "1.-2", f"{10**12}-"):
        with pytest.raises(UserError, match="no range of size"):
            parse_range(text, "size")


def test_filters_are_read_or_refused():
    asked = parse_filters(CLASSES, "star", "lost", {"objects": "", "size": "-32", "score": ""}, True)
    assert asked == Filters(2, "lost", {"size": (0, 32)})
    for category, change, compared, says in (
        ("<img>", "", True, "no class"),
        ("", "won", True, "there are kept, gained, lost, missed"),
        ("", "gained", False, "beside another run"),
    ):
        with pytest.raises(UserError, match=says):
            parse_filters(CLASSES, category, change, {}, compared)
