"""Caches of the apps that the browser tests start."""

import os

import pytest


def shared_surveys(factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of an app with a cache of its own, in which the surveys are those of all apps of these tests.

    So the 500 images of a shipped run are looked at once, not once for each file of tests.
    """
    base = factory.getbasetemp()
    surveys = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "surveys"
    surveys.mkdir(exist_ok=True)
    cache = factory.mktemp("cache")
    (cache / "detrdistill").mkdir()
    (cache / "detrdistill" / "surveys").symlink_to(surveys)
    return {"XDG_CACHE_HOME": str(cache)}
