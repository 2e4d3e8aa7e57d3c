from pathlib import Path

from tests.helpers.flags_of import flags


def test_flags_change_on_purpose():
    """A flag that goes, or has another name, breaks somebody's command: tests/flags.txt is changed with a reason."""
    assert flags() == (Path(__file__).parent / "flags.txt").read_text().splitlines(), (
        "after a change that is meant: python -m tests.helpers.flags_of > tests/flags.txt"
    )
