"""The page in a real Chromium, on a run whose class and file names are an attack."""

import json
import re
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.bench.app import served
from app.server.modules import address
from app.server.page import VIEWS
from app.worker import library
from app.worker.library import short_path
from core.runs.diagnose import diagnose
from tests.helpers.browser.page import (
    LINES,
    LIT,
    READY,
    SHIPPED,
    WHOLE,
    chosen,
    drawn,
    everything,
    image_area,
    pick,
    said,
    shows,
    slide,
    view,
)
from tests.helpers.browser.strangers import ATTACK, FILE, LAYERS, QUERIES

ALONE = short_path(library.SHIPPED / "shapes")


def test_an_image_a_layer_a_query_and_its_cost(page, handlers):
    """The main way through the page; each number is compared with the trace of this process."""
    pick(page, -3)
    slide(page, 1)
    row = handlers.matches("image/-3", 1)["rows"][0]
    query = row["answers"][0]["other"]["index"]
    page.locator("[data-object='0'] th button").click()
    chosen(page, "truth", 0, 1)
    page.locator("[data-match='student-truth'] h3 .dd-link").click()
    chosen(page, "student", query, 1)
    view = handlers.query("image/-3", 1, "student", query)
    for match in view["matches"]:
        section = page.locator(f"[data-match='{match['line']}']")
        for part in match["parts"]:
            cells = section.locator(f"[data-part='{part['part']}'] td").all_text_contents()
            assert cells == [said(part["cost"]), f"× {part['weight']:g}", said(part["weighted"])]
        assert float(section.locator("[data-total]").get_attribute("data-total")) == match["total"]
        margin = section.locator("[data-margin]")
        assert [float(margin.get_attribute("data-margin"))] == [match["margin"]] and said(
            match["margin"]
        ) in margin.text_content()
        assert match["runner_up"]["name"] in margin.text_content()
    slide(page, 2)
    chosen(page, "student", query, 2)
    after = handlers.query("image/-3", 2, "student", query)
    scores = page.locator(".dd-scores .value").all_text_contents()
    assert scores == [f"{s['score']:.3f}" for s in after["scores"]]


def test_a_click_takes_the_box_under_it_and_a_second_the_one_beneath(page):
    everything(page)
    target = page.locator(".dd-pane img").bounding_box()
    place = {"x": target["x"] + target["width"] * 0.7, "y": target["y"] + target["height"] * 0.5}
    seen = []
    for _ in range(3):
        page.mouse.click(place["x"], place["y"])
        seen.append(page.locator(".dd-box.chosen").first.evaluate("e => e.dataset.side + e.dataset.index"))
    assert len(set(seen)) == 3
    box = page.locator(".dd-box.chosen .edge").first.bounding_box()
    assert box["x"] <= place["x"] <= box["x"] + box["width"] and box["y"] <= place["y"] <= box["y"] + box["height"]


def test_where_the_chosen_query_reads_is_drawn_layer_by_layer(page, handlers):
    page.locator("[data-toggle=reads] input").check()
    page.evaluate("() => dd.choose({side: 'student', index: 2})")
    for layer in (LAYERS - 1, 0):
        slide(page, layer)
        told = handlers.reading("image/7", layer, "student", 2)
        page.get_by_text(told["says"]).wait_for()
        points = page.locator(".dd-read").evaluate_all(
            "x => x.map(e => [+e.getAttribute('cx'), +e.getAttribute('cy'), +e.dataset.weight])"
        )
        area = image_area(page)
        drawn_at = [[(x - area["x"]) / area["width"], (y - area["y"]) / area["height"], w] for x, y, w in points]
        assert drawn_at == [[pytest.approx(x, abs=1e-4), pytest.approx(y, abs=1e-4), w] for x, y, w in told["places"]]
    page.locator("[data-toggle=reads] input").uncheck()
    assert page.locator(".dd-read").count() == 0 and page.locator(".dd-reads").is_hidden()


def test_the_keyboard_goes_from_box_to_box_and_from_layer_to_layer(page):
    page.locator(".dd-overlay").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".dd-live").text_content()
    page.keyboard.press("ArrowRight")
    assert first.startswith("student query") and page.locator(".dd-live").text_content() != first
    page.keyboard.press("ArrowLeft")
    assert page.locator(".dd-live").text_content() == first
    page.keyboard.press("PageUp")
    page.wait_for_selector(f".dd-stage[data-layer='{LAYERS - 2}']")
    page.keyboard.press("Escape")
    assert page.locator(".dd-box.chosen").count() == 0


def test_boxes_and_lines_are_drawn_where_the_trace_has_them_and_switched(page, handlers, second):
    everything(page)
    scene = handlers.scene("image/7", compare=str(second))
    layer = LAYERS - 1
    for line in scene["lines"]:
        page.locator(f"[data-toggle='{line['id']}'] input").check()
        shown = page.evaluate(LINES, line["id"])
        assert sorted(shown) == sorted(map(list, line["layers"][layer]))
        page.locator(f"[data-toggle='{line['id']}'] input").uncheck()
        assert page.evaluate(LINES, line["id"]) == []
    canvas, area = page.locator(".dd-board").bounding_box(), image_area(page)
    for group in scene["groups"]:
        toggle = page.locator(f"[data-toggle='{group['id']}'] input")
        toggle.check()
        frame, found = group["layers"][min(layer, len(group["layers"]) - 1)], drawn(page, group["id"])
        assert [item["box"] for item in found] == frame["boxes"] and found[0]["role"] == group["role"]
        assert [item["label"] for item in found] == frame["labels"]
        if group["id"] == "truth":  # there is ink on the left edge of each box
            edges = [
                [area["x"] + area["width"] * x0, area["y"] + area["height"] * (y0 + y1) / 2]
                for x0, y0, _, y1 in frame["boxes"]
            ]
            inside = [[x, y] for x, y in edges if 0 < x < canvas["width"] and 0 < y < canvas["height"]]
            assert len(inside) == 2 and min(page.evaluate(LIT, inside)) > 60
        toggle.uncheck()
        assert drawn(page, group["id"]) == []


def test_a_link_restores_the_view_and_back_goes_back(page, url):
    pick(page, -3)
    slide(page, 1)
    page.locator("[data-object='0'] th button").click()
    chosen(page, "truth", 0, 1)
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    shows(page, "image/-3")
    chosen(page, "truth", 0, 1)
    assert page.locator(".dd-stage").get_attribute("data-layer") == "1"
    assert page.locator("[data-image='image/-3']").get_attribute("aria-selected") == "true"
    pick(page, 7)
    page.go_back()
    shows(page, "image/-3")
    page.goto(f"{url}?image=image/404&layer=99&query=nobody.7&tab=%3Cimg%3E&gamma=x")
    page.get_by_text("has no image '404'").wait_for()
    pick(page, 7)


def test_a_second_student_beside_the_first_and_none(page, handlers, second):
    names = page.locator("[data-toggle=other]").text_content()
    everything(page)
    assert second.name in names and drawn(page, "student")[0]["role"] == "distilled"
    page.get_by_text("Side by side").click()
    first = handlers.scene("image/7", compare=str(second))["groups"][0]["title"]
    assert page.locator(".dd-pane b").all_text_contents() == [first, "Teacher", second.name]
    lefts = []
    for side in ("student", "teacher", "other"):
        page.evaluate("side => dd.choose({side, index: 2})", side)
        lefts.append(page.locator(f".dd-box.chosen[data-side={side}] .edge").bounding_box()["x"])
    assert lefts[0] < lefts[1] < lefts[2]
    page.get_by_label("Compare with").select_option("")
    page.wait_for_function("!document.querySelector('[data-toggle=other]')")  # the picture and its truth alone
    shows(page, "image/7")
    assert drawn(page, "student")[0]["role"] == "student"


def test_only_the_surest_or_one_class(page, handlers):
    everything(page)
    for side in ("teacher", "other", "truth"):
        page.locator(f"[data-toggle='{side}'] input").uncheck()
    page.locator("[data-toggle='student-truth'] input").uncheck()
    page.get_by_label("Queries").select_option("5")
    student = next(g for g in handlers.scene("image/7")["groups"] if g["id"] == "student")["layers"][-1]
    best = sorted(range(QUERIES), key=lambda q: -student["scores"][q])[:5]
    assert [item["index"] for item in drawn(page, "student")] == sorted(best)
    page.get_by_label("Queries").select_option("0")
    label = student["labels"][best[0]]
    page.get_by_label("Boxes of").select_option(index=label + 1)
    wanted = [q for q in range(QUERIES) if student["labels"][q] == label]
    assert [item["index"] for item in drawn(page, "student")] == wanted


def test_the_layers_play_until_they_are_told_to_stop(page):
    seen = set()
    page.get_by_label("Play the layers").click()
    for _ in range(40):
        seen.add(page.locator(".dd-stage").get_attribute("data-layer"))
        page.wait_for_timeout(100)
        if len(seen) == LAYERS:
            break
    page.get_by_label("Play the layers").click()
    still = page.locator(".dd-stage").get_attribute("data-layer")
    page.wait_for_timeout(900)
    assert len(seen) == LAYERS and page.locator(".dd-stage").get_attribute("data-layer") == still


def test_the_images_are_sorted_once_they_were_looked_at(page):
    page.get_by_label("Sort by").select_option("flips")
    page.wait_for_selector(".dd-gallery[data-sort=flips][data-known='2']")
    badges = [int(x) for x in page.locator(".dd-gallery .thumb b").all_text_contents()]
    assert len(badges) == 2 and badges == sorted(badges, reverse=True)
    page.get_by_label("Sort by").select_option("gained")
    page.wait_for_selector(".dd-gallery[data-sort=gained]")


# The other views ------------------------------------------------------------------------------------------------------


def grid_of(page, selector: str) -> list[int]:
    """How bright each place of a painted map is: what the browser shows, not what it was sent."""
    return page.locator(selector).evaluate(
        """c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            return Array.from({length: c.width * c.height}, (_, k) => d[4 * k] + d[4 * k + 1] + d[4 * k + 2]); }"""
    )


def test_masks_are_ranked_by_quality_and_gamma_ranks_and_draws_anew(page, handlers):
    view(page, "masks")
    for gamma in (None, 0.0, 0.93):
        if gamma is not None:
            page.get_by_label("Gamma").fill(str(gamma))
            page.wait_for_selector(f".dd-masks[data-gamma='{gamma:g}']")
        told = handlers.masks("image/7", level=1, gamma=0.5 if gamma is None else gamma)
        order = sorted(told["queries"], key=lambda q: (-q["quality"], q["index"]))
        rows = page.locator(".dd-ranks tbody tr").evaluate_all(
            "x => x.map(e => [e.dataset.query, e.children[5].textContent])"
        )
        assert rows == [[str(q["index"]), f"{q['quality']:.3f}"] for q in order]
        heat = next(w for w in told["weights"] if w["id"] == "each")["heat"]
        assert float(page.locator("[data-tile=each] canvas").get_attribute("data-most")) == heat["most"]
        bright = grid_of(page, "[data-tile=each] canvas")
        assert bright.index(max(bright)) == np.frombuffer(b64decode(heat["grid"]), np.uint8).argmax()
    assert "gamma=0.93" in page.url


def test_a_query_is_the_same_in_the_list_the_scatter_and_on_the_canvas(page, handlers):
    view(page, "masks")
    page.locator(".dd-scatter [data-point='5']").dispatch_event("click")
    page.wait_for_selector(".dd-ranks tr.chosen[data-query='5']")
    assert page.locator(".dd-box.chosen").first.get_attribute("data-index") == "5" and "query=teacher.5" in page.url
    page.wait_for_selector(".dd-pane .dd-heat:not([hidden])")
    (heat,) = handlers.mask("image/7", [5], level=1)
    assert float(page.locator(".dd-pane .dd-heat").get_attribute("data-most")) == heat["most"]
    page.locator(".dd-ranks tr[data-query='3']").click()
    page.wait_for_selector(".dd-scatter .chosen[data-point='3']")
    page.get_by_role("button", name="Pin the selected query", exact=True).click()
    page.get_by_text("pinned:").wait_for()
    assert "(b) query 3" in page.locator(".dd-six .dd-tile.chosen").first.text_content()
    page.get_by_role("button", name="Unpin all").click()
    page.wait_for_function("!document.querySelector('.dd-six').textContent.includes('pinned:')")
    page.get_by_label("Features").select_option("0")
    page.wait_for_function("document.querySelector('[data-tile=each] canvas').width === 32")
    page.get_by_role("tab", name="Matches").click()
    chosen(page, "teacher", 3, LAYERS - 1)
    assert page.locator(".dd-pane .dd-heat").is_hidden()


def test_a_flip_leads_to_its_layer_and_query(page, handlers, second):
    view(page, "stability")
    told = handlers.stability("image/7", compare=str(second))
    for band in told["bands"]:
        for row in told["objects"]:
            cells = page.locator(f"[data-object='{row['index']}'] .dd-ribbon[data-side={band['side']}] .piece")
            seen = cells.evaluate_all("x => x.map(e => [+e.dataset.query, +e.dataset.margin])")
            assert seen == [[c["query"], c["margin"]] for c in band["cells"][row["index"]]]
    flips = page.locator(".piece.flip")
    assert flips.count() == sum(band["flips"] for band in told["bands"]) > 0
    flips.first.click()
    page.wait_for_selector(".piece.flip.here.chosen")
    side, query = page.locator(".piece.flip.here.chosen").first.evaluate(
        "e => [e.parentNode.dataset.side, e.dataset.query]"
    )
    box = page.locator(".dd-box.chosen").first
    assert (box.get_attribute("data-side"), box.get_attribute("data-index")) == (side, query)
    page.get_by_label("Over").get_by_text("Epochs").click()
    page.get_by_text("No open run recorded the assignments of this image").wait_for()


def test_the_terms_of_the_loss_follow_the_layer(page, handlers):
    view(page, "losses")
    table = handlers.losses("image/7")
    assert float(page.locator(".dd-losses [data-total]").get_attribute("data-total")) == table["total"]
    for layer in (0, 2):
        slide(page, layer)
        for term in (t for loss in table["losses"] for t in loss["terms"]):
            cells = page.locator(f"[data-term='{term['id']}'] td").all_text_contents()
            here = said(term["layers"][layer] * term["weight"]) if len(term["layers"]) > 1 else "–"
            assert cells[1:4] == [f"{said(term['sum'])} × {term['weight']:g}", here, said(term["weighted"])]
    page.locator("[data-term='logits/positive_l1']").click()
    page.wait_for_selector(".dd-term[data-shown='logits/positive_l1 2']")
    values = handlers.term("image/7", "logits/positive_l1", layer=2)["values"]
    bars = page.locator(".dd-bar").evaluate_all("x => x.map(e => [+e.dataset.query, +e.dataset.value])")
    assert bars and all(values[q] == v for q, v in bars) and len(bars) == min(12, sum(v != 0 for v in values))
    page.locator(".dd-bar").first.click()
    page.wait_for_selector(".dd-bar.chosen")
    page.locator("[data-term='features/stride8']").click()
    page.wait_for_selector(".dd-pane .dd-heat:not([hidden])")
    heat = handlers.term("image/7", "features/stride8")["heat"]
    assert float(page.locator(".dd-pane .dd-heat").get_attribute("data-most")) == heat["most"]


def test_the_doctor_says_what_each_loss_does(blank, url):
    blank.goto(f"{url}?run={SHIPPED}&compare=&image=image/9&tab=losses")
    blank.get_by_role("button", name="Examine this run").click()
    blank.wait_for_selector(".dd-doctor[data-state=made]", timeout=120_000)
    told = diagnose(library.SHIPPED / "shapes_distill")
    assert told.verdict == blank.locator(".dd-verdict").text_content()
    pulls = blank.locator("[data-part=pulls] tbody tr").evaluate_all("x => x.map(e => e.children[0].textContent)")
    assert pulls == [p.loss for p in told.pulls]
    blank.locator("[data-image='image/1']").click()
    shows(blank, "image/1")
    assert blank.locator(".dd-verdict").is_visible()  # it is of the run


def test_a_figure_is_previewed_had_as_pdf_and_restored_by_link(blank, url):
    blank.goto(f"{url}?run={SHIPPED}&compare=&image=image/9&tab=figures")
    blank.locator("[data-page=image]").click()
    blank.wait_for_selector(".dd-paper[data-page=image][data-state=made] .dd-preview", timeout=120_000)
    assert "Image 9 of" in blank.locator(".dd-caption").text_content() and "figure=image" in blank.url
    for form, start in (("pdf", b"%PDF-"), ("svg", b"<?xml"), ("png", b"\x89PNG"), ("csv", b"")):
        with blank.expect_download() as download:
            blank.locator(f".dd-paper [data-form={form}]").click()
        assert download.value.suggested_filename == f"image.{form}"
        assert Path(download.value.path()).read_bytes().startswith(start)
    blank.reload()
    blank.wait_for_selector(".dd-paper[data-page=image][data-state=made] .dd-preview")
    blank.go_back()
    blank.get_by_text("Choose one from the list").wait_for()


def test_the_six_panels_are_had_as_the_papers_figure(blank, url):
    blank.goto(f"{url}?run={SHIPPED}&compare=&image=image/9&tab=masks")
    blank.locator(READY["masks"]).first.wait_for()
    with blank.expect_download() as download:
        blank.locator(".dd-six [data-form=pdf]").click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF-")


def test_tabs_are_reached_by_keys(page):
    page.get_by_role("tab", name="Matches").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("button[data-tab=masks][aria-selected=true]")
    page.keyboard.press("End")
    page.wait_for_selector("button[data-tab=train][aria-selected=true]")
    page.keyboard.press("Home")
    page.wait_for_selector("button[data-tab=overview][aria-selected=true]")
    page.keyboard.press("Alt+4")  # is the browser's
    assert page.locator("[data-tab=losses][aria-selected=true]").count() == 0


def test_a_training_is_watched(page):
    page.locator("button[data-tab=train]").click()
    page.get_by_label("Recipe").wait_for()
    assert "shapes_distill" in page.get_by_label("Recipe").locator("option").all_text_contents()
    assert page.locator(".dd-stage").is_hidden()


@pytest.mark.parametrize("width", [400, 1280, 1920])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_hangs_over_the_edge(chromium, url, width, theme):
    """Readable on a wide screen and usable on a phone, in light and dark."""
    chromium.set_viewport_size({"width": width, "height": 900})
    for tab, ready in (READY | WHOLE).items():
        chromium.goto(f"{url}?tab={tab}&__theme={theme}")
        chromium.locator(ready).first.wait_for()
        assert chromium.evaluate("document.documentElement.scrollWidth") <= width
        assert chromium.locator(".dd-page").bounding_box()["width"] >= min(width, 1800) - 60
        assert chromium.evaluate("document.body.classList.contains('dark')") == (theme == "dark")


# Strangers ------------------------------------------------------------------------------------------------------------


def test_names_of_strangers_stay_text(page):
    everything(page)
    page.locator(".dd-overlay").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".dd-query[data-chosen]")
    assert ATTACK in page.locator(".dd-query").text_content() and ATTACK in page.locator(".dd-overlay").text_content()
    assert page.locator("[data-image='image/-3']").get_attribute("title") == FILE
    for tab in ("masks", "stability", "losses"):
        page.locator(f"button[data-tab={tab}]").click()
        page.locator(READY[tab]).first.wait_for()
    assert page.locator("img[src=x]").count() == 0 and page.title() == "DETRDistill"


def test_an_upload_has_pseudo_truth_that_the_score_decides(page, tmp_path):
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (60, 90, 3), dtype=np.uint8)).save(tmp_path / "mine.png")
    page.set_input_files(".dd-header input[type=file]", tmp_path / "mine.png")
    page.wait_for_selector(".dd-stage[data-whole^='upload/']")
    assert "pseudo truth" in page.locator(".dd-banner").text_content()
    before = page.locator("[data-count=truth]").text_content()
    page.get_by_label("Minimum score of pseudo truth").fill("0")
    page.wait_for_selector(".dd-stage[data-whole$='/0.00']")
    assert page.locator("[data-count=truth]").text_content() == str(QUERIES) and int(before) < QUERIES


def test_a_damaged_upload_is_told_and_the_page_goes_on(page, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    page.set_input_files(".dd-header input[type=file]", tmp_path / "bad.png")
    page.get_by_text("is not an image that can be read").wait_for()
    pick(page, -3)


def test_the_api_gives_the_same_numbers_and_refuses_strangers_arguments(url, handlers, tmp_path):
    from gradio_client import Client, handle_file
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
            ("image/7", 0, "student", [0]),
        ):
            with pytest.raises(AppError):
                client.predict(*arguments, api_name="/query")
        Image.fromarray(np.full((40, 50, 3), 99, dtype=np.uint8)).save(tmp_path / "grey.png")
        key = client.predict(handle_file(tmp_path / "grey.png"), 0.5, api_name="/upload")
        assert client.predict(key, api_name="/image")["width"] == 50
        with pytest.raises(AppError):
            client.predict("/etc/passwd", 0.5, api_name="/upload")
        told = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        assert set(told) == {f"/{name}" for name in VIEWS}
        assert all(p["type"] for view in told.values() for p in view["parameters"])
    finally:
        client.close()


def test_other_sites_and_other_names_are_turned_away(url):
    def asked(**headers) -> int:
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    host = url.split("/")[2]
    assert asked() == asked(Origin=f"http://{host}") == 200
    assert asked(Origin="http://evil.example") == asked(Host="evil.example") == asked(Origin="null") == 403


def test_modules_are_served_and_nothing_beside_them(url):
    def asked(path: str, **headers) -> tuple[int, dict]:
        connection = HTTPConnection(url.split("/")[2], timeout=20)  # urllib would resolve the dots
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}
        finally:
            connection.close()

    for module in ("page.js", "stage/scene/items.js"):
        status, headers = asked(address(module))
        assert status == 200 and "javascript" in headers["content-type"]
        assert "immutable" in headers["cache-control"]  # which is right as long as another content has another address
        assert asked(f"/web/{'0' * 12}/{module}")[0] == 404
    for path in ("", "stage", "../words.py", "%2e%2e/words.py", "..%2fwords.py", "/etc/passwd", "%2fetc/passwd"):
        assert asked(address(path))[0] == 404
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert asked(address("page.js"), **headers)[0] == 403


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "card.json", "../../etc/passwd", "pyproject.toml", "tests/conftest.py"]
)
def test_no_file_is_served(url, path, folder):
    for asked in (path, str(folder / path), str(Path.cwd() / path)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}gradio_api/file={asked}", timeout=20)
        assert refused.value.code in (403, 404)
        refused.value.close()


# An app with an empty cache --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(folder, second) -> Iterator[str]:
    """An app that has analysed nothing yet, of the same runs."""
    with served(folder, "--compare", str(second)) as address:
        yield address


def test_a_tab_goes_from_one_app_to_the_next(chromium, url, other):
    """Chromium keeps compiled scripts: this page runs one that the page of the other app ran before."""
    for app in (url, other):
        chromium.goto(app)
        shows(chromium, "image/7")


def test_gained_shows_progress_before_the_first_run_is_analysed(blank, other):
    """500 images a run: of both some are known long before either is done."""
    blank.goto(f"{other}?run={SHIPPED}&compare={ALONE}&image=image/9")
    shows(blank, "image/9")
    blank.get_by_label("Sort by").select_option("gained")
    said = blank.locator(".dd-gallery .known", has_text=re.compile("^[1-9][0-9]* of 500 images analysed"))
    said.wait_for()
    assert int(said.text_content().split()[0]) < 250
