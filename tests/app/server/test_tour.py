"""The tour of docs/app.md, walked as a reader does: every number of its text is on the page, and every control is used."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.bench.app import served
from app.worker import library
from core.project import ROOT
from tests.helpers.browser.caches import shared_surveys
from tests.helpers.browser.page import chosen, shows, slide, view

PAGE = (ROOT / "docs/app.md").read_text(encoding="utf-8")
TEXT = re.search(r"## A tour\n(.*?)\n## ", PAGE, re.DOTALL)[1]
STEPS = {int(n): " ".join(text.split()) for n, text in re.findall(r"^(\d)\. (.*?)(?=^\d\. |^!\[)", TEXT, re.M | re.S)}
CLOSING = " ".join(re.search(r"^Whether this object.*?(?=^!\[)", TEXT, re.M | re.S)[0].split())
LONG = 400_000  # milliseconds in which two runs are analysed on 500 images, of which a busy machine needs 60,000
OBJECT, QUERY = 2, 19  # that the text follows


class Reader:
    """One step of the text, of which each control and each number is ticked off once it was met on the page."""

    def __init__(self, text: str) -> None:
        self.left = text

    def uses(self, control: str) -> None:
        assert f"**{control}**" in self.left, f"the text has no further **{control}**: {self.left}"
        self.left = self.left.replace(f"**{control}**", "", 1)

    def sees(self, *phrases: str) -> None:
        for phrase in phrases:
            assert phrase in self.left, f"the page shows {phrase!r}, which is not in: {self.left}"
            self.left = self.left.replace(phrase, "", 1)

    def is_done(self) -> None:
        """Nothing of the text was left out: no control, and no number but one that names an object or query again."""
        assert "**" not in self.left, self.left
        again = re.sub(rf"(?i)\b(query|object) ({QUERY}|{OBJECT}|5)\b", "", self.left)
        assert not re.search(r"\d", again), again


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """The app as step 1 starts it."""
    (command,) = re.findall(r"python -m app (\S+) --compare (\S+)", STEPS[1])
    run, second = (ROOT / path for path in command)
    assert run == library.SHIPPED / "shapes_distill"
    with served(run, "--compare", str(second), environment=shared_surveys(tmp_path_factory)) as address:
        yield address


def number(text: str) -> str:
    """A number of the page as the text writes it."""
    return text.strip().replace("−", "-")


def row_of(page) -> dict[str, tuple[str, str]]:
    """The query that each side matches with the object, and its cost, as Matches shows them."""
    cells = page.locator(f".dd-overview tr[data-object='{OBJECT}'] td")
    texts = cells.evaluate_all(
        "x => x.map(e => [e.querySelector('button').textContent, e.querySelector('.cost').textContent])"
    )
    return {
        side: (query, number(cost)) for side, (query, cost) in zip(("distilled", "teacher", "prior", "alone"), texts)
    }


def margins(page, side: str, query: str) -> str:
    """The margins of an object's match over the layers, all of them with one query."""
    pieces = page.locator(f".dd-row[data-object='{OBJECT}'] .dd-ribbon[data-side={side}] .piece")
    assert pieces.locator("b").all_text_contents() == [query] * pieces.count()
    return ", ".join(pieces.locator("small").all_text_contents())


def sort_by_gained(page, reader: Reader) -> None:
    reader.uses("Sort by: Gained.")
    page.get_by_label("Sort by").select_option("gained")
    page.wait_for_selector(".dd-gallery[data-known='500'][data-sort=gained] .thumb b", timeout=LONG)
    reader.uses("Take the first")
    first = page.locator(".dd-gallery .thumb").first
    first.click()
    shows(page, first.get_attribute("data-image"))
    reader.sees(f"with {number(first.text_content())}")
    assert f"image={first.get_attribute('data-image')}&query=student.{QUERY}" in (ROOT / "docs/pictures.py").read_text()


def read_the_matches(page, reader: Reader) -> None:
    reader.uses("Matches")
    view_is(page, "matches")
    head = page.locator(f".dd-overview tr[data-object='{OBJECT}'] th")
    name, queries = head.locator("button").text_content(), row_of(page)
    reader.sees(
        re.sub(r"object (\d+) \((\w+)\)", r"Object \1, a \2", name),
        f"marked *{head.locator('.change').text_content()}*",
    )
    reader.sees(*("its query {} at {}".format(*queries[side]) for side in ("distilled", "teacher", "alone")))
    page.evaluate("index => dd.choose({side: 'other', index})", int(queries["alone"][0]))
    chosen(page, "other", int(queries["alone"][0]), 2)
    best = page.locator(".dd-scores .score").first
    score = best.locator(".value").text_content()
    reader.sees(f"gives {best.locator('.name').text_content()} its highest score, {score}")
    page.get_by_label("Clear selection").click()


def read_the_panel(page, reader: Reader) -> None:
    reader.uses(f"Click that {QUERY}.")
    page.locator(f".dd-overview tr[data-object='{OBJECT}'] td button", has_text=str(QUERY)).first.click()
    chosen(page, "student", QUERY, 2)
    match = page.locator(".dd-match[data-match=student-truth]")
    parts = match.locator("tbody tr").evaluate_all(
        "x => x.map(e => [e.querySelector('th').firstChild.data, e.lastChild.textContent])"
    )
    said = {name: number(cost) for name, cost in parts}
    reader.sees(f"class is {said['Class']}, L1 {said['L1']} and GIoU {said['GIoU']}")
    margin = match.locator(".dd-firm")
    reader.sees(
        f"rise by {margin.locator('b').text_content()}",
        margin.locator(".dd-link").text_content().removeprefix("student "),
    )
    pair = page.locator(".dd-match[data-match=positive] h3 button").text_content()
    reader.sees(f"query {QUERY} imitates the {pair.replace('teacher', 'teacher' + chr(39) + 's')}")
    reader.uses("The slider")
    slide(page, 0)
    reader.uses("the play button")
    page.get_by_label("Play the layers").click()
    page.wait_for_selector(".dd-stage[data-layer='1']")
    slide(page, 2)  # which stops it
    reader.uses("Layers")
    page.locator(".dd-switches label", has_text="Layers").click()
    page.wait_for_function("location.search.includes('draw=layers')")
    page.locator(".dd-switches label", has_text="Boxes").first.click()
    reader.uses("Sampling locations")
    page.locator("[data-toggle=reads] input").check()
    page.locator(".dd-overlay circle").first.wait_for()
    page.locator("[data-toggle=reads] input").uncheck()


def see_that_it_is_stable(page, reader: Reader) -> None:
    reader.uses("Stability")
    view(page, "stability")
    layers = page.locator(".dd-layers button").count()
    reader.sees(
        f"in all {layers} layers",
        f"margin ({margins(page, 'student', str(QUERY))})",
        f"({margins(page, 'teacher', '5')})",
    )
    reader.sees(f"ends with a margin of {margins(page, 'other', '16').split(', ')[-1]}")
    reader.uses("A click on a marked flip")
    flip = page.locator(".dd-ribbon[data-side=student] .piece.flip").first
    query = int(flip.get_attribute("data-query"))
    flip.click()
    page.wait_for_function("q => location.search.includes(`query=student.${q}`)", arg=query)
    reader.uses("Epochs")
    page.locator(".dd-ribbons label", has_text="Epochs").click()
    recorded = page.locator("[data-recorded]")
    recorded.first.wait_for()
    reader.sees(f"for {recorded.count()} of the images", "image 9")
    recorded.filter(has_text=re.compile("^9$")).click()
    shows(page, "image/9")
    page.locator(".dd-ribbon").first.wait_for()
    page.go_back()


def make_a_figure(page, reader: Reader) -> None:
    reader.uses("Make a figure")
    view_is(page, "matches")
    page.get_by_role("button", name="Make a figure").click()
    page.wait_for_selector(".dd-paper[data-page=image][data-state=made]", timeout=LONG)
    reader.uses("PDF")
    with page.expect_download() as stored:
        page.locator("[data-form=pdf]").click()
    assert Path(stored.value.path()).read_bytes().startswith(b"%PDF")
    reader.uses("Copy link")
    page.get_by_role("button", name="Copy link").click()
    reader.uses("Back")
    page.go_back()
    view_is(page, "matches")


def see_all_objects(page, reader: Reader) -> None:
    reader.uses("Overview")
    page.locator("button[data-tab=overview]").click()
    page.locator("#dd-card-objects button[data-kind=gained]").wait_for()
    counts = {
        k: page.locator(f"#dd-card-objects [data-kind={k}] b").text_content()
        for k in ("gained", "lost", "kept", "missed")
    }
    total, images = sum(map(int, counts.values())), page.locator(".dd-gallery").get_attribute("data-known")
    reader.sees(f"of the {total} objects of {images} images")
    reader.sees(f"distilling gained {counts['gained']} and lost {counts['lost']}")
    worth = page.locator(".dd-words .dd-verdict > *").first.text_content()
    reader.sees(re.search(r"[\d.]+ ± [\d.]+ AP over \d+ seeds", worth)[0])


def view_is(page, tab: str) -> None:
    """Until a view is open, by a click on its tab where it is not."""
    if page.locator(f"button[data-tab={tab}]").get_attribute("aria-selected") != "true":
        page.locator(f"button[data-tab={tab}]").click()
    page.wait_for_selector(f"button[data-tab={tab}][aria-selected=true]")
    page.wait_for_selector(".dd-stage[data-whole]")


def test_the_tour(chromium, url):
    """Walks all of it: that of one step goes on where the one before it stopped."""
    assert "six steps from `make demo` to a PDF" in " ".join(TEXT.split())
    walked = {
        1: lambda page, reader: reader.uses("Open two runs."),
        2: sort_by_gained,
        3: read_the_matches,
        4: read_the_panel,
        5: see_that_it_is_stable,
        6: make_a_figure,
    }
    assert list(STEPS) == list(walked)
    chromium.goto(url)
    chromium.wait_for_selector(".dd-stage[data-whole]")
    for text, walk in [*zip(STEPS.values(), walked.values()), (CLOSING, see_all_objects)]:
        reader = Reader(text)
        walk(chromium, reader)
        reader.is_done()
