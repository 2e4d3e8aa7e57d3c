"""The canvas can be worked on: its size, zoom and pan, labels, density, layers at once, hovering, and the canvas as a file."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.worker import library
from app.worker.library import short_path
from tests.helpers.browser.page import SHIPPED, chosen, drawn, everything, image_area, pick, settled, shows, slide, view
from tests.helpers.browser.strangers import QUERIES

PLATES = """x => x.map(e => { const p = e.querySelector('.plate'), n = k => +p.getAttribute(k);
    const led = e.classList.contains('led');
    return {of: e.dataset.of, led, box: [n('x'), n('y'), n('x') + n('width'), n('y') + n('height')]}; })"""
AT_MOST = 40  # labels of a pane
ALONE = short_path(library.SHIPPED / "shapes")


@pytest.fixture
def crowded(page):
    """All boxes of all detectors."""
    everything(page)
    return page


@pytest.fixture
def photos(blank, url):
    """All boxes of the shipped pair on an image of seven objects."""
    blank.goto(f"{url}?run={SHIPPED}&compare={ALONE}&image=image/9&score=0&show=prior")
    shows(blank, "image/9")
    return blank


def zoomed(page, scale: int) -> None:
    page.wait_for_function("s => document.querySelector('.dd-scale').textContent === s", arg=f"{scale}%")


def on_screen(page, area: dict, box: list[float]) -> list[float]:
    """A box in pixels of the canvas, from its fractions of the image."""
    across = [area["x"] + area["width"] * x for x in box[0::2]]
    down = [area["y"] + area["height"] * y for y in box[1::2]]
    return [across[0], down[0], across[1], down[1]]


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_the_canvas_has_most_of_the_window_beside_the_panel_which_scrolls(page, size):
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("h => document.querySelector('.dd-board').getBoundingClientRect().bottom <= h", arg=height)
    settled(page)
    board, panel = page.locator(".dd-board").bounding_box(), page.locator(".dd-column").bounding_box()
    assert board["width"] * board["height"] >= 0.45 * width * height
    assert board["x"] >= 0 and board["x"] + board["width"] < panel["x"] and panel["x"] + panel["width"] <= width
    page.evaluate("() => dd.choose({side: 'student', index: 3})")
    chosen(page, "student", 3, 2)
    page.locator(".dd-column").evaluate("e => e.scrollTo(0, 1e6)")
    assert page.locator(".dd-column").evaluate("e => e.scrollTop") > 0
    assert page.locator(".dd-board").bounding_box() == board
    page.get_by_role("button", name="Filters", exact=True).click()
    page.wait_for_selector("#dd-filters[data-shown]")
    assert page.evaluate("document.activeElement.id") == "dd-filters"
    assert page.locator(".dd-board").bounding_box() == board
    page.keyboard.press("Escape")
    page.locator("#dd-filters").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == "Filters"


def test_the_wheel_keeps_the_place_under_the_mouse_and_a_click_takes_the_box_that_is_there(crowded):
    page = crowded
    settled(page)
    before, board = image_area(page), page.locator(".dd-board").bounding_box()
    at = {"x": board["width"] * 0.4, "y": board["height"] * 0.6}
    page.mouse.move(board["x"] + at["x"], board["y"] + at["y"])
    for _ in range(4):
        page.mouse.wheel(0, -120)
    page.wait_for_function(
        "w => document.querySelector('.dd-pane img').getBoundingClientRect().width > 3 * w", arg=before["width"]
    )
    settled(page)
    after = image_area(page)
    for x, size in (("x", "width"), ("y", "height")):
        assert (at[x] - after[x]) / after[size] == pytest.approx((at[x] - before[x]) / before[size], abs=2e-3)
    page.mouse.click(board["x"] + at["x"], board["y"] + at["y"])
    box = page.locator(".dd-box.chosen").first.evaluate(
        "e => document.querySelector('.dd-stage').drawn && [e.dataset.side, +e.dataset.index]"
    )
    rect = page.locator(".dd-box.chosen .edge").first.bounding_box()
    assert box[0] and rect["x"] - 1 <= board["x"] + at["x"] <= rect["x"] + rect["width"] + 1
    assert rect["y"] - 1 <= board["y"] + at["y"] <= rect["y"] + rect["height"] + 1


def test_a_drag_moves_the_image_and_chooses_nothing_and_the_link_has_the_place(crowded, url):
    page = crowded
    page.locator("[data-tool=nearer]").click()
    zoomed(page, 150)
    settled(page)
    before, board = image_area(page), page.locator(".dd-board").bounding_box()
    page.mouse.move(board["x"] + 300, board["y"] + 200)
    page.mouse.down()
    page.mouse.move(board["x"] + 340, board["y"] + 215)
    page.mouse.move(board["x"] + 360, board["y"] + 230)
    page.mouse.up()
    page.wait_for_function(
        "x => Math.abs(document.querySelector('.dd-pane img').getBoundingClientRect().x - x) < 1.5",
        arg=board["x"] + before["x"] + 60,
    )
    settled(page)
    moved = image_area(page)
    assert moved["y"] - before["y"] == pytest.approx(30, abs=1.5)
    assert page.locator(".dd-box.chosen").count() == 0
    page.wait_for_function("location.search.includes('at=')")
    page.wait_for_timeout(200)  # the address follows once it has been calm
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    shows(page, "image/7")
    settled(page)
    again = image_area(page)
    assert all(again[k] == pytest.approx(moved[k], abs=1) for k in again)
    pick(page, -3)
    zoomed(page, 100)
    assert "at=" not in page.url


def test_keys_zoom_move_and_fit(page):
    page.locator(".dd-overlay").focus()
    start = image_area(page)
    page.keyboard.press("+")
    page.keyboard.press("+")
    zoomed(page, 225)
    x = image_area(page)["x"]
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function(
        "x => document.querySelector('.dd-pane img').getBoundingClientRect().x > x + 60",
        arg=x + page.locator(".dd-board").bounding_box()["x"],
    )
    assert page.locator(".dd-box.chosen").count() == 0
    page.keyboard.press("-")
    zoomed(page, 150)
    page.keyboard.press("0")
    zoomed(page, 100)
    assert image_area(page) == start
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement?.classList.contains('dd-stage')")
    page.locator("[data-tool=fill]").click()
    page.wait_for_function("!document.fullscreenElement")


def test_two_fingers_zoom(page):
    before = image_area(page)
    page.evaluate("""() => { const o = document.querySelector('.dd-overlay'), r = o.getBoundingClientRect();
        o.setPointerCapture = () => {};
        const tell = (type, id, x) => o.dispatchEvent(new PointerEvent(type, {pointerId: id, pointerType: 'touch', bubbles: true,
            clientX: r.x + x, clientY: r.y + r.height / 2}));
        const middle = r.width / 2;
        tell('pointerdown', 11, middle - 50); tell('pointerdown', 12, middle + 50);
        tell('pointermove', 11, middle - 100); tell('pointermove', 12, middle + 100);
        tell('pointerup', 11, middle - 100); tell('pointerup', 12, middle + 100); }""")
    zoomed(page, 200)
    after = image_area(page)
    middle = [area["x"] + area["width"] / 2 for area in (before, after)]
    assert after["width"] == pytest.approx(2 * before["width"], abs=1) and middle[0] == pytest.approx(
        middle[1], abs=1.5
    )


def test_side_by_side_all_images_show_the_same_place(crowded):
    page = crowded
    page.get_by_text("Side by side").click()
    page.locator("[data-tool=nearer]").click()
    zoomed(page, 150)
    panes = page.locator(".dd-pane").evaluate_all("x => x.map(e => e.getBoundingClientRect().toJSON())")
    areas = page.locator(".dd-pane img").evaluate_all("x => x.map(e => e.getBoundingClientRect().toJSON())")
    offsets = [[area["x"] - pane["x"], area["y"] - pane["y"], area["width"]] for pane, area in zip(panes, areas)]
    assert len(offsets) == 3 and np.ptp(offsets, axis=0).max() < 0.1
    for side, pane in zip(("student", "teacher", "other"), panes):
        item = drawn(page, side)[0]
        box = item["box"]
        area = areas[panes.index(pane)]
        place = [area["x"] + area["width"] * (box[0] + box[2]) / 2, area["y"] + area["height"] * (box[1] + box[3]) / 2]
        if pane["x"] < place[0] < pane["x"] + pane["width"] and pane["y"] < place[1] < pane["y"] + pane["height"]:
            page.mouse.click(*place)
            assert page.locator(".dd-box.chosen").first.get_attribute("data-side") in (side, "truth")
            page.keyboard.press("Escape")


def test_labels_are_whole_apart_and_clear_and_those_without_room_are_counted(photos):
    page = photos
    for scale in (100, 225):
        if scale > 100:
            page.locator("[data-tool=nearer]").click()
            page.locator("[data-tool=nearer]").click()
        zoomed(page, scale)
        board, area = page.locator(".dd-board").bounding_box(), image_area(page)
        plates = page.locator(".dd-name[data-of]").evaluate_all(PLATES)
        items = page.evaluate(
            "() => document.querySelector('.dd-stage').drawn.items.map(i => [`${i.side}.${i.index}`, i.box])"
        )
        boxes = {name: on_screen(page, area, box) for name, box in items}
        seen = [
            n for n, b in boxes.items() if b[0] < board["width"] and b[2] > 0 and b[1] < board["height"] and b[3] > 0
        ]
        assert 3 <= len(plates) <= AT_MOST and {p["of"] for p in plates} <= set(seen)
        for k, plate in enumerate(plates):
            x0, y0, x1, y1 = plate["box"]
            assert 0 <= x0 and 0 <= y0 and x1 <= board["width"] and y1 <= board["height"]
            assert all(x1 <= a or b <= x0 or y1 <= c or d <= y0 for a, c, b, d in (p["box"] for p in plates[:k]))
            middle = (x0 + x1) / 2, (y0 + y1) / 2
            foreign = [
                n
                for n, b in boxes.items()
                if n != plate["of"] and b[0] + 1 < middle[0] < b[2] - 1 and b[1] + 1 < middle[1] < b[3] - 1
            ]
            assert plate["led"] or not foreign
        said = re.match(r"(\d+) of (\d+) labels hidden", page.locator(".dd-left-out").text_content())
        assert said and [int(n) for n in said.groups()] == [len(seen) - len(plates), len(seen)]
    truths = [n for n in seen if n.startswith("truth")]
    assert {p["of"] for p in plates} >= set(truths)  # the objects come first
    page.locator("[data-toggle=names] input").uncheck()
    assert page.locator(".dd-name[data-of]").count() == 0 and page.locator(".dd-left-out").is_hidden()


def test_counts_are_what_is_drawn(crowded):
    page = crowded
    for line in page.locator("[data-toggle$='-truth'] input").all():
        line.uncheck()
    page.get_by_label("Queries").select_option("5")
    for side in ("student", "teacher", "other"):
        assert page.locator(f"[data-count={side}]").text_content() == f"{len(drawn(page, side))} of {QUERIES}"
        assert len(drawn(page, side)) == 5
    page.locator("[data-toggle=teacher] input").uncheck()
    assert drawn(page, "teacher") == [] and page.locator("[data-count=teacher]").text_content() == f"5 of {QUERIES}"
    page.get_by_label("Boxes of").select_option(index=2)
    for side in ("student", "truth"):
        assert page.locator(f"[data-count={side}]").text_content().split()[0] == str(len(drawn(page, side)))


def test_density_counts_the_boxes_over_each_place(crowded):
    page = crowded
    page.get_by_text("Density", exact=True).click()
    boxes = [item["box"] for side in ("student", "teacher", "other") for item in drawn(page, side)]
    grid = [[(column + 0.5) / 192, (row + 0.5) / 128] for row in range(128) for column in range(192)]
    most = max(sum(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes) for x, y in grid)
    assert float(page.locator(".dd-left-out .dd-colours").get_attribute("data-top")) == pytest.approx(most, abs=1)
    assert "draw=density" in page.url


def test_all_layers_at_once(page, handlers):
    page.evaluate("() => dd.choose({side: 'student', index: 2})")
    page.get_by_text("Layers", exact=True).click()
    with page.expect_download() as download:
        page.locator("[data-tool=svg]").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    numbers = re.findall(r"<text[^>]*text-anchor=\"middle\"[^>]*>(\d)</text>", text)
    assert numbers == ["1", "2", "3"] and "draw=layers" in page.url
    places = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"[^>]*text-anchor="middle"[^>]*>\d</text>', text)
    plates = [plate["box"] for plate in page.locator(".dd-name[data-of]").evaluate_all(PLATES)]
    assert len(places) == 3 and plates
    assert not [1 for x, y in places for a, b, c, d in plates if a < float(x) < c and b < float(y) - 4 < d]
    area, group = image_area(page), next(g for g in handlers.scene("image/7")["groups"] if g["id"] == "student")
    for layer in group["layers"]:
        x0, y0, x1, y1 = on_screen(page, area, layer["boxes"][2])
        left, top = round(x0 + 1e-6), round(y0 + 1e-6)
        rects = [
            [float(v) for v in m]
            for m in re.findall(
                r'<rect x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="none"', text
            )
        ]
        assert any(
            abs(a - left) <= 1 and abs(b - top) <= 1 and abs(a + w - x1) <= 1.5 and abs(b + h - y1) <= 1.5
            for a, b, w, h in rects
        )


def test_hovering_links_rows_boxes_and_queries(page):
    row = page.locator("[data-object='0'] th button")
    row.hover()
    page.wait_for_selector(".dd-box.over[data-side=truth][data-index='0']")
    box = page.locator(".dd-box.over .edge").bounding_box()
    page.mouse.move(5, 5)
    page.wait_for_function("!document.querySelector('.dd-box.over')")
    for line in page.locator("[data-toggle$='-truth'] input").all():
        line.uncheck()
    page.locator(".dd-floor input").fill("1")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("tr.linked[data-object='0']")
    assert "object 0" in page.locator(".dd-tip").text_content()
    view(page, "masks")
    page.locator(".dd-ranks tr[data-query='3']").hover()
    page.wait_for_selector(".dd-box.over[data-side=teacher][data-index='3']")
    assert page.locator(".dot.linked").get_attribute("data-point") == "3"


def test_the_canvas_as_seen_is_a_picture(photos, tmp_path):
    page = photos
    slide(page, 1)
    size = page.locator(".dd-board").evaluate("e => [e.clientWidth, e.clientHeight]")
    with page.expect_download() as download:
        page.locator("[data-tool=png]").click()
    assert download.value.suggested_filename == "image_9_layer2.png"
    with Image.open(download.value.path()) as picture:
        assert list(picture.size) == [2 * side for side in size]
        shot = page.screenshot(
            clip=page.locator(".dd-board").bounding_box(), path=tmp_path / "seen.png"
        ) and Image.open(tmp_path / "seen.png")
        area = image_area(page)
        inner = tuple(
            round(v)
            for v in (area["x"] + 4, area["y"] + 30, area["x"] + area["width"] - 4, area["y"] + area["height"] * 0.8)
        )
        small, seen = (np.asarray(p.convert("RGB").resize(shot.size).crop(inner), dtype=float) for p in (picture, shot))
        shot.close()
    assert np.abs(small - seen).mean() < 12
    with page.expect_download() as download:
        page.locator("[data-tool=svg]").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("<svg") and "oklab" not in text and "var(--" not in text and "data:image/" in text
    assert text.count("<rect") > 4 * QUERIES


def test_labels_keep_to_their_boxes_while_the_image_moves_and_find_new_places_at_rest(page):
    page.locator("[data-tool=nearer]").click()
    page.wait_for_function("() => ![...document.querySelectorAll('.dd-name')].some(e => e.hasAttribute('transform'))")
    settled(page)
    moved = page.evaluate("""async () => {
        const left = () => document.querySelector('.dd-pane img').getBoundingClientRect().left;
        const overlay = document.querySelector('.dd-overlay'), before = left();
        overlay.focus();
        overlay.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', shiftKey: true, bubbles: true}));
        await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
        const by = [...document.querySelectorAll('.dd-name')].map(e => e.getAttribute('transform'));
        return {image: left() - before, by}; }""")
    shifts = [float(re.match(r"translate\(([-\d.]+) 0\)", text)[1]) for text in moved["by"]]
    assert shifts and abs(moved["image"]) > 5 and all(abs(x - moved["image"]) <= 1 for x in shifts)
    page.wait_for_function("() => ![...document.querySelectorAll('.dd-name')].some(e => e.hasAttribute('transform'))")
