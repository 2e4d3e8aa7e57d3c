"""Shells: a module whose parts are replaced for one call, while the module itself stays as it is.

A shell shares every parameter with its module. Nothing of the module is changed, so threads do not disturb each other.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def shell(
    module: Module,
    *,
    forward: Callable[..., Any] | None = None,
    training: bool | None = None,
    **parts: Any,
) -> Module:
    """A shallow copy of a module with another `forward`, another mode of the module alone, or other submodules."""
    copied = copy.copy(module)
    copied.__dict__["_modules"] = {**module._modules, **parts}
    if forward is not None:
        copied.__dict__["forward"] = forward
    if training is not None:
        copied.__dict__["training"] = training
    return copied


def recording(layer: Module, outputs: list[Tensor]) -> Module:
    """The layer, which appends the first of its outputs to a list each time it is called."""

    def forward(*args: Any, **kwargs: Any) -> Any:
        result = layer(*args, **kwargs)
        outputs.append(result[0] if isinstance(result, tuple) else result)
        return result

    return shell(layer, forward=forward)


class Outputs:
    """Attributes looked up in several outputs of transformers, in order; None where no output has one.

    Item 0 is the last hidden state, as in transformers' own outputs.
    """

    def __init__(self, *outputs: Any):
        self.outputs = outputs

    def __getattr__(self, name: str) -> Any:
        for output in self.outputs:
            value = output.get(name) if isinstance(output, dict) else getattr(output, name, None)
            if value is not None:
                return value
        return None

    def __getitem__(self, index: int) -> Any:
        return self.last_hidden_state if index == 0 else list(self.outputs[0].values())[index]
