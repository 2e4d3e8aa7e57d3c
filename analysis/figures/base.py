"""What a figure shows, before it is drawn."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Numbers:
    """`rows` are all numbers in the figure, one dict a line of its CSV; `caption` says what they are and what they say."""

    rows: list[dict]
    caption: str
    extra: object = field(default=None, compare=False)  # what is drawn and is no number, such as pictures
