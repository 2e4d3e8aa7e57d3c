"""Detectors of transformers, run as detectors of this project, compared with transformers' own models.

Timed are forward passes in evaluation mode, and forward and backward of a training step: ours with our detection loss, theirs
with transformers' own loss of all layers, without denoising queries; both train all groups of LW- and RF-DETR. Both have the
same weights, image, objects, threads and frozen statistics of BatchNorm, and both normalise the image each time. Theirs is used
as transformers builds it. Ours is, under "forward", as `eval` and `predict` run it (`Detector.predict`), under "step" as the
recipe `hub` trains it (channels-last); "forward of all layers" and "contiguous step" are both without that memory format, and
the first has the predictions of all layers where transformers' has in most families those of one.

The sides take turns. A ratio compares the fastest turns, in wall time and, under "work_ratio", in processor time, which other
programs disturb less. Both go up and down by 2% where both sides compute the same; steadier is "operations_ratio", of torch's
operations alone, each kind in its fastest turn. Beside the times stand what each side computes: the number of operations, and
the floating-point operations of products.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.bench import Aim, fastest, machine
from analysis.bench._operations import counted, least_ms
from analysis.bench.step import random_batch
from core import losses
from core.convert.hub_folder import divisor, matching, with_strides
from core.detectors import hub
from core.distiller import Distiller, map_weights
from core.hub.families import FAMILIES
from core.hub.settings import import_transformers, width_of
from core.types import Images, Predictions, Targets
from train.memory.allocator import keep_freed_memory

SIZE, QUICK_SIZE = (640, 640), (192, 192)
QUICK = ("rt_detr_v2",)
TURNS = {"forward": 6, "forward of all layers": 4, "step": 4, "contiguous step": 4}
AIM = 0.9
# What transformers' default configuration lacks: without a level of features LW-DETR does not run.
NEEDED: dict[str, dict[str, Any]] = {"lw_detr": {"projector_scale_factors": [1.0], "num_feature_levels": 1}}


def run() -> tuple[list[dict], list[Aim]]:
    """Times every family with transformers' default configuration."""
    quick = os.environ.get("QUICK") == "1"
    keep_freed_memory()
    rows = [machine(torch.get_num_threads())]
    for family in QUICK if quick else FAMILIES:
        rows += timed(family, QUICK_SIZE if quick else SIZE, dict.fromkeys(TURNS, 1) if quick else TURNS)
        print(f"{family} is timed", file=sys.stderr, flush=True)
    highest = {part: max(r["operations_ratio"] for r in rows if r["case"].endswith(f", {part}")) for part in TURNS}
    aims = [
        Aim(f"{part}: at most {limit:g} of theirs in every family, in the time of operations", ratio, ratio <= limit)
        for part, ratio in highest.items()
        for limit in (1.0, AIM)
    ]
    return rows, aims


def built(family: str) -> hub.Model:
    """A detector with transformers' default configuration and new weights, without denoising queries."""
    entries = NEEDED.get(family, {})
    settings = import_transformers().AutoConfig.for_model(family, **entries)
    entries = {"model_type": family} | entries | ({"num_denoising": 0} if hasattr(settings, "num_denoising") else {})
    config = hub.Config(
        config_json=json.dumps(entries),
        queries=settings.num_queries,
        layers=settings.decoder_layers + FAMILIES[family].initial_prediction,
        width=width_of(settings),
        divisor=divisor(settings),
        groups="all" if FAMILIES[family].groups else "first",
        matching=matching(settings),
    )
    torch.manual_seed(0)
    return with_strides(hub.Model(config).eval())


def timed(family: str, size: tuple[int, int], turns: Mapping[str, int]) -> list[dict]:
    """The rows of one family."""
    ours = built(family)
    images, targets = random_batch(1, *size, 80)
    network = reference_network(ours)
    padding = ours.padded(images)[1]
    labels = [{"class_labels": targets.labels, "boxes": targets.boxes}]
    detection = {"detection": losses.build("detection", losses.module("detection").Config(), ours, None)}
    distiller = Distiller(ours, detection, map_weights(detection, {"detection": 1.0}))
    forwards = {
        "ours": lambda: forward(ours.predict, images),
        "transformers": lambda: reference_forward(network, normalised(ours, images, padding), padding),
    }
    steps = {
        "ours": lambda: step(distiller, images, targets),
        "transformers": lambda: reference_step(network, normalised(ours, images, padding), padding, labels),
    }
    ours.eval()
    network.eval()
    all_layers = forwards | {"ours": lambda: forward(ours, images)}
    rows = [
        row(f"{family}, {part}", calls, turns[part])
        for part, calls in {"forward": forwards, "forward of all layers": all_layers}.items()
    ]
    distiller.train()
    frozen_norms(network)
    rows.append(row(f"{family}, contiguous step", steps, turns["contiguous step"]))
    distiller.to(memory_format=torch.channels_last)
    return [*rows, row(f"{family}, step", steps, turns["step"])]


def row(case: str, calls: Mapping[str, Callable[[], object]], turns: int) -> dict:
    """The ratios of the least times of both sides, which take turns, and what both compute."""
    times, operations = fastest(calls, times=turns), least_ms(calls, turns=turns)
    ours, reference = times["ours"], times["transformers"]
    return {
        "case": case,
        **{f"{side}_s": round(time.ms / 1e3, 3) for side, time in times.items()},
        "turns": turns,
        "ratio": round(ours.ms / reference.ms, 3),
        "work_ratio": round(ours.work_ms / reference.work_ms, 3),
        "operations_ratio": round(operations["ours"] / operations["transformers"], 3),
        **{f"{side}_{name}": x for side, call in calls.items() for name, x in counted(call).items()},
    }


def reference_network(detector: hub.Model) -> Any:
    """A copy of transformers' model with the same weights, whose loss takes all layers as in its own training."""
    network = deepcopy(detector.network)
    network.config.auxiliary_loss = True
    return network


def normalised(detector: hub.Model, images: Images, padding: Tensor) -> Tensor:
    """The pixels as a user of transformers' model normalises and pads them."""
    more = (0, padding.shape[-1] - images.pixels.shape[-1], 0, padding.shape[-2] - images.pixels.shape[-2])
    return F.pad((images.pixels.float() - detector.mean) / detector.std, more)


def frozen_norms(network: nn.Module) -> None:
    """Sets training mode, with BatchNorm in evaluation mode as in ours."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


@torch.no_grad()
def forward(predict: Callable[[Images], Predictions], images: Images) -> None:
    """Predictions of our detector."""
    predict(images)


@torch.no_grad()
def reference_forward(network: Any, pixels: Tensor, padding: Tensor) -> None:
    """Predictions of transformers' model."""
    network(pixels, pixel_mask=(~padding).long())


def step(distiller: Distiller, images: Images, targets: Targets) -> None:
    """Forward and backward of our training step."""
    distiller(images, targets).total.backward()
    distiller.zero_grad()


def reference_step(network: Any, pixels: Tensor, padding: Tensor, labels: list[dict[str, Tensor]]) -> None:
    """Forward and backward of transformers' training step."""
    network(pixels, pixel_mask=(~padding).long(), labels=labels).loss.backward()
    network.zero_grad()
