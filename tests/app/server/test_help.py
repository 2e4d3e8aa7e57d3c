"""The page explains itself: a tour, what marks mean, and what to do where nothing is shown."""

from app.worker import library
from app.worker.library import short_path
from tests.helpers.browser.page import SHIPPED, drawn, shows

ALONE = short_path(library.SHIPPED / "shapes")


def test_the_tour_leads_through_five_steps_and_can_be_left(page, handlers, second):
    page.get_by_role("button", name="Tour").click()
    steps = page.locator(".dd-tour")
    page.wait_for_selector(".dd-tour[data-step='1']")
    seen = [steps.locator("b").text_content()]
    for step, (tab, query) in enumerate(
        (("matches", True), ("matches", True), ("stability", True), ("matches", False)), 2
    ):
        page.get_by_role("button", name="Next", exact=True).click()
        page.wait_for_selector(f".dd-tour[data-step='{step}']")
        seen.append(steps.locator("b").text_content())
        assert page.locator(f"button[data-tab={tab}]").get_attribute("aria-selected") == "true"
        assert ("query=truth." in page.url) == query
        if step == 3:
            page.wait_for_selector(".dd-stage[data-layer='0']")
    assert [text[:6] for text in seen] == [f"{k} of 5" for k in range(1, 6)] and len(set(seen)) == 5
    page.get_by_role("button", name="Back", exact=True).click()
    page.wait_for_selector(".dd-tour[data-step='4']")
    page.get_by_role("button", name="Skip the tour").click()
    assert steps.is_hidden() and page.evaluate("document.activeElement.textContent") == "Tour"


def test_gained_and_lost_are_explained_where_they_stand(blank, url):
    blank.goto(f"{url}?run={SHIPPED}&compare={ALONE}&image=image/9")
    shows(blank, "image/9")
    legend = blank.locator(".dd-changes")
    legend.wait_for()
    for change in ("gained", "lost"):
        mark = blank.locator(f".dd-overview .change.{change}").first
        assert "IoU of at least 0.5 and a score of at least 0.3" in mark.get_attribute("title")
        assert f"{change}: " in legend.text_content()


def test_an_empty_canvas_says_what_to_do(page):
    assert page.locator(".dd-empty").is_hidden()
    for switch in page.locator(".dd-legend [data-toggle$='-truth'] input").all():
        switch.uncheck()
    page.locator(".dd-floor input").fill("1")
    page.get_by_text("No query scores 1.00: lower the minimum score to see boxes.").wait_for()
    assert drawn(page, "student") == []
    page.locator(".dd-floor input").fill("0")
    page.wait_for_function("document.querySelector('.dd-empty').hidden")
    for side in ("student", "teacher", "other"):
        page.locator(f"[data-toggle={side}] input").uncheck()
    page.get_by_text("All boxes of queries are switched off; switch one on.").wait_for()
