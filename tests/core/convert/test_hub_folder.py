"""Folders that transformers saved of its own families."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.convert.class_heads import class_heads, one_class, with_classes
from core.convert.hub_folder import convert_folder, matching
from core.convert.open_weights import open_weights
from core.convert.read import processor_augment
from core.data.transforms import Augment
from core.errors import UserError
from core.hub.settings import transformers_settings
from tests.helpers import hub, tiny

families = pytest.mark.parametrize("family", hub.NAMES)


@families
def test_parity_of_an_imported_folder(family, tmp_path):
    """Strides, sizes and colours come from the folder, and the outputs are those of the model that was saved."""
    network = hub.save_folder(tmp_path / "x", family)
    converted = convert_folder(tmp_path / "x")
    detector, augment, expected = converted.detector, converted.augment, hub.config(family)
    assert detector.strides == expected.strides and detector.config.queries == 10 and detector.config.classes == 80
    assert detector.kind == family and augment.square == detector.family.padded_boxes and augment.sizes == (128,)
    assert [c.name for c in converted.categories] == [f"thing {k}" for k in range(80)]
    images, _ = tiny.batch(((128, 128), (128, 128)))
    with torch.no_grad():
        pixels, padding = detector.padded(images)
        mean, std = (torch.tensor(x).view(3, 1, 1) for x in (detector.config.mean, detector.config.std))
        torch.testing.assert_close(pixels, (images.pixels / 255 - mean) / std, rtol=1e-4, atol=1e-4)
        own, theirs = detector(images), network(pixels, pixel_mask=(~padding).long())
    torch.testing.assert_close(own.boxes[-1], theirs.pred_boxes, rtol=1e-4, atol=1e-5)
    scores = theirs.logits.softmax(-1)[..., :-1] if detector.family.softmax else theirs.logits.sigmoid()
    torch.testing.assert_close(own.logits[-1].sigmoid(), scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["detr", "deformable_detr", "rt_detr_v2", "d_fine", "rf_detr"])
def test_rows_of_classes_are_chosen_by_a_file_of_names(family, tmp_path):
    hub.save_folder(tmp_path / "x", family, classes=6)
    names = {"categories": [{"id": 9, "name": "thing 4"}, {"id": 11, "name": "thing 1"}]}
    (tmp_path / "names.json").write_text(json.dumps(names))
    whole = convert_folder(tmp_path / "x").detector
    converted = convert_folder(tmp_path / "x", tmp_path / "names.json")
    assert [(c.id, c.name) for c in converted.categories] == [(9, "thing 4"), (11, "thing 1")]
    images, _ = tiny.batch(((128, 128),), (1,))
    with torch.no_grad():
        memory = whole.encode(images)
        queries = whole.propose(memory)
        few = converted.detector
        a, b = whole.decode(memory, queries), few.decode(few.encode(images), queries)
    torch.testing.assert_close(b.boxes, a.boxes)
    if not whole.family.softmax:
        torch.testing.assert_close(b.logits, a.logits[..., [4, 1]])


@pytest.mark.parametrize("kind", ["adamixer", "conditional", "deformable", *hub.NAMES])
def test_other_classes_keep_all_but_new_rows(kind):
    """Rows by position, new rows as a new detector has them, further rows and all other weights unchanged."""
    detector = tiny.detector(kind)
    heads = class_heads(detector)
    torch.manual_seed(5)
    new = with_classes(detector, (2, None, 0))
    old, state = detector.state_dict(), new.state_dict()
    assert heads and new.config.classes == 3 and old.keys() == state.keys()
    for name, x in old.items():
        if name in heads and not one_class(detector, name):
            assert len(state[name]) == len(x) - 1
            assert torch.equal(state[name][0], x[2]) and torch.equal(state[name][2], x[0])
            assert torch.equal(state[name][3:], x[4:]) and not torch.equal(state[name][1], x[1])
        elif name not in heads:
            assert torch.equal(state[name], x), name


def test_the_row_of_any_object_stays_in_a_two_stage_encoder():
    detector = tiny.detector("deformable_detr")
    old, state = detector.state_dict(), with_classes(detector, (3, 1)).state_dict()
    rows = {name: 0 if one_class(detector, name) else 3 for name in class_heads(detector)}
    assert sorted(rows.values()) == [0, 0, 3, 3, 3, 3], "a weight and a bias each of the encoder and two layers"
    assert all(torch.equal(state[name][0], old[name][row]) for name, row in rows.items())


def test_a_cost_of_zero_stays_and_its_loss_is_not_left_out():
    made = matching(hub_settings("deformable_detr", class_cost=0, bbox_cost=0))
    assert made.weights == {"class": 0.0, "l1": 0.0, "giou": 2.0}
    assert made.loss_weights == {"class": 2.0, "l1": 5.0, "giou": 2.0}
    assert matching(hub_settings("rt_detr", matcher_giou_cost=0.0)).weights["giou"] == 0.0


def hub_settings(family: str, **options):
    """transformers' configuration of a tiny detector."""
    return transformers_settings(hub.entries(family) | options, "config.json")


def test_a_folder_that_is_not_resized_is_not_resized_to_squares(tmp_path):
    processor = {"do_resize": False, "size": {"height": 64, "width": 96}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    assert processor_augment(tmp_path) == Augment(longest=1333)


def test_the_number_of_heads_of_a_folder_is_not_asked_for(saved):
    with pytest.raises(UserError, match=f"{saved} says in its config.json how many heads it has; leave --heads out"):
        open_weights(saved, heads=8)


def broken(path, what: str) -> None:
    """Damages a folder."""
    config = json.loads((path / "config.json").read_text())
    tensors = load_file(path / "model.safetensors")
    if what == "pickle":
        (path / "model.safetensors").rename(path / "pytorch_model.bin")
    elif what == "nothing":
        (path / "model.safetensors").unlink()
    elif what == "code":
        (path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
        (path / "evil.py").write_text("raise SystemExit('ran')")
    elif what == "missing":
        tensors.pop(sorted(tensors)[0])
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    elif what == "nan":
        name = sorted(tensors)[0]
        save_file(
            tensors | {name: torch.full_like(tensors[name], torch.nan)}, path / "model.safetensors", {"format": "pt"}
        )
    elif what == "huge":
        (path / "preprocessor_config.json").write_text('{"size": {"height": 99999, "width": 99999}}')
    elif what == "list":
        (path / "config.json").write_text("[]")
    elif what == "no config":
        (path / "config.json").unlink()
    elif what == "shape":
        (path / "config.json").write_text(json.dumps(config | {"decoder_ffn_dim": 72}))
    elif what == "std":
        (path / "preprocessor_config.json").write_text('{"do_normalize": true, "image_std": [0.1, 0.0, 0.1]}')
    elif what == "oblong":
        (path / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 96}}')


SENTENCES = {
    "pickle": "pytorch_model.bin is a pickle, which can run code and is never opened",
    "nothing": "has no model.safetensors",
    "code": "asks to run code that comes with the weights",
    "missing": "model.safetensors lacks",
    "shape": "cannot be opened by transformers",
    "std": "image_std is .*; it must be above 0",
    "nan": "holds numbers that are NaN or infinite",
    "huge": "it must be a number of pixels from 1 to",
    "list": "config.json is not an object",
    "no config": "config.json",
    "oblong": "resizes images to 64 x 96; only squares can be used",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of a tiny RT-DETRv2."""
    path = tmp_path_factory.mktemp("saved") / "x"
    hub.save_folder(path, "rt_detr_v2", classes=3)
    return path


@pytest.mark.parametrize("what", SENTENCES)
def test_a_folder_that_cannot_be_used_is_one_sentence(saved, what, tmp_path):
    shutil.copytree(saved, tmp_path / "x")
    broken(tmp_path / "x", what)
    with pytest.raises(UserError, match=SENTENCES[what]) as refused:
        convert_folder(tmp_path / "x")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600
