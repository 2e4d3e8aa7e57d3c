"""Figures: what is drawn is what was measured, drawing again gives the same bytes, and a new figure is one file."""

import csv
import json
import shutil
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis import __main__ as command
from analysis import figures, report
from analysis.bench._random_runs import random_run
from analysis.drawing import plotly_page, style
from analysis.drawing.captions import beyond_chance
from analysis.figures import figure2, figure4, gained_lost, gradient_share, image
from analysis.inputs import inputs
from analysis.inputs.inputs import Absent, Inputs
from analysis.inputs.logged import ASSIGNMENTS
from analysis.inputs.rows import Row, without_local_folders
from analysis.inputs.sources import read_inputs, rows_at, write_summary
from analysis.query_table.collect import rows_of_images
from core import detectors
from core.boxes import iou
from core.data.category import Category
from core.drop_ins import DropIns
from core.errors import UserError
from core.losses._layer_mapping import layer_pairs
from core.runs.config import encode
from tests.helpers import summaries
from tests.helpers.summaries import OURS, row

MEASURED = (
    "agreement",
    "breakdown",
    "calibration",
    "convergence",
    "errors",
    "figure1",
    "figure7",
    "gains",
    "quality_inside",
    "statements",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Inputs:
    """Of summaries alone: a student over three seeds, alone and distilled."""
    folder = tmp_path_factory.mktemp("pair")
    return read_inputs([summaries.write(folder / "s.json", summaries.pair())], folder / "scratch")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Inputs:
    """Of two runs of random weights, one of them with a teacher, on the same nine images."""
    folder = tmp_path_factory.mktemp("runs")
    rows = []
    for name, distilled in (("alone", False), ("distilled", True)):
        path = random_run(folder / name, queries=12, layers=3, size=64, images=9, with_teacher=distilled)
        told = row(0.4, 0, OURS if distilled else ())
        told["run"]["data"]["size"] = 64
        rows.append(Row(name, told, path))
    return Inputs(rows, folder / "scratch", limit=9)


def lines(ax) -> dict:
    return {line.get_label(): line.get_xydata() for line in ax.get_lines() if not line.get_label().startswith("_")}


def heights(ax) -> dict:
    return {
        bars.get_label(): [float(b.get_height()) for b in bars] for bars in ax.containers if hasattr(bars, "patches")
    }


def test_bars_are_the_means_of_the_seeds(pair):
    made = figures.make("figure1", pair)
    told = heights(made.figure.axes[0])
    assert told["teacher"] == pytest.approx([70])
    assert told["student alone"] == pytest.approx([41]) and told["student distilled"] == pytest.approx([52])
    assert "+11.0 AP" in made.numbers.caption and "stays below its teacher" in made.numbers.caption


def test_convergence_is_the_mean_in_a_band(pair):
    epochs, minutes = figures.make("convergence", pair).figure.axes
    curve = lines(epochs)["student distilled"]
    aps = [100 * ap for ap in (0.5, 0.52, 0.54)]
    assert curve.tolist() == pytest.approx(np.array([[1, mean(aps) / 3], [2, mean(aps) / 2], [3, mean(aps)]]))
    assert lines(minutes)["student distilled"][:, 0].tolist() == pytest.approx([1, 2, 3])
    band = next(c for c in epochs.collections).get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(42)  # of the student alone, drawn first
    assert lines(epochs)["teacher"][:, 1].tolist() == pytest.approx([70, 70])


def test_longer_schedules_of_the_student_stand_beside(tmp_path):
    longer = row(0.6)
    longer["run"]["optim"]["epochs"], longer["epochs"] = 18, 18
    rows = summaries.pair(seeds=(0,)) | {"longer": longer | {"measured_after": [6, 12, 18]}}
    given = read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path)
    found = lines(figures.make("convergence", given).figure.axes[0])["student alone, longer, 18 epochs"]
    assert found[-1].tolist() == pytest.approx([18, 60])


def test_instability_and_what_became_of_the_claim(pair):
    made = figures.make("figure7", pair)
    told = lines(made.figure.axes[0])
    assert told["student alone"].tolist() == [[2, 3], [3, 2]]
    assert told["student distilled"].tolist() == [[2, 3], [3, 1]]
    assert told["teacher"].tolist() == [[2, 2], [3, 1]]
    assert (
        "2.50 alone and 2.00 distilled, lower in 2 of 3 seeds" in made.numbers.caption
        and "is supported in part" in made.numbers.caption
    )


def test_quality_against_mass_inside_and_the_claim(pair):
    made = figures.make("quality_inside", pair)
    curve = lines(made.figure.axes[0])["teacher, ρ = 0.40"]
    assert curve.tolist() == pytest.approx(
        np.array([[0.1 * k + 0.05, 0.1 * k] for k in range(9)])
    )  # the last bin is too empty
    assert "student distilled −0.30" in made.numbers.caption and "below in 3" in made.numbers.caption
    assert "student alone +0.40 (above in 3 of 3 seeds)" in made.numbers.caption


def test_a_correlation_over_one_image_decides_nothing_and_none_is_left_out(tmp_path):
    """One image gives a correlation without a standard error, and no image with objects gives none."""
    rows = summaries.pair(seeds=(0,))
    for told in rows.values():
        for side in ("student", "teacher"):
            if told["measured"][side]:
                told["measured"][side]["looks"]["error"] = None
    made = figures.make("quality_inside", read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path))
    assert made.numbers.caption.count("not statistically significant") == 3
    for told in rows.values():
        told["measured"]["student"]["looks"]["correlation"] = None
        told["measured"]["teacher"] = None
    with pytest.raises(Absent, match="images with objects"):
        figures.make("quality_inside", read_inputs([summaries.write(tmp_path / "t.json", rows)], tmp_path))


def test_a_correlation_without_a_standard_error_supports_no_claim(tmp_path):
    rows = summaries.pair(seeds=(0,))
    for told in rows.values():
        told["measured"]["student"]["looks"]["error"] = None
    made = figures.make("statements", read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path))
    assert "holds for 1 of 3 trained detectors (" in made.numbers.caption  # the teacher alone has one
    assert [beyond_chance(x, e) for x, e in ((0.5, 0.2), (-0.5, 0.2), (0.4, 0.2), (0.5, None))] == [1, -1, 0, 0]


def test_rows_without_ap_are_left_out_and_none_with_one_is_said(tmp_path):
    """A machine without faster-coco-eval logs no AP."""
    rows = summaries.pair()
    unmeasured = {**dict.fromkeys(("ap", "ap50", "ap75", "aps", "apm", "apl")), "ap_by_epoch": [None, 0.2, None]}
    rows["distilled-2"] |= unmeasured
    some = read_inputs([summaries.write(tmp_path / "some.json", rows)], tmp_path)
    assert heights(figures.make("figure1", some).figure.axes[0])["student distilled"] == pytest.approx([51])
    assert figures.make("gains", some).numbers.rows[-1]["seeds"] == 2
    none = read_inputs(
        [summaries.write(tmp_path / "none.json", {k: x | unmeasured for k, x in rows.items()})], tmp_path
    )
    for name in ("figure1", "gains", "gamma", "convergence"):
        with pytest.raises(Absent, match="no AP was measured"):
            figures.make(name, none)
    assert "AP" not in figure4.run_description(none.rows[0])


def test_data_of_one_folder_have_its_name_on_every_machine():
    """The card of a run that was trained with --data FOLDER names that folder, and no file of validation images."""
    first, second = (Row("x", row(0.4)) for _ in range(2))
    for training, root in ((first, "/here"), (second, "/there/deep")):
        training.run["data"] |= {"kind": "coco", "train": None, "val": None, "folder": f"{root}/photos/cards"}
    assert first.data == second.data == "photos/cards" and first.training_key == second.training_key
    first.run["data"]["folder"] = None
    assert Row("x", first.result).data == "?"


def test_a_damaged_log_is_said_and_not_passed_over(tiny, tmp_path):
    shutil.copytree(tiny.rows[0].folder, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text('{"eval": "student", "epoch": 1, "ap": "high"}\n')
    with pytest.raises(UserError, match="an evaluation's 'ap'"):
        rows_at(tmp_path)


def test_the_two_statements_are_counted_seed_by_seed(pair):
    """Stages of seed 0 are 3, 2 alone and 2, 1 distilled: 1 less; of seed 2 they are 4, 1 distilled: the same."""
    made = figures.make("statements", pair)
    told = {(r["claim"], r["who"], r["seed"]): r["value"] for r in made.numbers.rows}
    less = [told["distilled students match more stably", "distilled", seed] for seed in (0, 1, 2)]
    assert less == [-1, -0.5, 0] and told["good queries look at objects", "teacher", None] == 0.4
    assert "holds for 4 of 7 trained detectors, and the opposite for 3" in made.numbers.caption
    assert "holds in 2 of 3 pairs of the same seed" in made.numbers.caption
    assert "2.50 alone, 2.00 distilled, lower in 2 of 3" in made.numbers.caption


def test_what_needs_no_pair_is_measured_without_one(tmp_path):
    """Cards were seen by students alone: counted for where queries look, not for stability; shapes of 18 epochs not at all."""
    rows = summaries.pair(seeds=(0,))
    for name, change in {"cards": {"kind": "coco", "val": "cards/val.json"}, "longer": {}}.items():
        rows[name] = row(0.3, measured=summaries.measured(0.3, with_teacher=False))
        rows[name]["run"]["data"] |= change
        rows[name]["run"]["optim"]["epochs"] += 6
    made = figures.make("statements", read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path))
    assert {r["where"] for r in made.numbers.rows} == {"AdaMixer, shapes, 96 px", "AdaMixer, cards/val"}
    assert "1 of 1 pairs" in made.numbers.caption and "of 4 trained detectors" in made.numbers.caption


def test_students_of_one_detector_and_data_are_told_apart(tmp_path):
    rows = summaries.pair(seeds=(0,))
    for name, told in summaries.pair(seeds=(0,)).items():
        told["run"]["optim"]["epochs"], told["epochs"] = 18, 18
        rows[f"longer-{name}"] = told
    given = read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path)
    assert [s.label.rpartition(", ")[2] for s in given.measurable_comparisons()] == ["3 epochs", "18 epochs"]
    assert len(figures.make("figure7", given).figure.axes) == 2


def test_a_field_that_came_later_and_is_off_makes_no_other_training():
    old, new = row(0.4), row(0.5, 0, OURS)
    new["run"]["data"] |= {"val": "/somewhere/cards/val.json", "later": 0}
    old["run"]["data"] |= {"val": "/elsewhere/else/cards/val.json"}
    assert Row("a", old).training_key == Row("b", new).training_key
    assert Row("a", old | {"run": without_local_folders(old["run"])}).training_key == Row("b", new).training_key
    new["run"]["data"]["later"] = 1
    assert Row("a", old).training_key != Row("b", new).training_key


def test_an_option_of_the_detector_that_came_later_makes_no_other_training():
    """Whatever its default: rows of a file that two versions have written are compared with each other."""
    old, new = row(0.4), row(0.5, 0, OURS)
    for given in (old, new):
        given["run"]["student"] = encode(detectors.module("adamixer").Config(queries=20))
    matching = old["run"]["student"]["config"]["matching"]
    assert matching.pop("class_cost") == "focal" and matching.pop("no_object") == 0.1
    assert Row("a", old).training_key == Row("b", new).training_key
    matching["no_object"] = 0.2
    assert Row("a", old).training_key != Row("b", new).training_key


def test_errors_are_points_of_ap50(pair):
    made = figures.make("errors", pair)
    assert heights(made.figure.axes[0])["teacher"] == pytest.approx([0, 1, 2, 3, 4, 5])
    assert all(row["count"] == 5 for row in made.numbers.rows)


def test_gamma_is_swept_where_nothing_else_differs(tmp_path):
    rows = {f"g{g}-{s}": row(0.5 + g / 10, s, OURS, features={"gamma": g}) for g in (0.0, 0.25, 1.0) for s in (0, 1)}
    rows |= {"default": row(0.9, 0, OURS), "other": row(0.1, 0, OURS, logits={"match": "all"}), "none": row(0.4)}
    made = figures.make("gamma", read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path))
    told = lines(made.figure.axes[0])
    assert told["student distilled"].tolist() == pytest.approx(np.array([[0, 50], [0.25, 52.5], [1, 60]]))
    assert {r["gamma"] for r in made.numbers.rows} == {0.0, 0.25, 0.5, 1.0, None}
    assert told["student alone"][:, 1].tolist() == pytest.approx([40, 40])


def test_gains_are_of_common_seeds_against_the_same_student(tmp_path):
    """By hand: 10, 12 and 14 points over three seeds have a t interval of 4.303 * 2 / sqrt(3) either way."""
    rows = {f"none-{k}": row(0.4, k) for k in range(4)} | {"none, longer-0": row(0.45, 0)}
    rows["none, longer-0"] |= {"epochs": 6}
    rows["none, longer-0"]["run"]["optim"]["epochs"] = 6
    rows |= {f"ours-{k}": row(0.5 + 0.02 * k, k, OURS) for k in range(3)}
    rows |= {f"fgd-{k}": row(0.39 + 0.02 * k, k, ("fgd",)) for k in (0, 1)}
    rows["deep, ours-0"] = row(0.9, 0, OURS, detector=summaries.deeper(2))
    made = figures.make("gains", read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path))
    told = {r["how"]: r for r in made.numbers.rows}
    assert told.keys() == {"none, longer", "ours", "fgd"}, "what has no student alone is left out"
    assert told["ours"]["gain"] == pytest.approx(12) and told["ours"]["half"] == pytest.approx(
        4.3027 * 2 / 3**0.5, rel=1e-4
    )
    assert told["fgd"]["gain"] == pytest.approx(0) and told["fgd"]["seeds"] == 2
    assert told["none, longer"]["gain"] == pytest.approx(5) and told["none, longer"]["half"] is None
    assert (
        "Of 2 distilled settings with several seeds, significant gain: 1; significant loss: 0; not statistically significant: 1."
        in made.numbers.caption
    )
    marks = {round(float(c[0].get_xdata()[0]), 6): c[0].get_markerfacecolor() for c in made.figure.axes[0].containers}
    assert marks[12.0] == style.DISTILLED and marks[0.0] == "white"


def test_a_setting_is_one_whatever_its_rows_are_called_and_so_is_a_name(tmp_path):
    """Of one setting a seed has another name; the student under itself has another teacher for each seed."""
    rows = {f"none-{k}": row(0.4, k) for k in range(3)} | {"ours-0": row(0.5, 0, OURS), "other-1": row(0.6, 1, OURS)}
    for k in range(3):
        rows[f"self-{k}"] = row(0.45, k, OURS) | {"teacher": 0.3 + 0.01 * k}
    found = read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path)
    told = {r["how"]: r["seeds"] for r in figures.make("gains", found).numbers.rows}
    assert told == {"ours": 2, "self": 3}


def test_gradient_shares_add_up(tmp_path):
    norms = {"detection": {"features": 3.0, "decoder": 1.0}, "prior": {"features": 1.0, "decoder": None}}
    notes = [{"gradients": norms, "step": step} for step in (1, 201)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(json.dumps(n) for n in [{"step": 1}, *notes]))
    made = figures.make("gradient_share", Inputs([Row("r", row(0.5, 0, OURS), tmp_path)], tmp_path))
    share = {(r["place"], r["loss"], r["step"]): r["share"] for r in made.numbers.rows}
    assert share["features", "detection", 1] == 0.75 and share["decoder", "prior", 201] == 0
    for place in gradient_share.PLACES:
        assert sum(v for (p, _, s), v in share.items() if (p, s) == (place, 1)) == pytest.approx(1)
    assert "at the features: detection 75%, prior 25%" in made.numbers.caption


def test_instability_between_epochs_is_counted_by_hand(tmp_path):
    """Image 7: epoch 2 moves object 0 to query 3 (counts 2); image 9 changes nothing."""
    answers = {1: {7: (0, 1), 9: (2,)}, 2: {7: (3, 1), 9: (2,)}, 4: {7: (1, 3), 9: (2,)}}
    rows = [
        ("student", epoch, image, layer, query, t)
        for epoch, images in answers.items()
        for image, queries in images.items()
        for t, query in enumerate(queries)
        for layer in (0, 1)
    ]
    table = pd.DataFrame(rows, columns=["who", "epoch", "image", "layer", "query", "object"])
    table.loc[table["layer"] == 0, "query"] = 0  # earlier stages do not count
    table.to_parquet(tmp_path / ASSIGNMENTS)
    found = Row("r", row(0.5), tmp_path).logged
    assert found["epochs"] == [{"epoch": 2, "instability": 1.0}, {"epoch": 4, "instability": 1.0}]
    told = Inputs([Row("r", row(0.5) | {"logged": found})], tmp_path)  # a summary that carries it
    assert lines(figures.make("instability_epochs", told).figure.axes[0])["student alone"].tolist() == [[2, 1], [4, 1]]


def test_stages_are_those_of_the_losses(tiny):
    made = figures.make("figure5", tiny)
    printed = [(r["student"] - 1, r["teacher"] - 1) for r in made.numbers.rows if r["panel"] == "as in the paper"]
    assert printed == layer_pairs(3, 6)
    assert [(r["student"], r["teacher"]) for r in made.numbers.rows if "distilled" in r["panel"]] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]


def test_figure_4_shows_the_queries_that_its_rules_choose(tiny):
    numbers = figure4.measure(tiny)
    found, masks = numbers.extra
    chosen = {r["panel"]: r for r in numbers.rows}
    assert set(masks) == set("bcdef") and len({r["query"] for r in numbers.rows}) >= 4
    q = found.quality().ranking()[-1, 0].numpy()
    assert sorted(q)[:2] == pytest.approx([chosen["e"]["quality"], chosen["f"]["quality"]])
    psi, places = found.masks()
    size = found.trace.targets.boxes[:, 2:].prod(1).argsort(descending=True)[:2].tolist()
    own, targets = found.shown_trace.own, found.trace.targets
    for letter, t in zip("bc", size):
        scores = own.logits[-1, 0].sigmoid()[:, targets.labels[t]].tolist()
        ious = [float(iou(box[None], targets.boxes[t][None])) for box in own.boxes[-1, 0]]
        values = [(score * overlap) ** 0.5 for score, overlap in zip(scores, ious)]
        assert chosen[letter]["query"] == max(range(len(values)), key=values.__getitem__)
    both = [min((psi[k] * places[t]).sum() / max(psi[k].sum(), 1e-12) for t in size) for k in range(len(psi))]
    free = set(range(len(psi))) - {chosen["b"]["query"], chosen["c"]["query"]}
    assert chosen["d"]["query"] == max(free, key=lambda k: both[k])
    pinned = figure4.panels(found, {"b": 7})
    assert pinned.rows[0]["query"] == 7 and pinned.rows[0]["why"] == "pinned"


def test_figure_4_decodes_only_the_images_that_it_may_choose(tiny, tmp_path, monkeypatch):
    """Those with the fewest objects, at least two; the choice is that of the whole query table."""
    decoded = []
    monkeypatch.setattr(
        inputs, "rows_of_images", lambda run, images: decoded.append(images) or rows_of_images(run, images)
    )
    for run, side in zip(tiny.rows, ("student", "teacher")):
        alone = Inputs([run], tmp_path / run.name, limit=9)
        first = figure4.chosen_image(alone, run)
        assert not alone.scratch.exists()
        table = alone.query_table(run)
        last = table.rows(side=side, layer=table.layers(side) - 1)
        last = last[last["object"] >= 0]
        quality = np.sqrt(last["object_overlap"] * last["object_score"])
        count, worst = (getattr(quality.groupby(last["image"]), name)() for name in ("size", "min"))
        fewest = count[count >= 2].min()
        assert first == figure4.chosen_image(alone, run) == worst[count == fewest].idxmax()
        assert [alone.open_run(run).data.ids[k] for k in decoded.pop()] == list(count.index[count == fewest])
        assert not decoded and (count != fewest).any()


@pytest.mark.parametrize(
    "counts, fewest", [((3, 1, 2, 0, 2), [3, 5]), ((1, 0, 1), [1, 3]), ((0, 0), []), ((5, 4, 2, 3), [3])]
)
def test_the_fewest_objects_are_at_least_two_where_an_image_has_so_many(counts, fewest):
    """Crowd regions are no objects; an image beyond the limit counts for nothing."""
    annotations = [
        {
            "id": 100 * image + k,
            "image_id": image,
            "category_id": 1,
            "bbox": [0, 0, 5, 5],
            "area": 25,
            "iscrowd": int(k == count),
        }
        for image, count in enumerate((*counts, 2), start=1)
        for k in range(count + 1)
    ]
    ids = tuple(range(1, len(counts) + 2))
    data = SimpleNamespace(ids=ids, categories=(Category(1, "a"),), truth=lambda: {"annotations": annotations})
    assert figure4.fewest_objects(data, len(counts)) == fewest


def test_figure_4_takes_the_image_that_is_asked_for(tiny):
    asked = Inputs(tiny.rows, tiny.scratch, limit=9, image=3)
    assert figure4.measure(asked).extra[0].sample.id == 3
    with pytest.raises(Absent, match="no image 77"):
        figure4.measure(Inputs(tiny.rows, tiny.scratch, image=77))


def test_the_page_of_one_image_tells_each_answer(tiny):
    numbers = image.measure(tiny)
    found = numbers.extra
    for who, side in image.traces(found).items():
        a = side.assignment
        told = {(r["stage"] - 1, r["query"], r["object"]) for r in numbers.rows if r["who"] == who}
        assert told == set(zip(a.layer.tolist(), a.query.tolist(), a.target.tolist()))
        first = [r for r in numbers.rows if r["who"] == who and r["stage"] == 1]
        assert not any(r["changed"] for r in first) and all(r["margin"] >= 0 for r in numbers.rows)
        for r in numbers.rows:
            before = r["who"], r["object"], r["stage"] - 1
            earlier = [x["query"] for x in numbers.rows if (x["who"], x["object"], x["stage"]) == before]
            assert r["changed"] == (bool(earlier) and earlier[0] != r["query"])


def test_the_contact_sheet_counts_every_object(tiny, monkeypatch):
    monkeypatch.setattr(gained_lost, "MIN_SCORE", 0.0)
    numbers = gained_lost.measure(tiny)
    counts = [int(part.split()[-2]) for part in numbers.caption.split(": ")[1].split(".")[0].split(", ")]
    table = tiny.query_table(tiny.rows[0])
    assert sum(counts) == len(table.truth["annotations"])
    for tile in numbers.extra:
        (x0, y0, x1, y1), pixels = tile.square, tile.pixels
        assert 0 <= x0 < x1 <= pixels.shape[1] and 0 <= y0 < y1 <= pixels.shape[0]


def test_the_convolutional_map_is_over_the_picture(tiny, tmp_path, monkeypatch):
    from core.runs import fcos

    model = fcos.build(8, 64)
    scores = {"ap": 0.1}
    fcos.save(
        tmp_path / "fcos.safetensors",
        model,
        {"size": 64, "scores": scores, "categories": [{"id": k} for k in range(8)]},
    )
    monkeypatch.setattr(figure2, "WEIGHTS", tmp_path / "fcos.safetensors")
    monkeypatch.setattr(figure2, "IMAGES", 3)
    numbers = figure2.measure(tiny)
    for found, maps in numbers.extra:
        assert all(m.shape == found.sample.size for m in maps.values())
    even = [figure2.share(np.ones((64, 64)), figure2.places(found, (64, 64))) for found, _ in numbers.extra]
    assert even == pytest.approx([r["area"] for r in numbers.rows if r["shown"]])


@pytest.mark.parametrize("name", MEASURED)
def test_a_figure_drawn_twice_is_the_same_bytes(name, pair, tmp_path):
    for folder in ("a", "b"):
        figures.save(figures.make(name, pair), tmp_path / folder, interactive=name == "figure7")
    kinds = ("pdf", "svg", "png", "csv", "txt") + (("html",) if name == "figure7" else ())
    for kind in kinds:
        first, again = ((tmp_path / folder / f"{name}.{kind}").read_bytes() for folder in ("a", "b"))
        assert first == again and len(first) > 50, kind


@pytest.mark.parametrize("name", ["figure4", "image", "gained_lost"])
def test_a_figure_of_pictures_drawn_twice_is_the_same_bytes(name, tiny, tmp_path):
    for folder in ("a", "b"):
        figures.save(figures.make(name, tiny), tmp_path / folder)
    for kind in ("pdf", "svg", "png"):
        assert (tmp_path / "a" / f"{name}.{kind}").read_bytes() == (tmp_path / "b" / f"{name}.{kind}").read_bytes()


def test_numbers_are_in_the_csv(pair, tmp_path):
    made = figures.make("figure7", pair)
    figures.save(made, tmp_path)
    with open(tmp_path / "figure7.csv") as file:
        told = list(csv.DictReader(file))
    assert len(told) == len(made.numbers.rows)
    assert [float(r["instability"]) for r in told] == [r["instability"] for r in made.numbers.rows]


def test_fonts_are_embedded_and_text_of_svg_stays_text(pair, tmp_path):
    figures.save(figures.make("figure1", pair), tmp_path)
    assert b"/FontFile2" in (tmp_path / "figure1.pdf").read_bytes()
    assert "student distilled</text>" in (tmp_path / "figure1.svg").read_text()


@pytest.mark.parametrize("venue, width", [(v, w) for v, w in style.VENUES.items()])
def test_a_figure_is_as_wide_as_the_venue_asks(venue, width, pair):
    token = style.VENUE.set(venue)
    try:
        assert figures.make("figure1", pair).figure.get_size_inches()[0] == width[0]
        assert figures.make("breakdown", pair).figure.get_size_inches()[0] == width[1]
    finally:
        style.VENUE.reset(token)


@pytest.mark.parametrize("name", MEASURED)
def test_the_twin_has_the_same_curves_and_bars(name, pair):
    made = figures.make(name, pair)
    found = plotly_page.to_plotly(made.figure)
    curves = [(t.name, np.asarray(t.y, dtype=float)) for t in found.data if t.type == "scatter" and t.y is not None]
    for ax in made.figure.axes:
        for label, points in lines(ax).items():
            same = [y for name_, y in curves if name_ == label and len(y) == len(points)]
            assert any(np.allclose(y, points[:, 1]) for y in same), label
        for label, tall in heights(ax).items():
            same = [t.y for t in found.data if t.type == "bar" and t.name == label and len(t.y) == len(tall)]
            assert any(np.allclose(y, tall, equal_nan=True) for y in same), label
    assert len({t.xaxis for t in found.data}) == len([ax for ax in made.figure.axes if ax.lines or ax.containers])


def test_the_twin_has_hollow_marks_whole_lines_and_headings(tmp_path):
    rows = {f"{name}-{seed}": x for seed in (0, 1) for name, x in two_settings(seed).items()}
    figure = figures.make("gains", read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path)).figure
    twin = plotly_page.to_plotly(figure)
    marks = [t.marker.color for t in twin.data if t.mode == "markers" and t.marker.symbol == "diamond"]
    assert sorted(color == "#ffffff" for color in marks) == [False, True]
    zero = next(t for t in twin.data if t.mode == "lines" and t.x == (0.0, 0.0))
    assert sorted(zero.y) == sorted(figure.axes[0].get_ylim())
    heading = next(a for a in twin.layout.annotations if a.text.startswith("AdaMixer"))
    assert (heading.xref, heading.yref) == ("x domain", "y")


def two_settings(seed: int) -> dict[str, dict]:
    """A student alone, distilled with a sure gain, and with one that differs from seed to seed."""
    unsure = row(0.4 + (0.2 if seed else -0.2), seed, ("logits",))
    return {"alone": row(0.4, seed), "sure": row(0.5 + 0.001 * seed, seed, OURS), "unsure": unsure}


def test_the_twin_keeps_how_opaque_a_rectangle_is():
    figure = Figure()
    figure.subplots().add_patch(Rectangle((0, 0), 1, 1, facecolor="#ff0000", alpha=0.25))
    (shape,) = plotly_page.to_plotly(figure).layout.shapes
    assert shape.fillcolor == "rgba(255,0,0,0.25)"


def test_images_without_objects_or_with_too_many_are_a_sentence(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(image, "OBJECTS", 0)
    with pytest.raises(Absent, match="more than 0 objects; choose one by --image ID"):
        image.least_stable_image(tiny, tiny.rows[1])
    with pytest.raises(Absent, match="this image has no object"):
        figure4.panels(SimpleNamespace(truth=()))
    rows = summaries.pair(seeds=(0,))
    for told in rows.values():
        for side in filter(None, (told["measured"]["student"], told["measured"]["teacher"])):
            side["calibration"]["count"] = [3] * 10
    rows["distilled-0"]["measured"]["agreement"]["class"] = [None] * 3
    few = read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path)
    for name, why in (("calibration", "detections in a bin of scores"), ("agreement", "images with objects")):
        with pytest.raises(Absent, match=why):
            figures.make(name, few)


def test_the_twin_asks_nobody_on_the_network(pair):
    page = plotly_page.page(figures.make("figure7", pair).figure, "figure7", "a & b <c>")
    assert "<script src" not in page and "cdn" not in page.split("plotly.js v")[0] and "a &amp; b &lt;c>" in page


def test_a_missing_ingredient_is_one_sentence(tmp_path, capsys):
    path = summaries.write(tmp_path / "s.json", {"a": row(0.4)})
    for name, why in (("figure1", "the same student distilled"), ("figure7", "folder of a run"), ("gamma", "gamma")):
        assert command.main([name, str(path), "--out", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert why in said and said.count("\n") == 1
    assert command.main(["figure1", str(tmp_path / "nothing")]) == 2
    assert "no measured run" in capsys.readouterr().err
    assert not (tmp_path / "out" / "figure1.pdf").exists()


def test_the_command_says_where_the_files_are(tmp_path, capsys):
    path = summaries.write(tmp_path / "s.json", summaries.pair())
    assert command.main(["figure1", str(path), "--out", str(tmp_path / "out"), "--interactive"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"written to {tmp_path / 'out'}")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        f"figure1.{k}" for k in ("pdf", "svg", "png", "csv", "txt", "html")
    }


def test_a_summary_of_measures_stands_for_the_runs(tiny, tmp_path):
    """Folders and the summary of them give the same figure."""
    for r in tiny.rows:
        shutil.copytree(r.folder, tmp_path / r.name)
        told = json.loads((tmp_path / r.name / "card.json").read_text())
        told |= {
            "run": r.run | {"data": told["run"]["data"] | {"kind": "shapes"}, "losses": r.run["losses"]},
            "commit": "x",
        }
        told["run"]["data"] |= {"val_limit": 9, "size": 64}
        told["run"]["optim"] = {"epochs": 3}
        if told["teacher"]:
            told["teacher"]["scores"] = r.result["teacher_scores"]
        (tmp_path / r.name / "card.json").write_text(json.dumps(told))
        note = {"eval": "student", "epoch": 3, "step": 30} | {
            k: r.result[k] for k in ("ap", "ap50", "ap75", "aps", "apm", "apl")
        }
        (tmp_path / r.name / "metrics.jsonl").write_text(json.dumps(note) + "\n")
    folders = [tmp_path / r.name for r in tiny.rows]
    out = write_summary(folders, tmp_path / "measured.json", tmp_path / "work", limit=9)
    assert all("measured" in r.result and r.folder is None for r in rows_at(out))
    live = figures.make("figure7", read_inputs(folders, tiny.scratch, limit=9))
    told = figures.make("figure7", read_inputs([out], tmp_path / "none"))
    assert live.numbers.rows == told.numbers.rows


def test_a_run_that_is_not_at_its_end_is_left_out_of_a_summary(tmp_path, capsys):
    rows = summaries.pair(seeds=(0,))
    for told in rows.values():
        told["run"]["optim"]["epochs"] = told["epochs"]
    rows["alone-0"]["run"]["optim"]["epochs"] = 9
    out = write_summary([summaries.write(tmp_path / "s.json", rows)], tmp_path / "out.json", tmp_path / "work")
    assert [r.name for r in rows_at(out)] == ["distilled-0"] and "3 of 9 epochs" in capsys.readouterr().out


DROPPED = '''"""A new figure: made of one file."""

from matplotlib.figure import Figure

from analysis.figures.base import Numbers


def measure(given):
    return Numbers([{"rows": len(given.rows)}], "How many rows there are.")


def make(numbers):
    figure = Figure()
    figure.subplots().plot([0, numbers.rows[0]["rows"]])
    return figure
'''


def test_a_new_figure_is_one_file(tmp_path, monkeypatch, capsys):
    """It is listed, made, and part of the report, which says what is absent."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "dropped.py").write_text(DROPPED)
    monkeypatch.setattr(figures, "__path__", [str(tmp_path / "plugins")])
    dropped = DropIns(tmp_path / "plugins", "analysis.figures", "figure", ("measure", "make"))
    for module in (figures, report, command):
        monkeypatch.setattr(module, "FIGURES", dropped)
    command.main(["list"])
    assert "dropped" in capsys.readouterr().out
    path = summaries.write(tmp_path / "s.json", summaries.pair(seeds=(0,)))
    assert command.main(["dropped", str(path), "--out", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one" / "dropped.csv").read_text() == "rows\n2\n"
    assert command.main(["report", str(path), "--out", str(tmp_path / "all")]) == 0
    page = (tmp_path / "all" / "index.html").read_text()
    assert "How many rows there are." in page and "figures/dropped.svg" in page
    assert (tmp_path / "all" / "figures" / "dropped.pdf").exists()


def test_the_report_tells_what_is_absent_and_is_the_same_twice(tmp_path):
    given = read_inputs([summaries.write(tmp_path / "s.json", summaries.pair(seeds=(0,)))], tmp_path / "scratch")
    report.write(given, tmp_path / "a")
    report.write(given, tmp_path / "b")
    page = (tmp_path / "a" / "index.html").read_text()
    assert "losses.features.gamma" in page.split("What is absent")[1] and "assignments.parquet" in page
    assert "<td>52.0" not in page and 'id="table7"' in page and 'id="figure7"' in page
    for file in (tmp_path / "a").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes(), file


def test_names_in_files_of_others_are_text_on_the_page(tmp_path):
    rows = summaries.pair(seeds=(0,))
    for told in rows.values():
        told["run"]["data"] |= {"kind": "coco", "val": "x/<img src=x>.json"}
    given = read_inputs([summaries.write(tmp_path / "s.json", rows)], tmp_path / "scratch")
    page = report.write(given, tmp_path / "out").read_text()
    assert "<img src=x>" not in page and "&lt;img src=x&gt;" in page


def test_a_benchmarks_file_beside_summaries_is_passed_over(tmp_path):
    summaries.write(tmp_path / "study.json", summaries.pair(seeds=(0,)))
    (tmp_path / "bench.json").write_text('{"name": "step", "rows": [{"case": "x", "ap": 1}], "aims": []}')
    assert {row.name for row in rows_at(tmp_path)} == {"alone-0", "distilled-0"}


def test_what_is_no_run_and_no_summary_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"rows": {"a": {"nothing": 1}}}')
    with pytest.raises(UserError, match="no measured run"):
        rows_at(tmp_path)
    assert Path(command.__file__).parent.name == "analysis"
