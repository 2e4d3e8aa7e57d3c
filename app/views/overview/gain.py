"""How much better one run is than another, and how sure that is: over all seeds of both that are on this machine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from analysis.inputs.rows import Row
from analysis.inputs.sources import rows_at
from app.views.overview.rows import read_row
from app.worker.library import Source
from core.errors import UserError
from core.files import read_json
from core.metrics.paired import is_significant, paired_gain
from core.project import ASSETS

Scores = Mapping[int | None, float]  # AP by seed


@dataclass(frozen=True)
class Gain:
    """The difference in AP of a run to another one, 0 to 100."""

    single: float  # of the two runs themselves
    mean: float  # over the seeds that both have
    half: float | None  # half the width of the 95% interval of the mean; None with a single seed
    seeds: int
    same_training: bool  # whether the two differ in nothing but their losses, their teacher and their seed

    @property
    def significant(self) -> bool:
        """Returns whether the interval excludes 0."""
        return is_significant(self.mean, self.half)


def gain(run: Source, other: Source, listed: Iterable[Source]) -> Gain | None:
    """The gain of a run over another; None where one of them has no AP.

    `listed` are runs among which seeds of the same settings are looked for, besides the results that the project ships.
    """
    first, second = row(run), row(other)
    if first is None or second is None or first.score() is None or second.score() is None:
        return None
    candidates = [*shipped_results(), *filter(None, map(row_of_card, listed))]
    after, before = scores_by_seed(first, candidates), scores_by_seed(second, candidates)
    seeds = sorted(after.keys() & before.keys(), key=str)
    single = 100 * (first.result["ap"] - second.result["ap"])
    same = first.training_key == second.training_key
    if not seeds:
        return Gain(single, single, None, 1, same)
    paired = paired_gain([100 * after[s] for s in seeds], [100 * before[s] for s in seeds])
    return Gain(single, paired["mean"], paired["half"], len(seeds), same)


def scores_by_seed(row: Row, candidates: Iterable[Row]) -> dict[int | None, float]:
    """The last AP, 0 to 1, of each seed of a row's setting; that of the row's own seed is the row's own."""
    same = [x for x in candidates if (x.folder or of_one_commit(x, row)) and x.setting_key == row.setting_key]
    scored = [x for x in map(measured, same) if x.finished]
    return {x.seed: ap for x in (*scored, row) if (ap := x.score()) is not None}


def of_one_commit(result: Row, row: Row) -> bool:
    """Returns whether a row of a study was trained by the same version of the project as a run."""
    return result.result.get("commit") == row.result["commit"]


def measured(row: Row) -> Row:
    """The row with its scores, which one of a card alone lacks; a run without scores, or with a damaged log, stays as it is."""
    if row.folder is None or "ap" in row.result:
        return row
    return readable_row(row.folder) or row


def row(source: Source) -> Row | None:
    """A run as a row of figures and tables; None where it is a file of weights, or has no AP, or another teacher now."""
    is_run = source.path.is_dir() and source.teacher is None
    return readable_row(source.path) if is_run else None


def readable_row(folder: Path) -> Row | None:
    """The row of a run's folder; None where it has no scores, or a file is damaged, which its record says."""
    try:
        return read_row(folder)
    except UserError:
        return None


def row_of_card(source: Source) -> Row | None:
    """The row of a run as its card has it, without scores: quicker. None where there is no card of a run."""
    if not source.path.is_dir() or source.teacher is not None:
        return None
    try:
        card = read_json(source.path / "card.json")
        teacher = card["teacher"] and card["teacher"]["scores"]
        about = {"run": card["run"], "seed": card["run"]["seed"], "teacher": teacher and teacher["ap"]}
        return Row(source.path.name, about, source.path)
    except (UserError, KeyError, TypeError):
        return None


@lru_cache(maxsize=1)
def shipped_results() -> tuple[Row, ...]:
    """The rows of the studies that come with the project."""
    folder = Path(ASSETS) / "results"
    return tuple(replace(x, folder=None) for x in rows_at(folder)) if folder.is_dir() else ()


def partners(run: Source, listed: Iterable[Source]) -> list[str]:
    """The ids of the listed runs that say best what distilling did: the same training, once alone and once distilled."""
    own = row_of_card(run)
    if own is None:
        return []
    rows = ((source.id, row_of_card(source)) for source in listed if source.id != run.id)
    return [id for id, x in rows if x and x.training_key == own.training_key and x.kind != own.kind]
