"""The architecture that tensors have, as fields of the detector's Config."""

from core.convert.tensors import RenamedTensors, refined
from core.errors import UserError
from core.nn.backbones import STRIDES

RESNETS = {  # blocks of each stage, and whether they are bottlenecks
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
}


class Stated(dict):
    """What a file says of its making, where its weights cannot tell; what it leaves out is assumed, and `assumed` lists it."""

    USUAL = {"heads": 8, "dropout": 0.1, "dilation": False, "queries": 300}  # as the originals have it

    def __init__(self, said: dict):
        super().__init__(said)
        self.assumed: dict = {}

    def __missing__(self, key: str):
        self.assumed[key] = self.USUAL[key]
        return self.USUAL[key]


def architecture(named: RenamedTensors, said: Stated) -> dict:
    """UserError: a tensor that tells is missing, or it is a variant that there is not here."""
    found = {"adamixer": adamixer, "conditional": conditional, "deformable": deformable}[named.kind](named, said)
    if found["heads"] < 1 or found["width"] % found["heads"]:
        raise UserError(f"{named.foreign.path}: {found['heads']} heads cannot share {found['width']} channels")
    return found


def resnet(named: RenamedTensors) -> tuple[str, bool]:
    """Its name, and whether it has bottlenecks."""
    blocks = tuple(named.count(f"backbone.body.layer{k}") for k in range(1, 5))
    wide = "backbone.body.layer1.0.conv3.weight" in named
    if (blocks, wide) not in RESNETS:
        kind = "bottleneck" if wide else "basic"
        raise UserError(
            f"{named.foreign.path} has a backbone with {blocks} {kind} blocks in layer1 to layer4;"
            f" only {', '.join(RESNETS.values())} can be imported"
        )
    return RESNETS[blocks, wide], wide


def strides(named: RenamedTensors, convolutions: list[str], wide: bool) -> list[int]:
    """Of levels, by their projections: a ResNet's channels double with its stride, and a 3 x 3 halves a map."""
    found = []
    for name in convolutions:
        _, channels, *kernel = named.shape(f"{name}.weight", 4)
        stride = channels // (64 if wide else 16)
        if kernel == [1, 1] and stride not in STRIDES:
            raise UserError(
                f"{named.foreign.path}: {named.theirs(f'{name}.weight')} reads {channels} channels, which"
                " no map of the backbone has"
            )
        found.append(2 * found[-1] if found and kernel != [1, 1] else stride)
    return found


def adamixer(named: RenamedTensors, said: Stated) -> dict:
    backbone, wide = resnet(named)
    queries, width = named.shape("content.weight", 2)
    mixed = named.usual("stages.*.mixing.to_out.weight", 1) // max(width, 1)
    points = named.usual("stages.*.mixing.to_offset.weight", 0) // 3  # of all groups
    squares = named.usual("stages.*.mixing.to_weights.weight", 0) - points * mixed  # width^2 / groups
    groups = max(width**2 // max(squares, 1), 1)
    return {
        "backbone": backbone,
        "strides": strides(named, [f"neck.{k}" for k in range(named.count("neck"))], wide),
        "queries": queries,
        "layers": named.count("stages"),
        "width": width,
        "heads": named.usual("stages.*.attention.sharpness", 0),
        "groups": groups,
        "points": points // groups,
        "mixed_points": mixed,
        "feedforward": named.usual("stages.*.feedforward.0.weight", 0),
        "classes": named.usual("stages.*.to_class.3.weight", 0),
    }


def family(named: RenamedTensors, said: Stated) -> dict:
    """What Conditional and Deformable DETR have in common."""
    return {
        "backbone": resnet(named)[0],
        "layers": named.count("decoder"),
        "encoder_layers": named.count("encoder"),
        "feedforward": named.usual("decoder.*.feedforward.0.weight", 0),
        "heads": said["heads"],
        "dropout": said["dropout"],
    }


def conditional(named: RenamedTensors, said: Stated) -> dict:
    queries, width = named.shape("query.weight", 2)
    return family(named, said) | {
        "strides": [16] if said["dilation"] else [32],
        "dilation": said["dilation"],
        "queries": queries,
        "width": width,
        "classes": named.shape("to_class.weight", 2)[0],
    }


def deformable(named: RenamedTensors, said: Stated) -> dict:
    if said["dilation"]:
        raise UserError(f"{named.foreign.path} is a Deformable DETR on a dilated backbone, which there is not here")
    levels, width = named.shape("level", 2)
    points = named.usual("decoder.*.reading.to_weight.weight", 0) // max(said["heads"] * levels, 1)
    return family(named, said) | {
        "strides": strides(named, [f"neck.{k}.0" for k in range(levels)], resnet(named)[1]),
        "queries": said["queries"] if named.two_stage else named.shape("query.weight", 2)[0],
        "width": width,
        "points": points,
        "refine": refined(named.foreign),
        "two_stage": named.two_stage,
        "classes": named.usual("to_class.*.weight", 0),
    }
