"""axe-core in a page of the browser tests."""

from pathlib import Path

import pytest

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def violations(page) -> list:
    """What axe-core finds on the page, with the first nodes of each; skips where the package that brings it is missing."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core: pip install axe-playwright-python")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)["violations"]
    return [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found]
