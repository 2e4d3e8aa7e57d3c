"""The benchmark of the loops: what its clock counts, and its short form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from analysis import bench
from analysis.bench import train
from core.data.batch import collate
from train.job.build import build
from train.recipes.on_shapes import shapes


@pytest.fixture
def ticking(monkeypatch):
    """A clock that goes on by what each part takes, and by nothing else."""
    seconds = [0.0]
    monkeypatch.setattr(train, "now", lambda: np.array([seconds[0], 2 * seconds[0]]))

    def takes(time, result=None):
        seconds[0] += time
        return result

    return takes


def test_the_clock_counts_each_part_of_each_step_and_the_whole(ticking, monkeypatch):
    network = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    plain = torch.optim.SGD.step
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda parameters, norm: ticking(0.5))
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: ticking(3.0, x @ self.weight))
    clock = train.Clock()
    with clock.watching(nn.Linear):
        for _ in range(2):
            ticking(1.0)
            network(torch.ones(1, 1)).sum().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    assert torch.optim.SGD.step is plain
    network(torch.ones(1, 1)).sum().backward()
    optimizer.step()  # nobody watches any more
    assert len(clock.steps) == 2
    for step in clock.steps:
        assert {name: x.tolist() for name, x in step.items()} == {
            "step": [4.5, 9.0],
            "data": [0, 0],
            "forward": [3.0, 6.0],
            "backward": [0, 0],
            "optimiser": [0.5, 1.0],
        }
    row = train.row("it", clock.steps, batch=9)
    assert (
        row["outside"] == row["outside_work"] == round(1 / 4.5, 4) and row["images_s"] == 2 * row["images_s_work"] == 2
    )


def test_both_loops_train_the_same_network_on_the_same_images():
    run = train.benchmark_run(shapes.run(), train.Size(steps=2, warm=0, turns=1, batch=2, side=64))
    job, drawn = build(run), train.FirstEpoch(run)
    seen = {int(image): x for images, _ in job.loader.epoch(0) for image, x in zip(images.ids, images.pixels)}
    assert len(drawn) == len(seen) == 4
    for k in range(4):
        assert torch.equal(drawn[k].pixels, seen[drawn[k].id])
    batch = collate([drawn[0], drawn[1]])
    assert torch.equal(train.AsModule(job.distiller)(*batch)["loss"], job.distiller(*batch).total)


def test_an_annotation_says_its_box_as_coco_does():
    sample = train.FirstEpoch(train.benchmark_run(shapes.run(), train.Size(1, 0, 1, 2, 64)))[0]
    told = train.coco_annotations(
        replace(sample, boxes=torch.tensor([[1.0, 2.0, 5.0, 10.0]]), labels=torch.tensor([3]))
    )
    assert told["annotations"] == [{"bbox": [1, 2, 4, 8], "category_id": 3, "area": 32, "iscrowd": 0}]


def test_the_loops_are_measured_side_by_side(monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    threads = torch.get_num_threads()
    try:
        found = bench.run("train")
    finally:
        torch.set_num_threads(threads)
    _, *rows = found["rows"]
    assert [r["case"] for r in rows] == [
        "one network, our loop",
        "one network, Trainer",
        "products, ours",
        "products, transformers'",
    ]
    for row in rows:
        assert row["steps"] == 2 and min(row[f"{part}_ms"] for part in train.WORK) > 0
        assert 0 <= row["waits"] <= row["outside"] < 1 and row["images_s"] > 0
    assert len(found["aims"]) == 3
