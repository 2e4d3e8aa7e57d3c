import random

import numpy as np
import pytest
import torch

from tests.helpers import tiny

LARGE = 4e6  # bytes

try:
    import hypothesis
except ImportError:  # a machine with a GPU runs tests/gpu without it
    pass
else:
    hypothesis.settings.register_profile(
        "same every time",
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=50,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    hypothesis.settings.load_profile("same every time")


@pytest.fixture(autouse=True)
def seed():
    """Every test draws the same numbers whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_large_files(request):
    """Removes the large files that a test wrote, which would take 7 GB of all tests together. The rest is kept.

    The app's tests write none, and its threads may still read in their folders.
    """
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    for file in folder.rglob("*") if folder else ():
        if file.is_file() and not file.is_symlink() and file.stat().st_size > LARGE:
            file.unlink()


@pytest.fixture
def batch():
    """Two images of different sizes, so one is padded, with three objects and one."""
    return tiny.batch()
