"""Histograms to brush: how many images or objects the other filters leave in each part of a range."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from app.views.gallery.filters import ALONE, CHANGES, Filters, Table, passing_images, passing_objects, table
from app.worker.survey import Survey

BARS = 24  # at most, but for scores
OF_SCORES = 20


def histograms(surveys: Sequence[Survey], filters: Filters) -> dict:
    """How many images pass all filters, and the histograms; the surveys are those of `gallery`.

    {"matching", "images", "known" of them are analysed, "analysed" says whether the filters need that, "changes",
    "histograms": [{"id", "width" of a bar, "most", "bars"}]}.
    """
    objects = table(surveys)
    kinds = CHANGES if len(surveys) > 1 else ALONE
    return {
        "matching": int(passing_images(objects, filters).sum()),
        "images": len(objects.columns.counts),
        "known": min(survey.done for survey in surveys),
        "analysed": filters.of_facts,
        "changes": [{"id": kind, "title": title} for kind, title in kinds.items()],
        "histograms": [of_numbers(objects, filters), of_sizes(objects, filters), of_scores(objects, filters)],
    }


def of_numbers(objects: Table, filters: Filters) -> dict:
    """The images by their number of objects."""
    counts = objects.columns.counts
    most = int(counts.max(initial=0))
    return histogram("objects", counts[passing_images(objects, filters.without("objects"))], most + 1, most)


def of_sizes(objects: Table, filters: Filters) -> dict:
    """The objects by their side in pixels."""
    side = objects.columns.side
    most = int(np.ceil(side.max(initial=0)))
    return histogram("size", side[passing_objects(objects, filters.without("size"))], most, most)


def of_scores(objects: Table, filters: Filters) -> dict:
    """The objects by the score of the detection that found them, as far as they are known."""
    score = objects.score[passing_objects(objects, filters.without("score"))]
    bars = np.minimum(score[~np.isnan(score)] * OF_SCORES, OF_SCORES - 1).astype(int)
    return {"id": "score", "width": 1 / OF_SCORES, "most": 1, "bars": np.bincount(bars, minlength=OF_SCORES).tolist()}


def histogram(name: str, values: Float[ndarray, " n"] | Int[ndarray, " n"], span: int, most: int) -> dict:
    """Counts of values from 0 to `most` in bars of a whole width, which together are at least `span` wide."""
    width = max(1, -(-span // BARS))
    count = max(1, -(-span // width))
    bars = np.minimum(values // width, count - 1).astype(int)
    return {"id": name, "width": width, "most": most, "bars": np.bincount(bars, minlength=count).tolist()}
