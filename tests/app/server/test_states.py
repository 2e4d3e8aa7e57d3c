"""What the page says is so: each state in which it once showed something else."""

import json

import numpy as np
import pytest
from PIL import Image

from analysis.bench.app import served
from app.server.handlers import Handlers
from app.worker import library
from app.worker.library import short_path
from tests.helpers import opened
from tests.helpers.browser.page import SHIPPED, chosen, pick, shows, view
from tests.helpers.browser.strangers import QUERIES

ALONE = short_path(library.SHIPPED / "shapes")
OPENING = "image/99"  # of the shipped runs: five objects of five classes, none of them hidden
PARTS = "x => x.map(e => e.getAttribute('class').split(' ').find(c => /^(student|distilled|teacher|truth|loss.|prior)$/.test(c)))"


@pytest.fixture
def shipped(blank, url):
    """The page with the shipped pair of runs on an image that the student distilled in it recorded over its epochs."""
    blank.goto(f"{url}?run={SHIPPED}&compare={ALONE}&image=image/9")
    shows(blank, "image/9")
    return blank


def upload(page, tmp_path) -> None:
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (60, 90, 3), dtype=np.uint8)).save(tmp_path / "mine.png")
    page.set_input_files(".dd-header input[type=file]", tmp_path / "mine.png")
    page.wait_for_selector(".dd-stage[data-whole^='upload/']")


def test_a_view_that_is_still_of_the_image_before_is_faded(shipped):
    """The answer for the view comes after the whole image is on the canvas."""
    late = []

    def answer(route):
        if late or "matches" not in (route.request.post_data or ""):
            route.continue_()
        else:
            late.append(route)

    side = shipped.locator(".dd-side")
    assert side.get_attribute("aria-busy") == "false"
    before = side.locator(".dd-query").get_attribute("data-shown")
    shipped.route("**/*", answer)
    with shipped.expect_request(lambda request: "matches" in (request.post_data or "")):
        shipped.locator("[data-image='image/10']").click()
    shipped.wait_for_selector(".dd-stage[data-whole='image/10']")
    assert side.get_attribute("aria-busy") == "true" and side.locator(".dd-query").get_attribute("data-shown") == before
    late[0].continue_()
    shows(shipped, "image/10")
    assert side.locator(".dd-query").get_attribute("data-shown").startswith("image/10 ")


def test_open_this_run_leads_from_train_to_its_matches(shipped):
    shipped.locator("button[data-tab=train]").click()
    shipped.get_by_label("Watch").select_option(ALONE)
    shipped.get_by_role("button", name="Open this run").click()
    shows(shipped, OPENING)
    assert shipped.locator("button[data-tab=matches]").get_attribute("aria-selected") == "true"
    assert shipped.locator(".dd-stage").is_visible() and shipped.locator(".dd-train").count() == 0
    assert shipped.get_by_label("Run", exact=True).input_value() == ALONE


def test_the_run_that_is_open_can_be_opened_from_train_too(shipped):
    """It opens alone, at its opening image."""
    shipped.locator("button[data-tab=train]").click()
    shipped.locator(".dd-progress", has_text=f"{SHIPPED}:").wait_for()
    shipped.get_by_role("button", name="Open this run").click()
    shows(shipped, OPENING)
    assert shipped.get_by_label("Compare with").input_value() == ""


def test_the_runs_to_watch_are_listed_anew_and_the_open_one_is_watched(shipped):
    shipped.locator("button[data-tab=train]").click()
    shipped.locator(".dd-progress", has_text=f"{SHIPPED}:").wait_for()
    shipped.locator("button[data-tab=matches]").click()
    shipped.get_by_label("Run", exact=True).select_option(ALONE)
    shows(shipped, OPENING)
    shipped.locator("button[data-tab=train]").click()
    shipped.locator(".dd-progress", has_text=f"{ALONE}:").wait_for()
    assert shipped.get_by_label("Watch").input_value() == ALONE and shipped.locator(".dd-log").is_hidden()


def test_the_run_is_compared_with_all_others_after_a_change_of_run(shipped):
    other = shipped.get_by_label("Compare with")
    other.focus()
    shipped.wait_for_function(
        "n => document.querySelectorAll('select[aria-label=\"Compare with\"] option').length > n", arg=3
    )
    assert SHIPPED not in other.locator("option").evaluate_all("x => x.map(e => e.value)")
    shipped.get_by_label("Run", exact=True).select_option(ALONE)
    shows(shipped, OPENING)
    listed = other.locator("option").evaluate_all("x => x.map(e => e.value)")
    assert SHIPPED in listed and ALONE not in listed and other.input_value() == ""


def test_another_image_ends_the_selection(page):
    page.evaluate("() => dd.choose({side: 'student', index: 3})")
    chosen(page, "student", 3, 2)
    pick(page, -3)
    assert page.locator(".dd-box.chosen").count() == 0 and "query=" not in page.url


def test_no_figure_is_made_of_an_upload(page, tmp_path):
    upload(page, tmp_path)
    page.locator("button[title*=uploaded]:disabled", has_text="Make a figure").wait_for()


def test_a_figure_of_one_image_is_of_the_run_that_it_names(blank, url):
    """The selected run is the student alone; the one that it is compared with was distilled."""
    blank.goto(f"{url}?run={ALONE}&compare={SHIPPED}&image=image/9&query=student.5")
    shows(blank, "image/9")
    blank.get_by_role("button", name="Make a figure").click()
    blank.wait_for_selector(".dd-paper[data-page=image][data-state=made] .dd-preview", timeout=120_000)
    assert "run shapes." in blank.locator(".dd-caption").text_content()
    about = blank.locator(".dd-about").text_content()
    assert f"It shows {ALONE}" in about and f"the student of {SHIPPED}, the selection of student query 5" in about
    blank.get_by_role("combobox", name="Run", exact=True).last.select_option(SHIPPED)
    blank.locator(".dd-caption", has_text="run shapes_distill.").wait_for(timeout=120_000)


def test_without_objects_a_query_has_no_iou_and_no_quality(blank, folder, tmp_path_factory):
    file = tmp_path_factory.mktemp("bare") / "bare.json"
    data = json.loads((folder / "instances.json").read_text())
    file.write_text(json.dumps(data | {"annotations": [a for a in data["annotations"] if a["image_id"] != 7]}))
    with served(folder, "--data", str(file), "--images", str(folder)) as bare:
        blank.goto(f"{bare}?tab=masks&image=image/7")
        blank.locator(".dd-ranks tbody tr").first.wait_for()
        cells = blank.locator(".dd-ranks tbody tr").evaluate_all(
            "x => x.map(e => [...e.children].map(c => c.textContent))"
        )
        assert len(cells) == QUERIES and {tuple(row[4:6]) for row in cells} == {("–", "–")}
        scores = [float(row[3]) for row in cells]
        assert scores == sorted(scores, reverse=True)
        assert blank.get_by_text("This image has no objects, so there is no IoU").is_visible()
        assert blank.get_by_label("Gamma").is_hidden()


def test_masks_open_with_the_best_query_and_have_one_scale(page, handlers):
    view(page, "masks")
    page.wait_for_selector(".dd-six .dd-tile:nth-child(6) canvas")
    told = handlers.masks("image/7", level=1)
    best = max(told["queries"], key=lambda q: (q["quality"], -q["index"]))["index"]
    page.wait_for_selector(f".dd-ranks tr.chosen[data-query='{best}']")
    assert f"query=teacher.{best}" in page.url
    most = max(heat["most"] for k in (0, 8) for heat in handlers.mask("image/7", list(range(k, k + 8)), level=1))
    tops = page.locator(".dd-six canvas, .dd-pane .dd-heat").evaluate_all("x => x.map(e => +e.dataset.top)")
    assert len(tops) == 6 and tops == [pytest.approx(most)] * 6
    assert float(page.locator(".dd-six [data-top]").first.get_attribute("data-top")) == pytest.approx(most)
    bars = page.locator("[data-tile=naive] .dd-colours, [data-tile=each] .dd-colours").count()
    assert bars == 2


def test_losses_have_the_colour_of_the_student_and_no_detectors_colour_in_a_training(shipped):
    view(shipped, "losses")
    shipped.locator("[data-term='logits/positive_class']").click()
    shipped.wait_for_selector(".dd-bars.distilled")
    shipped.locator("button[data-tab=train]").click()
    shipped.wait_for_selector("[aria-label=Loss] .curve")
    roles = shipped.locator("[aria-label=Loss] .curve").evaluate_all(PARTS)
    names = shipped.locator("[aria-label=Loss] .curve").evaluate_all("x => x.map(e => e.dataset.series)")
    assert names[:2] == ["total", "detection"] and roles[0] is None
    assert len(set(roles[1:])) == len(roles) - 1 > 2 and all(role.startswith("loss") for role in roles[1:])


def test_the_prior_queries_have_a_colour_of_their_own(page):
    colours = page.locator(".dd-legend [data-toggle] .swatch").evaluate_all(
        "x => x.map(e => getComputedStyle(e).borderTopColor)"
    )
    assert page.locator("[data-toggle=prior] .swatch").count() == 1 and len(set(colours)) == len(colours) >= 5


def test_an_image_that_was_not_recorded_leads_to_those_that_were(blank, url):
    blank.goto(f"{url}?run={SHIPPED}&compare=&image=image/400&tab=stability")
    blank.locator(".piece").first.wait_for()
    blank.get_by_label("Over").get_by_text("Epochs").click()
    links = blank.locator("[data-recorded]")
    links.first.wait_for()
    handlers: Handlers = opened.handlers(library.SHIPPED / "shapes_distill")
    recorded = handlers.epochs("image/400")["recorded"]
    assert links.evaluate_all("x => x.map(e => e.dataset.recorded)") == recorded and "image/9" in recorded
    blank.locator("[data-recorded='image/9']").click()
    shows(blank, "image/9")
    blank.locator(".dd-row .piece[title*='epoch']").first.wait_for()
