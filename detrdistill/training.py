"""Training from Python: `python -m train fit` as a function."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.terminal import escaped_output
from detrdistill.model import Model, load
from train import recipes
from train.cli import verbs
from train.cli.main import require_known


def fit(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    auto: bool = False,
    force: bool = False,
    **flags: Any,
) -> Model:
    """Trains a recipe as `python -m train fit` does, and returns the student.

    Flags are keywords, `data="my", teacher="runs/coco_teacher"`; those with dots go into `settings`, {"optim.epochs": 20}.
    UserError: a flag or the data is wrong. An interruption and a loss that is not finite raise train.errors' exceptions.
    """
    require_known("recipe", recipe, recipes.names())
    words = [word for name, value in {**flags, **(settings or {})}.items() for word in flag_words(name, value)]
    with escaped_output():
        return load(verbs.fit(recipe, None, Path(out) if out else None, words, auto=auto, force=force))


def flag_words(name: str, value: Any) -> list[str]:
    """A setting as words of the command line."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        stem, _, last = flag.removeprefix("--").rpartition(".")
        return [flag if value else f"--{stem}.no-{last}" if stem else f"--no-{last}"]
    return [flag, *map(str, value)] if isinstance(value, list | tuple) else [flag, str(value)]
