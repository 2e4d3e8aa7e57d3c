"""Tiny detectors of every family of transformers, as the hub's Config and as transformers' own model."""

import json
from pathlib import Path
from typing import Any

from core.detectors import hub
from core.hub.families import FAMILIES

NAMES = tuple(FAMILIES)
HIDDEN = [8, 16, 32, 64]
STAGES = ["stage2", "stage3", "stage4"]
TRANSFORMER = {
    "d_model": 64,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
}
RT_DETR = {
    "d_model": 64,
    "encoder_hidden_dim": 64,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_in_channels": [64, 64, 64],
    "encoder_in_channels": [16, 32, 64],
}
GROUP_DETR = {
    "d_model": 64,
    "decoder_ffn_dim": 64,
    "decoder_layers": 3,
    "decoder_self_attention_heads": 4,
    "decoder_cross_attention_heads": 4,
    "group_detr": 3,
}
STRIDES = {
    "deformable_detr": (8, 16, 32, 64),
    "lw_detr": (8, 32),
    "rf_detr": (16,),
    **dict.fromkeys(("detr", "table-transformer", "conditional_detr", "dab-detr"), (32,)),
}
DIVISORS = {"lw_detr": 64, "rf_detr": 32}
# Scale of the noise on weights with which layers, images and queries differ.
SCALES = dict.fromkeys((*NAMES, "hub"), 1.3) | {
    "detr": 2.0,
    "table-transformer": 1.6,
    "conditional_detr": 1.6,
    "lw_detr": 1.0,
    "rf_detr": 1.0,
}


def resnet(stages: list[str], kind: str = "resnet") -> dict[str, Any]:
    """A ResNet of four blocks."""
    sizes = {"embedding_size": 8, "hidden_sizes": HIDDEN, "depths": [1, 1, 1, 1], "layer_type": "basic"}
    return {"model_type": kind, "out_features": stages, **sizes}


def hgnet() -> dict[str, Any]:
    """An HGNetV2 of four blocks."""
    return {
        "model_type": "hgnet_v2",
        "stage_in_channels": [16, 16, 32, 64],
        "stage_mid_channels": [8, 8, 16, 32],
        "stage_out_channels": [16, 32, 64, 128],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_numb_of_layers": [3, 3, 3, 3],
        "stage_downsample": [False, True, True, True],
        "stage_light_block": [False, False, True, True],
        "stage_kernel_size": [3, 3, 5, 5],
        "stem_channels": [3, 16, 16],
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 64, 128],
        "depths": [1, 1, 1, 1],
        "out_features": STAGES,
    }


def vit(kind: str, **options: Any) -> dict[str, Any]:
    """A vision transformer of four layers."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 128, "patch_size": 16}
    return {"model_type": kind, **sizes, **options}


def entries(name: str) -> dict[str, Any]:
    """The config.json of a tiny detector, without the numbers of classes and queries."""
    kind = {"model_type": name}
    if name in ("detr", "table-transformer", "conditional_detr"):
        return kind | {"backbone_config": resnet(["stage4"])} | TRANSFORMER
    if name == "dab-detr":
        sizes = {key: value for key, value in TRANSFORMER.items() if key != "d_model"}
        return kind | {"backbone_config": resnet(["stage4"]), "hidden_size": 64} | sizes
    if name == "deformable_detr":
        two_stage = {"two_stage": True, "with_box_refine": True, "num_feature_levels": 4}
        return kind | {"backbone_config": resnet(STAGES)} | TRANSFORMER | two_stage
    if name in ("rt_detr", "rt_detr_v2"):
        return kind | {"backbone_config": resnet(STAGES, "rt_detr_resnet")} | RT_DETR
    if name in ("d_fine", "deimv2"):
        points = {"encoder_in_channels": [32, 64, 128], "decoder_n_points": [4, 4, 4]}
        return kind | {"backbone_config": hgnet()} | RT_DETR | points
    if name == "lw_detr":
        backbone = vit("lw_detr_vit", window_block_indices=[0, 2], out_indices=[2, 4], num_windows=4)
        levels = {"projector_scale_factors": [2.0, 0.5], "num_feature_levels": 2}
        return kind | {"backbone_config": backbone} | GROUP_DETR | levels
    backbone = vit("rf_detr_dinov2", num_windows=2, out_indices=[2, 4])
    return kind | {"backbone_config": backbone} | GROUP_DETR


def config(name: str, *, classes: int = 4, queries: int = 10, layers: int = 2, **options: Any) -> hub.Config:
    """The hub's Config of a tiny detector; `layers` are those of the decoder. Options of other detectors are left out."""
    known = ("mean", "std", "batch_norm", "matching")
    return hub.Config(
        config_json=json.dumps(entries(name)),
        classes=classes,
        queries=queries,
        layers=layers + FAMILIES[name].initial_prediction,
        width=64,
        strides=STRIDES.get(name, (8, 16, 32)),
        divisor=DIVISORS.get(name, 32),
        **{key: value for key, value in options.items() if key in known},
    )


def save_folder(path: Path, name: str, classes: int = 80, seed: int = 1, **options: Any) -> Any:
    """Writes a folder as transformers does, of a tiny model with moved weights, and returns transformers' model."""
    from tests.helpers import tiny

    model = tiny.detector(name, seed=seed, classes=classes, **options)
    network = model.network
    network.config.auxiliary_loss = False
    network.config.id2label = {k: f"thing {k}" for k in range(classes)}
    network.config.label2id = {f"thing {k}": k for k in range(classes)}
    network.save_pretrained(path)
    square = FAMILIES[name].padded_boxes
    size = {"height": 128, "width": 128} if square else {"shortest_edge": 128, "longest_edge": 192}
    processor = {"image_processor_type": FAMILIES[name].processor, "size": size, "do_normalize": not square}
    colours = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (path / "preprocessor_config.json").write_text(json.dumps(processor | colours))
    return network.eval()
