"""Records of a run that cannot be read: a sentence where they are needed, set aside where they are only diagnostic."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from core.errors import UserError
from core.runs import results
from core.runs.checkpoint import read_tensors
from tests.helpers import runs
from train.cli.main import main
from train.engine import loop
from train.job.store import rows_of_file
from train.run_folder import assignments, state

DEEP = "[" * 200_000


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return loop.fit(runs.small(optim=replace(runs.OPTIM, epochs=2)), tmp_path_factory.mktemp("runs") / "run")


def copy(run: Path, target: Path) -> Path:
    """The run as it was after its first checkpoint of the last epoch: logs go on, and the weights are whole."""
    for path in [p for p in run.rglob("*") if p.is_file()]:
        (target / path.relative_to(run)).parent.mkdir(parents=True, exist_ok=True)
        (target / path.relative_to(run)).write_bytes(path.read_bytes())
    return target


@pytest.mark.parametrize(
    "spoil", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"PAR1" + raw[9:] + b"x"]
)
def test_a_damaged_diagnostic_file_is_set_aside_and_told(spoil, run, tmp_path, capsys):
    path = copy(run, tmp_path / "run")
    raw = (path / assignments.FILE).read_bytes()
    (path / assignments.FILE).write_bytes(spoil(raw))
    assert main(["resume", str(path)]) == 0
    assert "assignments.parquet could not be read" in (printed := capsys.readouterr().out) and ".damaged" in printed
    assert (path / "assignments.parquet.damaged").read_bytes() == spoil(raw) and not (path / assignments.FILE).exists()
    before, after = (load_file(folder / "student.safetensors") for folder in (run, path))
    assert all(torch.equal(x, after[name]) for name, x in before.items())


def test_without_pyarrow_the_table_stays_as_it_is(run, tmp_path, monkeypatch):
    path = copy(run, tmp_path / "run")
    raw = (path / assignments.FILE).read_bytes()
    monkeypatch.setattr(assignments, "find_spec", lambda name: None)
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["resume", str(path)]) == 0
    assert (path / assignments.FILE).read_bytes() == raw and not list(path.glob("*.damaged"))


def test_a_table_of_other_columns_is_set_aside(run, tmp_path):
    path = copy(run, tmp_path / "run")
    table = pq.read_table(path / assignments.FILE)
    assert assignments.drop_after(path, 2) == "" and pq.read_table(path / assignments.FILE).equals(table)
    pq.write_table(table.drop(["margin"]), path / assignments.FILE)
    assert "no column margin" in assignments.drop_after(path, 2) and assignments.read(path) is None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=40))
def test_bad_bytes_in_a_log_are_a_sentence(place, junk, run, tmp_path):
    raw = (run / "metrics.jsonl").read_bytes()
    at = int(place * len(raw))
    (tmp_path / "metrics.jsonl").write_bytes(raw[:at] + junk + raw[at + len(junk) :])
    for read in (results.scores, results.best_ap):
        try:
            read(tmp_path)
        except UserError as error:
            assert "metrics.jsonl" in str(error)


@pytest.mark.parametrize(
    "line", [DEEP, "9" * 5000, '{"eval": "student"}', '{"eval": "student", "epoch": 1, "ap": "x"}', "[]"]
)
def test_a_line_that_is_no_record_is_a_sentence(line, tmp_path):
    (tmp_path / "metrics.jsonl").write_text(f'{line}\n{{"eval": 1}}\n')
    with pytest.raises(UserError, match="metrics.jsonl: (line 1|an evaluation)"):
        results.read_lines(tmp_path / "metrics.jsonl")
        results.evaluations(tmp_path)


def test_a_header_that_nests_deep_is_a_sentence(run, tmp_path):
    path = copy(run, tmp_path / "run")
    for name, key in (("student.safetensors", "card"), ("last/state.safetensors", "progress")):
        (path / name).write_bytes(save(load_file(path / name), {key: DEEP}))
    with pytest.raises(UserError, match="student.safetensors is not"):
        read_tensors(path / "student.safetensors")
    with pytest.raises(UserError, match="state.safetensors is not a checkpoint"):
        state.read_progress(path)
    raw = json.dumps({"a": 1}).encode()
    (path / "student.safetensors").write_bytes(len(DEEP).to_bytes(8, "little") + DEEP.encode() + raw)
    with pytest.raises(UserError, match="student.safetensors is not"):
        read_tensors(path / "student.safetensors")
    (path / "cached.safetensors").write_bytes(save({}, {"keys": DEEP}))
    assert rows_of_file(path / "cached.safetensors") == []


WRONG = {"epoch": "1"}, {"step": -1}, {"lengths": []}, {"lengths": {"a": "b"}}, {"scaler": 3}, {"best": "x"}


@pytest.mark.parametrize("change", WRONG)
def test_counters_of_a_checkpoint_are_numbers(change, run, tmp_path):
    path = copy(run, tmp_path / "run")
    progress = vars(state.read_progress(path)) | change
    state.path(path).write_bytes(save(load_file(state.path(path)), {"progress": json.dumps(progress)}))
    with pytest.raises(UserError, match="is not a checkpoint"):
        state.read_progress(path)
