"""transformers' Conditional and Deformable DETR (5.x) with our weights, from config objects: nothing is downloaded."""

import re

import torch
from torch import Tensor, nn
from transformers import (
    ConditionalDetrConfig,
    ConditionalDetrForObjectDetection,
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    ResNetBackbone,
    ResNetConfig,
)

from core.detectors.base import Detector

RESNETS = {
    "resnet18": {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]},
    "resnet50": {},
    "resnet101": {"depths": [3, 4, 23, 3]},
}
SAME = (
    (r"(self_attn)\.out_proj", r"\1.o_proj"),
    (r"cross_attn\.out_proj", "encoder_attn.o_proj"),
    (r"cross_attn", "encoder_attn"),
    (r"linear(\d)", r"mlp.fc\1"),
    (r"^query_embed", "model.query_position_embeddings"),
    (r"^transformer\.", "model."),
)
CONDITIONAL = (
    (r"(encoder.layers.\d+)\.norm1", r"\1.self_attn_layer_norm"),
    (r"(encoder.layers.\d+)\.norm2", r"\1.final_layer_norm"),
    (r"norm1", "self_attn_layer_norm"),
    (r"norm2", "encoder_attn_layer_norm"),
    (r"norm3", "final_layer_norm"),
    (r"decoder\.norm\.", "decoder.layernorm."),
    (r"sa_v_proj", "self_attn.v_proj"),
    (r"ca_v_proj", "encoder_attn.v_proj"),
    (r"sa_(.)(content|pos)_proj", r"self_attn.\1_\2_proj"),
    (r"ca_(.)(content|pos|pos_sine)_proj", r"encoder_attn.\1_\2_proj"),
    (r"^input_proj", "model.input_projection"),
    (r"^class_embed", "class_labels_classifier"),
    (r"^bbox_embed", "bbox_predictor"),
)
DEFORMABLE = (
    (r"(encoder.layers.\d+)\.norm1", r"\1.self_attn_layer_norm"),
    (r"(encoder.layers.\d+)\.norm2", r"\1.final_layer_norm"),
    (r"layers\.(\d+)\.norm1", r"layers.\1.encoder_attn_layer_norm"),
    (r"layers\.(\d+)\.norm2", r"layers.\1.self_attn_layer_norm"),
    (r"norm3", "final_layer_norm"),
    (r"^input_proj", "model.input_proj"),
)
BACKBONE = (
    (r"^backbone\.0\.body\.", "model.backbone.model."),
    (r"model\.conv1", "model.embedder.embedder.convolution"),
    (r"model\.bn1", "model.embedder.embedder.normalization"),
    (r"layer(\d)\.(\d+)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}."),
    (r"downsample\.0", "shortcut.convolution"),
    (r"downsample\.1", "shortcut.normalization"),
    (r"conv(\d)", lambda m: f"layer.{int(m[1]) - 1}.convolution"),
    (r"bn(\d)", lambda m: f"layer.{int(m[1]) - 1}.normalization"),
)


def names(key: str, kind: str) -> list[str]:
    """Of a tensor of the released checkpoints; the three parts of an attention's input projection have their own."""
    own = CONDITIONAL if kind == "conditional" else DEFORMABLE
    for pattern, new in BACKBONE if key.startswith("backbone") else own + SAME:
        key = re.sub(pattern, new, key)
    if ".in_proj_" in key:
        return [key.replace(".in_proj_", f".{x}_proj.") for x in "qkv"]
    return [key]


def build(model: Detector, tensors: dict[str, Tensor]) -> nn.Module:
    """The same detector with the tensors, given under released names."""
    c = model.config
    features = ["stage2", "stage3", "stage4"] if model.kind == "deformable" else ["stage4"]
    options = dict(
        use_timm_backbone=False,
        backbone_config=ResNetConfig(out_features=features, **RESNETS[c.backbone]),
        num_labels=c.classes,
        num_queries=c.queries,
        d_model=c.width,
        encoder_layers=c.encoder_layers,
        decoder_layers=c.layers,
        encoder_attention_heads=c.heads,
        decoder_attention_heads=c.heads,
        encoder_ffn_dim=c.feedforward,
        decoder_ffn_dim=c.feedforward,
    )
    if model.kind == "conditional":
        # With its auxiliary loss it feeds the normed state to the next layer, which is not Conditional DETR.
        theirs = ConditionalDetrForObjectDetection(ConditionalDetrConfig(auxiliary_loss=False, **options))
    else:
        options |= dict(with_box_refine=c.refine, two_stage=c.two_stage, two_stage_num_proposals=c.queries)
        options |= dict(encoder_n_points=c.points, decoder_n_points=c.points, num_feature_levels=len(c.strides))
        options |= dict(tie_word_embeddings=not c.refine, disable_custom_kernels=True)
        theirs = DeformableDetrForObjectDetection(DeformableDetrConfig(**options))
    fill(theirs, tensors, model.kind)
    return theirs.eval().requires_grad_()  # it freezes all of a backbone that is not timm's


def resnet(name: str, tensors: dict[str, Tensor]) -> nn.Module:
    """A backbone alone, with the tensors under torchvision's names; it gives the maps of its four stages."""
    stages = [f"stage{i}" for i in range(1, 5)]
    theirs = ResNetBackbone(ResNetConfig(out_features=stages, **RESNETS[name]))
    theirs.load_state_dict({of_backbone(k): x for k, x in tensors.items()})
    return theirs.eval()


def of_backbone(key: str) -> str:
    return names(f"backbone.0.body.{key}", "")[0].removeprefix("model.backbone.model.")


def fill(theirs: nn.Module, tensors: dict[str, Tensor], kind: str) -> None:
    parts = {}
    for key, value in tensors.items():
        found = names(key, kind)
        parts |= dict(zip(found, value.chunk(len(found))))
    theirs.load_state_dict(parts)


def gradients(theirs: nn.Module, keys, kind: str) -> dict[str, Tensor]:
    """Under released names. Heads that the decoder shares are copies here, so their gradients are added."""
    own = {k: p.grad for k, p in theirs.named_parameters(remove_duplicate=False) if p.grad is not None}
    found = {}
    for key in keys:
        parts = [own.get(x, 0) + own.get(f"model.decoder.{x}", 0) for x in names(key, kind)]
        if torch.is_tensor(parts[0]):
            found[key] = torch.cat(parts)
    return found


def look(theirs: nn.Module, kind: str, pixels: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Logits and boxes of every layer, and a two-stage encoder's."""
    if kind == "conditional":
        return conditional(theirs, pixels, valid)
    out = theirs.model(pixel_values=pixels, pixel_mask=valid)
    references = [out.init_reference_points, *out.intermediate_reference_points.unbind(1)]
    hidden = out.intermediate_hidden_states.unbind(1)
    logits = torch.stack([head(x) for head, x in zip(theirs.class_embed, hidden)])
    boxes = torch.stack([moved(head(x), r) for head, x, r in zip(theirs.bbox_embed, hidden, references)])
    found = {"logits": logits, "boxes": boxes}
    if out.enc_outputs_class is not None:
        found |= {"first logits": out.enc_outputs_class, "first boxes": out.enc_outputs_coord_logits.sigmoid()}
    return found


def conditional(theirs: nn.Module, pixels: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """It says what its last layer does; the others' states are caught on their way."""
    states = []
    hooks = [x.register_forward_hook(lambda *a: states.append(a[-1])) for x in theirs.model.decoder.layers]
    out = theirs.model(pixel_values=pixels, pixel_mask=valid)
    for hook in hooks:
        hook.remove()
    hidden = theirs.model.decoder.layernorm(torch.stack([x[0] if isinstance(x, tuple) else x for x in states]))
    boxes = moved(theirs.bbox_predictor(hidden), out.reference_points.transpose(0, 1))
    return {"logits": theirs.class_labels_classifier(hidden), "boxes": boxes}


def moved(shift: Tensor, reference: Tensor) -> Tensor:
    reference = reference.clamp(0, 1)
    logit = reference.clamp(min=1e-5).log() - (1 - reference).clamp(min=1e-5).log()
    return (shift + nn.functional.pad(logit, (0, 4 - logit.shape[-1]))).sigmoid()
