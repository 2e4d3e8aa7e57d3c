"""Words that captions share."""

from collections.abc import Iterable, Sequence

from analysis.inputs.groups import Group, Stand


def listed(words: Iterable[str]) -> str:
    """a, b and c; each once."""
    words = list(dict.fromkeys(words))
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def where(stands: Sequence[Stand]) -> str:
    return listed(stand.first.data for stand in stands)


def seeds(stands: Sequence[Stand], what: str = "whiskers: their standard deviation") -> str:
    return of_seeds([group for stand in stands for group in stand.groups.values()], what)


def of_seeds(groups: Sequence[Group], what: str = "whiskers: their standard deviation") -> str:
    """How many, and what shows their spread."""
    counts = sorted({len(group.rows) for group in groups})
    if counts == [1]:
        return "one seed each"
    told = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"mean over {told} seeds, {what}"


def signed(value: float, digits: int = 2) -> str:
    """With a sign, and a minus that is one."""
    return f"{value:+.{digits}f}".replace("-", "−")
