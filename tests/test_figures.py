"""Figures: what is drawn is what was measured, and drawing again gives the same bytes."""

import json

import pytest

from analysis import __main__ as command
from analysis import figures
from core.errors import UserError


def summary(folder):
    rows = {
        "teacher": {"ap": 0.6, "seconds": 500.0, "epochs": 12},
        "alone": {"ap": 0.3, "seconds": 60.0, "epochs": 2, "ap_by_epoch": [0.1, 0.3]},
        "distilled": {"ap": 0.4, "seconds": 120.0, "epochs": 2, "ap_by_epoch": [0.2, 0.4]},
        "alone_equal_time": {"ap": 0.45, "seconds": 120.0, "epochs": 4, "ap_by_epoch": [0.1, 0.2, 0.3, 0.45]},
    }
    (folder / "summary.json").write_text(json.dumps(rows))
    return rows


def test_convergence_shows_each_row_against_epochs_and_minutes(tmp_path):
    rows = summary(tmp_path)
    epochs, minutes = figures.make("convergence", tmp_path).axes
    for ax, scale in ((epochs, lambda r: 1.0), (minutes, lambda r: r["seconds"] / r["epochs"] / 60)):
        lines = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
        for name, label in (("alone", "student alone"), ("distilled", "student distilled")):
            row = rows[name]
            expected = [[(k + 1) * scale(row), 100 * ap] for k, ap in enumerate(row["ap_by_epoch"])]
            assert sum(lines[label], []) == pytest.approx(sum(expected, []))
        assert [y for _, y in lines["teacher"]] == pytest.approx([60, 60])


def test_a_figure_drawn_twice_is_the_same_bytes(tmp_path):
    summary(tmp_path)
    for folder in ("a", "b"):
        assert command.main(["convergence", str(tmp_path), "--out", str(tmp_path / folder)]) == 0
    for kind in ("pdf", "svg", "png"):
        first, again = ((tmp_path / folder / f"convergence.{kind}").read_bytes() for folder in ("a", "b"))
        assert first == again and len(first) > 1000


def test_what_is_missing_is_one_sentence(tmp_path, capsys):
    with pytest.raises(UserError, match="no such file"):
        figures.make("convergence", tmp_path)
    (tmp_path / "summary.json").write_text('{"teacher": {}}')
    assert command.main(["convergence", str(tmp_path)]) == 2
    assert "has no row alone" in capsys.readouterr().err
