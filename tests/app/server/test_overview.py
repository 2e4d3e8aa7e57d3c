"""The overview in the browser: its numbers are those of the endpoint, its words lead to them, and its address holds it."""

import re
from collections.abc import Iterator

import pytest

from analysis.bench.app import served
from app.worker import library
from app.worker.library import short_path
from tests.helpers import opened
from tests.helpers.browser.page import SHIPPED, shows

ALONE = short_path(library.SHIPPED / "shapes")
FIRST = f"run={SHIPPED}&compare={ALONE}"


@pytest.fixture(scope="module")
def url(folder, second) -> Iterator[str]:
    """An app for this file alone, with an empty cache: what it measures for an overview goes on for minutes."""
    with served(folder, "--compare", str(second)) as address:
        yield address


@pytest.fixture
def page(blank):
    """Each test opens an address of its own."""
    return blank


def open_overview(page, url: str, more: str = "") -> None:
    page.goto(f"{url}?tab=overview&{FIRST}{more}")
    page.wait_for_selector(f".dd-verdicts[data-shown^='{SHIPPED},{ALONE}']")


def test_the_words_lead_to_their_numbers(page, url):
    open_overview(page, url)
    answer = opened.handlers(library.SHIPPED / "shapes_distill", library.SHIPPED / "shapes")
    recorded = answer.overview(SHIPPED, ALONE)
    said = page.locator(".dd-words .dd-verdict > *").all_text_contents()
    assert said[: len(recorded["clauses"])] == [clause["text"] for clause in recorded["clauses"]]
    for to in ("ap", "parts", "gradient"):
        page.locator(f".dd-words a[data-to={to}]").first.click()
        assert page.evaluate("document.activeElement.closest('section').id") == f"dd-card-{to}"
    for run in recorded["runs"]:
        row = page.locator(f"#dd-card-runs tr[data-run='{run['id']}'] td").all_text_contents()
        assert row[-1] == f"{run['ap'][-1]['ap']:.1f}" and row[1] == str(run["seed"])
    square = page.locator("#dd-card-parts tr[data-name=square] td").all_text_contents()
    aps = [run["scores"]["student"]["classes"]["square"] for run in recorded["runs"]]
    assert square[:2] == [f"{ap:.1f}" for ap in aps] and square[3] == f"+{aps[0] - aps[1]:.1f}"
    shares = page.locator("#dd-card-gradient .stack .track").first.get_attribute("aria-label")
    logits = next(pull["decoder"] for pull in recorded["runs"][0]["pulls"] if pull["loss"] == "logits")
    assert f"logits {100 * logits:.0f}%" in shares


def test_counts_open_the_images(page, url):
    open_overview(page, url)
    page.locator("#dd-card-objects button[data-kind=gained]").click()
    page.wait_for_selector(".dd-gallery[data-sort=gained]")
    assert page.locator("button[data-tab=matches]").get_attribute("aria-selected") == "true"
    page.go_back()
    page.wait_for_selector(".dd-verdicts")
    assert page.locator("button[data-tab=overview]").get_attribute("aria-selected") == "true"


def test_a_link_holds_the_overview(page, url):
    open_overview(page, url)
    page.locator("#dd-card-ap label", has_text="Minutes").click()
    page.locator("#dd-card-loss [data-toggle=log] input").check()
    page.get_by_label("Smoothing").fill("0.5")
    page.get_by_label("Loss", exact=True).select_option("logits")
    page.get_by_label("From step").fill("500")
    page.get_by_label("From step").press("Enter")
    page.locator("#dd-card-runs summary").click()
    page.locator("#dd-card-runs [data-toggle$=shapes_320] input").check()
    page.wait_for_selector(".dd-verdicts[data-shown$=shapes_320]")
    page.wait_for_function("location.search.includes('smooth=0.5')")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector(".dd-verdicts[data-shown$=shapes_320]")
    assert page.locator("#dd-card-ap input[value=minutes]").is_checked()
    assert page.locator("#dd-card-loss [data-toggle=log] input").is_checked()
    assert page.get_by_label("Smoothing").input_value() == "0.5"
    assert page.get_by_label("Loss", exact=True).input_value() == "logits"
    assert page.get_by_label("From step").input_value() == "500"
    assert page.locator("#dd-card-runs tr[data-run$=shapes_320]").count() == 1
    assert "not over minutes: shapes_320" in page.locator("#dd-card-ap").text_content()


def test_a_drag_chooses_the_steps_that_are_seen(page, url):
    open_overview(page, url)
    chart = page.locator("#dd-card-loss .dd-chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_function("/steps=\\d+-\\d+/.test(location.search)")
    first, last = map(int, re.search(r"steps=(\d+)-(\d+)", page.url).groups())
    assert 900 < first < 1300 and 1500 < last < 1900
    page.get_by_role("button", name="All steps").click()
    page.wait_for_function("!location.search.includes('steps=')")


def test_runs_that_recorded_nothing_say_what_to_do(page, url):
    """The tiny runs of these tests have no log; the page says so, and still counts their objects."""
    page.goto(url)
    page.locator("button[data-tab=overview]").click()
    page.locator(".dd-words", has_text="has no metrics.jsonl").wait_for()
    page.locator("#dd-card-objects [data-kind=missed]").wait_for()
    page.wait_for_selector(".dd-words[data-done=true]")
    assert page.locator("#dd-card-findings").text_content().count("has no record of a step") == 2
    counts = page.locator("#dd-card-objects .count b").all_text_contents()
    assert sum(map(int, counts)) == 3


def test_a_run_alone_offers_what_to_compare_it_with(page, url):
    page.goto(f"{url}?tab=overview&run={SHIPPED}&compare=")
    page.locator(f"#dd-card-runs [data-partner='{ALONE}']").click()
    page.locator(".dd-words", has_text="Distilling helped").wait_for()
    assert page.get_by_label("Compare with").input_value() == ALONE


def test_a_phone_scrolls_in_one_direction(page, url):
    page.set_viewport_size({"width": 400, "height": 800})
    open_overview(page, url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_page_polls_no_more_once_another_view_is_open(page, url):
    open_overview(page, url)
    asked = []

    def listen(request) -> None:
        if request.method == "POST" and "verdict" in (request.post_data or ""):
            asked.append(request.url)

    page.on("request", listen)
    page.locator("button[data-tab=matches]").click()
    shows(page, page.evaluate("new URLSearchParams(location.search).get('image') || 'image/99'"))
    asked.clear()
    page.wait_for_timeout(2500)  # longer than the pause between two questions
    page.remove_listener("request", listen)
    assert asked == []
