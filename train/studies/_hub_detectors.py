"""Tiny detectors of transformers for the study `hub`, and the first weights from which they start.

The weights stand in for those of ImageNet. A backbone learns the dense classes of `train.studies.backbones`, with live
BatchNorm, whose statistics are then frozen where the family freezes them. All other weights are transformers' own initial ones
under each seed, so that a detector and its reference begin as the same network.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.convert.hub_folder import matching
from core.data.loader import Loader
from core.data.shapes.dataset import Shapes
from core.detectors import hub
from core.hub.families import FAMILIES
from core.hub.settings import build_settings
from core.runs.checkpoint import read_tensors, save_detector, save_module
from core.types import Images
from train.studies import backbones
from train.studies._grid import RUNS

FOLDER = RUNS / "hub"
WIDTH, LAYERS, QUERIES, HEADS = 64, 3, 20, 4
STAGES = ["stage1", "stage2", "stage3"]  # of strides 4, 8 and 16, as in the tiny AdaMixer
TRANSFORMER = {
    "d_model": WIDTH,
    "encoder_hidden_dim": WIDTH,
    "encoder_ffn_dim": 128,
    "encoder_attention_heads": HEADS,
    "decoder_ffn_dim": 256,
    "decoder_attention_heads": HEADS,
    "decoder_in_channels": [WIDTH] * 3,
    "hidden_expansion": 0.5,
    "feat_strides": [4, 8, 16],
    "num_denoising": 0,
}
RESNET = {
    "model_type": "rt_detr_resnet",
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64],
    "depths": [1, 1, 1],
    "layer_type": "basic",
    "out_features": STAGES,
}
HGNET = {
    "model_type": "hgnet_v2",
    "stem_channels": [3, 16, 16],
    "stage_in_channels": [16, 16, 32],
    "stage_mid_channels": [8, 16, 32],
    "stage_out_channels": [16, 32, 64],
    "stage_num_blocks": [1, 1, 1],
    "stage_numb_of_layers": [3, 3, 3],
    "stage_downsample": [False, True, True],
    "stage_light_block": [False, False, False],
    "stage_kernel_size": [3, 3, 3],
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64],
    "depths": [1, 1, 1],
    "out_features": STAGES,
}
DINO = {
    "model_type": "rf_detr_dinov2",
    "hidden_size": WIDTH,
    "num_hidden_layers": 4,
    "num_attention_heads": HEADS,
    "mlp_ratio": 2,
    "image_size": 96,
    "patch_size": 8,
    "num_windows": 2,
    "out_indices": [2, 4],
}
GROUP_DETR = {
    "d_model": WIDTH,
    "decoder_ffn_dim": 256,
    "decoder_self_attention_heads": HEADS,
    "decoder_cross_attention_heads": HEADS,
    "dropout": 0.0,
    "group_detr": 4,
}
ENTRIES: dict[str, dict[str, Any]] = {  # config.json of each family, without the numbers that the Config has
    "rt_detr_v2": TRANSFORMER | {"backbone_config": RESNET, "encoder_in_channels": [16, 32, 64]},
    "d_fine": TRANSFORMER | {"backbone_config": HGNET, "encoder_in_channels": [16, 32, 64]},
    "rf_detr": GROUP_DETR | {"backbone_config": DINO},
}
WIDER: dict[str, dict[str, Any]] = {  # what the teacher of each family has instead: twice as wide a backbone
    "rt_detr_v2": {
        "backbone_config": RESNET | {"embedding_size": 32, "hidden_sizes": [32, 64, 128], "depths": [2, 2, 2]},
        "encoder_in_channels": [32, 64, 128],
    },
    "d_fine": {
        "backbone_config": HGNET
        | {
            "stem_channels": [3, 32, 32],
            "stage_in_channels": [32, 32, 64],
            "stage_mid_channels": [16, 32, 64],
            "stage_out_channels": [32, 64, 128],
            "embedding_size": 32,
            "hidden_sizes": [32, 64, 128],
        },
        "encoder_in_channels": [32, 64, 128],
    },
    "rf_detr": {"backbone_config": DINO | {"hidden_size": 128}},
}
BACKBONE_TRAINING = {"rf_detr": {"epochs": 16, "rate": 1e-3}}  # a vision transformer learns more slowly
LIVE = dict.fromkeys(("rt_detr_v2", "d_fine"), {"freeze_backbone_batch_norms": False})
STRIDES = {"rf_detr": (8,)}
DIVISORS = {"rf_detr": 16}


def tiny_config(family: str, *, wide: bool = False, **entries: Any) -> hub.Config:
    """The Config of a family's tiny detector, or of its teacher (`wide`), with further entries of its config.json.

    Costs and losses are the family's own.
    """
    wider = WIDER[family] if wide else {}
    text = json.dumps({"model_type": family} | ENTRIES[family] | wider | entries, sort_keys=True)
    classes, layers = len(Shapes.categories), LAYERS + FAMILIES[family].initial_prediction
    settings = build_settings(text, classes=classes, queries=QUERIES, layers=layers, width=WIDTH)
    return hub.Config(
        config_json=text,
        classes=classes,
        queries=QUERIES,
        layers=layers,
        width=WIDTH,
        strides=STRIDES.get(family, (4, 8, 16)),
        divisor=DIVISORS.get(family, 16),
        batch_norm="live",
        groups="all",
        matching=matching(settings),
    )


def first_weights(family: str, seed: int, *, wide: bool = False, images: int | None = None) -> Path:
    """The file of a family's first weights under a seed, which is written if it is missing.

    Its backbone has learnt from the first `images` images of shapes/train (default: all), and is the same under all seeds.
    """
    name = "-".join([family, *(["wide"] if wide else []), *([f"{images} images"] if images else [])])
    file = FOLDER / f"{name}-{seed}.safetensors"
    if file.exists():
        return file
    trained = trained_backbone(FOLDER / f"{name}-backbone.safetensors", family, wide, images)
    torch.manual_seed(seed)
    detector = hub.Model(tiny_config(family, wide=wide))
    own = detector.network.model.backbone
    own.load_state_dict({key: trained[key] for key in own.state_dict()})  # frozen BatchNorm has no counter of batches
    note = f"its backbone after training on dense classes, all else as transformers makes it, seed {seed}"
    save_detector(file, detector, {"made": note, "categories": [vars(c) for c in Shapes.categories]})
    return file


def trained_backbone(file: Path, family: str, wide: bool, images: int | None) -> dict[str, Tensor]:
    """The tensors of a family's trained backbone, which is trained and written to the file if that is missing."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(backbones.SEED)
        detector = hub.Model(tiny_config(family, wide=wide, **LIVE.get(family, {})))
        loader = Loader(Shapes("train", images), backbones.AUGMENT, backbones.BATCH, backbones.SEED)
        usual = {"epochs": backbones.EPOCHS, "rate": backbones.RATE}
        train_own_backbone(detector, loader, **usual | BACKBONE_TRAINING.get(family, {}))
        save_module(file, detector.network.model.backbone, {"backbone": family})
    return read_tensors(file)[0]


def train_own_backbone(detector: hub.Model, loader: Loader, **training: Any) -> None:
    """Trains the backbone of a detector of transformers on dense classes; `training` has the options of `train_maps`."""
    body = detector.network.model.backbone

    def maps_of(images: Images) -> list[Tensor]:
        pixels, padding = detector.padded(images)
        maps = body(pixels, (~padding).long())  # a map and its mask in families of one level, else a list of such pairs
        return [maps[0]] if isinstance(maps, tuple) else [x for x, _ in maps]

    with torch.no_grad():
        channels = [x.shape[1] for x in maps_of(next(loader.epoch(0))[0])]
    backbones.train_maps(body, maps_of, channels, loader, detector.config.classes, **training)
