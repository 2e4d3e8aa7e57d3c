"""Files as others leave them: the originals' .pth, with all that a training keeps in them, at a small size."""

import argparse
import re
from pathlib import Path

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
ARGS = {  # a part of what the DETR family's options are, with each kind of value
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


def source(case: str, *, seed: int = 1, **more) -> Detector:
    """A detector of ours whose weights are to be found in the file; heads as the originals have them."""
    kind = case.split()[0]
    own = OWN.get(kind, {"encoder_layers": 2})
    classes = {"classes": 80 if kind == "adamixer" else 91}
    options = SMALL | own | classes | OPTIONS[case] | more
    if kind == "adamixer":
        torch.manual_seed(seed)
        return tiny.stir(detectors.build(kind, **options), 0.3).eval()
    return weights.detector(kind, seed=seed, **options)


def tensors(case: str, model: Detector) -> dict[str, Tensor]:
    """Under the released names, in their order; copies are copies."""
    if case != "adamixer":
        return {k: x.clone() for k, x in weights.values(model, weights.official(model, KEYS[case])).items()}
    own, found = model.state_dict(), {}
    for key in weights.listed(KEYS[case]):
        stage = re.match(r"roi_head\.bbox_head\.(\d+)", key)
        if key == "rpn_head.init_proposal_bboxes.weight":
            found[key] = torch.tensor([0.5, 0.5, 1, 1]).repeat(model.config.queries, 1)
        elif "backbone" not in key and not (stage and int(stage[1]) >= model.config.layers):
            found[key] = own[detectors.adamixer.rename(key)].clone()
    return {k.replace(".body", ""): x.clone() for k, x in own.items() if k.startswith("backbone.")} | found


def write(path: Path, case: str, model: Detector, held: dict | None = None, **more) -> Path:
    """As the original's training writes it; `more` takes the place of its entries."""
    held = tensors(case, model) if held is None else held
    torch.save((mmcv(held) if case == "adamixer" else detr(held, model)) | more, path)
    return path


def training(held: dict):
    """An optimiser and its schedule after a step."""
    p = nn.Parameter(next(iter(held.values())).clone())
    optimizer = torch.optim.AdamW([{"params": [p], "lr": 1e-5}], weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 40)
    p.sum().backward()
    optimizer.step()
    schedule.step()
    return optimizer.state_dict(), schedule.state_dict()


def args(model: Detector, **more) -> argparse.Namespace:
    c = model.config
    told = {
        "nheads": c.heads,
        "dropout": c.dropout,
        "dilation": getattr(c, "dilation", False),
        "num_queries": c.queries,
    }
    return argparse.Namespace(**ARGS | told | more)


def detr(held: dict, model: Detector) -> dict:
    optimizer, schedule = training(held)
    return {"model": held, "optimizer": optimizer, "lr_scheduler": schedule, "epoch": 49, "args": args(model)}


def mmcv(held: dict) -> dict:
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
    return {"meta": meta, "state_dict": held, "optimizer": training(held)[0]}
