"""The recipes: each module in this folder and its subfolders is one training run, named by its file.

A recipe defines `run() -> Run`; its docstring is its card (what it trains, then lines such as "Time  5 minutes").
"""

from pathlib import Path
from typing import TYPE_CHECKING

from core.drop_ins import DropIns

if TYPE_CHECKING:  # importing Run imports torch, which listing the recipes does without
    from train.run import Run

FILES = DropIns(Path(__file__).parent, __name__, "recipe", ("run",))


def names() -> list[str]:
    """The names of all recipes."""
    return FILES.names()


def recipe(name: str) -> "Run":
    """The Run of a recipe; ValueError names the alternatives."""
    return FILES.module(name).run()


def card(name: str) -> str:
    """The docstring of a recipe, without importing it; empty where it has none."""
    return FILES.docstring(name)
