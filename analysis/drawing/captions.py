"""Phrases that captions share."""

from collections.abc import Iterable, Sequence

from analysis.inputs.groups import Comparison, Group

WHISKERS = "whiskers show one standard deviation"
CHANCE = 2  # standard errors, beyond which a value is not chance
BANDS = "bands from the minimum to the maximum"


def joined(phrases: Iterable[str]) -> str:
    """The distinct phrases as an English list: "a, b and c"."""
    distinct = list(dict.fromkeys(phrases))
    return " and ".join([", ".join(distinct[:-1]), distinct[-1]]) if len(distinct) > 1 else "".join(distinct)


def data_names(comparisons: Sequence[Comparison]) -> str:
    """The names of all validation images: "shapes, 96 px and cards/val"."""
    return joined(comparison.first.data for comparison in comparisons)


def seeds_note(comparisons: Sequence[Comparison], spread: str = WHISKERS) -> str:
    """`seeds_note_of` all groups of the comparisons."""
    return seeds_note_of([group for c in comparisons for group in c.groups.values()], spread)


def seeds_note_of(groups: Sequence[Group], spread: str = WHISKERS) -> str:
    """The number of seeds, and what shows their spread: "mean over 3 seeds, whiskers show one standard deviation"."""
    counts = sorted({len(group.rows) for group in groups})
    if counts == [1]:
        return "one seed each"
    number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"mean over {number} seeds, {spread}"


def beyond_chance(value: float, error: float | None) -> int:
    """1 or -1 if a value is above or below 0 by more than CHANCE standard errors, else 0; without an error, 0."""
    if error is None or abs(value) <= CHANCE * error:
        return 0
    return 1 if value > 0 else -1


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, and a typographic minus: "−0.25"."""
    return f"{value:+.{digits}f}".replace("-", "−")
