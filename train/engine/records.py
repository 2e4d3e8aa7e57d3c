"""The record of a training step: losses, gradient norm and counts of pseudo truth, over all processes."""

import torch

from core.distiller import Distiller
from core.metrics.pseudo_truth.counts import PseudoCounts, pseudo_counts
from train.distributed import parallel
from train.engine.ahead import Passes
from train.job.build import Job
from train.job.step import MapsOrError
from train.run_folder import faults

Factors = dict[str, float]  # by loss, what its weights are multiplied by in a step; 0: it is left out


def pseudo_record(job: Job, passes: Passes) -> dict:
    """The part of a step's record about pseudo truth: counts over all processes. {} for a run in which all images have labels."""
    if job.pseudo is None:
        return {}
    own = sum((pseudo_counts(targets) for _, targets in passes), PseudoCounts())
    sums = [sum(column) for column in zip(*parallel.gather_numbers(list(vars(own).values())))]
    return {"pseudo": dict(zip(vars(own), sums))}


def step_record(maps: list[MapsOrError], norm: torch.Tensor, distiller: Distiller, factors: Factors) -> dict:
    """The record of a step: total, gradient norm, and every term unweighted and weighted; averaged over processes.

    All numbers are fetched from the device in one copy. Where the forward pass failed, the terms are NaN. The terms of losses
    that were left out are in `weighted` alone, as 0.
    """
    parts = [faults.nan_terms(distiller, factors) if isinstance(x, FloatingPointError) else x for x in maps]
    sums = {name: torch.stack([p[name].sum().float() for p in parts]).sum() for name in parts[0]}
    weights = {
        f"{loss}/{key}": w * factors[loss] for loss, keys in distiller.weights.items() for key, w in keys.items()
    }
    fetched = torch.cat([parallel.average_in_place(torch.stack(list(sums.values()))), norm.float()[None]]).tolist()
    terms = dict(zip(sums, fetched))
    weighted = {name: weight * terms[name] if name in terms else 0.0 for name, weight in weights.items()}
    return {"total": sum(weighted.values()), "grad_norm": fetched[-1], "terms": terms, "weighted": weighted}
