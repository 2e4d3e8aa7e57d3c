"""What the command line does, once its words are known to be right. Imports torch; `__main__` does not."""

import os
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path

import tyro

from core.checkpoint import load_detector
from core.errors import UserError
from core.files import read_json
from train import card, folder, loop
from train.build import datasets, same_classes, weights_file
from train.run import Data, Run
from train.score import score, table

RUNS = Path("runs")
QUICK = {"train_limit": 16, "val_limit": 8}


def fit(recipe: str | None, given: Path | None, arguments: list[str]) -> None:
    """Precedence: recipe < card < flags."""
    start = read_card(given) if given else import_module(f"train.recipes.{recipe}").run()
    run = flags(start, arguments, f"python -m train fit {recipe or '--card ' + str(given)}")
    if os.environ.get("QUICK") == "1":
        run = quick(run)
    path = new_folder(run.name, chosen=run.name != start.name)
    loop.fit(replace(run, name=path.name), path)
    print_next(path)


def resume(path: Path) -> None:
    loop.resume(path)
    print_next(path)


def evaluate(path: Path, arguments: list[str]) -> None:
    given = flags(Measured(), arguments, f"python -m train eval {path}")
    detector, told = load_detector(weights_file(path))
    
    ...


def study(name: str, arguments: list[str]) -> None:
    module = import_module(f"train.studies.{name}")
    tyro.cli(module.main, args=arguments, prog=f"python -m train study {name}")
