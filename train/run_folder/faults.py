"""What is kept of a step whose loss, cost or gradient is not finite."""

import math
import re
from pathlib import Path

import torch
from torch import nn

from core.data.stored_batch import write_batch
from core.files import write_json
from core.types import Images, Targets
from train.job.step import Found, Maps

MOST = 20  # places and weights that a report names


def seen(found: list[Found]) -> bool:
    """Whether it was in a loss or a cost of this process."""
    return any(isinstance(x, FloatingPointError) or not all(m.isfinite().all() for m in x.values()) for x in found)


def wrong(record: dict) -> list[str]:
    """Names of what is not finite. A gradient norm of None is fp16's, whose scaler skips such a step and scales less."""
    values = record["terms"] | {name: record[name] for name in ("total", "grad_norm") if record[name] is not None}
    return [name for name, value in values.items() if not math.isfinite(value)]


def report(stem: Path, where: dict, passes: list, found: list[Found], names: list[str], module: nn.Module) -> str:
    """Writes stem.json, and stem-PASS.safetensors for each of this process's passes; what happened, in a sentence."""
    batches = [describe(stem, k, *parts, trace) for k, (parts, trace) in enumerate(zip(passes, found))]
    costs = [str(x) for x in found if isinstance(x, FloatingPointError)]
    what = "; ".join(costs) or f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''} not finite"
    guilty = [batch["images"] for batch in batches if batch["places"]] or [batch["images"] for batch in batches]
    weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
    spoilt = {"weights": spoilt_of(weights), "gradients": spoilt_of({name: p.grad for name, p in weights.items()})}
    write_json(stem.with_suffix(".json"), {**where, "what": what, "names": names, "batches": batches, **spoilt})
    images = [id for ids in guilty for id in ids]
    return (
        f"{what}, at step {where['step']} with images {images}; the batch is kept in {stem}.json; "
        "try a lower --optim.lr, look at these images and their boxes, or leave such steps out with --on-nan skip"
    )


def spoilt_of(tensors: dict[str, torch.Tensor | None]) -> list[str]:
    return [name for name, x in tensors.items() if x is not None and not bool(x.isfinite().all())][:MOST]


def describe(stem: Path, k: int, images: Images, targets: Targets, found: Found) -> dict:
    file = stem.with_name(f"{stem.name}-{k}.safetensors")
    write_batch(file, images, targets)
    ids = images.ids.tolist()
    places = of_cost(found, ids) if isinstance(found, FloatingPointError) else of_maps(found, ids)
    return {"images": ids, "objects": targets.counts, "batch": file.name, "places": places}


def of_maps(maps: Maps, ids: list[int]) -> list[dict]:
    """Where the maps of the losses are not finite: term, layer and image."""
    found = []
    for term, map_ in maps.items():
        bad = (~map_.isfinite())[..., None].flatten(2).any(-1)
        found += [{"term": term, "layer": layer, "image": ids[image]} for layer, image in bad.nonzero().tolist()]
    return found[:MOST]


def of_cost(error: FloatingPointError, ids: list[int]) -> list[dict]:
    """From the sentence of core.matching.costs, which names the place in the batch."""
    told = re.search(r"\((?P<name>.*)\) is not finite: layer (?P<layer>\d+), image (?P<image>\d+)", str(error))
    if told is None:
        return []
    return [{"term": f"matching {told['name']}", "layer": int(told["layer"]), "image": ids[int(told["image"])]}]


def finite(value):
    """A record for JSON: what is not finite is None."""
    if isinstance(value, dict):
        return {key: finite(x) for key, x in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def no_numbers(distiller) -> dict[str, torch.Tensor]:
    """In place of the parts of a trace that is not there."""
    names = [f"{loss}/{key}" for loss, maps in distiller.weights.items() for key in maps]
    device = next(distiller.student.parameters()).device
    return {name: torch.full((), torch.nan, device=device) for name in names}
