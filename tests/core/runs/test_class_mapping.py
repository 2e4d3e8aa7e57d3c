import json

import pytest
import torch

from core import losses
from core.errors import UserError
from core.runs.checkpoint import open_distiller
from core.runs.class_mapping import ClassMapped, class_map, read_class_map
from tests.helpers import runs, tiny
from tests.helpers.coco_folder import write_folder
from train.engine import loop
from train.run import Data

OURS, THEIRS = ("cat", "dog", "bus"), ("bus", "cat", "wolf", "dog")


def test_equal_lists_need_no_translation_and_names_decide_otherwise():
    assert class_map(OURS, OURS, {}, "map") is None
    assert class_map(OURS, THEIRS, {}, "map") == ((1,), (3,), (0,))
    assert class_map(OURS, THEIRS, {"dog": ["wolf", "dog"], "bus": []}, "map") == ((1,), (2, 3), ())


@pytest.mark.parametrize(
    "ours, said, words",
    [
        (("cat", "cow"), {}, "does not know the class 'cow'; it knows bus, cat, wolf, dog.*--class-map"),
        (OURS, {"cow": ["cat"]}, "m.json: 'cow' is no class of the data; its classes are cat, dog, bus"),
        (OURS, {"dog": ["fox"]}, "m.json: 'fox' is no class of the teacher"),
        (("cow", "pig"), {"cow": [], "pig": []}, "the teacher knows none of the data's classes"),
    ],
)
def test_what_is_in_no_list_is_refused(ours, said, words):
    with pytest.raises(UserError, match=words):
        class_map(ours, THEIRS, said, "m.json")


@pytest.mark.parametrize("data", [[], "cat", {"cat": 3}, {"cat": [1]}, {"cat": None}, {"cat": {"dog": 1}}])
def test_a_map_is_an_object_of_names(data):
    with pytest.raises(UserError, match="m.json"):
        read_class_map(data, "m.json")
    assert read_class_map({"cat": "dog", "pig": ["a", "b"]}, "m.json") == {"cat": ["dog"], "pig": ["a", "b"]}


def test_logits_are_the_highest_of_their_columns_and_silent_where_there_is_none(batch):
    detector = tiny.detector("adamixer")
    teacher = ClassMapped(detector, ((2,), (0, 3), ()))
    before, after = detector(batch[0]), teacher(batch[0])
    want = torch.stack([before.logits[..., 2], before.logits[..., [0, 3]].amax(-1)], -1)
    assert torch.equal(after.logits[..., :2], want) and (after.logits[..., 2].sigmoid() == 0).all()
    assert torch.equal(after.boxes, before.boxes) and torch.equal(after.hidden, before.hidden)
    assert teacher.known == (True, True, False) and teacher.config.classes == 3
    assert (teacher.kind, teacher.width, teacher.strides) == (detector.kind, detector.width, detector.strides)


def test_a_reordered_teacher_is_the_same_teacher(batch):
    """Every loss finds what it would have found with the lists in one order."""
    student, teacher = tiny.pair("adamixer")
    order = [2, 0, 3, 1]
    with torch.no_grad():
        other = tiny.detector("adamixer", seed=2, queries=12)
        other.load_state_dict(teacher.state_dict())
        for stage in other.stages:
            stage.to_class[-1].weight.copy_(stage.to_class[-1].weight[order])
            stage.to_class[-1].bias.copy_(stage.to_class[-1].bias[order])
    back = ClassMapped(other, tuple((order.index(c),) for c in range(4)))
    for name in losses.names():
        torch.manual_seed(0)
        one = tiny.distiller(student, teacher, [name])(*batch)
        torch.manual_seed(0)
        two = tiny.distiller(student, back, [name])(*batch)
        torch.testing.assert_close(one.total, two.total)


def test_a_run_remembers_which_class_is_which(tmp_path, monkeypatch):
    """A teacher of shapes for a student of photos, through a map file; the run opens as it trained."""
    monkeypatch.chdir(tmp_path)
    teacher = loop.fit(runs.small(name="teacher"), tmp_path / "teacher")
    path, said = write_folder(tmp_path / "photos"), tmp_path / "map.json"
    said.write_text(json.dumps({"cat": "disc", "dog": ["ring", "star"], "none": []}))
    data = Data(kind="coco", train=path, val=path)
    run = loop.fit(runs.small(teacher=teacher, data=data, class_map=said), tmp_path / "run")
    card = json.loads((run / "card.json").read_text())
    assert card["teacher"]["columns"] == [[], [1, 5], [0]], "the categories by id are none, dog, cat"
    opened = open_distiller(run)[0].teacher
    assert isinstance(opened, ClassMapped) and opened.known == (False, True, True)
    assert loop.resume(run) == run
    said.write_text("{}")
    with pytest.raises(UserError, match="map.json is gone or has changed"):
        loop.resume(run)
