"""Annotations looked at as columns are called sound only if each of them is; likewise lists of numbers."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.coco import rules
from core.data.coco.rules import LARGEST_INTEGER, are_integers, are_numbers, are_sound, is_integer, is_number
from tests.helpers.coco_folder import instances

KNOWN = {"image_id": {4, 5, 12}, "category_id": {0, 7, 90}}
ODD = st.one_of(
    st.sampled_from(
        [None, True, False, "4", "", [], {}, 4.0, -1, 2, 10**400, float("nan"), float("inf"), -float("inf")]
    ),
    st.sampled_from([LARGEST_INTEGER, LARGEST_INTEGER + 1, -LARGEST_INTEGER, -LARGEST_INTEGER - 1, 0, 1, 1e-9, -1e-9]),
    st.integers(),
    st.floats(),
    st.lists(st.one_of(st.floats(), st.integers(), st.none(), st.booleans()), min_size=3, max_size=5),
)


def sound_one_by_one(annotations: list) -> bool:
    """Returns whether each record, looked at by itself, breaks no rule."""
    return not [*rules.faults_in("annotations", annotations, lambda x: rules.annotation_violations(x, KNOWN))]


def test_sound_annotations_are_called_sound():
    annotations = instances()["annotations"]
    assert len(annotations) == 4 and are_sound(annotations, KNOWN) and are_sound([], KNOWN)
    del annotations[0]["area"], annotations[1]["iscrowd"]
    assert are_sound(annotations, KNOWN) and sound_one_by_one(annotations)


@given(st.integers(0, 3), st.sampled_from(["id", "image_id", "category_id", "bbox", "area", "iscrowd"]), ODD)
def test_what_columns_call_sound_is_sound(index, key, value):
    annotations = deepcopy(instances()["annotations"])
    annotations[index][key] = value
    if are_sound(annotations, KNOWN):
        assert sound_one_by_one(annotations)


@given(st.integers(0, 3), st.integers(0, 3), ODD)
def test_each_number_of_a_box_counts(index, place, value):
    annotations = deepcopy(instances()["annotations"])
    annotations[index]["bbox"][place] = value
    if type(value) in (int, float):
        assert are_sound(annotations, KNOWN) == sound_one_by_one(annotations)
    else:
        assert not are_sound(annotations, KNOWN)


@pytest.mark.parametrize(
    "spoil", [lambda x: x.append(deepcopy(x[0])), lambda x: x.append(7), lambda x: x[2].pop("bbox")]
)
def test_repeated_ids_and_no_records_are_seen(spoil):
    annotations = instances()["annotations"]
    spoil(annotations)
    assert not are_sound(annotations, KNOWN)


@given(st.lists(ODD, max_size=5))
def test_lists_are_what_all_their_values_are(values):
    assert are_integers(values) == all(map(is_integer, values))
    assert are_numbers(values) == all(map(is_number, values))
