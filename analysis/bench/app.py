"""The app in a real Chromium: first paint, a move of the layer slider, and a click until the query's costs are there.

Runs of random weights with 100 and 300 queries in 6 layers, all of them drawn, on shapes of 320 pixels. The app is a
child process.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory

from analysis.bench import Aim
from analysis.stand_in import random_run
from core.errors import UserError

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")
MOVES = 24
LOADS = 5

EVERYTHING = """() => {
    const floor = document.querySelector('.dd-floor input');
    floor.value = 0;
    floor.dispatchEvent(new Event('input'));
    return Number(document.querySelector('.dd-canvas').dataset.boxes);
}"""
MOVE = """layer => new Promise(done => {
    const slider = document.querySelector('.dd-layer input'), begun = performance.now();
    slider.value = layer;
    slider.dispatchEvent(new Event('input'));
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
})"""
CLICK = """place => new Promise(done => {
    const boxes = document.querySelectorAll('.dd-box'), box = boxes[place % boxes.length].dataset;
    const panel = document.querySelector('.dd-query'), begun = performance.now();
    new MutationObserver((_, watch) => {
        if (!(panel.dataset.chosen || '').startsWith(`${box.side}/${box.index}/`)) return;
        watch.disconnect();
        done(performance.now() - begun);
    }).observe(panel, {attributes: true});
    document.dispatchEvent(new CustomEvent('detrdistill:choose', {detail: {side: box.side, index: Number(box.index)}}));
})"""


def run() -> tuple[list[dict], list[Aim]]:
    rows = [case(queries) for queries in (100, 300)]
    return rows, [
        Aim("first paint within 2 s of opening the page", *below(rows, "first_paint_p95_ms", 2000)),
        Aim("layer change within 200 ms at 100 queries, p95", *below(rows[:1], "layer_p95_ms", 200)),
    ]


def below(rows: list[dict], key: str, limit: float) -> tuple[float, bool]:
    worst = max(row[key] for row in rows)
    return worst, worst < limit


def case(queries: int) -> dict:
    with TemporaryDirectory() as folder, served(random_run(Path(folder), queries=queries)) as url, browser() as page:
        paints = [first_paint(page, url) for _ in range(LOADS)]
        drawn = page.evaluate(EVERYTHING)
        layers = [page.evaluate(MOVE, 1 + i % 6) for i in range(MOVES)]
        clicks = [page.evaluate(CLICK, 7 * i) for i in range(MOVES)]
    row = {"case": f"{queries} queries", "boxes_drawn": drawn}
    for name, times in (("first_paint", paints), ("layer", layers), ("click", clicks)):
        late = sorted(times)[int(0.95 * len(times))]
        row |= {f"{name}_median_ms": round(median(times)), f"{name}_p95_ms": round(late)}
    return row


def first_paint(page, url: str) -> float:
    """Milliseconds from the request for the page to the first box on the canvas."""
    page.goto(url)
    page.wait_for_selector(".dd-box", state="attached")
    return page.evaluate("performance.now()")


@contextmanager
def served(run: Path, *words: str, environment: dict[str, str] | None = None):
    """The address of the app, a process of its own, on a free port."""
    command = [sys.executable, "-m", "app", str(run), *words, "--port", "0"]
    there = {"cwd": Path(__file__).parents[2], "env": os.environ | (environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **there) as app:
        try:
            yield next(line.split()[-1] for line in app.stdout if "http://" in line)
        except StopIteration:
            raise UserError(f"the app did not start; type {' '.join(command[1:])} to see why") from None
        finally:
            app.terminate()


@contextmanager
def browser():
    """A page of a Chromium that draws without a GPU and calls nobody."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError("this needs playwright: pip install -e '.[dev]'") from None
    if not (path := which("chromium")):
        raise UserError("this needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium.new_page(viewport={"width": 1280, "height": 900})
        chromium.close()
