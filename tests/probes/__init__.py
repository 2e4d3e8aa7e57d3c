"""The probes of the hardening: what a stranger, a full disk or a typing error may do to each part of the program, by name.

`python -m tests.probes` prints how many of each part hold; tests/project/test_hardening_probes.py is the same list as tests.
"""

from collections.abc import Callable
from pathlib import Path

from tests.probes import app, check, figures, imports, trainer

Probe = Callable[[Path], None]  # is given an empty folder to work in; an exception says that the probe does not hold

PARTS: dict[str, dict[str, Probe]] = {
    "trainer": trainer.PROBES,
    "figures": figures.PROBES,
    "imports": imports.PROBES,
    "app": app.PROBES,
    "check": check.PROBES,
}
