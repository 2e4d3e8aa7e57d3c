"""The page in a real Chromium, on a run whose class and file names are an attack."""

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from PIL import Image

from analysis.bench.app import browser, random_run, served
from app.handlers import Handlers
from app.replay import open_run

if not which("chromium"):
    SAYS = "the browser tests need Chromium: apt-get install chromium"
    pytest.fail(SAYS) if os.environ.get("CI") == "true" else pytest.skip(SAYS, allow_module_level=True)

ATTACK = "<img src=x onerror=\"document.title='hacked'\">"
FILE = "<img src=x onerror=alert(1)>.png"
LAYERS, QUERIES = 3, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of a run that was measured on two images in COCO format."""
    path = tmp_path_factory.mktemp("run")
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
    random_run(path, queries=QUERIES, layers=LAYERS)
    card = json.loads((path / "card.json").read_text()) | {"categories": categories}
    card["run"]["data"] |= {"kind": "coco", "val": str(file), "images": str(path), "val_limit": None}
    (path / "card.json").write_text(json.dumps(card))
    return path


@pytest.fixture(scope="module")
def handlers(folder) -> Handlers:
    """The same run, opened in this process: what the page must show."""
    return Handlers(open_run(folder))


@pytest.fixture(scope="module")
def url(folder):
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium, url):
    """Freshly loaded; whatever goes wrong in it, or leaves the machine, fails the test."""
    chromium.goto("about:blank")  # what the last page still had to say goes unheard
    wrong = []
    listen = {
        "console": lambda m: m.type in ("error", "warning") and wrong.append(m.text),
        "pageerror": lambda e: wrong.append(str(e)),
        "dialog": lambda d: (wrong.append(d.message), d.dismiss()),
        "request": lambda r: re.match(r"(http://127\.0\.0\.1:|data:|blob:)", r.url) or wrong.append(r.url),
    }
    for event, answer in listen.items():
        chromium.on(event, answer)
    chromium.goto(url)
    shows(chromium, "image/7")
    yield chromium
    for event, answer in listen.items():
        chromium.remove_listener(event, answer)
    assert wrong == []


def shows(page, key: str) -> None:
    page.wait_for_function("key => document.querySelector('.dd-canvas')?.dataset.key === key", arg=key)


def pick(page, image: int) -> None:
    page.locator(f"[data-image='{image}']").click()
    shows(page, f"image/{image}")


def slide(page, layer: int) -> None:
    page.locator(".dd-layer input").fill(str(layer + 1))
    page.wait_for_function("layer => document.querySelector('.dd-canvas').dataset.layer === layer", arg=str(layer))


def chosen(page, side: str, index: int, layer: int) -> None:
    """Until the panel has the numbers of a query."""
    page.wait_for_selector(f".dd-query[data-chosen='{side}/{index}/{layer}']")


def everything(page) -> None:
    page.locator(".dd-floor input").fill("0")
    page.wait_for_function("count => document.querySelectorAll('.dd-box.student').length >= count", arg=QUERIES)


def said(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def test_an_image_a_layer_a_query_and_its_cost(page, handlers):
    """The main way through the page; each number is compared with the trace of this process."""
    pick(page, -3)
    slide(page, 1)
    row = handlers.matches("image/-3", 1)["rows"][0]
    query = row["answers"][0]["other"]["index"]
    page.locator(f".dd-box[data-side=student][data-index='{query}']").dispatch_event("click")
    page.locator(".dd-query table button").first.click()  # whatever the click hit: now the object
    chosen(page, "truth", 0, 1)
    page.locator("[data-match='student-truth'] .dd-link").click()
    chosen(page, "student", query, 1)
    view = handlers.query("image/-3", 1, "student", query)
    for match in view["matches"]:
        section = page.locator(f"[data-match='{match['line']}']")
        for part in match["parts"]:
            cells = section.locator(f"[data-part='{part['part']}'] td").all_text_contents()
            assert cells == [said(part["cost"]), f"× {part['weight']:g}", said(part["weighted"])]
        assert float(section.locator("[data-total]").get_attribute("data-total")) == match["total"]
    slide(page, 2)
    chosen(page, "student", query, 2)
    after = handlers.query("image/-3", 2, "student", query)
    scores = page.locator(".dd-scores .value").all_text_contents()
    assert scores == [f"{s['score']:.3f}" for s in after["scores"]]


def test_a_click_takes_the_box_under_it_and_a_second_the_one_beneath(page):
    everything(page)
    target = page.locator(".dd-overlay").bounding_box()
    place = {"x": target["x"] + target["width"] * 0.7, "y": target["y"] + target["height"] * 0.5}
    seen = []
    for _ in range(3):
        page.mouse.click(place["x"], place["y"])
        seen.append(page.locator(".dd-box.chosen").evaluate("e => e.dataset.side + e.dataset.index"))
    assert len(set(seen)) == 3
    box = page.locator(".dd-box.chosen .edge").bounding_box()
    assert box["x"] <= place["x"] <= box["x"] + box["width"] and box["y"] <= place["y"] <= box["y"] + box["height"]


def test_the_keyboard_goes_from_box_to_box_and_from_layer_to_layer(page):
    page.locator(".dd-overlay").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".dd-live").text_content()
    page.keyboard.press("ArrowRight")
    assert first.startswith("student query") and page.locator(".dd-live").text_content() != first
    page.keyboard.press("ArrowLeft")
    assert page.locator(".dd-live").text_content() == first
    page.keyboard.press("PageUp")
    assert page.locator(".dd-canvas").get_attribute("data-layer") == str(LAYERS - 2)
    page.keyboard.press("Escape")
    assert page.locator(".dd-box.chosen").count() == 0


def test_boxes_and_lines_are_drawn_where_the_trace_has_them_and_switched(page, handlers):
    everything(page)
    scene = handlers.scene("image/7")
    layer = LAYERS - 1
    for line in scene["lines"]:
        page.locator(f"[data-toggle='{line['id']}'] input").check()
        drawn = page.locator(f"[data-line='{line['id']}']").evaluate_all(
            "x => x.map(e => [+e.dataset.from, +e.dataset.to])"
        )
        assert sorted(drawn) == sorted(map(list, line["layers"][layer]))
        page.locator(f"[data-toggle='{line['id']}'] input").uncheck()
    for group in scene["groups"]:
        toggle = page.locator(f"[data-toggle='{group['id']}'] input")
        toggle.check()
        frame = group["layers"][min(layer, len(group["layers"]) - 1)]
        drawn = page.locator(f".dd-box[data-side='{group['id']}']").evaluate_all(
            "x => x.map(e => [+e.dataset.index, ...['x', 'y', 'width'].map(k => parseFloat(e.lastChild.getAttribute(k)) / 100)])"
        )
        assert len(drawn) == len(frame["boxes"])
        for index, x, y, width in drawn:
            x0, y0, x1, _ = frame["boxes"][index]
            assert (x, y, width) == pytest.approx((x0, y0, max(0, x1 - x0)), abs=1e-4)
        toggle.uncheck()
        assert page.locator(f".dd-box[data-side='{group['id']}']").count() == 0


def test_the_terms_of_the_loss_follow_the_layer(page, handlers):
    table = handlers.losses("image/7")
    assert float(page.locator(".dd-losses [data-total]").get_attribute("data-total")) == table["total"]
    for layer in (0, 2):
        slide(page, layer)
        for term in (t for loss in table["losses"] for t in loss["terms"]):
            cells = page.locator(f"[data-term='{term['path']}'] td").all_text_contents()
            here = f"{term['layers'][layer] * term['weight']:.3f}" if len(term["layers"]) > 1 else "–"
            assert cells[1:] == [f"{term['sum']:.3f} × {term['weight']:g}", here, f"{term['weighted']:.3f}"]


def test_names_of_strangers_stay_text(page):
    everything(page)
    page.locator(".dd-overlay").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".dd-query[data-chosen]")
    assert ATTACK in page.locator(".dd-query").text_content() and ATTACK in page.locator(".dd-overlay").text_content()
    assert page.locator("[data-image='-3']").get_attribute("title") == FILE
    assert page.locator("img[src=x]").count() == 0 and page.title() == "DETRDistill"


def test_an_upload_has_pseudo_truth_that_the_score_decides(page, tmp_path):
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (60, 90, 3), dtype=np.uint8)).save(tmp_path / "mine.png")
    page.set_input_files("input[type=file]", tmp_path / "mine.png")
    page.wait_for_function("document.querySelector('.dd-canvas').dataset.key.startsWith('upload/')")
    assert "pseudo truth" in page.locator(".dd-banner").text_content()
    number = page.get_by_label("number input for Pseudo truth: teacher queries from score")
    before = page.locator("[data-count=truth]").text_content()
    number.fill("0")
    number.press("Tab")
    page.wait_for_function("document.querySelector('.dd-canvas').dataset.key.endsWith('/0.00')")
    assert page.locator("[data-count=truth]").text_content() == str(QUERIES) and int(before) < QUERIES
    assert "pseudo" in page.locator(".dd-losses").text_content()


def test_a_damaged_upload_is_told_and_the_page_goes_on(page, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    page.set_input_files("input[type=file]", tmp_path / "bad.png")
    page.get_by_text("is not an image that can be read").wait_for()
    pick(page, -3)


def test_the_api_gives_the_same_numbers_and_refuses_strangers_arguments(url, handlers):
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    client = Client(url, verbose=False)
    try:
        scene = json.loads(json.dumps(handlers.scene("image/7")))
        assert client.predict("image/7", api_name="/scene") == scene
        found = client.predict("image/7", 0, "teacher", 3, api_name="/query")
        assert found == json.loads(json.dumps(handlers.query("image/7", 0, "teacher", 3)))
        for arguments in (
            ("image/8", 0, "student", 0),
            ("image/7", "0", "student", 0),
            ("image/7", 0, "student", 10**9),
        ):
            with pytest.raises(AppError):
                client.predict(*arguments, api_name="/query")
        public = set(client.view_api(return_format="dict", print_info=False)["named_endpoints"])
        assert public == {"/images", "/scene", "/losses", "/matches", "/query", "/upload", "/rescore"}
    finally:
        client.close()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "card.json", "../../etc/passwd", "pyproject.toml", "tests/conftest.py"]
)
def test_no_file_is_served(url, path, folder):
    for asked in (path, str(folder / path), str(Path.cwd() / path)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}gradio_api/file={asked}", timeout=20)
        assert refused.value.code in (403, 404)
        refused.value.close()
