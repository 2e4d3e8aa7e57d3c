"""Takes the pictures of the app that the README and docs/app.md show: python docs/pictures.py writes assets/app*.png.

They are of the shipped runs, in Chromium: the README's of those at 320 pixels; the app's tour (docs/app.md) has the image and
query of the others.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from analysis.bench.app import browser, served  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

ASSETS = ROOT / "assets"
SIZE: "ViewportSize" = {"width": 1360, "height": 900}
CALM = 1500  # milliseconds until images of the strip are there


def main() -> None:
    """Takes all pictures."""
    runs = ASSETS / "runs"
    with served(runs / "shapes_320_distill", "--compare", str(runs / "shapes_320_alone")) as url, browser() as page:
        page.set_viewport_size(SIZE)
        show(page, f"{url}?image=image/99&query=student.10", ".dd-query[data-chosen='student/10/2']")
        page.screenshot(path=ASSETS / "app.png")
    with served(runs / "shapes_distill", "--compare", str(runs / "shapes")) as url, browser() as page:
        page.set_viewport_size(SIZE)
        show(page, f"{url}?image=image/54&query=student.19", ".dd-query[data-chosen='student/19/2']")
        page.screenshot(path=ASSETS / "app_match.png")
        show(page, f"{url}?image=image/9&tab=stability&ribbons=epochs", ".dd-ribbon")
        page.screenshot(path=ASSETS / "app_epochs.png")


def show(page: "Page", address: str, ready: str) -> None:
    """Opens an address, and waits for what it shows."""
    page.goto(address)
    page.locator(ready).first.wait_for()
    page.wait_for_timeout(CALM)


if __name__ == "__main__":
    main()
