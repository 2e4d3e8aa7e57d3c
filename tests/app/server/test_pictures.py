"""A folder of pictures in the browser: those worth a label first, teacher and student side by side, the choice as a COCO file."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.bench.app import served
from app.worker import library
from tests.helpers.browser.axe import violations
from tests.helpers.browser.page import shows, view

IMAGES = 3


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """The shipped run beside pictures: grey ones, and a disc in the last, which alone has something to find."""
    folder = tmp_path_factory.mktemp("pictures")
    away = np.hypot(*np.meshgrid(np.arange(96) - 40, np.arange(96) - 50))
    for k in range(IMAGES):
        pixels = np.full((96, 96, 3), 120, dtype=np.uint8)
        if k == IMAGES - 1:
            pixels[away < 25] = (200, 40, 40)
        Image.fromarray(pixels).save(folder / f"<b>{k}.png")
    run = tmp_path_factory.mktemp("run") / "shapes_distill"
    shutil.copytree(library.SHIPPED / "shapes_distill", run)  # in which the note is written
    teacher = library.ASSETS / "teacher_shapes.safetensors"  # the run's card names it by a path relative to the run
    with served(run, "--teacher", str(teacher), "--images", str(folder)) as address:
        yield address


@pytest.fixture
def page(chromium, url):
    wrong = []

    def listen(error) -> None:
        wrong.append(str(error))

    chromium.on("pageerror", listen)
    chromium.goto(url)
    chromium.wait_for_selector(f".dd-gallery[data-known='{IMAGES}'][data-sort='disagreement']")
    yield chromium
    chromium.remove_listener("pageerror", listen)
    assert wrong == []


def badges(page) -> list[str]:
    return page.locator(".dd-gallery .thumb").evaluate_all("x => x.map(e => e.textContent.trim())")


def test_what_to_label_comes_first_and_is_open(page, url):
    page.goto(f"{url}?tab=matches")
    page.locator(".dd-gallery .thumb[aria-selected=true]").wait_for()
    values = [int(text) for text in badges(page)]
    assert values == sorted(values, reverse=True)
    first = page.locator(".dd-gallery .thumb").first
    assert first.get_attribute("aria-selected") == "true"
    shows(page, first.get_attribute("data-image"))
    banner = page.locator(".dd-banner").bounding_box()
    names = page.locator(".dd-pane b")
    assert (
        names.all_text_contents() == ["Student", "Teacher"]
        and "pseudo truth" in page.locator(".dd-banner").text_content()
    )
    for k in range(2):
        name = names.nth(k).bounding_box()
        assert name["y"] + name["height"] <= banner["y"]
    assert violations(page) == []


def test_the_pictures_with_a_tag_are_a_file_to_label(page):
    page.locator(f"[data-image='image/{IMAGES}']").click()
    shows(page, f"image/{IMAGES}")
    view(page, "notes")
    page.get_by_label("Tags", exact=True).fill("label")
    page.get_by_role("button", name="Keep the note").click()
    page.locator(".dd-note-list li").first.wait_for()
    with page.expect_download() as stored:
        page.get_by_role("button", name="COCO file to label").click()
    content = json.loads(Path(stored.value.path()).read_text(encoding="utf-8"))
    assert [x["file_name"] for x in content["images"]] == [f"<b>{IMAGES - 1}.png"] and content["annotations"] == []
    page.get_by_role("button", name="Remove the note").click()
    page.locator(".dd-note-list li").wait_for(state="detached")
