"""Every probe of the list holds, and the list is as long as the one of the issue."""

import pytest

from tests.probes import PARTS
from tests.probes.__main__ import main

CASES = [(part, name) for part, probes in PARTS.items() for name in probes]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font", "ignore:.*layout not applied")
@pytest.mark.parametrize("part, name", CASES, ids=[f"{part}: {name!a}"[:80] for part, name in CASES])
def test_a_probe_holds(part, name, tmp_path):
    PARTS[part][name](tmp_path)


def test_the_list_is_as_long_as_that_of_the_issue():
    least = {"trainer": 71, "figures": 12, "imports": 28, "app": 142, "check": 19}
    assert all(len(PARTS[part]) >= count for part, count in least.items())


def test_a_probe_that_does_not_hold_is_counted_and_named(monkeypatch, capsys):
    def fails(folder):
        raise TypeError("no sentence")

    monkeypatch.setitem(PARTS, "check", {"holds": lambda folder: None, "fails": fails})
    assert main(["check"]) == 1
    assert capsys.readouterr().out == "check: 1 of 2\n  'fails': 'TypeError: no sentence'\n"
