"""The page of a run whose classes, images and folder have hostile and odd names: each tab shows them as text."""

import shutil
from collections.abc import Iterator
from itertools import filterfalse
from pathlib import Path

import pytest

from analysis.bench.app import served
from core.terminal import printable
from tests.helpers.browser.page import READY, WHOLE
from tests.helpers.named import FILES, train_named

PAGE_SPACES = {"\t", "\u00a0"}  # that the page itself has


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return train_named(tmp_path_factory.mktemp("named"))


@pytest.fixture(scope="module")
def second(folder) -> Path:
    """The same run, in a folder of another name."""
    return Path(shutil.copytree(folder, folder.with_name("<script>alert(2)<script>\u202e".replace("/", ""))))


@pytest.fixture(scope="module")
def url(folder, second) -> Iterator[str]:
    with served(folder, "--compare", str(second)) as address:
        yield address


@pytest.mark.slow
def test_every_tab_shows_names_as_text(page):
    """The fixture `page` fails the test if a script in a name opens a dialog or sends a request."""
    title, seen = page.title(), ""
    for tab, ready in (READY | WHOLE).items():
        if tab == "masks":  # those of a teacher
            continue
        page.locator(f"button[data-tab={tab}]").click()
        page.locator(ready).first.wait_for()
        assert page.locator("img[src=x], .dd-page script").count() == 0, tab
        assert "x" not in page.locator("b").all_text_contents(), tab
        text = page.locator("body").inner_text()
        raw = [ascii(line) for line in text.split("\n") if not set(filterfalse(str.isprintable, line)) <= PAGE_SPACES]
        assert not raw, (tab, raw)
        seen += text + "".join(page.locator("option, [title], [aria-label]").all_text_contents())
    assert page.title() == title
    assert [name for name in map(printable, FILES) if name.strip() and name not in seen] == []
