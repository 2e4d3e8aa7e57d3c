"""Fixtures of the tests of commands."""

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, in which commands run in their short form."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")
    return tmp_path
