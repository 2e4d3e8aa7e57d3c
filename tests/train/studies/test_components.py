"""The study of components: rows of its file are not trained again, and a loss that is new there is tuned and trained."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.files import read_json, write_json
from train.studies import components

FILE = Path(__file__).parents[3] / "assets" / "results" / "components.json"


@pytest.fixture
def trained(monkeypatch, tmp_path) -> list[str]:
    """The names of the rows that are trained; the AP of each is a thousandth of its place among them."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def run_rows(rows, **_):
        names.extend(rows)
        return {name: {"ap": names.index(name) / 1000} for name in rows}

    monkeypatch.setattr(components, "run_rows", run_rows)
    monkeypatch.setattr(components, "step_seconds", dict.fromkeys)
    monkeypatch.setattr(components, "read_history", lambda path: SimpleNamespace(gradient=lambda at: {"prior": 1.0}))
    monkeypatch.setattr(components.backbones, "main", lambda *_: names.append("light backbones"))
    return names


def without(path: Path, loss: str) -> dict:
    """The results without a loss, as if it had been added to the study since; written to the path."""
    results = read_json(FILE)
    for part in ("rows", "tuning"):
        results[part] = {name: x for name, x in results[part].items() if name.replace("-", " ").split()[0] != loss}
    del results["unit"][loss]
    write_json(path, results)
    return results


def test_only_a_new_loss_is_tuned_and_trained(trained, tmp_path):
    out = tmp_path / "components.json"
    before = without(out, "mgd")
    components.main(out=out)
    assert trained[:3] == ["mgd 0.3", "mgd 1", "mgd 3"] and "light backbones" not in trained
    assert {name.rpartition("-")[0] for name in trained[3:]} == {"mgd"}
    after = read_json(out)
    assert after["weights"]["mgd"] == 3 * components.UNIT["mgd"], "the last has the highest AP"
    assert {k: after["weights"][k] for k in components.OURS} == {k: before["weights"][k] for k in components.OURS}
    assert {name: row for name, row in after["rows"].items() if name in before["rows"]} == before["rows"]
    assert after["rows"]["mgd-1"]["gradient_share"] == {at: {"prior": 1.0} for at in components.PLACES}
    assert list(after["rows"]).index("mgd-0") < list(after["rows"]).index("naive-0"), "rows stand in their usual order"


def test_without_a_file_all_rows_are_trained_and_a_stopped_study_keeps_its_old_rows(trained, monkeypatch, tmp_path):
    components.main(out=tmp_path / "new.json")
    rows = read_json(tmp_path / "new.json")["rows"]
    assert len(rows) == 126 and set(rows) <= set(trained) and "light backbones" in trained

    def stopped(rows, *, at_once, on_row=lambda rows: None):
        on_row({name: {"ap": 0.5} for name in list(rows)[:1]})
        raise KeyboardInterrupt

    monkeypatch.setattr(components, "run_rows", stopped)
    shutil.copyfile(FILE, tmp_path / "old.json")
    results = read_json(FILE)
    results["rows"]["none-0"]["run"]["seed"] = 9
    write_json(tmp_path / "old.json", results)
    with pytest.raises(KeyboardInterrupt):
        components.main(out=tmp_path / "old.json")
    kept = read_json(tmp_path / "old.json")["rows"]
    assert kept == results["rows"] | {"none-0": {"ap": 0.5}}
