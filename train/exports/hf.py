"""A folder that transformers' from_pretrained opens, offline, as Conditional or Deformable DETR; transformers is not needed."""

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from core import detectors
from core.data.transforms import Augment
from core.detectors.base import Detector
from core.errors import UserError
from core.files import write_bytes, write_json
from core.nn.backbones import STRIDES
from core.runs.config import decode
from core.tensor_names import HUB, OURS, to_native, translate

CLASSES = {"conditional": "ConditionalDetr", "deformable": "DeformableDetr"}
RESNETS = {
    "resnet18": {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]},
    "resnet50": {"layer_type": "bottleneck", "depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048]},
    "resnet101": {"layer_type": "bottleneck", "depths": [3, 4, 23, 3], "hidden_sizes": [256, 512, 1024, 2048]},
}


def export(detector: Detector, card: dict, folder: Path) -> str:
    """UserError: transformers has no such detector, or no such backbone; gives what to do with the folder."""
    if detector.kind not in CLASSES:
        raise UserError(f"transformers has no {detector.kind}; export it with --to safetensors")
    if detector.config.backbone not in RESNETS:
        raise UserError(
            f"transformers' detectors do not take the backbone {detector.config.backbone}, only {', '.join(RESNETS)};"
            " export it with --to safetensors"
        )
    write_json(folder / "config.json", config(detector, card["categories"]))
    write_json(folder / "preprocessor_config.json", processor(detector, card))
    write_bytes(folder / "model.safetensors", save(tensors(detector), metadata={"format": "pt"}))
    return "open it with: transformers.AutoModelForObjectDetection.from_pretrained('{folder}')"


def config(detector: Detector, categories: list[dict]) -> dict:
    """Labels count the classes from 0; category_ids, which transformers keeps and does not read, are their ids."""
    c, m = detector.config, detector.matching
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
        **(levels(c) if detector.kind == "deformable" else {}),
    }


def backbone(detector: Detector) -> dict:
    """transformers' own ResNet; timm's where it is dilated, which the other cannot be."""
    c = detector.config
    if getattr(c, "dilation", False):
        return {
            "use_timm_backbone": True,
            "backbone": c.backbone,
            "use_pretrained_backbone": False,
            "dilation": True,
        }
    stages = [f"stage{1 + STRIDES.index(s)}" for s in c.strides if s in STRIDES]
    own = {"model_type": "resnet", "embedding_size": 64, "out_features": stages, **RESNETS[c.backbone]}
    return {"use_timm_backbone": False, "backbone": None, "use_pretrained_backbone": False, "backbone_config": own}


def levels(c) -> dict:
    return {
        "num_feature_levels": len(c.strides),
        "encoder_n_points": c.points,
        "decoder_n_points": c.points,
        "with_box_refine": c.refine,
        "two_stage": c.two_stage,
        "two_stage_num_proposals": c.queries,
        "tie_word_embeddings": not c.refine and c.layers > 1,  # whether the layers share a head, and there is a second
    }


def processor(detector: Detector, card: dict) -> dict:
    """Images as our evaluation sees them: resized or as they come, normalised, padded at the bottom and on the right."""
    augment = decode(Augment, card.get("data", {}).get("augment", {}), "the card: data.augment")
    mean, std = ([x / 255 for x in t.flatten().tolist()] for t in (detector.backbone.mean, detector.backbone.std))
    return {
        "image_processor_type": f"{CLASSES[detector.kind]}ImageProcessor",
        "do_resize": bool(augment.sizes),
        "size": {"shortest_edge": max(augment.sizes, default=800), "longest_edge": augment.longest},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": mean,
        "image_std": std,
        "do_pad": True,
        "format": "coco_detection",
    }


def tensors(detector: Detector) -> dict[str, Tensor]:
    """Under the names that files on the hub have, which every version of transformers reads."""
    found = {}
    for name, x in detector.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            for key in hub_names(detector, name):
                found |= parts(key, x.detach().cpu())
    return found


def hub_names(detector: Detector, name: str) -> list[str]:
    """A plain Deformable DETR's heads are listed for each layer, a refining one's for its decoder as well."""
    c, rows = detector.config, detectors.module(detector.kind).NAMES
    if name.startswith("backbone."):
        key = translate(name, rows, OURS, HUB)[0]
        return [key if getattr(c, "dilation", False) else to_native(key)]
    if detector.kind == "deformable" and name.startswith(("to_class.", "to_box.")) and not c.refine:
        same = [name.replace(".0.", f".{k}.", 1) for k in range(c.layers)]
        return [translate(x, rows, OURS, HUB)[0] for x in same]
    keys = translate(name, rows, OURS, HUB)
    return keys[:1] if name.startswith("to_class.") and not getattr(c, "two_stage", False) else keys


def parts(key: str, x: Tensor) -> dict[str, Tensor]:
    """Copies, since a file holds no tensor twice; the projections of an attention apart."""
    if ".qkv_proj." not in key:
        return {key: x.clone(memory_format=torch.contiguous_format)}
    return {key.replace(".qkv_", f".{k}_"): y.contiguous().clone() for k, y in zip("qkv", x.chunk(3))}
