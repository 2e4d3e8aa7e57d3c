"""Gives a detector other classes: rows of its class heads are kept, reordered or made anew; all other weights stay."""

import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from core import detectors
from core.detectors.base import Detector

Rows = tuple[int | None, ...]  # for each new class the row of the old head, or None for a new row


def with_classes(detector: Detector, rows: Rows) -> Detector:
    """A detector of the same architecture and weights whose class k has the row `rows[k]` of the old class heads.

    New rows have the initial values of a new detector. A head may have further rows after those of the classes, such as
    "no object"; these are kept. In the head of a two-stage encoder that knows one class, row 0 stands for any object and stays.
    """
    config = detector.config
    new = built(config, len(rows)).train(detector.training)
    heads = class_heads(detector)
    old, state = detector.state_dict(), new.state_dict()
    for name, x in old.items():
        if name not in heads:
            state[name] = x
        elif one_class(detector, name):
            state[name] = joined(x, state[name], (0, *(None,) * (len(rows) - 1)), config.classes)
        else:
            state[name] = joined(x, state[name], rows, config.classes)
    new.load_state_dict(state)
    return new


def built(config: Any, classes: int) -> Detector:
    """A new detector with another number of classes."""
    return detectors.module(detectors.name_of(config)).Model(replace(config, classes=classes))


def class_heads(detector: Detector) -> tuple[str, ...]:
    """Names of the tensors whose shape depends on the number of classes."""
    with torch.device("meta"):
        more = built(detector.config, detector.config.classes + 1).state_dict()
    return tuple(name for name, x in detector.state_dict().items() if x.shape != more[name].shape)


def one_class(detector: Detector, name: str) -> bool:
    """Returns whether a class head is that of a two-stage encoder with one class; it follows those of the decoder's layers."""
    if not detector.proposes or detector.proposes_classes:
        return False
    return bool(re.search(rf"(to_class|class_embed)\.{detector.config.layers}\.", name))


def joined(old: Tensor, new: Tensor, rows: Rows, classes: int) -> Tensor:
    """The new head: rows of the old one where `rows` names one, and the rows after the classes."""
    result = new.detach().clone()
    for k, row in enumerate(rows):
        if row is not None:
            result[k] = old[row]
    result[len(rows) :] = old[classes:]
    return result
