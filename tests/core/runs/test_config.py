import json
import typing
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import detectors, drop_ins, losses
from core.errors import UserError
from core.matching.costs import Matching
from core.runs import config
from core.runs.config import decode, encode

CONFIGS = [m.module(n).Config for m in (detectors, losses) for n in m.names()] + [Matching]


@dataclass(frozen=True)
class Inner:
    size: int
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    """All that a Run is made of."""

    inner: Inner
    detector: detectors.module("adamixer").Config
    name: str = "a"
    on: bool = True
    data: Path | None = None
    limit: int | None = None
    sizes: tuple[int, ...] = ()
    betas: tuple[float, float] = (0.9, 0.999)
    kind: typing.Literal["a", "b"] = "a"


def written(kind):
    """What JSON holds of any value of a type."""
    if is_dataclass(kind):
        parts = st.fixed_dictionaries({name: written(hint) for name, hint in typing.get_type_hints(kind).items()})
        name = st.just(kind.__module__.rsplit(".", 1)[-1])
        return st.fixed_dictionaries({"detector": name, "config": parts}) if config.is_detector(kind) else parts
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        return (
            st.lists(written(parts[0]), max_size=4) if Ellipsis in parts else st.tuples(*map(written, parts)).map(list)
        )
    if parts:
        return st.one_of(*map(written, parts))
    plain = {
        int: st.integers(-(2**40), 2**40),
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        str: st.text(max_size=9),
        NoneType: st.none(),
        Path: st.text("ab. é~", min_size=1, max_size=9),
    }
    return plain[kind]


@pytest.mark.parametrize("kind", [*CONFIGS, Outer], ids=lambda k: f"{k.__module__}.{k.__name__}")
@given(data=st.data())
def test_a_config_comes_back_through_json(kind, data):
    text = json.dumps(data.draw(written(kind)), sort_keys=True)
    value = decode(kind, json.loads(text), "card")
    again = json.dumps(encode(value), sort_keys=True)
    assert isinstance(value, kind) and again == text and decode(kind, json.loads(again), "card") == value


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda k: f"{k.__module__}.{k.__name__}")
def test_defaults_come_back_and_what_is_left_out_is_a_default(kind):
    assert decode(kind, encode(kind()), "card") == kind()
    empty = {"detector": detectors.name_of(kind()), "config": {}} if config.is_detector(kind) else {}
    assert decode(kind, empty, "card") == kind()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.sampled_from([f.name for f in fields(Outer)] + ["config", "size", "x"]), x, max_size=4)
    ),
    max_leaves=8,
)
GOOD = encode(Outer(Inner(3), detectors.module("adamixer").Config()))


@given(data=anything)
def test_anything_else_is_refused_in_one_sentence(data):
    try:
        decode(Outer, data, "card.json: run")
    except UserError as error:
        assert str(error).startswith("card.json: run") and "\n" not in str(error).replace(repr(data), "")


@given(key=st.sampled_from(list(GOOD)), data=anything)
def test_one_field_that_is_wrong_is_refused_by_its_name(key, data):
    try:
        decode(Outer, GOOD | {key: data}, "card")
    except UserError as error:
        assert str(error).startswith(f"card.{key}")


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("limit", "3", "card.limit must be int, not '3'"),
        ("limit", True, "card.limit must be int"),
        ("limit", 2.0, "card.limit must be int"),
        ("on", 1, "card.on must be bool"),
        ("name", None, "card.name must be str"),
        ("kind", "c", "card.kind must be one of a, b, not 'c'"),
        ("betas", [0.1], "card.betas must be 2 values"),
        ("betas", [0.1, "x"], r"card.betas\[1\] must be float"),
        ("sizes", 3, "card.sizes must be a list"),
        ("inner", {"size": 1, "shape": 2}, "card.inner: no field 'shape'; perhaps you meant share"),
        ("inner", {}, "card.inner: .*size"),
        ("inner", [], "card.inner must be an object"),
        (
            "detector",
            {"detector": "adamixr", "config": {}},
            "card.detector: no detector 'adamixr'; perhaps you meant adamixer",
        ),
        (
            "detector",
            {"detector": "adamixer", "config": {"querys": 3}},
            "card.detector.config: no field 'querys'; perhaps you meant queries",
        ),
        (
            "detector",
            {"detector": "adamixer", "configs": {}},
            "card.detector: no field 'configs'; perhaps you meant config",
        ),
        (
            "detector",
            {"detector": "adamixer", "config": {"matching": {"box": "xywh"}}},
            "matching.box must be one of cxcywh, xyxy",
        ),
        ("nam", 1, "card: no field 'nam'; perhaps you meant name"),
        ("zzz", 1, "card: no field 'zzz'; there are inner, detector, name"),
        ("share", float("1e400"), "card: no field"),
    ],
)
def test_mistakes_are_told_by_place(key, value, words):
    with pytest.raises(UserError, match=words):
        decode(Outer, GOOD | {key: value}, "card")


def test_a_whole_number_will_do_for_a_float():
    share = decode(Inner, {"size": 3, "share": 1}, "card").share
    assert share == 1.0 and isinstance(share, float)


@pytest.mark.parametrize(
    "name", ["os", "base", "core.detectors.adamixer", "../adamixer", "", "__init__", None, 3, ["adamixer"]]
)
def test_no_name_imports_code(name, monkeypatch):
    monkeypatch.setattr(drop_ins, "import_module", None)
    with pytest.raises(UserError, match="no detector"):
        decode(CONFIGS[0], {"detector": name, "config": {}}, "card")
    for package in (detectors, losses):
        with pytest.raises(ValueError, match="there are"):
            package.module(str(name))


def test_a_detector_goes_under_its_name():
    for name in detectors.names():
        made = detectors.module(name).Config(classes=3)
        assert encode(made)["detector"] == name and encode(made)["config"]["classes"] == 3
        assert decode(CONFIGS[0], encode(made), "card") == made, "whatever detector is the default"
