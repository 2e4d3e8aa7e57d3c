"""Every view can be read and used by everybody: contrast, names, targets and landmarks, keys, a phone."""

import pytest

from tests.helpers.browser.axe import violations
from tests.helpers.browser.page import READY, WHOLE, chosen, shows

VIEWS = {"matches": ".dd-overview"} | READY | WHOLE
# Contrast of each text of the page with the nearest opaque background, from the colours that the browser computed.
CONTRAST = """() => {
    const pen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const over = colours => { pen.clearRect(0, 0, 1, 1);
        for (const c of colours) { pen.fillStyle = c; pen.fillRect(0, 0, 1, 1); }
        return [...pen.getImageData(0, 0, 1, 1).data]; };
    const light = c => c.slice(0, 3).map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
        .reduce((sum, x, k) => sum + x * [0.2126, 0.7152, 0.0722][k], 0);
    const poor = [];
    for (const e of document.querySelectorAll('.dd-page *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !e.checkVisibility() || e.closest('svg, :disabled, .dd-thumb, .dd-live, .dd-skip, .dd-help')) continue;
        const grounds = [];
        for (let a = e; a; a = a.parentElement) grounds.unshift(getComputedStyle(a).backgroundColor);
        const below = over(grounds), above = over([...grounds, getComputedStyle(e).color]);
        const [a, b] = [light(below), light(above)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) poor.push(`${e.className} ${e.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    return poor; }"""


def open_view(page, url: str, tab: str, theme: str) -> None:
    page.goto(f"{url}?tab={tab}&__theme={theme}")
    page.locator(VIEWS[tab]).first.wait_for()
    if tab not in WHOLE:
        page.wait_for_selector(".dd-side[aria-busy=false]", state="attached")
    page.wait_for_timeout(300)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tab", VIEWS)
def test_texts_have_contrast_buttons_have_names_and_axe_finds_nothing(blank, url, tab, theme):
    open_view(blank, url, tab, theme)
    assert blank.evaluate(CONTRAST) == []
    assert blank.locator("main").count() == 1 and blank.get_by_role("tabpanel").count() == 1
    labelled = blank.get_by_role("tabpanel").get_attribute("aria-labelledby")
    assert blank.locator(f"#{labelled}").get_attribute("aria-selected") == "true"
    nameless = blank.locator(".dd-page button").evaluate_all(
        "x => x.filter(e => !e.textContent.trim() && !e.getAttribute('aria-label')).map(e => e.className)"
    )
    assert nameless == []
    assert violations(blank) == []


def test_the_canvas_is_a_few_keys_away(page):
    """The skip link leads to it at once; without it, the images are one stop."""
    page.evaluate("document.querySelector('.dd-skip').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.classList.contains('dd-overlay')")
    page.locator(".dd-gallery .thumb[tabindex='0']").wait_for()
    assert page.locator(".dd-gallery .thumb[tabindex='0']").count() == 1
    page.locator(".dd-gallery .thumb[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    shows(page, "image/-3")
    assert page.evaluate("document.activeElement.dataset.image") == "image/-3"
    assert page.locator(".dd-gallery .thumb[tabindex='0']").get_attribute("data-image") == "image/-3"


def test_the_focus_stays_in_the_panel_that_is_filled_anew(page):
    page.locator("[data-object='0'] th button").focus()
    page.keyboard.press("Enter")
    chosen(page, "truth", 0, 2)
    assert page.evaluate("document.activeElement.closest('.dd-query') !== null")
    page.goto(page.url.split("?")[0] + "?tab=losses")
    page.locator("[data-term='logits/positive_l1'] button").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".dd-term[data-shown^='logits/positive_l1']")
    assert page.evaluate("document.activeElement.closest('tr').dataset.term") == "logits/positive_l1"


# The texts that lead out of a page of 400 pixels.
CUT_OFF = """() => [...document.querySelectorAll(".dd-page .dd-segments span, .dd-page .dd-button, .dd-page .dd-chip")]
    .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > 400).map(e => e.textContent)"""

LENGTHEN = "x => x.forEach(e => e.textContent = 'a/folder/'.repeat(12))"  # as the name of a run deep in folders


def test_nothing_is_cut_off_on_a_phone(blank, url):
    blank.set_viewport_size({"width": 400, "height": 800})
    for tab in VIEWS:
        open_view(blank, url, tab, "light")
        blank.locator(".dd-header option").evaluate_all(LENGTHEN)
        assert blank.evaluate(CUT_OFF) == []
