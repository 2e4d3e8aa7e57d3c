import json
import os
import pickle
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from core import detectors, losses
from core.distiller import total
from core.errors import UserError
from core.files import read_json, write_bytes, write_json
from core.runs import checkpoint
from core.runs.checkpoint import load_detector, open_distiller, save_detector, save_module, sha256_of
from core.runs.config import encode
from tests.helpers import tiny

CARD = {"categories": [{"id": 7, "name": "cat"}], "note": "é"}
SCALES = {"detection": 1.0, "logits": 2.0, "features": 0.5, "prior": 3.0}


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "sprung")


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "student.safetensors"
    save_detector(path, tiny.detector("adamixer"), CARD)
    return path


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder as `fit` leaves it, and its teacher's beside it."""
    folder = tmp_path / "run"
    student, teacher = tiny.pair("adamixer")
    save_detector(tmp_path / "teacher" / "student.safetensors", teacher, CARD)
    save_detector(folder / "student.safetensors", student, CARD)
    step = tiny.distiller(student, teacher, list(SCALES), scales=SCALES)
    save_module(folder / "losses.safetensors", tiny.stir(step.losses), {})
    write_json(folder / "card.json", card_of(tmp_path / "teacher"))
    return folder


def card_of(teacher: Path) -> dict:
    configs = {n: encode(losses.module(n).Config(weight=w)) for n, w in SCALES.items()}
    return {
        "run": {"losses": configs},
        "teacher": {"path": str(teacher), "sha256": sha256_of(teacher / "student.safetensors")},
    }


def rewritten(run: Path, change) -> None:
    card = read_json(run / "card.json")
    change(card)
    write_json(run / "card.json", card)


def refused(call, path, *words: str) -> str:
    """The one sentence with which `path` is refused; it names the path and has these words."""
    with pytest.raises(UserError) as error:
        call(path)
    said = str(error.value)
    assert "\n" not in said and len(said.replace(str(path), "")) < 300 and all(word in said for word in words), said
    return said


@pytest.mark.parametrize("kind", detectors.names())
def test_a_detector_comes_back_as_it_was(kind, tmp_path, batch):
    model = tiny.detector(kind).train()
    save_detector(tmp_path / "x.safetensors", model, CARD)
    found, card = load_detector(tmp_path / "x.safetensors")
    assert found.config == model.config and found.kind == model.kind and not found.training
    assert card["categories"] == CARD["categories"] and card["note"] == "é" and card["detector"] == kind
    assert found.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(x, found.state_dict()[name]) for name, x in model.state_dict().items())
    assert torch.equal(found(batch[0]).boxes, model.eval()(batch[0]).boxes)


def test_only_the_detector_is_in_its_file(file):
    """A distilled student has no parameters that it would not have alone."""
    student = tiny.distiller(*tiny.pair("adamixer")).student
    save_detector(file, student, CARD)
    with safe_open(file, "pt") as found:
        assert set(found.keys()) == set(student.state_dict())


class Operations(TorchDispatchMode):
    """Lists what is done, with the shapes of what it is done to."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.done.append((str(func), [tuple(x.shape) for x in args if isinstance(x, torch.Tensor)]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", detectors.names())
def test_inference_of_a_distilled_student_is_that_of_one_alone(kind, file, batch):
    """Operation by operation, so the same graph; and as many multiplications and weights."""
    student, teacher = tiny.pair(kind)
    step = tiny.distiller(student, teacher).train()
    step(*batch).total.backward()
    save_detector(file, step.student, CARD)
    alone, (distilled, _) = tiny.detector(kind, seed=3), load_detector(file)
    done, flops = [], []
    for model in (alone, distilled):
        model.requires_grad_(False)
        with Operations() as operations:
            model(batch[0])
        with FlopCounterMode(display=False) as counter:
            model(batch[0])
        done.append(operations.done)
        flops.append(counter.get_total_flops())
    assert done[0] == done[1] and len(done[0]) > 100 and flops[0] == flops[1] > 1e6
    assert sum(p.numel() for p in alone.parameters()) == sum(p.numel() for p in distilled.parameters())


def test_one_model_makes_one_file(tmp_path):
    """The bytes depend on the weights and the card alone, so a sha256 is an identity."""
    for name in "ab":
        save_detector(tmp_path / name, tiny.detector("adamixer"), CARD)
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")
    save_detector(tmp_path / "b", tiny.detector("adamixer", seed=5), CARD)
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")


def test_a_run_comes_back_as_it_was(run, batch):
    step, card = open_distiller(run)
    student, teacher = tiny.pair("adamixer")
    before = tiny.distiller(student, teacher, list(SCALES), scales=SCALES)
    before.losses.load_state_dict(step.losses.state_dict())
    trace, expected = step(*batch), before(*batch)
    assert torch.equal(trace.total, expected.total) and trace.outcomes.keys() == SCALES.keys()
    assert total(trace.outcomes, before.weights) == trace.total and not step.training
    assert card["run"]["losses"]["prior"]["weight"] == 3.0
    assert any(p.any() for p in step.losses["features"].parameters())


def test_adapters_of_a_run_are_those_it_learnt(run, batch):
    kept = open_distiller(run)[0].losses.state_dict()
    torch.manual_seed(1)
    again = open_distiller(run)[0].losses.state_dict()
    assert all(torch.equal(x, again[name]) for name, x in kept.items())
    assert not torch.equal(kept["features.imitation.adapters.0.weight"].flatten(1), torch.eye(64)), (
        "not as an adapter starts"
    )


def test_losses_of_weight_0_are_not_built(run):
    rewritten(run, lambda card: [card["run"]["losses"][n].update(weight=0.0) for n in ("features", "prior")])
    save_module(run / "losses.safetensors", tiny.distiller(*tiny.pair("adamixer"), ["detection", "logits"]).losses, {})
    assert set(open_distiller(run)[0].losses) == {"detection", "logits"}


def test_a_run_without_a_teacher_opens(run, batch):
    card = {"run": {"losses": {"detection": {"weight": 1.0}}}, "teacher": None}
    write_json(run / "card.json", card)
    save_module(run / "losses.safetensors", torch.nn.ModuleDict(), {})
    step, _ = open_distiller(run)
    assert step.teacher is None and step(*batch).teacher is None


def test_a_teacher_is_found_beside_its_run(run, tmp_path, monkeypatch):
    """By the card's path as it stands, or as seen from the run's folder: runs can be moved together."""
    monkeypatch.chdir("/")
    rewritten(run, lambda card: card["teacher"].update(path="../teacher"))
    assert open_distiller(run)[0].teacher.config.queries == 12
    rewritten(run, lambda card: card["teacher"].update(path="../teacher/student.safetensors"))
    assert open_distiller(run)[0].teacher.config.queries == 12


def test_another_teacher_at_its_path_does_not_hide_the_one_beside_its_run(run, tmp_path, monkeypatch):
    save_detector(tmp_path / "teacher.safetensors", tiny.detector("adamixer", seed=9), CARD)
    monkeypatch.chdir(tmp_path)
    write_bytes(run / "teacher.safetensors", (tmp_path / "teacher" / "student.safetensors").read_bytes())
    rewritten(run, lambda card: card["teacher"].update(path="teacher.safetensors"))
    assert open_distiller(run)[0].teacher.config.queries == 12
    (run / "teacher.safetensors").unlink()
    refused(open_distiller, run, "teacher.safetensors is not the teacher", "sha256 differs")


def test_a_file_that_is_replaced_while_it_is_read_is_the_old_one(file, monkeypatch):
    """Another save puts a file with other checksums in its place."""
    old = sha256_of(file)

    def replaced_meanwhile(card):
        save_detector(file, tiny.detector("adamixer", seed=9), CARD)
        return json.loads(card)

    monkeypatch.setattr(checkpoint, "json", SimpleNamespace(loads=replaced_meanwhile))
    tensors, _ = checkpoint.read_tensors(file)
    assert sha256_of(file) != old
    assert all(torch.equal(x, tensors[name]) for name, x in tiny.detector("adamixer").state_dict().items())


def test_a_teacher_that_is_gone_or_another_is_refused(run, tmp_path):
    weights = tmp_path / "teacher" / "student.safetensors"
    save_detector(weights, tiny.detector("adamixer", seed=9), CARD)
    refused(open_distiller, run, str(weights), "sha256 differs")
    weights.unlink()
    refused(open_distiller, run, str(tmp_path / "teacher"), "gone", "--teacher RUN")


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_pickle_is_refused_and_not_run(tmp_path, name, how):
    path, sprung = tmp_path / name, tmp_path / "sprung"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        torch.save({"weight": Trap(sprung)}, path)
    refused(load_detector, path, str(path), "not a safetensors file", "never opened")
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists(), "the trap works"


@pytest.mark.parametrize("where", ["student", "losses"])
def test_a_pickle_in_a_run_is_refused_and_not_run(run, tmp_path, where):
    path, sprung = run / f"{where}.safetensors", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    refused(open_distiller, run, str(path), "never opened")
    assert not sprung.exists()


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1000, -1])
def test_a_damaged_file_is_refused(file, length):
    file.write_bytes(file.read_bytes()[:length])
    refused(load_detector, file, str(file))


@pytest.mark.parametrize("forged", ["length", "overlap", "beyond", "shape", "dtype", "junk"])
def test_a_forged_header_is_refused(file, forged):
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    first, second = [record for name, record in header.items() if name != "__metadata__"][:2]
    changes = {
        "overlap": {"data_offsets": second["data_offsets"]},
        "beyond": {"data_offsets": [0, 2**40]},
        "shape": {"shape": [2**40, 2**40]},
        "dtype": {"dtype": "X9"},
        "junk": {"dtype": 5},
    }
    first.update(changes.get(forged, {}))
    text = json.dumps(header).encode()
    length = 2**40 if forged == "length" else len(text)
    file.write_bytes(length.to_bytes(8, "little") + text + raw[8 + size :])
    with pytest.raises(UserError, match="is not a safetensors file"):
        load_detector(file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    refused(load_detector, tmp_path / "no.safetensors", "no.safetensors", "no such file")
    refused(load_detector, tmp_path, str(tmp_path))
    refused(open_distiller, tmp_path, "card.json", "no such file")


@pytest.mark.parametrize("name", ["student.safetensors", "losses.safetensors", "card.json"])
def test_a_run_that_is_not_whole_is_refused(run, name):
    (run / name).unlink()
    refused(open_distiller, run, name, "no such file")


def test_a_file_without_a_card_is_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    refused(load_detector, tmp_path / "x.safetensors", "no card of a detector")


@pytest.mark.parametrize("change", ["wider", "narrower", "extra", "other"])
def test_weights_that_do_not_fit_the_card_are_refused(file, change):
    model = tiny.detector("adamixer")
    tensors = {name: x.contiguous() for name, x in model.state_dict().items()}
    key = "content.weight"
    if change == "extra":
        tensors["extra.weight"] = torch.zeros(3)
    elif change == "narrower":
        del tensors[key]
    else:
        tensors[key] = torch.zeros(11, 64) if change == "wider" else torch.zeros(())
    save_file(tensors, file, metadata={"card": json.dumps(encode(model.config))})
    refused(load_detector, file, str(file), "does not fit the model", "extra.weight" if change == "extra" else key)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.sampled_from(["detector", "config", "run", "losses", "x"]), x, max_size=3)
    ),
    max_leaves=6,
)


@given(card=anything)
def test_a_strange_card_in_a_file_is_refused(card, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "strange.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata={"card": json.dumps(card)})
    refused(load_detector, path, "strange.safetensors")


@given(card=anything)
def test_a_strange_card_of_a_run_is_refused(card, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "strange"
    if not folder.exists():
        save_detector(folder / "student.safetensors", tiny.detector("adamixer"), CARD)
    write_json(folder / "card.json", card)
    refused(open_distiller, folder, "strange")


PLACES = [
    ("run",),
    ("run", "losses"),
    ("run", "losses", "logits"),
    ("teacher", "path"),
    ("teacher", "sha256"),
    ("teacher",),
]


@pytest.mark.parametrize("place", PLACES, ids="/".join)
@pytest.mark.parametrize("value", [5, "x", [], {"x": 1}, "missing"], ids=str)
def test_a_card_that_is_wrong_in_one_place_is_refused(run, place, value):
    def change(card):
        for key in place[:-1]:
            card = card[key]
        if value == "missing":
            del card[place[-1]]
        else:
            card[place[-1]] = value

    rewritten(run, change)
    if place == ("teacher",) and value in ("missing", []):
        refused(open_distiller, run, "needs a teacher")
    elif place == ("run", "losses", "logits") and value == "missing":
        assert "logits" not in open_distiller(run)[0].losses, "a run without that loss"
    else:
        refused(open_distiller, run, str(run))


@pytest.mark.parametrize(
    "name, meant", [("logit", "perhaps you meant logits"), ("zzz", "there are contrast, detection")]
)
def test_an_unknown_loss_in_a_card_is_refused(run, name, meant):
    rewritten(run, lambda card: card["run"]["losses"].update({name: {"weight": 1.0}}))
    refused(open_distiller, run, "card.json", f"no loss '{name}'", meant)


def test_an_unknown_field_of_a_loss_is_refused(run):
    rewritten(run, lambda card: card["run"]["losses"]["features"].update(gama=0.5))
    refused(open_distiller, run, "losses.features: no field 'gama'; perhaps you meant gamma")


def test_a_card_is_not_changed_by_saving(file):
    card = deepcopy(CARD)
    save_detector(file, tiny.detector("adamixer"), card)
    assert card == CARD


# Files


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch, moment):
    path = tmp_path / "card.json"
    write_json(path, {"old": 1})

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, moment, fail)
    with pytest.raises(OSError, match="no space"):
        write_json(path, {"new": 2})
    monkeypatch.undo()
    assert read_json(path) == {"old": 1} and [p.name for p in tmp_path.iterdir()] == ["card.json"]


def test_a_save_that_fails_leaves_the_old_detector(file, monkeypatch):
    before = file.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_detector(file, tiny.detector("adamixer", seed=8), CARD)
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


def test_bytes_are_on_disk_before_the_old_file_goes(tmp_path, monkeypatch):
    events = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: events.append(name) or real(*a))
    write_bytes(tmp_path / "deep" / "er" / "x", b"abc")
    assert events == ["fsync", "replace"] and (tmp_path / "deep/er/x").read_bytes() == b"abc"


@given(value=anything)
def test_json_comes_back(value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert json.dumps(read_json(path)) == json.dumps(value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"nope"])
def test_what_is_not_json_is_refused(tmp_path, data):
    (tmp_path / "card.json").write_bytes(data)
    refused(read_json, tmp_path / "card.json", str(tmp_path / "card.json"), "not a JSON file")
    refused(read_json, tmp_path, "no such file")
    assert checkpoint.weights_file(tmp_path) == tmp_path / "student.safetensors"
