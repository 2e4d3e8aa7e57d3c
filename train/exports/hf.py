"""A folder that transformers' from_pretrained opens offline: of a detector of transformers, or as Conditional or Deformable DETR.

Writing the latter two does not need transformers.
"""

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from core import detectors
from core.detectors import conditional, deformable, hub
from core.detectors.base import Detector
from core.errors import UserError
from core.files import write_bytes, write_json
from core.nn.backbones import STRIDES
from core.tensor_names import HUB, OURS, to_native, translate
from train.exports import _hub
from train.exports._processor import processor

Config = conditional.Config | deformable.Config
CLASSES = {"conditional": "ConditionalDetr", "deformable": "DeformableDetr"}
RESNETS = {
    "resnet18": {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]},
    "resnet50": {"layer_type": "bottleneck", "depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048]},
    "resnet101": {"layer_type": "bottleneck", "depths": [3, 4, 23, 3], "hidden_sizes": [256, 512, 1024, 2048]},
}


def export(detector: Detector, card: dict, folder: Path) -> str:
    """Writes the folder; returns the call that opens it. UserError: transformers lacks the detector or its backbone."""
    if isinstance(detector, hub.Model):
        return _hub.export(detector, card, folder)
    if detector.kind not in CLASSES:
        raise UserError(f"transformers has no {detector.kind}; export it with --to safetensors")
    if detector.backbone_name not in RESNETS:
        raise UserError(
            f"transformers' detectors do not take the backbone {detector.backbone_name}, only {', '.join(RESNETS)}"
            f"{reason(detector.backbone_name)}; export it with --to safetensors or --to onnx"
        )
    write_json(folder / "config.json", config(detector, card["categories"]))
    write_json(folder / "preprocessor_config.json", processor_of(detector, card))
    write_bytes(folder / "model.safetensors", save(tensors(detector), metadata={"format": "pt"}))
    return "open it with: transformers.AutoModelForObjectDetection.from_pretrained('{folder}')"


def reason(backbone: str | None) -> str:
    """The reason why transformers' detectors do not take a backbone of timm's: seen in 5.24, where a test holds it."""
    if not (backbone or "").startswith("timm:"):
        return ""
    return " (they replace each BatchNorm of timm's EfficientNet, and lose the activations that are in it)"


def config(detector: Detector, categories: list[dict]) -> dict:
    """The contents of config.json. Labels count classes from 0; `category_ids`, which transformers ignores, are COCO's ids."""
    c, m = config_of(detector), detector.matching
    names = [category["name"] for category in categories]
    return {
        "model_type": f"{detector.kind}_detr",
        "architectures": [f"{CLASSES[detector.kind]}ForObjectDetection"],
        "id2label": {str(k): name for k, name in enumerate(names)},
        "label2id": {name: k for k, name in enumerate(names)},
        "category_ids": [category["id"] for category in categories],
        "num_queries": c.queries,
        "d_model": c.width,
        "encoder_layers": c.encoder_layers,
        "decoder_layers": c.layers,
        "encoder_attention_heads": c.heads,
        "decoder_attention_heads": c.heads,
        "encoder_ffn_dim": c.feedforward,
        "decoder_ffn_dim": c.feedforward,
        "dropout": c.dropout,
        "attention_dropout": c.dropout,
        "activation_dropout": c.dropout,
        "auxiliary_loss": False,  # with it transformers' Conditional DETR is another network
        "class_cost": round(m.class_weight),
        "bbox_cost": round(m.l1_weight),
        "giou_cost": round(m.giou_weight),
        "torch_dtype": "float32",
        **backbone(detector),
        **(deformable_fields(c) if isinstance(c, deformable.Config) else {}),
    }


def config_of(detector: Detector) -> Config:
    """The config of a detector that transformers has; `export` refuses all others."""
    assert isinstance(detector.config, Config)
    return detector.config


def backbone(detector: Detector) -> dict:
    """The fields of config.json on the backbone: transformers' own ResNet, or timm's if it is dilated."""
    c = config_of(detector)
    if is_dilated(c):
        return {
            "use_timm_backbone": True,
            "backbone": c.backbone,
            "use_pretrained_backbone": False,
            "dilation": True,
        }
    stages = [f"stage{1 + STRIDES.index(s)}" for s in c.strides if s in STRIDES]
    own = {"model_type": "resnet", "embedding_size": 64, "out_features": stages, **RESNETS[c.backbone]}
    return {"use_timm_backbone": False, "backbone": None, "use_pretrained_backbone": False, "backbone_config": own}


def is_dilated(c: Config) -> bool:
    """Returns whether the backbone's last stage is dilated, which only Conditional DETR's can be."""
    return isinstance(c, conditional.Config) and c.dilation


def deformable_fields(c: deformable.Config) -> dict:
    """The fields of config.json that only Deformable DETR has."""
    return {
        "num_feature_levels": len(c.strides),
        "encoder_n_points": c.points,
        "decoder_n_points": c.points,
        "with_box_refine": c.refine,
        "two_stage": c.two_stage,
        "two_stage_num_proposals": c.queries,
        "tie_word_embeddings": not c.refine and c.layers > 1,  # whether the layers share a head, and there is a second
    }


def processor_of(detector: Detector, card: dict) -> dict:
    """The contents of preprocessor_config.json, with the colours of the detector's backbone."""
    backbone = detector.own_backbone
    assert backbone is not None
    mean, std = ([x / 255 for x in t.flatten().tolist()] for t in (backbone.mean, backbone.std))
    return processor(f"{CLASSES[detector.kind]}ImageProcessor", card, mean, std)


def tensors(detector: Detector) -> dict[str, Tensor]:
    """The weights under the names of files on the Hugging Face hub, which every version of transformers reads."""
    renamed: dict[str, Tensor] = {}
    for name, x in detector.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            for key in hub_names(detector, name):
                renamed |= split_projections(key, x.detach().cpu())
    return renamed


def hub_names(detector: Detector, name: str) -> list[str]:
    """The names of a tensor in transformers; the heads of a Deformable DETR have several.

    Without refinement its layers share one head, which is listed for each layer; with refinement the decoder lists it too.
    """
    c, rows = config_of(detector), detectors.module(detector.kind).NAMES
    if name.startswith("backbone."):
        key = translate(name, rows, OURS, HUB)[0]
        return [key if is_dilated(c) else to_native(key)]
    if isinstance(c, deformable.Config) and name.startswith(("to_class.", "to_box.")) and not c.refine:
        names = [name.replace(".0.", f".{k}.", 1) for k in range(c.layers)]
        return [translate(x, rows, OURS, HUB)[0] for x in names]
    keys = translate(name, rows, OURS, HUB)
    two_stage = isinstance(c, deformable.Config) and c.two_stage
    return keys[:1] if name.startswith("to_class.") and not two_stage else keys


def split_projections(key: str, x: Tensor) -> dict[str, Tensor]:
    """A copy of a tensor, since a file holds no tensor twice; that of an attention is split into q, k and v."""
    if ".qkv_proj." not in key:
        return {key: x.clone(memory_format=torch.contiguous_format)}
    return {key.replace(".qkv_", f".{k}_"): y.contiguous().clone() for k, y in zip("qkv", x.chunk(3))}
