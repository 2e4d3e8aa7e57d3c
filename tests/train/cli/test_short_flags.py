"""Short flags of `fit`: what each stands for, and that a run gets it."""

import pytest

from core.errors import UserError
from core.files import read_json
from train import recipes
from train.cli.flags import flags
from train.cli.main import main
from train.cli.short_flags import ELSEWHERE, SHORT, SIZE, expanded


def run(recipe: str, *words: str):
    start = recipes.recipe(recipe)
    return flags(start, expanded(list(words), start), "fit")


def test_each_sets_its_field():
    found = run(
        "coco", "--epochs", "7", "--batch=3", "--queries", "55", "--lr", "2e-4", "--workers", "2", "--device", "cpu"
    )
    assert (found.optim.epochs, found.optim.batch, found.student.queries, found.optim.lr) == (7, 3, 55, 2e-4)
    assert (found.workers, found.device) == (2, "cpu")


@pytest.mark.parametrize(
    "recipe, words, size, sizes, longest",
    [
        ("shapes", ["--size", "64"], 64, (), 1333),
        ("shapes", ["--size=64", "--data", "my"], 96, (64,), 107),
        ("shapes", ["--data.train", "x.json", "--size=64"], 96, (64,), 107),
        ("coco", ["--size", "288"], 96, (288,), 384),
        ("coco", ["--size=288", "--data.augment.longest=500"], 96, (288,), 500),
        ("hub", ["--size", "512"], 96, (512,), 512),
        ("deformable_r50", ["--size", "400"], 96, (400,), 666),
    ],
)
def test_size_is_that_of_shapes_or_the_short_side_of_photos(recipe, words, size, sizes, longest):
    data = run(recipe, *words).data
    assert (data.size, data.augment.sizes, data.augment.longest) == (size, sizes, longest)


def test_long_flags_and_values_that_look_like_short_ones_stay():
    words = ["--name", "size", "--optim.epochs", "3", "--student.strides", "8", "16", "--no-channels-last"]
    assert expanded(words, recipes.recipe("coco")) == words


def test_names_of_other_programs_lead_to_ours():
    known = {*SHORT, SIZE, "workers", "device", "init", "out"}
    assert set(ELSEWHERE.values()) <= known and not known & ELSEWHERE.keys()
    for name, own in ELSEWHERE.items():
        with pytest.raises(UserError, match=f"no flag --{name}; perhaps you meant --{own}$"):
            expanded([f"--{name}", "1"], recipes.recipe("coco"))


def test_the_card_of_a_run_has_them(here):
    assert main(["fit", "shapes", "--size", "64", "--lr", "0.002", "--queries", "9", "--name", "x"]) == 0
    card = read_json(here / "runs/x/card.json")["run"]
    assert card["data"]["size"] == 64 and card["optim"]["lr"] == 0.002 and card["student"]["config"]["queries"] == 9


@pytest.mark.parametrize("value", ["big", "0", "-3", "1e9"])
def test_a_size_that_is_none_is_refused(value, here, capsys):
    assert main(["fit", "coco", "--data", "x", "--size", value]) == 2
    assert capsys.readouterr().err == f"error: --size is {value}; give a number of pixels\n"
    assert not list(here.iterdir())
