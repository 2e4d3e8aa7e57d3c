"""What the browser tests do on the page, and what they read from it. Importing this skips a file where there is no Chromium."""

import os
from shutil import which

import pytest

from app.worker import library
from app.worker.library import short_path
from tests.helpers.browser.strangers import QUERIES

if not which("chromium"):
    SAYS = "the browser tests need Chromium: apt-get install chromium"
    pytest.fail(SAYS) if os.environ.get("CI") == "true" else pytest.skip(SAYS, allow_module_level=True)

DRAWN = """side => document.querySelector('.dd-stage').drawn.items.filter(i => i.side === side)
    .map(i => ({index: i.index, box: i.box, score: i.score, label: i.label, role: i.group.role}))"""
LINES = """line => document.querySelector('.dd-stage').drawn.pairs.filter(p => p.line.id === line)
    .map(p => [p.from.index, p.to.index, p.cost])"""
LIT = """places => { const c = document.querySelector('.dd-many'), r = c.width / c.getBoundingClientRect().width;
    const ink = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    const at = (x, y) => ink[4 * (Math.round(y * r) * c.width + Math.round(x * r)) + 3];
    return places.map(([x, y]) => Math.max(at(x - 1, y), at(x, y), at(x + 1, y))); }"""
READY = {
    "notes": ".dd-note-form textarea",
    "masks": ".dd-ranks tbody tr",
    "stability": ".piece",
    "losses": "[data-term]",
}
WHOLE = {
    "overview": ".dd-words .dd-verdict > *",
    "figures": ".dd-pages button",
    "train": ".dd-train select",
}  # without the canvas
SHIPPED = short_path(library.SHIPPED / "shapes_distill")


def shows(page, key: str) -> None:
    """Until all of an image is there, and the view beside it is of that image too."""
    page.wait_for_selector(f".dd-stage[data-whole='{key}']")
    page.wait_for_selector(".dd-side[aria-busy=false]", state="attached")


def pick(page, image: int) -> None:
    page.locator(f"[data-image='image/{image}']").click()
    shows(page, f"image/{image}")


def slide(page, layer: int) -> None:
    page.locator(".dd-layer input").fill(str(layer + 1))
    page.wait_for_selector(f".dd-stage[data-layer='{layer}']")


def chosen(page, side: str, index: int, layer: int) -> None:
    """Until the panel has the numbers of a query."""
    page.wait_for_selector(f".dd-query[data-chosen='{side}/{index}/{layer}']")


def everything(page) -> None:
    page.locator(".dd-floor input").fill("0")
    page.wait_for_function("n => document.querySelector('.dd-stage').drawn.items.length > n", arg=QUERIES)


def drawn(page, side: str) -> list[dict]:
    """Boxes of a side that are on the canvas, by index."""
    return sorted(page.evaluate(DRAWN, side), key=lambda item: item["index"])


def image_area(page, pane: int = 0) -> dict:
    """Where a pane's whole image is on the canvas, in pixels from the canvas's corner: {"x", "y", "width", "height"}."""
    board, area = page.locator(".dd-board").bounding_box(), page.locator(".dd-pane img").nth(pane).bounding_box()
    return area | {"x": area["x"] - board["x"], "y": area["y"] - board["y"]}


def settled(page) -> None:
    """Waits until the canvas and its image have been at one place for 0.3 s: on a busy machine lines above it come late."""
    places: list[list[dict]] = [[], [{}]]
    while places[-1] != places[-2]:
        page.wait_for_timeout(300)
        places.append([page.locator(part).first.bounding_box() for part in (".dd-board", ".dd-pane img")])


def said(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def view(page, tab: str) -> None:
    page.locator(f"button[data-tab={tab}]").click()
    page.locator(READY[tab]).first.wait_for()
