"""Gives a detector more or fewer queries: the first ones stay as they are, further ones are made anew."""

from dataclasses import replace

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core import detectors
from core.detectors.base import Detector


def with_queries(detector: Detector, count: int) -> Detector:
    """A detector of the same architecture and weights with `count` queries.

    Further queries have the initial values of a new detector. Detectors that take their queries from proposals have no weights
    for them, and take more or fewer proposals.
    """
    new = with_count(detector, count).train(detector.training)
    old, state = detector.state_dict(), new.state_dict()
    learnt = query_tensors(detector)
    rows = {name: joined(x, state[name], detector.config.queries, count) for name, x in old.items() if name in learnt}
    new.load_state_dict(old | rows)
    return new


def with_count(detector: Detector, count: int) -> Detector:
    """A new detector with another number of queries."""
    config = replace(detector.config, queries=count)
    return detectors.module(detectors.name_of(config)).Model(config)


def query_tensors(detector: Detector) -> tuple[str, ...]:
    """Names of the tensors whose shape depends on the number of queries."""
    with torch.device("meta"):
        more = with_count(detector, detector.config.queries + 1).state_dict()
    return tuple(name for name, x in detector.state_dict().items() if x.shape != more[name].shape)


def joined(old: Float[Tensor, "gq c"], new: Float[Tensor, "gr c"], before: int, count: int) -> Float[Tensor, "gr c"]:
    """The new queries, of which the first are the old ones, in each group; LW-DETR trains several groups of queries."""
    groups, kept = rearrange(new.clone(), "(g r) c -> g r c", r=count), min(before, count)
    groups[:, :kept] = rearrange(old, "(g q) c -> g q c", q=before)[:, :kept]
    return rearrange(groups, "g r c -> (g r) c")
