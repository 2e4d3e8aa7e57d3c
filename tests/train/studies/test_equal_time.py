"""The study of equal times: that no row takes longer than the student alone, and that it ends in its sentences and its file."""

import pytest

from core.files import read_json, write_json
from tests.train.studies.test_labels import COSTS, elsewhere, small, trained_here  # noqa: F401  # fixtures
from train.studies import _labelled, equal_time, labels


def test_no_row_takes_longer_than_the_student_alone_and_all_have_all_labels():
    for name, run in equal_time.runs(COSTS).items():
        budget, method = name.rpartition("-")[0].split()
        step = _labelled.step_cost(_labelled.IMAGES, method, COSTS)
        asked = 0 if method == "alone" else _labelled.IMAGES * COSTS["image"]
        spent, epoch = asked + 300 * run.optim.epochs * step, 300 * step
        assert spent <= int(budget) * COSTS["alone"] < spent + epoch
        assert run.data.train_limit is None and run.seed == int(name[-1])
        assert (run.losses.logits.weight, run.distil.weights) == (
            (0, "constant") if method == "alone" else (1, "falling")
        )


def test_rows_of_the_longest_budget_are_those_of_the_study_of_labels():
    """So that they are not trained twice."""
    both = labels.named_runs([(2400, "alone"), (2400, "falling")], COSTS, {2400: 1.0})
    assert both == {name.replace("4500", "2400"): run for name, run in equal_time.runs(COSTS).items() if "4500" in name}


def test_the_study_ends_in_its_sentences_and_trains_no_row_of_its_file_again(small, monkeypatch, tmp_path, capsys):  # noqa: F811
    trained = []

    def recorded(wanted, **options):
        trained.extend(wanted)
        return trained_here(wanted, **options)

    for module in (equal_time, labels):
        monkeypatch.setattr(module, "run_rows", recorded)
    monkeypatch.setattr(equal_time, "FILE", tmp_path / "labels.json")
    monkeypatch.setattr(equal_time, "IMAGES", 10)
    monkeypatch.setattr(equal_time, "BUDGET", 6)
    monkeypatch.setattr(equal_time, "BUDGETS", (6,))
    monkeypatch.setattr(equal_time, "SEEDS", (0, 1))
    write_json(tmp_path / "labels.json", {"costs": COSTS})
    out = tmp_path / "equal_time.json"
    equal_time.main(out=out)
    rows = read_json(out)["rows"]
    assert trained == ["teacher", *rows] and list(rows) == [f"6 {m}-{s}" for s in (0, 1) for m in ("alone", "falling")]
    ap = {name: f"{100 * row['ap']:.1f}" for name, row in rows.items()}
    alone = f"{ap['6 alone-0']}, {ap['6 alone-1']}"
    taught = f"{ap['6 falling-0']}, {ap['6 falling-1']}"
    assert f"6 steps: alone {alone}; with stored logits that fall away {taught}: " in capsys.readouterr().out
    equal_time.main(out=out)
    assert len(trained) == 5 and read_json(out)["rows"] == rows


def test_a_gain_is_that_of_the_distilled_student():
    ap = {"alone": (0.40, 0.42, 0.41), "falling": (0.43, 0.45, 0.44)}
    rows = {f"1500 {method}-{seed}": {"ap": x} for method, values in ap.items() for seed, x in enumerate(values)}
    said = equal_time.sentence(1500, rows)
    assert said.startswith(
        "1,500 steps: alone 40.0, 42.0, 41.0; with stored logits that fall away 43.0, 45.0, 44.0: +3.0"
    )


@pytest.mark.parametrize(("budget", "epochs"), [(1500, (5, 2)), (2400, (8, 5)), (4500, (15, 11))])
def test_the_teachers_look_at_the_images_is_paid_for(budget, epochs):
    """The first case by hand: 1,500 steps of 0.05 s, less 2,400 looks of 0.01 s, are 51 s.

    A taught step takes 0.0575 s and an epoch has 300, so 2.96 epochs fit into them: two whole ones.
    """
    assert tuple(equal_time.epochs(budget, method, COSTS) for method in equal_time.METHODS) == epochs
