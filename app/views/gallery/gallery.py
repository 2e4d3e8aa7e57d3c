"""A page of the gallery: the images of a run that pass the filters, those first that the chosen order prefers."""

from collections.abc import Mapping, Sequence

import numpy as np

from app import words
from app.views.gallery.filters import Filters, of_kind, passing_images, table
from app.worker.samples import Samples
from app.worker.survey import Survey
from core.errors import UserError

PAGE = 24  # images
SORTS = ("order", "flips", "cost", "loss", "disagreement", "missed", "gained", "lost")
OF_TWO_RUNS = ("gained", "lost")  # sorts that compare with a second run
FACTS = {"flips": "flips", "cost": "highest_cost", "loss": "loss", "disagreement": "disagreement"}  # by the sort


def gallery(samples: Samples, surveys: Sequence[Survey], sort: str, filters: Filters, page: int, near: str) -> dict:
    """One page. The surveys are those of the run and, beside a second run, of that one.

    The page is the one with the image of the key `near`, if that is among the images. UserError: there is no such image.
    """
    values = numbers(surveys, sort)
    indices = ranked(values, np.flatnonzero(passing_images(table(surveys), filters)).tolist())
    if near.startswith("image/") and (index := samples.index(near.removeprefix("image/"))) in indices:
        page = indices.index(index) // PAGE
    pages = max(1, -(-len(indices) // PAGE))
    page = max(0, min(page, pages - 1))
    shown = indices[page * PAGE : (page + 1) * PAGE]
    return {
        "items": [item(samples, index, values.get(index)) for index in shown],
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


def numbers(surveys: Sequence[Survey], sort: str) -> Mapping[int, float]:
    """The numbers by which images are sorted, as far as the surveys know them; none for the order of the data."""
    if sort == "order":
        return {}
    if sort in FACTS:
        return {index: getattr(facts, FACTS[sort]) for index, facts in list(surveys[0].known.items())}
    compared = surveys if sort in OF_TWO_RUNS else surveys[:1]
    known = set(compared[0].known) & set(compared[-1].known)
    objects = table(compared)
    counts = np.bincount(objects.columns.image[of_kind(objects, sort)], minlength=surveys[0].total).tolist()
    return {index: counts[index] for index in known}


def ranked(values: Mapping[int, float], indices: list[int]) -> list[int]:
    """Images by their value, highest first; then those without a value, in the order of the data."""
    known = [index for index in indices if index in values]
    return sorted(known, key=lambda index: -values[index]) + [index for index in indices if index not in values]


def item(samples: Samples, index: int, number: float | None) -> dict:
    """A thumbnail with its key, its name, and the number by which it is sorted."""
    id = samples.run.data.ids[index]
    badge = "" if number is None else f"{number:.2f}" if isinstance(number, float) else str(number)
    return {"key": f"image/{id}", "name": samples.names[id], "picture": samples.thumbnail(index), "badge": badge}
