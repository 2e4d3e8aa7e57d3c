"""Infers the architecture of foreign weights, as the fields of a detector's Config, from the shapes of the tensors."""

from typing import Any

from core.convert.tensors import RenamedTensors, has_box_refinement
from core.errors import UserError
from core.nn.backbones import STRIDES

RESNETS: dict[tuple[tuple[int, ...], bool], str] = {  # by the blocks of each stage, and whether they are bottlenecks
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
}


RELEASED_POINTS = 4  # of each head and level, in every released Deformable DETR


class StatedOptions(dict[str, Any]):
    """The options that a file states of its training and that shapes don't show.

    A missing option gets the default of the original projects, and is noted in `assumed`.
    """

    DEFAULTS = {"heads": 8, "dropout": 0.1, "dilation": False, "queries": 300}

    def __init__(self, stated: dict[str, Any]):
        super().__init__(stated)
        self.assumed: dict[str, Any] = {}

    def __missing__(self, key: str) -> Any:
        self.assumed[key] = self.DEFAULTS[key]
        return self.DEFAULTS[key]


def infer_architecture(tensors: RenamedTensors, options: StatedOptions) -> dict[str, Any]:
    """The fields of the Config. UserError: a tensor that shows one is missing, or the variant cannot be built here."""
    infer = {"adamixer": adamixer, "conditional": conditional, "deformable": deformable}[tensors.kind]
    config = infer(tensors, options)
    if config["heads"] < 1 or config["width"] % config["heads"]:
        raise UserError(f"{tensors.foreign.path}: {config['heads']} heads cannot share {config['width']} channels")
    return config


def resnet(tensors: RenamedTensors) -> tuple[str, bool]:
    """The name of the ResNet, and whether it has bottlenecks. UserError: it is none of RESNETS."""
    blocks = tuple(tensors.count(f"backbone.body.layer{k}") for k in range(1, 5))
    bottlenecks = "backbone.body.layer1.0.conv3.weight" in tensors
    if (blocks, bottlenecks) not in RESNETS:
        kind = "bottleneck" if bottlenecks else "basic"
        raise UserError(
            f"{tensors.foreign.path} has a backbone with {blocks} {kind} blocks in layer1 to layer4;"
            f" only {', '.join(RESNETS.values())} can be imported"
        )
    return RESNETS[blocks, bottlenecks], bottlenecks


def strides(tensors: RenamedTensors, projections: list[str], bottlenecks: bool) -> list[int]:
    """The stride of each level, from the convolution that projects its map to the detector's width.

    The channels that a 1 x 1 convolution reads show the stride, since a ResNet's channels double with it. A 3 x 3 convolution
    makes a further level, of twice the stride. UserError: no map of the backbone has these channels.
    """
    levels: list[int] = []
    for name in projections:
        _, channels, *kernel = tensors.shape(f"{name}.weight", 4)
        stride = channels // (64 if bottlenecks else 16)
        if kernel == [1, 1] and stride not in STRIDES:
            raise UserError(
                f"{tensors.foreign.path}: {tensors.name_in_file(f'{name}.weight')} reads {channels} channels, which"
                " no map of the backbone has"
            )
        levels.append(2 * levels[-1] if levels and kernel != [1, 1] else stride)
    return levels


def refuse_other_points(
    tensors: RenamedTensors, weights: int, points: int, levels: int, options: StatedOptions
) -> None:
    """UserError: the encoder has another number of points, or assumed heads would have other points than released ones."""
    path = tensors.foreign.path
    in_encoder = (
        tensors.common_length("encoder.*.attention.to_weight.weight", 0) if tensors.count("encoder") else weights
    )
    if in_encoder != weights:
        each = max(options["heads"] * levels, 1)
        raise UserError(
            f"{path} reads {in_encoder // each} points in the encoder and {points} in the decoder; equal numbers can be imported"
        )
    if "heads" in options.assumed and points != RELEASED_POINTS:
        raise UserError(
            f"{path} does not say how many attention heads it has, and {options['heads']} would read {points} points each; give"
            f" --heads N (with the usual {RELEASED_POINTS} points it has {weights // (levels * RELEASED_POINTS)})"
        )


def adamixer(tensors: RenamedTensors, options: StatedOptions) -> dict[str, Any]:
    """The Config of an AdaMixer, whose shapes show all of it."""
    backbone, bottlenecks = resnet(tensors)
    queries, width = tensors.shape("content.weight", 2)
    mixed_points = tensors.common_length("stages.*.mixing.to_out.weight", 1) // max(width, 1)
    all_points = tensors.common_length("stages.*.mixing.to_offset.weight", 0) // 3  # of all groups
    weights = (
        tensors.common_length("stages.*.mixing.to_weights.weight", 0) - all_points * mixed_points
    )  # width^2 / groups
    groups = max(width**2 // max(weights, 1), 1)
    return {
        "backbone": backbone,
        "strides": strides(tensors, [f"neck.{k}" for k in range(tensors.count("neck"))], bottlenecks),
        "queries": queries,
        "layers": tensors.count("stages"),
        "width": width,
        "heads": tensors.common_length("stages.*.attention.sharpness", 0),
        "groups": groups,
        "points": all_points // groups,
        "mixed_points": mixed_points,
        "feedforward": tensors.common_length("stages.*.feedforward.0.weight", 0),
        "classes": tensors.common_length("stages.*.to_class.3.weight", 0),
    }


def detr_family(tensors: RenamedTensors, options: StatedOptions) -> dict[str, Any]:
    """The fields that Conditional and Deformable DETR have in common."""
    return {
        "backbone": resnet(tensors)[0],
        "layers": tensors.count("decoder"),
        "encoder_layers": tensors.count("encoder"),
        "feedforward": tensors.common_length("decoder.*.feedforward.0.weight", 0),
        "heads": options["heads"],
        "dropout": options["dropout"],
    }


def conditional(tensors: RenamedTensors, options: StatedOptions) -> dict[str, Any]:
    """The Config of a Conditional DETR."""
    queries, width = tensors.shape("query.weight", 2)
    return detr_family(tensors, options) | {
        "strides": [16] if options["dilation"] else [32],
        "dilation": options["dilation"],
        "queries": queries,
        "width": width,
        "classes": tensors.shape("to_class.weight", 2)[0],
    }


def deformable(tensors: RenamedTensors, options: StatedOptions) -> dict[str, Any]:
    """The Config of a Deformable DETR. UserError: its backbone is dilated, or its numbers of heads or points are not known."""
    if options["dilation"]:
        raise UserError(
            f"{tensors.foreign.path} is a Deformable DETR on a dilated backbone (single-scale DC5), the one released kind that"
            " cannot be imported; take the file of another kind"
        )
    levels, width = tensors.shape("level", 2)
    weights = tensors.common_length("decoder.*.reading.to_weight.weight", 0)  # of all heads, levels and points
    points = weights // max(options["heads"] * levels, 1)
    refuse_other_points(tensors, weights, points, levels, options)
    return detr_family(tensors, options) | {
        "strides": strides(tensors, [f"neck.{k}.0" for k in range(levels)], resnet(tensors)[1]),
        "queries": options["queries"] if tensors.two_stage else tensors.shape("query.weight", 2)[0],
        "width": width,
        "points": points,
        "refine": has_box_refinement(tensors.foreign),
        "two_stage": tensors.two_stage,
        "classes": tensors.common_length("to_class.*.weight", 0),
    }
