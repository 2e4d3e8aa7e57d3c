"""The address holds the whole view; Back goes through what was chosen; a link that asks too much falls back and says so."""

import pytest

from tests.helpers.browser.page import chosen, drawn, everything, pick, shows, view
from tests.helpers.browser.strangers import LAYERS


def again(page) -> None:
    """Opens the address in a page that knows nothing."""
    link = page.url
    page.goto("about:blank")
    page.goto(link)


def test_a_link_holds_all_that_is_set_on_the_canvas(page):
    pick(page, -3)
    everything(page)
    page.get_by_text("Side by side").click()
    page.get_by_label("Queries").select_option("5")
    page.get_by_label("Boxes of").select_option(index=2)
    page.locator("[data-toggle=names] input").uncheck()
    page.locator("[data-toggle=positive] input").check()
    page.locator("[data-toggle=teacher] input").uncheck()
    page.get_by_label("Sort by").select_option("cost")
    page.get_by_label("Images with").select_option(index=1)
    page.wait_for_selector(".dd-gallery[data-sort=cost]")
    seen = drawn(page, "student")
    again(page)
    shows(page, "image/-3")
    assert page.locator(".dd-floor input").input_value() == "0" and page.get_by_label("Queries").input_value() == "5"
    assert page.locator(".dd-pane").count() == 3 and drawn(page, "student") == seen and drawn(page, "teacher") == []
    assert page.get_by_label("Boxes of").evaluate("e => e.selectedIndex") == 2
    states = {
        name: page.locator(f"[data-toggle={name}] input").is_checked() for name in ("names", "positive", "teacher")
    }
    assert states == {"names": False, "positive": True, "teacher": False}
    page.wait_for_selector(".dd-gallery[data-sort=cost]")
    assert page.get_by_label("Images with").evaluate("e => e.selectedIndex") == 1


def test_a_link_holds_level_layer_and_pins_of_masks(page):
    view(page, "masks")
    page.get_by_label("Features").select_option("0")
    page.wait_for_function("document.querySelector('[data-tile=each] canvas').width === 32")
    page.locator(".dd-ranks tr[data-query='3']").click()
    page.get_by_role("button", name="Pin the selected query", exact=True).click()
    page.get_by_text("pinned:").wait_for()
    page.get_by_label("Queries of").select_option("1")
    page.locator(".dd-look label", has_text="By quality").click()
    again(page)
    page.get_by_text("Figure 4 is of the teacher’s last decoder layer").wait_for()
    assert page.get_by_label("Features").input_value() == "0" and page.get_by_label("Queries of").input_value() == "1"
    assert page.locator(".dd-look [value=each]").is_checked()
    page.wait_for_selector(".dd-ranks tr.chosen[data-query='3']")
    page.get_by_label("Queries of").select_option(str(LAYERS - 1))
    page.get_by_text("pinned:").wait_for()
    assert "(b) query 3" in page.locator(".dd-six").text_content()


def test_a_link_holds_the_term_and_the_epochs(page):
    view(page, "losses")
    page.locator("[data-term='logits/positive_l1']").click()
    page.wait_for_selector(".dd-term[data-shown^='logits/positive_l1']")
    view(page, "stability")
    page.get_by_label("Over").get_by_text("Epochs").click()
    page.locator(".dd-recorded").wait_for()
    again(page)
    page.locator(".dd-recorded").wait_for()
    page.locator("button[data-tab=losses]").click()
    page.wait_for_selector(".dd-term[data-shown^='logits/positive_l1']")


def test_back_undoes_a_selection_and_a_switch(page):
    page.evaluate("() => dd.choose({side: 'student', index: 3})")
    chosen(page, "student", 3, 2)
    page.evaluate("() => dd.choose({side: 'teacher', index: 4})")
    chosen(page, "teacher", 4, 2)
    page.locator("[data-toggle=prior] input").check()
    page.get_by_text("Side by side").click()
    assert page.locator(".dd-pane").count() == 3
    page.go_back()
    page.wait_for_function("document.querySelectorAll('.dd-pane').length === 1")
    assert not page.locator("[value=apart]").is_checked() and page.locator("[data-toggle=prior] input").is_checked()
    page.go_back()
    page.wait_for_function("!document.querySelector('[data-toggle=prior] input').checked")
    page.go_back()
    chosen(page, "student", 3, 2)
    page.go_back()
    page.wait_for_function("!document.querySelector('.dd-box.chosen')")
    page.go_forward()
    chosen(page, "student", 3, 2)


def test_copy_link_copies_the_address(page, chromium):
    chromium.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("() => dd.choose({side: 'student', index: 3})")
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url and "query=student.3" in page.url


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("run=nowhere", "there is no run 'nowhere' here"),
        ("compare=nowhere", "there is no run 'nowhere' here"),
        ("image=image/404", "has no image '404'"),
        ("image=%3Cimg%3E", "no image '<img>'"),
        ("query=nobody.7", "This image has no nobody query 7"),
        ("query=student.99", "This image has no student query 99"),
        ("layer=99", "There is no decoder layer 99; the last of 3 is shown"),
        ("tab=%3Cimg%3E&gamma=x", "The link asks for tab=<img>, gamma=x, which this page does not know"),
        ("sort=nothing", "no sort 'nothing'"),
        ("with=nothing", "there is no class 'nothing' in this data"),
        ("tab=losses&term=a/b", "The loss of this run has no term a/b; the first one is shown"),
        ("tab=figures&figure=nothing", "There is no figure or table nothing"),
    ],
)
def test_what_a_link_asks_for_and_is_not_here_is_said_until_it_is_closed(blank, url, asked, says):
    blank.goto(f"{url}?{asked}")
    line = blank.locator(".dd-fallback", has_text=says)
    line.wait_for()
    if "figures" not in asked:
        blank.wait_for_selector(".dd-stage[data-whole='image/7']")
        blank.locator(".dd-gallery .thumb").nth(1).wait_for()
        assert len(drawn(blank, "truth")) == 2
    else:
        blank.get_by_text("Choose one from the list").wait_for()
    blank.locator(".dd-fallback").get_by_label("Close").click()
    assert line.is_hidden() and blank.locator(".dd-fallback img").count() == 0
