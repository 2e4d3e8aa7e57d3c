"""axe-core in a page of the browser tests."""

from pathlib import Path

import pytest

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def violations(page) -> list:
    """Returns the violations that axe-core reports on the page, with the first nodes of each.

    The test is skipped where the package that brings axe-core is missing.
    """
    package = pytest.importorskip("axe_playwright_python", reason="axe-core: pip install axe-playwright-python")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    violated = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)["violations"]
    return [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in violated]
