"""Images are found: by name, by id, and with the arrow keys beyond the end of the strip."""

from tests.helpers.browser.page import SHIPPED, shows


def test_an_image_is_opened_by_its_id_and_the_strip_follows(page, url):
    page.goto(f"{url}?run={SHIPPED}&compare=&image=image/100")
    shows(page, "image/100")
    page.wait_for_selector(".thumb[data-image='image/100'][aria-selected=true]")
    assert "97–120 of 500" in page.locator(".dd-gallery .where").text_content() and "page=5" in page.url
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
