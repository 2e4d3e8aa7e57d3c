"""The text of `python -m train list`: the recipes in groups, one line each; `--long` adds score, time and paper."""

import re

from core.drop_ins import summary
from core.errors import UserError
from train import recipes, studies

WIDTH = 100  # columns of a terminal
START_HERE = ("shapes", "shapes_distill")
GROUPS = {
    "own_data": "Your data, on a laptop",
    "one_gpu": "Your data, on one GPU",
    "from_papers": "Paper: COCO",
    "on_shapes": "Studies on shapes",
    "": "Yours",
}
FIELDS = ("Expect", "Time", "Paper")
NEXT = """\
start with: python -m train fit shapes
for score, time and paper: python -m train list --long; for some of them: python -m train list WORD"""


def text(words: list[str]) -> str:
    """The list of recipes. `words` may hold `--long`, and one word that a recipe's name or card must contain.

    UserError: another flag, more words, or no recipe that mentions the word.
    """
    long, wanted = "--long" in words, [word for word in words if word != "--long"]
    if unknown := [word for word in wanted if word.startswith("-")] or wanted[1:]:
        raise UserError(f"list takes one WORD and --long, not {unknown[0]!r}")
    names = [name for name in recipes.names() if matches(name, *wanted)]
    if not names:
        raise UserError(f"no recipe mentions {wanted[0]!r}; python -m train list shows all of them")
    return f"{recipes_text(names, long=long)}\n\n{NEXT}"


def matches(name: str, word: str = "") -> bool:
    """Returns whether a recipe's name or card contains the word, in upper or lower case."""
    return word.lower() in f"{name}\n{recipes.card(name)}".lower()


def recipes_text(names: list[str] | None = None, *, long: bool = False) -> str:
    """The recipes of these names (default: all), in groups under their titles."""
    names = recipes.names() if names is None else names
    wide = max(map(len, names))
    blocks = []
    for title, members in grouped(names).items():
        rows = [[row(name, recipes.card(name), wide), *(details(name) if long else [])] for name in members]
        blocks.append("\n".join([title, *(line for lines in rows for line in lines)]))
    return "\n\n".join(blocks)


def studies_text() -> str:
    """The studies, one line each."""
    names = studies.FILES.names()
    wide = max(map(len, names))
    return "\n".join(row(name, studies.FILES.docstring(name), wide) for name in names)


def grouped(names: list[str]) -> dict[str, list[str]]:
    """The names of each group by its title, in the order in which the groups are printed; no empty groups."""
    groups: dict[str, list[str]] = {title: [] for title in ("Start here", *GROUPS.values())}
    for name in names:
        folder = recipes.FILES.files[name].parent.name
        groups["Start here" if name in START_HERE else GROUPS.get(folder, GROUPS[""])].append(name)
    return {title: members for title, members in groups.items() if members}


def row(name: str, docstring: str, wide: int) -> str:
    """A name, padded to `wide`, and the first line of its docstring, in at most WIDTH columns."""
    line = f"  {name:<{wide}}  {summary(docstring)}"
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def details(name: str) -> list[str]:
    """The expected score, the time and the paper of a recipe's card; "-" where the card does not give one."""
    return [f"      {title.lower():<7} {field(recipes.card(name), title) or '-'}" for title in FIELDS]


def field(card: str, title: str) -> str:
    """The text of a card under a title, which goes on in indented lines; empty if the card lacks the title."""
    match = re.search(rf"^{title} +(.+(?:\n .+)*)", card, re.MULTILINE)
    return " ".join(match[1].split()) if match else ""
