"""A user finds images by name, by id, with filters, and with the arrow keys beyond the end of the strip."""

import re
from functools import cache

import pytest
from torch import Tensor

from app.worker import library
from core.runs.open import open_run
from tests.helpers.browser.axe import violations
from tests.helpers.browser.page import SHIPPED, shows

SCORE = "[aria-label='Score'][role=group]"
SIZE = "[aria-label='Object size'][role=group]"


@pytest.fixture
def page(blank):
    """Each test opens an address of its own."""
    return blank


def test_an_image_is_opened_by_its_id_and_the_strip_follows(page, url):
    page.goto(f"{url}?run={SHIPPED}&compare=&image=image/100")
    shows(page, "image/100")
    page.wait_for_selector(".thumb[data-image='image/100'][aria-selected=true]")
    assert "97–120 of 500" in page.locator(".dd-gallery .where").text_content() and "strip=5" in page.url
    page.reload()
    shows(page, "image/100")
    assert "97–120 of 500" in page.locator(".dd-gallery .where").text_content()
    page.get_by_label("Open an image").fill("400")
    page.keyboard.press("Enter")
    shows(page, "image/400")
    page.wait_for_selector(".thumb[data-image='image/400'][aria-selected=true]")
    assert page.locator(".dd-gallery .name").text_content() == "Image 400"
    page.go_back()
    shows(page, "image/100")
    page.wait_for_selector(".thumb[data-image='image/100'][aria-selected=true]")
    page.get_by_label("Open an image").fill("no such name")
    page.keyboard.press("Enter")
    page.get_by_text("no image has the id 'no such name'").wait_for()


def test_arrow_keys_go_on_to_the_next_page_and_back(page, url):
    page.goto(f"{url}?run={SHIPPED}&compare=&image=image/24")
    shows(page, "image/24")
    page.locator("[data-image='image/24'][tabindex='0']").focus()
    for key, image in (("ArrowRight", 25), ("ArrowRight", 26), ("ArrowLeft", 25), ("ArrowLeft", 24)):
        page.keyboard.press(key)
        shows(page, f"image/{image}")
        page.wait_for_function("image => document.activeElement.dataset.image === image", arg=f"image/{image}")


def test_a_late_answer_for_the_page_before_does_not_turn_the_page_back(page, url):
    """The user turns the page, and once more from the images that are still there, before the first answer comes."""
    page.goto(f"{url}?run={SHIPPED}&compare=&image=image/24")
    shows(page, "image/24")
    late = []

    def answer(route):
        if late or "gallery" not in (route.request.post_data or ""):
            route.continue_()
        else:
            late.append(route)

    page.route("**/*", answer)
    with page.expect_request(lambda request: "gallery" in (request.post_data or "")):
        page.get_by_label("Next images").click()
    page.locator("[data-image='image/24'][tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    assert len(late) == 1, "the answer for the second page is held back"
    late[0].continue_()
    shows(page, "image/49")
    page.wait_for_selector(".thumb[data-image='image/49'][aria-selected=true]")


def filtering(page, url: str, asked: str = "") -> None:
    """The shipped run with its filters open."""
    page.goto(f"{url}?run={SHIPPED}&compare=&image=image/100&filters=yes{asked}")
    page.wait_for_selector("#dd-filters[data-matching]")


def left(page, matching: int) -> None:
    """Until so many images are left, in the panel and in the strip."""
    page.wait_for_selector(f"#dd-filters[data-matching='{matching}']")
    page.locator(".dd-gallery .where", has_text=f" of {matching}").wait_for()


@cache
def sides_of_objects() -> list[Tensor]:
    """The sides of the objects of each image of the shipped run, in pixels."""
    data = open_run(library.SHIPPED / "shapes_distill").data
    return [(s.boxes[:, 2:] - s.boxes[:, :2]).double().prod(1).sqrt() for s in map(data.__getitem__, range(len(data)))]


def passing(**asked: str) -> int:
    """How many images of the shipped run pass, counted object by object."""
    low, high = map(float, asked.get("objects", "0-99").split("-"))
    small, large = map(float, asked.get("size", "0-999").split("-"))
    return sum(low <= len(x) <= high and bool(((x >= small) & (x <= large)).any()) for x in sides_of_objects())


def test_a_histogram_is_brushed_by_a_drag_and_by_keys_and_the_address_restores_it(page, url):
    page.goto(f"{url}?run={SHIPPED}&compare=&image=image/100")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.wait_for_selector("#dd-filters[data-matching='500']")
    area = page.locator(f"{SIZE} svg").bounding_box()
    page.mouse.move(area["x"] + 0.55 * area["width"], area["y"] + 20)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 20, steps=6)
    page.mouse.up()
    size = "-".join(page.get_by_label(f"Object size, {end}").input_value() for end in ("from", "to"))
    page.wait_for_function("size => location.search.includes(`size=${size}`)", arg=size)
    left(page, passing(size=size))
    assert page.locator(f"{SIZE} output").text_content() == f"{size.replace('-', ' to ')} px"
    page.get_by_label("Number of objects, from").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('objects=3-')")
    left(page, both := passing(size=size, objects="3-99"))
    assert 0 < both < passing(size=size) < 500
    assert page.get_by_role("button", name="Filters (2)").get_attribute("aria-expanded") == "true"
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    left(page, both)
    assert page.get_by_label("Number of objects, from").input_value() == "3"
    page.get_by_role("button", name="Clear filters").click()
    left(page, 500)
    assert not re.search("size=|objects=", page.url)
    page.go_back()
    left(page, both)


def test_filters_of_scores_say_how_many_images_are_analysed(page, url):
    filtering(page, url, "&found=0.9-")
    said = page.locator("#dd-filters [role=status]", has_text=re.compile(r"^\d+ of (the \d+ of )?500 images"))
    said.wait_for()
    matching, *known = map(int, re.findall(r"\d+", said.text_content())[:-1])
    assert matching <= min([500, *known])
    assert ("analysed so far" in said.text_content()) == bool(known)
    assert page.get_by_label("Objects that are").locator("option").all_text_contents() == ["any", "found", "missed"]
    assert page.locator(f"{SCORE} output").text_content() == "0.9 to 1"


def test_where_no_image_passes_the_strip_says_what_to_do(page, url):
    filtering(page, url, "&objects=1-1&size=1-2")
    page.get_by_text("No image passes all filters. Widen a range, or clear the filters.").wait_for()
    assert page.locator(".dd-gallery .thumb").count() == 0
    page.get_by_role("button", name="Show all images").click()
    left(page, 500)
    page.wait_for_selector(".dd-gallery .thumb")
    assert page.evaluate("document.activeElement.textContent") == "Filters"


def test_a_filter_that_is_none_is_named(page, url):
    page.goto(f"{url}?size=wide&objects=-&change=won")
    page.get_by_text("The link asks for objects=-, size=wide, change=won, which this page does not know.").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_filters(page, url, theme):
    filtering(page, url, f"&objects=2-4&__theme={theme}")
    assert violations(page) == []
    filtering(page, url, f"&size=1-2&objects=1-1&__theme={theme}")
    page.get_by_text("No image passes all filters.").wait_for()
    assert violations(page) == []
