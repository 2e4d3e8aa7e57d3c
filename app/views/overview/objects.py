"""How many objects a run finds, and which of them a second run does not: the counts of the figure `gained_lost`."""

from collections import Counter
from collections.abc import Sequence

from app.replay.facts import changes
from app.worker.survey import Survey

KINDS = ("kept", "gained", "lost", "missed")


def counts(surveys: Sequence[Survey]) -> dict:
    """Counts over the images that all surveys have reached: {"known", "total" of images, "objects", and each of KINDS}.

    The first survey is that of the run, the second that of the run that it is compared with. Of a single survey, objects
    are kept or missed.
    """
    first, last = surveys[0], surveys[-1]
    known = sorted(set(first.known) & set(last.known))
    kinds = Counter(kind for k in known for kind in changes(last.known[k].object_scores, first.known[k].object_scores))
    progress = {"known": min(survey.done for survey in surveys), "total": first.total}
    return progress | {"objects": kinds.total()} | {kind: kinds[kind] for kind in KINDS}
