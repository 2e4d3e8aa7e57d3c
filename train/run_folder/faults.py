"""Reports of steps whose loss, matching cost or gradient is not finite: RUN/faults/."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.data.stored_batch import write_batch
from core.distiller import Distiller
from core.files import write_json
from core.types import Images, Targets
from train.job.step import Maps, MapsOrError

LIMIT = 20  # places and weights that a report lists


def has_fault(results: list[MapsOrError]) -> bool:
    """Returns whether a loss or a matching cost in a pass of this process is not finite."""
    return any(isinstance(x, FloatingPointError) or not all(m.isfinite().all() for m in x.values()) for x in results)


def nonfinite_names(record: dict) -> list[str]:
    """The names of the terms of a step's record that are not finite, and `total` or `grad_norm`.

    A gradient norm of None is not a fault: with fp16 it was infinite, and the gradient scaler skips the step and scales less.
    """
    values = record["terms"] | {name: record[name] for name in ("total", "grad_norm") if record[name] is not None}
    return [name for name, value in values.items() if not math.isfinite(value)]


def write_report(
    stem: Path,
    where: dict,
    passes: list[tuple[Images, Targets]],
    results: list[MapsOrError],
    names: list[str],
    module: nn.Module,
) -> str:
    """Writes STEM.json, and STEM-PASS.safetensors with the batch of each pass of this process; returns a sentence.

    `where` has the step, the epoch and the process; `names` are those of `nonfinite_names`.
    """
    batches = [write_pass(stem, k, *batch, result) for k, (batch, result) in enumerate(zip(passes, results))]
    costs = [str(x) for x in results if isinstance(x, FloatingPointError)]
    what = "; ".join(costs) or f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''} not finite"
    faulty = [batch["images"] for batch in batches if batch["places"]] or [batch["images"] for batch in batches]
    weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
    tensors = {
        "weights": nonfinite_tensors(weights),
        "gradients": nonfinite_tensors({name: p.grad for name, p in weights.items()}),
    }
    report = {**where, "what": what, "names": names, "batches": batches, **tensors}
    write_json(stem.with_suffix(".json"), report, within=stem.parent.parent)
    images = [id for ids in faulty for id in ids]
    return (
        f"{what}, at step {where['step']} with images {images}; the batch is kept in {stem}.json; "
        "try a lower --optim.lr, look at these images and their boxes, or leave such steps out with --on-nan skip"
    )


def nonfinite_tensors(tensors: Mapping[str, Tensor | None]) -> list[str]:
    """The names of the first tensors that hold a number that is not finite."""
    return [name for name, x in tensors.items() if x is not None and not bool(x.isfinite().all())][:LIMIT]


def write_pass(stem: Path, k: int, images: Images, targets: Targets, result: MapsOrError) -> dict:
    """Writes the batch of pass k; returns its entry in the report: images, objects, file and places that are not finite."""
    file = stem.with_name(f"{stem.name}-{k}.safetensors")
    write_batch(file, images, targets, within=stem.parent.parent)
    ids = images.ids.tolist()
    places = places_in_cost(result, ids) if isinstance(result, FloatingPointError) else places_in_maps(result, ids)
    return {"images": ids, "objects": targets.counts, "batch": file.name, "places": places}


def places_in_maps(maps: Maps, ids: list[int]) -> list[dict]:
    """The first places where a map of a loss is not finite: term, layer and image."""
    places = []
    for term, map_ in maps.items():
        bad = (~map_.isfinite())[..., None].flatten(2).any(-1)
        places += [{"term": term, "layer": layer, "image": ids[image]} for layer, image in bad.nonzero().tolist()]
    return places[:LIMIT]


def places_in_cost(error: FloatingPointError, ids: list[int]) -> list[dict]:
    """The place that the message of core.matching.solving names, with the id of the image instead of its place in the batch."""
    match = re.search(r"\((?P<name>.*)\) is not finite: layer (?P<layer>\d+), image (?P<image>\d+)", str(error))
    if match is None:
        return []
    return [{"term": f"matching {match['name']}", "layer": int(match["layer"]), "image": ids[int(match["image"])]}]


def nonfinite_to_none(value: Any) -> Any:
    """A copy of a record with None for numbers that are not finite, since JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: nonfinite_to_none(x) for key, x in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def nan_terms(distiller: Distiller, factors: Mapping[str, float]) -> dict[str, Tensor]:
    """NaN for each term of the losses whose factor is not 0: stands for the terms of a pass that ended with an error."""
    names = [f"{loss}/{key}" for loss, maps in distiller.weights.items() for key in maps if factors[loss]]
    device = next(distiller.student.parameters()).device
    return {name: torch.full((), torch.nan, device=device) for name in names}
