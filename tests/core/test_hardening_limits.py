"""Limits of settings: whatever a value is, it is accepted within the limits of its field and refused in a sentence elsewhere."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import detectors, losses
from core.detectors import hub
from core.errors import UserError
from core.limits import Items, Limits, checked_fields, refuse_outside
from core.losses import fgfi
from core.runs import checkpoint
from core.runs.checkpoint import load_detector, new_detector
from core.runs.config import decode
from tests.helpers import tiny


@dataclass(frozen=True)
class Part:
    even: Annotated[int, Limits(2, 10, of=2)] = 4


@dataclass(frozen=True)
class Settings:
    rate: Annotated[float, Limits(0, 1, above=True)] = 0.5
    share: Annotated[float, Limits(0, 1, below=True)] = 0.5
    parts: Annotated[int, Limits(1, 12, divides="whole")] = 3
    whole: int = 12
    limit: Annotated[int, Limits(1, 9)] | None = None
    sizes: tuple[Annotated[int, Limits(1, 9)], ...] = ()
    sides: Annotated[tuple[Annotated[int, Limits(1, 9)], ...], Items(1, 2)] = (1,)
    free: float = 0.0
    path: Path | None = None
    on: bool = False
    part: Part = field(default_factory=Part)


INSIDE = {
    "rate": lambda x: 0 < x <= 1,
    "share": lambda x: 0 <= x < 1,
    "parts": lambda x: 1 <= x <= 12 and 12 % x == 0,
    "limit": lambda x: 1 <= x <= 9,
    "free": lambda x: abs(x) <= 1e12,
}


@given(name=st.sampled_from(sorted(INSIDE)), value=st.integers(-20, 20) | st.floats() | st.integers())
def test_a_number_is_refused_exactly_outside_its_limits(name, value):
    try:
        refuse_outside(Settings(**{name: value}), "card: ")
        refused = False
    except UserError as error:
        refused = True
        assert str(error).startswith(f"card: {name} is ") and len(str(error)) < 200
    assert refused == (not INSIDE[name](value) or math.isnan(value))


@pytest.mark.parametrize(
    "wrong, word",
    [
        ({"sizes": (3, 0)}, "sizes is 0"),
        ({"sizes": (3,) * 5000}, "sizes holds 5000 values"),
        ({"sides": (3, 0)}, "sides is 0"),
        ({"sides": ()}, "sides holds 0 values; it takes 1 to 2"),
        ({"sides": (1, 2, 3)}, "sides holds 3 values; it takes 1 to 2"),
        ({"part": Part(3)}, "part.even is 3; it must be a number from 2 to 10, a multiple of 2"),
        ({"parts": 5}, "a divisor of whole"),
        ({"rate": None}, "rate is None"),
        ({"path": Path("a\x1b[2J")}, r"path is 'a\\x1b\[2J'"),
        ({"path": Path("x" * 5000)}, "at most 4096"),
        ({"free": 10**400}, "a number of 401 digits"),
    ],
)
def test_what_is_wrong_is_named(wrong, word):
    with pytest.raises(UserError, match=word):
        refuse_outside(Settings(**wrong))


@pytest.mark.parametrize("kind", [m.module(n).Config for m in (detectors, losses) for n in m.names()])
def test_defaults_lie_within_their_limits_and_every_number_has_some(kind):
    refuse_outside(kind())
    for name, (hint, limits) in checked_fields(kind).items():
        numbers = {int, float} & {hint, getattr(hint, "__origin__", None)}
        assert not numbers or limits != Limits(), name


@pytest.mark.parametrize(
    "options", [{"width": 8}, {"heads": 3}, {"layers": 0}, {"queries": 10**9}, {"strides": ()}, {"strides": (16, 8)}]
)
def test_a_file_of_weights_with_an_absurd_card_is_refused_by_the_field(options, tmp_path):
    path = tmp_path / "student.safetensors"
    detector = tiny.detector("deformable")
    checkpoint.save_detector(path, detector, {})
    tensors, card = checkpoint.read_tensors(path)
    card["config"] |= {key: list(x) if isinstance(x, tuple) else x for key, x in options.items()}
    path.write_bytes(checkpoint.save(tensors, {"card": checkpoint.json.dumps(card)}))
    with pytest.raises(UserError, match=next(iter(options))):
        load_detector(path)


def test_a_detector_larger_than_the_memory_is_refused_before_it_is_made(monkeypatch):
    config = tiny.config("adamixer")
    needed = sum(x.nbytes for x in new_detector(config, "card").state_dict().values())
    monkeypatch.setattr(checkpoint, "physical_memory", lambda: needed)
    new_detector(config, "card")
    monkeypatch.setattr(checkpoint, "physical_memory", lambda: needed - 1)
    with pytest.raises(UserError, match="card: its weights would take"):
        new_detector(config, "card")


def test_a_number_too_large_for_a_float_is_refused():
    with pytest.raises(UserError, match="card.rate must be a smaller number, not a number of 401 digits"):
        decode(Settings, {"rate": 10**400}, "card")


@pytest.mark.parametrize(
    "settings, name",
    [
        (fgfi.Config, "sides"),
        (fgfi.Config, "ratios"),
        (hub.Config, "strides"),
        (hub.Config, "mean"),
        (hub.Config, "std"),
    ],
)
def test_a_list_that_must_hold_something_does(settings, name):
    with pytest.raises(UserError, match=f"{name} holds 0 values"):
        refuse_outside(settings(**{name: ()}))
