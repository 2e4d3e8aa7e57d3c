"""Two runs, whose class and file names are an attack, and their page in a real Chromium."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.bench._random_runs import random_run
from analysis.bench.app import browser, served
from app.server.handlers import Handlers
from tests.helpers import opened
from tests.helpers.browser.caches import shared_surveys
from tests.helpers.browser.strangers import ATTACK, FILE, LAYERS, QUERIES


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Of a run that was measured on two images in COCO format."""
    path = tmp_path_factory.mktemp("taught")
    draw = np.random.default_rng(0)
    for name in ("plain.png", FILE):
        Image.fromarray(draw.integers(0, 255, (80, 120, 3), dtype=np.uint8)).save(path / name)
    images = [{"id": i, "file_name": n, "width": 120, "height": 80} for i, n in ((7, "plain.png"), (-3, FILE))]
    boxes = ((7, 1, [10, 10, 40, 30]), (7, 2, [60, 20, 50, 50]), (-3, 1, [5, 5, 60, 60]))
    annotations = [
        {"id": k, "image_id": image, "category_id": category, "bbox": box, "area": 1, "iscrowd": 0}
        for k, (image, category, box) in enumerate(boxes)
    ]
    categories = [{"id": k, "name": f"{ATTACK}{k}"} for k in range(1, 9)]
    file = path / "instances.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return measured_on(random_run(path, queries=QUERIES, layers=LAYERS), file, categories)


def measured_on(run: Path, file: Path, categories: list) -> Path:
    """The run, as if it had been trained on this data."""
    card = json.loads((run / "card.json").read_text()) | {"categories": categories}
    card["run"]["data"] |= {"kind": "coco", "val": str(file), "images": str(file.parent), "val_limit": None}
    (run / "card.json").write_text(json.dumps(card))
    return run


@pytest.fixture(scope="session")
def second(folder, tmp_path_factory) -> Path:
    """A student that learnt alone from the same data."""
    path = tmp_path_factory.mktemp("alone")
    categories = json.loads((folder / "card.json").read_text())["categories"]
    run = random_run(path, queries=QUERIES, layers=LAYERS, with_teacher=False, seed=9)
    return measured_on(run, folder / "instances.json", categories)


@pytest.fixture(scope="session")
def handlers(folder, second) -> Handlers:
    """The same runs, opened in this process: what the page must show."""
    return opened.handlers(folder, second)


@pytest.fixture(scope="session")
def url(folder, second, tmp_path_factory):
    with served(folder, "--compare", str(second), environment=shared_surveys(tmp_path_factory)) as address:
        yield address


@pytest.fixture(scope="session")
def window():
    with browser() as page:
        yield page


@pytest.fixture
def chromium(window):
    """The window in its usual size; it leaves its last page, so that this asks the app nothing more."""
    window.set_viewport_size({"width": 1280, "height": 900})
    yield window
    window.goto("about:blank")


@pytest.fixture
def blank(chromium):
    """A page without an address yet; whatever goes wrong in it, or leaves the machine, fails the test."""
    wrong = []
    listen = {
        "console": lambda m: m.type in ("error", "warning") and wrong.append(m.text),
        "pageerror": lambda e: wrong.append(str(e)),
        "dialog": lambda d: (wrong.append(d.message), d.dismiss()),
        "request": lambda r: re.match(r"(http://127\.0\.0\.1:|data:|blob:)", r.url) or wrong.append(r.url),
    }
    for event, answer in listen.items():
        chromium.on(event, answer)
    yield chromium
    for event, answer in listen.items():
        chromium.remove_listener(event, answer)
    assert wrong == []


@pytest.fixture
def page(blank, url):
    """Freshly loaded, and listened to as `blank`."""
    blank.goto(url)
    blank.wait_for_selector(".dd-stage[data-whole='image/7']")
    return blank
