"""What tables of a loss's variants share."""

from analysis.inputs.given import Given
from analysis.inputs.groups import Group
from analysis.inputs.rows import title
from analysis.tables._layout import Here, of_group


def who(sweep: dict[object, Group]) -> tuple[str, str]:
    """The detector and the losses of a sweep."""
    row = next((group.first for group in sweep.values()), None)
    return (title(row.detector), " + ".join(sorted(row.losses))) if row else ("AdaMixer", "logits")


def baseline(given: Given, sweep: dict[object, Group]) -> Here | None:
    """The same student without distillation."""
    trainings = {group.first.training for group in sweep.values()}
    alone = given.groups(lambda row: row.losses == frozenset() and row.training in trainings)
    return of_group(alone[0]) if alone else None
