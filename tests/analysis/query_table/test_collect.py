"""Collecting: the table holds what the trace holds, and stopping, batches and machines' memory change nothing."""

import json

import numpy as np
import pytest
import torch

from analysis import __main__ as command
from analysis.bench._random_runs import random_run
from analysis.query_table import collect as module
from analysis.query_table.collect import batch_rows, collect, describe, minimal_distiller
from analysis.query_table.read import open_table
from core.data.loader import evaluation
from core.errors import UserError
from core.metrics.coco_ap import average_precision
from core.metrics.detections import join, select
from core.metrics.instability import assigned_objects
from core.metrics.query_masks import mask_statistics
from core.metrics.query_quality import quality_parts
from core.runs.checkpoint import sha256_of
from core.runs.open import open_run

IMAGES, QUERIES, LAYERS = 9, 12, 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return open_run(random_run(folder, queries=QUERIES, layers=LAYERS, size=64, images=IMAGES))


@pytest.fixture(scope="module")
def table(run, tmp_path_factory):
    return open_table(collect(run, tmp_path_factory.mktemp("t") / "x", batch=4))


def test_a_file_of_weights_and_a_student_under_another_teacher_are_collected(run, tmp_path, capsys):
    weights = run.path / "student.safetensors"
    out = tmp_path / "alone"
    assert command.main(["collect", str(weights), "--limit", "2", "--out", str(out)]) == 0
    assert open_table(out).about["student"] == sha256_of(weights) and not open_table(out).has_teacher
    assert command.main(["collect", str(weights)]) == 2
    assert "with --out FOLDER where its table goes" in capsys.readouterr().err
    pair = open_run(run.path, teacher=run.path)
    assert describe(pair, 2)[0]["teacher"] is None


def test_every_query_of_every_layer_and_side_is_one_row(table):
    rows = table.rows(["image", "side", "layer", "query"])
    assert len(rows) == IMAGES * 2 * LAYERS * QUERIES and not rows.duplicated().any()
    assert set(rows["side"]) == {"student", "teacher"} and rows["image"].is_monotonic_increasing


def traces(run):
    for images, targets in evaluation(run.data, run.augment, 4):
        with torch.no_grad():
            yield images, targets, run.distiller(images, targets)


def test_the_rows_are_the_trace(run, table):
    start = 0
    for images, targets, trace in traces(run):
        first = np.cumsum([0, *targets.counts])
        for side, t in (("student", trace.student), ("teacher", trace.teacher)):
            q, seen, answer = quality_parts(t, targets), mask_statistics(t, targets), assigned_objects(t)
            for layer in range(LAYERS):
                for k, image in enumerate(images.ids.tolist()):
                    rows = table.rows(None, side=side, layer=layer, image=image).set_index("query")
                    assert rows.index.tolist() == list(range(QUERIES))
                    score, label = t.own.logits[layer, k].sigmoid().max(-1)
                    assert rows["score"].tolist() == score.tolist() and rows["label"].tolist() == label.tolist()
                    want = torch.where(answer[layer, k] >= 0, answer[layer, k] - first[k], -1)
                    assert rows["object"].tolist() == want.tolist()
                    assert np.array_equal(rows["overlap"], q.overlap[layer, k])
                    assert np.array_equal(rows["object_overlap"], q.assigned_overlap[layer, k])
                    assert np.array_equal(rows["object_score"], q.assigned_score[layer, k])
                    if layer + 1 < LAYERS:
                        assert rows["inside"].isna().all() and rows["entropy"].isna().all()
                    else:
                        assert np.array_equal(rows["inside"], seen.inside[k], equal_nan=True)
                        assert np.array_equal(rows["entropy"], seen.entropy[k], equal_nan=True)
                    assert rows["area"].nunique() == 1
        start += len(images.ids)
    assert start == IMAGES


def test_partners_are_the_positive_pairs_of_the_loss(run, table):
    found = table.rows(["image", "layer", "query", "partner", "partner_layer"], side="student")
    told, want = {tuple(r) for r in found[found["partner"] >= 0].itertuples(index=False)}, set()
    for images, _, trace in traces(run):
        a = trace.outcomes["logits"].pairs["positive"]
        want |= set(zip(*(x.tolist() for x in (images.ids[a.image], a.layer, a.query, a.target, a.target_layer))))
    assert told == want and want
    assert (table.rows(["partner"], side="teacher")["partner"] == -1).all()


@pytest.mark.parametrize("side", ["student", "teacher"])
@pytest.mark.parametrize("layer", [0, -1])
def test_detections_come_back_exactly(run, table, side, layer):
    want = join([select(getattr(trace, side).own, images, layer=layer) for images, _, trace in traces(run)])
    found = table.detections(side, layer)
    key = lambda d: sorted(zip(*(x.tolist() for x in (d.image_ids, d.queries, d.labels, d.scores, d.boxes))))  # noqa: E731
    assert key(found) == key(want)
    got, ap = (average_precision(run.data.truth(), [d], run.data.categories) for d in (found, want))
    assert got == ap and table.truth == json.loads(json.dumps(run.data.truth()))


def bytes_of(folder) -> dict:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_a_stopped_collection_goes_on_to_the_same_bytes(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART", 1)
    whole = bytes_of(collect(run, tmp_path / "whole", batch=4))
    assert len([n for n in whole if n.startswith("part")]) == 3
    calls = []

    def stop(*words):
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return batch_rows(*words)

    monkeypatch.setattr(module, "batch_rows", stop)
    with pytest.raises(KeyboardInterrupt):
        collect(run, tmp_path / "parts", batch=4)
    with pytest.raises(UserError, match="not whole"):
        open_table(tmp_path / "parts")
    collect(run, tmp_path / "parts", batch=4)
    assert bytes_of(tmp_path / "parts") == whole and len(calls) == 4  # the first part was kept
    collect(run, tmp_path / "parts", batch=4)
    assert len(calls) == 4


def test_another_collection_in_the_folder_is_refused(run, tmp_path):
    collect(run, tmp_path / "x", limit=3)
    with pytest.raises(UserError, match="another --out"):
        collect(run, tmp_path / "x", limit=4)
    assert open_table(tmp_path / "x").about["images"] == 3


def test_no_more_than_a_part_is_held(run, tmp_path, monkeypatch):
    """What is written at once does not grow with the number of images."""
    monkeypatch.setattr(module, "PART", 1)
    sizes, write = [], module.to_parquet
    monkeypatch.setattr(module, "to_parquet", lambda table: sizes.append(table.num_rows) or write(table))
    collect(run, tmp_path / "x", batch=2)
    assert max(sizes) == 2 * 2 * LAYERS * QUERIES and len(sizes) == 5


def test_a_run_without_a_teacher_has_one_side(tmp_path):
    alone = open_run(random_run(tmp_path, queries=5, layers=1, size=64, images=3, with_teacher=False))
    found = open_table(collect(alone, tmp_path / "x"))
    assert set(found.rows(["side"])["side"]) == {"student"} and not found.has_teacher
    assert (found.rows(["partner"])["partner"] == -1).all()


def test_losses_that_no_column_needs_are_left_out_and_change_nothing(run):
    small = minimal_distiller(run.distiller)
    assert list(small.losses) == ["logits"] and "prior" in run.distiller.losses
    images, targets = next(evaluation(run.data, run.augment, 4))
    with torch.no_grad():
        a, b = small(images, targets), run.distiller(images, targets)
    assert torch.equal(a.student.own.logits, b.student.own.logits)
    assert torch.equal(a.outcomes["logits"].pairs["positive"].query, b.outcomes["logits"].pairs["positive"].query)
