"""A page of the gallery: the images of a run, those first that the chosen order prefers."""

from collections import Counter
from collections.abc import Sequence

from app import words
from app.replay.facts import changes
from app.worker.samples import Samples
from app.worker.survey import Survey
from core.errors import UserError

PAGE = 24  # images
SORTS = ("order", "flips", "cost", "loss", "disagreement", "missed", "gained", "lost")
OF_TWO_RUNS = ("gained", "lost")  # sorts that compare with a second run


def gallery(samples: Samples, surveys: Sequence[Survey], sort: str, category: str, page: int, near: str) -> dict:
    """One page. The surveys are those of the run and, beside a second run, of that one.

    The page is the one with the image of the key `near`, if that is among the images. UserError: there is no class of this
    name, or no such image.
    """
    indices = ranked(surveys, sort, with_class(samples, category))
    if near.startswith("image/") and (index := samples.index(near.removeprefix("image/"))) in indices:
        page = indices.index(index) // PAGE
    pages = max(1, -(-len(indices) // PAGE))
    page = max(0, min(page, pages - 1))
    shown = indices[page * PAGE : (page + 1) * PAGE]
    return {
        "items": [item(samples, index, surveys, sort) for index in shown],
        "page": page,
        "pages": pages,
        "where": f"{page * PAGE + 1}–{page * PAGE + len(shown)} of {len(indices)}" if shown else "no image",
        "known": min(survey.done for survey in surveys),
        "total": surveys[0].total,
        "sorts": [{"id": s} | words.sort_option(s) for s in SORTS if len(surveys) > 1 or s not in OF_TWO_RUNS],
    }


def find(samples: Samples, text: str) -> str:
    """The key of the image with this id or file name, or of the first whose file name contains the text.

    UserError: there is none.
    """
    wanted, names = text.strip(), samples.names
    ids = [id for id in samples.run.data.ids if str(id) == wanted]
    ids += [id for id in samples.run.data.ids if names[id] == wanted]
    ids += [id for id in samples.run.data.ids if wanted and wanted.lower() in names[id].lower()]
    if not ids:
        raise UserError(f"no image has the id {wanted[:40]!r} or a file name with it")
    return f"image/{ids[0]}"


def with_class(samples: Samples, category: str) -> list[int]:
    """The indices of the images with an object of a class, or of all images for "". UserError: there is no such class."""
    if not category:
        return list(range(len(samples.run.data.ids)))
    if category not in samples.run.classes:
        raise UserError(f"there is no class {category[:40]!r} in this data")
    return [index for index, counts in enumerate(samples.class_counts) if category in counts]


def ranked(surveys: Sequence[Survey], sort: str, indices: list[int]) -> list[int]:
    """Images by their value in this order, highest first; then those without a value yet, in the order of the data."""
    if sort == "order":
        return indices
    values = {index: v for index in indices if (v := value(surveys, sort, index)) is not None}
    return sorted(values, key=lambda index: -values[index]) + [index for index in indices if index not in values]


def value(surveys: Sequence[Survey], sort: str, index: int) -> float | None:
    """The number by which an image is sorted; None as long as a survey has not reached it."""
    facts = [survey.known.get(index) for survey in surveys]
    student = facts[0]
    if student is None:
        return None
    if sort in OF_TWO_RUNS:
        second = facts[1] if len(facts) > 1 else None
        return None if second is None else Counter(changes(second.object_scores, student.object_scores))[sort]
    if sort == "missed":
        return Counter(changes(student.object_scores, student.object_scores))["missed"]
    columns = {"flips": "flips", "cost": "highest_cost", "loss": "loss", "disagreement": "disagreement"}
    number: float = getattr(student, columns[sort])
    return number


def item(samples: Samples, index: int, surveys: Sequence[Survey], sort: str) -> dict:
    """A thumbnail with its key, its name, and the number by which it is sorted."""
    id = samples.run.data.ids[index]
    number = None if sort == "order" else value(surveys, sort, index)
    badge = "" if number is None else f"{number:.2f}" if isinstance(number, float) else str(number)
    return {"key": f"image/{id}", "name": samples.names[id], "picture": samples.thumbnail(index), "badge": badge}
