"""The page's modules and styles: small, all in use, all found."""

import re
from collections import Counter

import pytest

from app.server import modules
from app.server.theme import STYLES, WEB

IMPORT = re.compile(r'^import .*?"(\.[^"]+)";|^\} from "(\.[^"]+)";', re.MULTILINE)
LINES, COLUMNS, FILES = 200, 120, 12  # at most: of a file, of a line, of a folder
SCRIPTS = sorted(WEB.rglob("*.js"))
SHEETS = sorted(WEB.rglob("*.css"))


@pytest.mark.parametrize("file", SCRIPTS + SHEETS, ids=lambda file: str(file.relative_to(WEB)))
def test_files_are_short(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES and max(map(len, lines)) <= COLUMNS


def test_folders_are_small():
    assert max(Counter(file.parent for file in SCRIPTS + SHEETS).values()) <= FILES


def test_every_module_is_imported():
    """From `page.js`; files of types alone are named in comments."""
    reached, waiting = set(), [WEB / "page.js"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            found = ("".join(match) for match in IMPORT.findall(module.read_text(encoding="utf-8")))
            waiting += [(module.parent / path).resolve() for path in found]
    assert reached == {module for module in SCRIPTS if module.name != "types.js"}


def test_another_content_has_another_address(tmp_path, monkeypatch):
    """So a browser never mixes the modules of two versions of the app."""
    monkeypatch.setattr(modules, "WEB", tmp_path)
    addresses = set()
    for name, text in (("a.js", "1"), ("a.js", "2"), ("b.js", "2"), ("a.js", "1")):
        (tmp_path / name).write_text(text)
        modules.folder.cache_clear()
        addresses.add(modules.address("page.js"))
    modules.folder.cache_clear()
    assert len(addresses) == 4


def test_every_sheet_is_in_the_page():
    assert sorted(WEB / "styles" / f"{name}.css" for name in STYLES) == SHEETS


def test_a_view_has_one_name_on_both_sides():
    """A tab is a folder of web/views, and a file or folder of app/views, or of app/jobs where it runs in the background."""
    tabs = re.search(r"const TABS = \[(.*?)\]", (WEB / "link/address.js").read_text(encoding="utf-8"))
    folders = {path.name for path in (WEB / "views").iterdir() if path.is_dir()}
    answers = {path.stem for folder in ("views", "jobs") for path in (WEB.parent / folder).iterdir()}
    assert tabs and set(re.findall(r"\w+", tabs[1])) <= folders <= answers
