"""The study of cheaper steps: what its rows are, and that it ends in its table and its file."""

from dataclasses import replace

from core.files import read_json
from tests.train.studies.test_labels import trained_here
from train.recipes.on_shapes import shapes
from train.studies import cheaper
from train.studies._grid import row_folder


def test_rows_differ_by_losses_and_by_how_the_teacher_is_asked():
    rows = {name: cheaper.student(name, 4) for name in cheaper.LOSSES}
    assert len({row_folder(run) for run in rows.values()}) == len(rows) == 8
    for name, run in rows.items():
        assert run.optim == shapes.run().optim and run.data == replace(shapes.run().data, part="test") and run.seed == 4
        assert (run.teacher is None) == (name == "alone")
        assert (run.teacher_store is None) == (name in ("alone", "logits, live", "prior, live"))
        assert (run.losses.logits.weight == 0) == (name == "alone")
        assert (run.losses.prior.weight > 0) == name.startswith("prior")
    prior = {name: run.losses.prior for name, run in rows.items()}
    assert (prior["prior, every 2"].every, prior["prior, every 4"].every) == (2, 4)
    assert [name for name, config in prior.items() if config.joint] == ["prior, joint"]
    for name in ("logits", "prior"):
        assert replace(rows[f"{name}, stored"], teacher_store=None) == rows[f"{name}, live"]


def test_each_row_is_compared_with_others_seed_by_seed(monkeypatch):
    rows = {
        f"{name}-{seed}": {"ap": 0.5 + k / 100 + seed / 10}
        for k, name in enumerate(cheaper.LOSSES)
        for seed in range(3)
    }
    assert cheaper.line("alone", rows).split("AP")[1].strip() == "50.0, 60.0, 70.0"
    said = cheaper.line("prior, joint", rows)
    assert (
        "57.0, 67.0, 77.0" in said and "+5.0 ± 0.0 to logits, stored" in said and "+3.0 ± 0.0 to prior, stored" in said
    )
    assert all({name, *bases} <= cheaper.LOSSES.keys() and name not in bases for name, bases in cheaper.BASES.items())


def test_the_study_ends_in_its_table_and_its_file(one_step_each, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUICK", "1")
    monkeypatch.setattr(cheaper, "SEEDS", (3,))
    names = ("alone", "logits, live", "logits, stored", "prior, stored")
    monkeypatch.setattr(cheaper, "LOSSES", {name: cheaper.LOSSES[name] for name in names})
    monkeypatch.setattr(cheaper, "BASES", {"logits, stored": ("alone", "logits, live")})
    monkeypatch.setattr(cheaper, "run_rows", trained_here)
    cheaper.main()
    written = read_json(tmp_path / "runs" / "cheaper.json")
    assert list(written["rows"]) == [f"{name}-3" for name in names] and written["unfinished"] == []
    assert set(written["step_seconds"]) == set(names) and min(written["step_seconds"].values()) > 0
    gain = 100 * (written["rows"]["logits, stored-3"]["ap"] - written["rows"]["logits, live-3"]["ap"])
    assert f"{gain:+.1f} to logits, live" in capsys.readouterr().out
