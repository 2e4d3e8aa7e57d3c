"""Tables: what was measured in its cell, beside what the paper printed, in three forms."""

import csv
import io
from statistics import mean, stdev

import pytest

from analysis import tables
from analysis.inputs.rows import TITLES, detector_title
from analysis.inputs.sources import read_inputs
from analysis.tables._layout import cells, column_names, escape_latex, format_number, render
from core.detectors import conditional
from tests.helpers import summaries
from tests.helpers.summaries import OURS, row


def made(name, tmp_path, rows):
    return tables.make(name, read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path / "scratch"))


def line_of(table, *labels):
    return next(line for line in table.lines if line.labels == labels)


def test_the_components_are_told_from_the_losses_whatever_rows_are_called(tmp_path):
    aps = {
        (): (0.40, 0.42),
        ("logits",): (0.44,),
        ("features",): (0.41,),
        ("logits", "features"): (0.45,),
        OURS: (0.5, 0.54),
    }
    rows = {f"{len(names)}{names}-{s}": row(ap, s, names) for names, each in aps.items() for s, ap in enumerate(each)}
    table = made("table7", tmp_path, rows)
    none, ours = line_of(table, "AdaMixer", "", "", ""), line_of(table, "AdaMixer", "✓", "✓", "✓")
    assert none.measured.means["ap"] == pytest.approx(41) and none.measured.spreads["ap"] == pytest.approx(
        stdev((40, 42))
    )
    assert ours.measured.means["ap"] == pytest.approx(52) and ours.measured.seeds == 2 and ours.base is not None
    assert line_of(table, "AdaMixer", "✓", "", "").measured.spreads["ap"] is None
    assert line_of(table, "AdaMixer", "", "", "✓").measured is None
    assert ours.paper["ap"] == 44.7 and none.paper["ap"] == 42.3


def test_cells_say_value_spread_and_gain_on_the_same_data(tmp_path):
    rows = {f"a-{s}": row(0.40 + 0.02 * s, s) for s in (0, 1)} | {
        f"b-{s}": row(0.5 + 0.04 * s, s, OURS) for s in (0, 1)
    }
    table = made("table7", tmp_path, rows)
    told = dict(zip(column_names(table), cells(table)[-1]))
    assert told["measured on"] == "shapes, 96 px" and told["seeds"] == "2"
    assert told["AP"] == "52.0 ± 2.8 (+11.0)" and told["AP (COCO, paper)"] == "44.7 (+2.4)"
    assert told["APl"] == "–" and dict(zip(column_names(table), cells(table)[1]))["AP"] == "–"


def test_a_sweep_of_an_option_does_not_get_into_the_table_of_defaults(tmp_path):
    rows = {f"default-{s}": row(0.5, s, OURS) for s in (0, 1)}
    rows |= {f"other-{s}": row(0.9, s, OURS, features={"gamma": 0.1}) for s in range(5)}
    table = made("table7", tmp_path, rows | {"none-0": row(0.4)})
    assert line_of(table, "AdaMixer", "✓", "✓", "✓").measured.means["ap"] == pytest.approx(50)


def test_rows_on_different_data_are_different_blocks(tmp_path):
    other = row(0.2, 0, OURS)
    other["run"]["data"]["size"] = 320
    alone = row(0.1)
    alone["run"]["data"]["size"] = 320
    rows = {"a": row(0.4), "b": row(0.5, 0, OURS), "c": alone, "d": other}
    ours = [line for line in made("table7", tmp_path, rows).lines if line.labels[1:] == ("✓", "✓", "✓")]
    assert [line.measured.data for line in ours] == ["shapes, 96 px", "shapes, 320 px"]
    assert [line.measured.means["ap"] - line.base.means["ap"] for line in ours] == pytest.approx([10, 10])


def test_unknown_cells_of_the_paper_stay_unknown(tmp_path):
    for name in ("table8", "table9"):
        table = made(name, tmp_path, {"a": row(0.4)})
        assert not table.has_measurements and all(cell == "?" for line in cells(table) for cell in line[-4:])


def test_ap_over_training_is_read_at_thirds(tmp_path):
    told = row(0.6, 0, ("fitnet",)) | {"ap_by_epoch": [0.1, 0.2, 0.3, 0.6], "measured_after": [1, 3, 4, 6], "epochs": 6}
    table = made("table1", tmp_path, {"none": row(0.5), "fitnet": told})
    fitnet = line_of(table, "AdaMixer", "FitNet")
    assert [fitnet.measured.means[k] for k in ("third", "two", "end")] == pytest.approx([20, 30, 60])
    assert fitnet.paper == {"third": 36.4, "two": 39.6, "end": 42.9}


def test_the_main_result_has_the_teacher_and_each_detector(tmp_path):
    table = made("table3", tmp_path, {"a": row(0.4), "b": row(0.5, 0, OURS)})
    assert line_of(table, "AdaMixer", "teacher").measured.means["ap"] == pytest.approx(70)
    assert line_of(table, "Deformable DETR", "DETRDistill").measured is None
    assert [line.paper["ap"] for line in table.lines if line.labels[1] == "DETRDistill"] == [44.7, 42.9, 46.6]


def test_a_new_detector_needs_no_title(tmp_path):
    other = row(0.4)
    other["run"]["student"]["detector"] = "dab_detr"
    table = made("table3", tmp_path, {"a": other, "b": row(0.3)})
    assert "dab_detr" not in TITLES and detector_title("dab_detr") == "Dab DETR"
    assert {line.labels[0] for line in table.lines} == {"AdaMixer", "Conditional DETR", "Deformable DETR", "Dab DETR"}


def test_depths_are_told_by_halves(tmp_path):
    def at(encoder, decoder):
        return conditional.Config(classes=8, encoder_layers=encoder, layers=decoder)

    rows = {}
    for k, (encoder, decoder) in enumerate([(4, 4), (4, 2), (2, 4), (2, 2)]):
        rows[f"alone{k}"] = row(0.3 + 0.01 * k, detector=at(encoder, decoder))
        rows[f"ours{k}"] = row(0.4 + 0.01 * k, 0, OURS, detector=at(encoder, decoder))
    table = made("table4", tmp_path, rows)
    half = line_of(table, "Conditional DETR", "full (4)", "half (2)", "DETRDistill")
    assert half.measured.means["ap"] == pytest.approx(41) and half.base.means["ap"] == pytest.approx(31)
    assert half.paper["ap"] == 36.6 and half.paper_base["ap"] == 30.3
    assert line_of(table, "Conditional DETR", "half (2)", "full (4)", "student").measured.means["ap"] == pytest.approx(
        32
    )


def test_variants_of_the_logits_loss(tmp_path):
    rows = {"none": row(0.4), "split": row(0.46, 0, ("logits",))}
    rows["positive"] = row(0.43, 0, ("logits",), logits={"match": "positive"})
    rows["last"] = row(0.44, 0, ("logits",), logits={"stages": "last"})
    pairs, stages = (made(name, tmp_path, rows) for name in ("table8", "table9"))
    told = {line.labels[-1]: line.measured and line.measured.means["ap"] for line in pairs.lines}
    assert told["positives only"] == pytest.approx(43) and told["positives and negatives"] == pytest.approx(46)
    assert told["no distillation"] == pytest.approx(40) and told["all in one (release)"] is None
    told = {line.labels[-1]: line.measured and line.measured.means["ap"] for line in stages.lines}
    assert told["last stage only"] == pytest.approx(44) and told["stage by stage"] == pytest.approx(46)


def test_light_students(tmp_path):
    from core.detectors import adamixer

    light = adamixer.Config(classes=8, backbone="resnet18")
    table = made("table10", tmp_path, {"a": row(0.3, detector=light), "b": row(0.35, 0, OURS, detector=light)})
    assert line_of(table, "AdaMixer", "R18 DETRDistill").measured.means["ap"] == pytest.approx(35)
    assert line_of(table, "AdaMixer", "MBv2 DETRDistill").measured is None


def test_csv_holds_all_digits(tmp_path):
    rows = {f"a-{s}": row(0.401 + 0.02 * s, s) for s in (0, 1)} | {"b": row(0.5, 0, OURS)}
    read_back = list(csv.DictReader(io.StringIO(render(made("table7", tmp_path, rows))["csv"])))
    assert float(read_back[0]["mean_ap"]) == pytest.approx(mean((40.1, 42.1)))
    assert float(read_back[-1]["gain_ap"]) == pytest.approx(50 - 41.1) and read_back[-1]["paper_ap"] == "44.7"


def test_latex_is_escaped_and_whole(tmp_path):
    text = render(made("table7", tmp_path, {"a": row(0.4), "b": row(0.5, 0, OURS)}))["tex"]
    assert text.count("\\toprule") == text.count("\\midrule") == text.count("\\bottomrule") == 1
    columns = text.split("\\begin{tabular}{")[1].split("}")[0]
    body = text.split("\\midrule\n")[1].split("\n\\bottomrule")[0].split("\n")
    assert all(line.count("&") == len(columns) - 1 for line in body)
    assert escape_latex("a_b & 50% ± 1") == "a\\_b \\& 50\\% $\\pm$ 1"


def test_numbers_as_they_are_read():
    assert format_number(44.66, 0.31, 2.4) == "44.7 ± 0.3 (+2.4)" and format_number(1.0, None, -0.25) == "1.0 (−0.2)"
    assert format_number(None) == "?"


def test_the_same_table_is_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        tables.save(made("table3", tmp_path, summaries.pair()), tmp_path / folder, "table3")
    for kind in ("tex", "md", "csv"):
        assert (tmp_path / "a" / f"table3.{kind}").read_bytes() == (tmp_path / "b" / f"table3.{kind}").read_bytes()
