"""Tied weights in files: a tensor that has several names is written once, under the first of them."""

from typing import Any

from torch import Tensor, nn


def second_names(module: nn.Module) -> dict[str, str]:
    """The first name of each parameter or buffer that has several, by its further names."""
    first: dict[int, str] = {}
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    names = {name: first.setdefault(id(x), name) for name, x in tensors}
    return {name: other for name, other in names.items() if name != other}


def forget_second_names(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    """A hook of `state_dict` that leaves out further names."""
    for name in second_names(module):
        state.pop(prefix + name, None)


def restore_second_names(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """A hook of `load_state_dict` that adds the further names."""
    for name, first in second_names(module).items():
        if prefix + first in state:
            state[prefix + name] = state[prefix + first]
