"""How quickly a histogram of the app answers while it is brushed: a run with facts made up for many images."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.bench._random_runs import random_run
from app.replay.facts import Facts
from app.worker.cache import Cache
from app.worker.samples import Samples
from app.worker.survey import fingerprint, folder
from app.worker.uploads import Uploads
from core.runs.open import open_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

STEPS = 24  # of the brush
# JavaScript that begins a drag over the sizes of objects, moves to a place, and returns the milliseconds from the move until
# the page shows how many images are left.
BRUSH = """async place => {
    const panel = document.querySelector('#dd-filters'), svg = panel.querySelectorAll('svg')[1];
    const [low, high] = svg.parentNode.querySelectorAll('input'), area = svg.getBoundingClientRect();
    const answered = () => panel.dataset.shown.split('|')[2] === `${low.value}-${high.value}`;
    const until = begun => new Promise(done => {
        const look = () => answered() ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)))
            : setTimeout(look, 2);
        look();
    });
    const tell = (type, part) => svg.dispatchEvent(new PointerEvent(type,
        {pointerId: 7, bubbles: true, clientX: area.left + part * area.width, clientY: area.top + 9}));
    svg.setPointerCapture = () => {};
    tell('pointerdown', 0.1);
    await until(0);
    const begun = performance.now();
    tell('pointermove', place);
    const time = await until(begun);
    tell('pointerup', place);
    return time;
}"""


def surveyed_run(path: Path, cache: Path, images: int) -> Path:
    """Writes a run with random weights, and into a cache of the app made-up facts of all its images; returns the run's folder."""
    run = random_run(path, queries=10, layers=2, size=96, images=images)
    samples = Samples(open_run(run), (), Uploads(), Cache(1 << 20))
    rng = np.random.default_rng(0)
    with cached_in(cache):
        file = folder() / f"{fingerprint(samples)}.jsonl"
    file.parent.mkdir(parents=True)
    rows = [random_facts(count, rng) for count in samples.columns.counts.tolist()]
    file.write_text("".join(json.dumps({"place": k} | asdict(facts)) + "\n" for k, facts in enumerate(rows)))
    return run


def random_facts(objects: int, rng: np.random.Generator) -> Facts:
    """Facts of an image in which a third of the objects are not found."""
    scores = rng.uniform(0, 1, objects) * (rng.uniform(size=objects) > 1 / 3)
    return Facts(0.0, 0.0, 0, (0,), (0,), tuple(scores.tolist()), 0)


@contextmanager
def cached_in(cache: Path) -> Iterator[None]:
    """Sets the folder of the user's cache for a while."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache)
    try:
        yield
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        os.environ.update({} if before is None else {"XDG_CACHE_HOME": before})


def brush_times(page: "Page") -> list[float]:
    """Milliseconds of each step of a brush over the histogram of sizes, whose page is open."""
    return [page.evaluate(BRUSH, 0.2 + 0.7 * k / STEPS) for k in range(STEPS)]
