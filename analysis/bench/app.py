"""Response times of the app in Chromium.

Timed are the first paint, a new image, single steps, the frames of zooming and moving, the overview of three runs, and a brush
over a histogram of 5,000 images, 60 with QUICK=1, whose facts are made up. The app runs in a process of its own. Three runs are
opened: one with random weights (AdaMixer, 300 queries, 6 layers) on photos of 800 x 1333 pixels, with all of its 900 boxes drawn;
the run that the project ships or `make demo` made, if there is one; and a pair of full size (Deformable DETR, ResNet-101 and
ResNet-50), of which the times until the first signs of progress are measured. QUICK=1 takes small photos.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from analysis.bench import Aim
from analysis.bench._app_brush import brush_times, surveyed_run
from analysis.bench._app_frames import frame_times
from analysis.bench._random_runs import TINY, loss_configs, random_detector, write_photos, write_run
from core.errors import UserError

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
FLAGS: tuple[str, ...] = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)
FLAGS += ("--disable-component-update", "--disable-sync")
MOVES, LOADS, IMAGES = 24, 5, 6  # steps of each kind, loads of the page, and images opened
FULL = (800, 1333)  # height and width of photos, in pixels
WAIT = 600_000  # milliseconds

# JavaScript that is true once a sign of progress is on the page.
TRUTH = "document.querySelector('.dd-stage')?.drawn?.items.length"
BOXES = "document.querySelector('.dd-stage')?.drawn?.items.some(i => i.side !== 'truth')"
PROGRESS = "document.querySelector('.dd-wait').textContent"
WHOLE = "document.querySelector('.dd-stage').dataset.whole"

FLOOR = """() => {
    const floor = document.querySelector('.dd-floor input');
    floor.value = 0;
    floor.dispatchEvent(new Event('input'));
}"""
EVERYTHING = f"""() => {{
    const prior = document.querySelector('[data-toggle=prior] input');
    if (prior && !prior.checked) prior.click();
    ({FLOOR})();
    return Number(document.querySelector('.dd-stage').dataset.boxes);
}}"""
# JavaScript that makes one step and returns the milliseconds until its result is on the page and a frame was drawn.
TIMED = """const until = (ready, begun) => new Promise(done => {
    const look = () => ready() ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)))
        : setTimeout(look, 2);
    look();
});"""
LAYER = f"""layer => {{
    {TIMED}
    const slider = document.querySelector('.dd-layer input'), begun = performance.now();
    slider.value = layer + 1;
    slider.dispatchEvent(new Event('input'));
    return until(() => document.querySelector('.dd-stage').dataset.layer === String(layer), begun);
}}"""
PANEL = f"""layer => {{
    {TIMED}
    const slider = document.querySelector('.dd-layer input'), panel = document.querySelector('.dd-query');
    const begun = performance.now();
    slider.value = layer + 1;
    slider.dispatchEvent(new Event('input'));
    return until(() => (panel.dataset.shown || '').split(' ')[1] === String(layer), begun);
}}"""
CLICK = f"""k => {{
    {TIMED}
    const overlay = document.querySelector('.dd-overlay'), panel = document.querySelector('.dd-query');
    const items = document.querySelector('.dd-stage').drawn.items, [x0, y0, x1, y1] = items[k % items.length].box;
    const area = document.querySelector('.dd-pane img').getBoundingClientRect();
    const begun = performance.now(), before = panel.dataset.shown;
    const inside = x => Math.min(0.98, Math.max(0.02, x));
    const at = {{clientX: area.left + area.width * inside((x0 + x1) / 2),
        clientY: area.top + area.height * inside((y0 + y1) / 2), bubbles: true}};
    overlay.dispatchEvent(new MouseEvent('click', at));
    return until(() => panel.dataset.shown !== before, begun);
}}"""
CLEAR = """() => document.querySelector('.dd-query .dd-close')?.click()"""
FREE = "document.querySelector('.dd-query').dataset.shown.endsWith(' ')"
GAMMA = f"""gamma => {{
    {TIMED}
    const slider = document.querySelector('.dd-gamma input'), side = document.querySelector('.dd-masks');
    const begun = performance.now();
    slider.value = gamma;
    slider.dispatchEvent(new Event('input'));
    return until(() => Number(side.dataset.gamma) === gamma, begun);
}}"""
IMAGE = f"""key => {{
    {TIMED}
    const panel = document.querySelector('.dd-query'), begun = performance.now();
    document.querySelector(`[data-image='${{key}}']`).click();
    return until(() => document.querySelector('.dd-stage').dataset.whole === key
        && (panel.dataset.shown || '').startsWith(key + ' '), begun);
}}"""


def run() -> tuple[list[dict], list[Aim]]:
    """Measures all runs; the aims are on medians and 95th percentiles of the slowest one."""
    with TemporaryDirectory() as folder:
        rows = [case("300 queries, 900 boxes", generated(Path(folder) / "generated"))]
        if shipped := demo():
            rows.append(case("the shipped run", shipped))
        rows.append(full_size(Path(folder) / "full"))
    aims = [
        Aim("first useful paint within 1.5 s of opening the page", *below(rows[:-1], "first_paint_median_ms", 1500)),
        Aim("a new image to all of view 1 within 1 s", *below(rows[:-1], "image_median_ms", 1000)),
    ]
    for step in ("layer", "gamma", "click"):
        aims.append(Aim(f"{step} step within 150 ms, median", *below(rows[:-1], f"{step}_median_ms", 150)))
        aims.append(Aim(f"{step} step within 300 ms, p95", *below(rows[:-1], f"{step}_p95_ms", 300)))
    for gesture in ("zoom", "pan"):
        aims.append(Aim(f"{gesture}: a frame within 50 ms, p95", *below(rows[:-1], f"{gesture}_p95_ms", 50)))
    full = rows[-1]
    if (overview := overview_of_three()) is not None:
        rows.append(overview)
        aims.append(Aim("overview of three runs within 1.5 s", *below([overview], "overview_median_ms", 1500)))
    rows.append(brush := brushing(images := 60 if quick() else 5000))
    brushed = f"brush a histogram of {images:,} images within 200 ms, median"
    aims.append(Aim(brushed, *below([brush], "brush_median_ms", 200)))
    at_once = full["image_ms"] < 1500 and full["first_boxes_ms"] < full["whole_ms"]
    return rows, [*aims, Aim("full size: image at once, first boxes before the rest", full["image_ms"], at_once)]


def below(rows: list[dict], key: str, limit: float) -> tuple[float, bool]:
    """The largest value of a column, and whether it is at most the limit."""
    worst = max(row[key] for row in rows)
    return worst, worst <= limit


def case(name: str, folder: Path) -> dict:
    """Median and 95th percentile of each kind of step in one run, in milliseconds."""
    times: dict[str, list[float]] = {}
    with served(folder) as url, browser() as page:
        times["first_paint"] = [first_paint(page, url) for _ in range(LOADS)]
        page.wait_for_selector(".dd-stage[data-whole]", timeout=WAIT)
        keys = page.locator(".dd-gallery .thumb").evaluate_all("x => x.map(e => e.dataset.image)")
        opened = page.locator(".dd-stage").get_attribute("data-whole")
        times["image"] = [page.evaluate(IMAGE, key) for key in [key for key in keys if key != opened][:IMAGES]]
        drawn, layers = page.evaluate(EVERYTHING), int(page.locator(".dd-layer input").get_attribute("max") or 0)
        times["layer"] = [page.evaluate(LAYER, i % layers) for i in range(MOVES)]
        times["layer_panel"] = [page.evaluate(PANEL, i % layers) for i in range(MOVES)]
        times["click"] = [click(page, 7 * i) for i in range(MOVES)]
        times |= {gesture: frame_times(page, gesture) for gesture in ("zoom", "pan")}
        page.locator("button[data-tab=masks]").click()
        page.wait_for_selector(".dd-gamma input", timeout=WAIT)
        times["gamma"] = [page.evaluate(GAMMA, round(0.02 + 0.04 * i, 2)) for i in range(MOVES)]
    row: dict = {"case": name, "boxes_drawn": drawn}
    for step, each in times.items():
        late = sorted(each)[int(0.95 * len(each))]
        row |= {f"{step}_median_ms": round(median(each)), f"{step}_p95_ms": round(late)}
    return row


def click(page: "Page", k: int) -> float:
    """Milliseconds of a click on the middle of box k.

    The selection is cleared first, because a click on the selected box would change nothing.
    """
    page.evaluate(CLEAR)
    page.wait_for_function(FREE, timeout=WAIT)
    return page.evaluate(CLICK, k)


def first_paint(page: "Page", url: str) -> float:
    """Milliseconds from the request for the page to the first predicted box on the canvas."""
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_function(BOXES, timeout=WAIT)
    return page.evaluate("performance.now()")


def full_size(folder: Path) -> dict:
    """The first image of a slow pair: milliseconds until its picture, progress, first boxes and all results are shown."""
    with served(full_pair(folder)) as url, browser() as page:
        row: dict = {"case": f"ResNet-101 and ResNet-50, {'small photos' if quick() else '800 x 1333'}"}
        page.goto(url)
        for name, sign in (("image", TRUTH), ("progress", PROGRESS), ("first_boxes", BOXES), ("whole", WHOLE)):
            page.wait_for_function(sign, timeout=WAIT)
            row[f"{name}_ms"] = round(page.evaluate("performance.now()"))
            page.evaluate(FLOOR)  # shows boxes of every score: those of random weights are low
    return row


def overview_of_three() -> dict | None:
    """Milliseconds from the request for the page to the words and curves of three shipped runs; None where they are not shipped.

    The program is started anew for each, so that it has read no log before.
    """
    runs = [ROOT / "assets" / "runs" / name for name in ("shapes_distill", "shapes", "shapes_320")]
    if not all((run / "metrics.jsonl").exists() for run in runs):
        return None
    times = []
    first, compared, third = (str(run.relative_to(ROOT)) for run in runs)
    for _ in range(LOADS):
        with served(runs[0], "--compare", str(runs[1])) as url, browser() as page:
            page.goto(f"{url}?tab=overview&run={first}&compare={compared}&also={third}")
            page.wait_for_selector(".dd-verdicts[data-shown] .dd-curves", timeout=WAIT)
            times.append(page.evaluate("performance.now()"))
    return {"case": "overview of three runs", "overview_median_ms": round(median(times))}


def brushing(images: int) -> dict:
    """Milliseconds from a step of a brush over the sizes of objects until the page says how many images are left."""
    with TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        run = surveyed_run(Path(folder) / "run", cache, images)
        with served(run, environment={"XDG_CACHE_HOME": str(cache)}) as url, browser() as page:
            page.goto(f"{url}?filters=yes")
            page.wait_for_selector(f"#dd-filters[data-known='{images}'][data-shown]", timeout=WAIT)
            page.wait_for_selector(".dd-stage[data-whole]", timeout=WAIT)
            times = sorted(brush_times(page))
    late = round(times[int(0.95 * len(times))])
    return {"case": f"brush, {images:,} images", "brush_median_ms": round(median(times)), "brush_p95_ms": late}


def quick() -> bool:
    """Returns whether QUICK=1 asks for small sizes."""
    return os.environ.get("QUICK") == "1"


def size() -> tuple[int, int]:
    """Height and width of the photos."""
    return (160, 267) if quick() else FULL


def generated(folder: Path) -> Path:
    """Writes the run with random weights and 300 queries; returns its folder."""
    options: dict[str, Any] = TINY | {
        "backbone": "tiny8x1",
        "strides": (8, 16),
        "points": 4,
        "mixed_points": 4,
        "queries": 300,
    }
    student, teacher = (random_detector("adamixer", seed, **options, layers=6) for seed in (0, 1))
    return write_run(folder, student, teacher, loss_configs(), write_photos(folder / "photos", 1 + IMAGES, *size()))


def full_pair(folder: Path) -> Path:
    """Writes the run of the pair of full size, with random weights; returns its folder."""
    student, teacher = (
        random_detector("deformable", seed, classes=8, backbone=name)
        for seed, name in enumerate(("resnet50", "resnet101"))
    )
    return write_run(folder, student, teacher, loss_configs(), write_photos(folder / "photos", 2, *size()))


def demo() -> Path | None:
    """The run that the project ships or that `make demo` made; None if there is neither."""
    runs = (ROOT / "assets" / "runs" / "shapes_distill", Path("runs/demo/distilled"))
    return next((run for run in runs if (run / "student.safetensors").exists()), None)


@contextmanager
def served(run: Path, *words: str, environment: dict[str, str] | None = None) -> Iterator[str]:
    """Starts the app in a process of its own on a free port, with an empty cache; gives its address.

    `words` are further arguments. UserError: the app did not start.
    """
    command = [sys.executable, "-m", "app", str(run), *words, "--port", "0"]
    with TemporaryDirectory() as cache:
        variables = os.environ | {"XDG_CACHE_HOME": cache} | (environment or {})
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=variables) as app:
            assert app.stdout is not None, "stdout is a pipe"
            try:
                yield next(line.split()[-1] for line in app.stdout if "http://" in line)
            except StopIteration:
                raise UserError(f"the app did not start; type {' '.join(command[1:])} to see why") from None
            finally:
                app.terminate()


@contextmanager
def browser() -> Iterator["Page"]:
    """A page in Chromium without a GPU and without background connections. UserError: playwright or Chromium is missing."""
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
