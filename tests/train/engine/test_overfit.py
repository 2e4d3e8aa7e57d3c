"""Each tiny detector can learn eight images by heart."""

from dataclasses import replace

import pytest
import torch

from core.data.transforms import Augment
from train import recipes
from train.distributed.evaluate import score
from train.job import optim
from train.job.build import build, dataset

IMAGES = 8
STEPS = {"shapes": 300, "shapes_conditional": 300, "shapes_deformable": 300}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", STEPS)
def test_eight_images_are_learnt_by_heart(recipe):
    """All of them in each step, as they are; the rest is the recipe's."""
    run = recipes.recipe(recipe)
    data = replace(run.data, train_limit=IMAGES, val_limit=1, augment=Augment(flip=0.0, jitter=0.0))
    rates = replace(run.optim, batch=IMAGES, warmup=20)
    job = build(replace(run, data=data, optim=rates, threads=1))
    optimizer = optim.optimizer(job.distiller, rates)
    (batch,) = job.loader.epoch(0)
    for step in range(STEPS[recipe]):
        optim.set_rate(optimizer, optim.rate_factor(rates, step, STEPS[recipe]))
        optimizer.zero_grad()
        job.distiller.train()(*batch).total.backward()
        torch.nn.utils.clip_grad_norm_(job.distiller.parameters(), rates.clip)
        optimizer.step()
    found = score(job.distiller.student, dataset(data, "train"), data.augment, batch=IMAGES, workers=0)
    assert found["ap50"] > 0.95 and found["ap"] > 0.75, found
