"""Small .pth files like those of the original projects, with all that their trainings store: optimizer, schedule, options."""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core import detectors
from core.convert.classes import COCO
from core.detectors.base import Detector
from tests.helpers import tiny
from tests.oracles import weights

OPTIONS = {
    "adamixer": {},
    "conditional": {},
    "deformable plain": {},
    "deformable refine": {"refine": True},
    "deformable twostage": {"refine": True, "two_stage": True},
}
KEYS = {
    "adamixer": "adamixer_r50_1x",
    "conditional": "conditional_r50",
    "deformable plain": "deformable_r50_plain",
    "deformable refine": "deformable_r50_refine",
    "deformable twostage": "deformable_r50_twostage",
}
FAMILY = tuple(case for case in KEYS if case != "adamixer")
SMALL = {"backbone": "resnet18", "queries": 11, "layers": 3, "width": 64, "heads": 4, "feedforward": 48}
OWN = {"adamixer": {"points": 4, "mixed_points": 6}, "conditional": {"encoder_layers": 2}}
ARGS = {  # some of the DETR family's options, with each type of value
    "lr": 2e-4,
    "lr_backbone_names": ["backbone.0"],
    "lr_drop_epochs": None,
    "sgd": False,
    "backbone": "resnet50",
    "hidden_dim": 64,
    "position_embedding": "sine",
    "coco_path": "./data/coco",
    "output_dir": "exps/r50",
    "world_size": 8,
}


def source_detector(case: str, *, seed: int = 1, **options: Any) -> Detector:
    """The detector whose weights a file of this case holds, with class heads as the original project has them."""
    kind = case.split()[0]
    own = OWN.get(kind, {"encoder_layers": 2})
    classes = {"classes": 80 if kind == "adamixer" else 91}
    options = SMALL | own | classes | OPTIONS[case] | options
    if kind == "adamixer":
        torch.manual_seed(seed)
        return tiny.stir(detectors.build(kind, **options), 0.3).eval()
    return weights.detector(kind, seed=seed, **options)


def released_tensors(case: str, model: Detector) -> dict[str, Tensor]:
    """The detector's tensors under the released names, in the order of the released file, with its copies of tensors."""
    if case != "adamixer":
        return {k: x.clone() for k, x in weights.values(model, weights.official(model, KEYS[case])).items()}
    own, released = model.state_dict(), {}
    for key in weights.listed(KEYS[case]):
        stage = re.match(r"roi_head\.bbox_head\.(\d+)", key)
        if key == "rpn_head.init_proposal_bboxes.weight":
            released[key] = torch.tensor([0.5, 0.5, 1, 1]).repeat(model.config.queries, 1)
        elif "backbone" not in key and not (stage and int(stage[1]) >= model.config.layers):
            released[key] = own[weights.own_name("adamixer", key)].clone()
    return {k.replace(".body", ""): x.clone() for k, x in own.items() if k.startswith("backbone.")} | released


def write_pth(path: Path, case: str, model: Detector, tensors: dict | None = None, **entries: Any) -> Path:
    """Writes the file that the original project's training writes, with `entries` in place of its own; returns the path."""
    tensors = released_tensors(case, model) if tensors is None else tensors
    torch.save((mmdetection_file(tensors) if case == "adamixer" else detr_file(tensors, model)) | entries, path)
    return path


def optimizer_state(tensors: dict) -> tuple[dict, dict]:
    """The states of an optimizer and of its schedule after a step."""
    p = nn.Parameter(next(iter(tensors.values())).clone())
    optimizer = torch.optim.AdamW([{"params": [p], "lr": 1e-5}], weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 40)
    p.sum().backward()
    optimizer.step()
    schedule.step()
    return optimizer.state_dict(), schedule.state_dict()


def training_args(model: Detector, **options: Any) -> argparse.Namespace:
    """The command-line options of a training of the DETR family, with `options` in place of the detector's."""
    c = model.config
    of_model = {
        "nheads": c.heads,
        "dropout": c.dropout,
        "dilation": getattr(c, "dilation", False),
        "num_queries": c.queries,
    }
    return argparse.Namespace(**ARGS | of_model | options)


def detr_file(tensors: dict, model: Detector) -> dict:
    """The content of a file of the DETR family."""
    optimizer, schedule = optimizer_state(tensors)
    return {
        "model": tensors,
        "optimizer": optimizer,
        "lr_scheduler": schedule,
        "epoch": 49,
        "args": training_args(model),
    }


def mmdetection_file(tensors: dict) -> dict:
    """The content of a file of MMDetection."""
    meta = {
        "env_info": "sys.platform: linux",
        "config": "num_stages = 6\n",
        "CLASSES": tuple(COCO.values()),
        "seed": None,
        "epoch": 12,
        "iter": 87960,
        "hook_msgs": {
            "best_score": np.float64(0.427),
            "best_epoch": np.int64(12),
            "loss": np.float32(3.5),
            "best": np.bool_(True),
        },
    }
    return {"meta": meta, "state_dict": tensors, "optimizer": optimizer_state(tensors)[0]}
