"""Notes in the browser: on an image and on an object, in two tabs, found again; markup in one is text."""

from pathlib import Path

from tests.helpers.browser.axe import violations
from tests.helpers.browser.page import shows, view
from tests.helpers.browser.strangers import ATTACK


def write(page, text: str, tags: str = "") -> None:
    page.get_by_label("Note", exact=True).fill(text)
    page.get_by_label("Tags", exact=True).fill(tags)
    page.get_by_role("button", name="Keep the note").click()
    page.locator(".dd-note-list p", has_text=text).first.wait_for()


def clear(page) -> None:
    while page.locator(".dd-note-list li").count():
        before = page.locator(".dd-note-list li").count()
        page.get_by_role("button", name="Remove the note").first.click()
        page.wait_for_function("n => document.querySelectorAll('.dd-note-list li').length < n", arg=before)


def test_a_note_is_kept_found_changed_and_removed(page, folder):
    view(page, "notes")
    write(page, f"{ATTACK}<b>bold</b>", "hard, odd")
    assert violations(page) == []
    page.evaluate("() => dd.choose({side: 'truth', index: 1})")
    page.locator(".dd-note-form", has_text="object 1").wait_for()
    write(page, "the second object")
    assert page.locator(".dd-note-list li").count() == 2 and page.locator(".dd-note-list b").count() == 0
    page.get_by_label("Tag", exact=True).select_option("hard")
    page.wait_for_selector(".dd-kept[data-count='1']")
    assert "tag=hard" in page.url
    page.reload()
    page.wait_for_selector(".dd-kept[data-count='1']")
    page.get_by_label("Tag", exact=True).select_option("")
    page.wait_for_selector(".dd-kept[data-count='2']")
    page.get_by_label("Notes with the text").fill("second")
    page.wait_for_selector(".dd-kept[data-count='1']")
    page.get_by_role("button", name="Change the note").click()
    page.get_by_label("Note", exact=True).fill("the second object, changed")
    page.get_by_role("button", name="Keep the change").click()
    page.locator(".dd-note-list p", has_text="changed").wait_for()
    with page.expect_download() as stored:
        page.get_by_role("button", name="CSV").click()
    assert "the second object, changed" in Path(stored.value.path()).read_text(encoding="utf-8")
    page.get_by_label("Notes with the text").fill("")
    page.wait_for_selector(".dd-kept[data-count='2']")
    clear(page)
    assert (folder / "notes.json").exists()


def test_two_tabs_lose_none_of_their_notes(page, url):
    other = page.context.browser.new_page()
    try:
        other.goto(f"{url}?tab=notes")
        shows(other, "image/7")
        view(page, "notes")
        write(page, "from the first")
        write(other, "from the second")
        assert other.locator(".dd-note-list li").count() == 2
        write(page, "from the first again")
        assert page.locator(".dd-note-list li").count() == 3
        clear(page)
    finally:
        other.close()


def test_an_empty_note_is_refused_in_a_sentence(page):
    view(page, "notes")
    page.get_by_role("button", name="Keep the note").click()
    page.locator(".dd-note-form [role=alert]", has_text="the note is empty").wait_for()
