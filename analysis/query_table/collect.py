"""Collects the query table of a run: every query of every validation image, for figures and for pandas.

The table is a folder of Parquet parts. Each part is written in one piece, so that an interrupted collection continues where
it stopped. `analysis/query_table/rows.py` describes the columns. Beside the parts, `truth.json` holds the objects as a COCO
instances dict, and `about.json` what was collected.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain, islice
from math import ceil
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from analysis.query_table.rows import table_of_batch
from core import losses
from core.data.loader import evaluation
from core.distiller import Distiller, map_weights
from core.errors import UserError
from core.files import read_json, write_bytes, write_json
from core.losses.base import Loss
from core.metrics.coco_ap import restricted_to
from core.progress import watched
from core.runs.checkpoint import sha256_of, weights_file
from core.runs.config import encode
from core.runs.open import OpenRun
from core.types import Images, Targets

VERSION = 1  # of the columns
BATCH = 16  # images
PART = 4  # batches in a file


def collect(run: OpenRun, out: Path, *, limit: int | None = None, batch: int = BATCH, workers: int = 0) -> Path:
    """Writes the query table of the first `limit` validation images (None: all) into the folder `out`; returns `out`.

    Parts that exist are kept. UserError: `out` holds another collection, or an image cannot be read.
    """
    about, truth = describe(run, limit, batch)
    start_or_resume(out, about, truth)
    count, each = about["images"], about["each"]
    parts = collect_parts(run, out, about, workers=workers, device=device())
    done = count - sum(map(len, missing_parts(out, about)))
    for _ in watched(parts, f"collecting {run.path.name}", count, done=done, each=each):
        pass
    return out


def collect_parts(run: OpenRun, out: Path, about: dict, *, workers: int = 0, device: str = "cpu") -> Iterator[None]:
    """Writes the parts that `out` lacks, and yields after each; `about` is what `start_or_resume` has written there.

    UserError: an image cannot be read.
    """
    batch, missing = about["batch"], missing_parts(out, about)
    distiller = minimal_distiller(run.distiller).to(device)
    batches = evaluation(run.data, run.augment, batch, workers, only=list(chain(*missing)))
    for images in missing:
        rows = [batch_rows(distiller, *x, device) for x in islice(batches, ceil(len(images) / batch))]
        write_bytes(part_path(out, images.start), to_parquet(pa.concat_tables(rows)))
        yield


def rows_of_images(run: OpenRun, images: Sequence[int]) -> pa.Table:
    """The rows of the images with these indices, computed now and written nowhere. UserError: an image cannot be read."""
    place = device()
    distiller = minimal_distiller(run.distiller).to(place)
    batches = evaluation(run.data, run.augment, BATCH, only=images)
    rows = (batch_rows(distiller, *batch, place) for batch in batches)
    return pa.concat_tables(watched(rows, f"decoding images of {run.path.name}", len(images), each=BATCH))


def missing_parts(out: Path, about: dict) -> list[range]:
    """The images of each part that `out` lacks."""
    count, each = about["images"], about["each"]
    missing = [start for start in range(0, count, each) if not part_path(out, start).exists()]
    return [range(start, min(count, start + each)) for start in missing]


def device() -> str:
    """The device for forward passes: "cuda" if there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def part_path(out: Path, start: int) -> Path:
    """The file of the part whose first image has this index."""
    return out / f"part-{start:07}.parquet"


def describe(run: OpenRun, limit: int | None = None, batch: int = BATCH) -> tuple[dict, bytes]:
    """The contents of about.json (everything on which the numbers depend) and of truth.json, for these images."""
    count = min(len(run.data), limit or len(run.data))
    truth = json.dumps(restricted_to(set(run.data.ids[:count]), run.data.truth(), [])[0]).encode()
    return {
        "version": VERSION,
        "images": count,
        "batch": batch,
        "each": batch * PART,
        "augment": encode(run.augment),
        "teacher": (run.card.get("teacher") or {}).get("sha256"),
        "categories": [vars(c) for c in run.data.categories],
        "student": sha256_of(weights_file(run.path)),
        "truth": sha256(truth).hexdigest(),
    }, truth


def start_or_resume(out: Path, about: dict, truth: bytes) -> None:
    """Writes about.json and truth.json, or checks that they describe the same collection. UserError: they do not."""
    if (out / "about.json").exists():
        present = read_json(out / "about.json")
        if differ := [key for key in about if present.get(key) != about[key]]:
            raise UserError(
                f"{out} holds a collection of other {differ[0]}; remove that folder, or choose another --out"
            )
        return
    write_bytes(out / "truth.json", truth)
    write_json(out / "about.json", about)


def minimal_distiller(distiller: Distiller) -> Distiller:
    """The distiller in eval mode with only the loss that the columns need: `logits`, whose pairs name each query's partner.

    With a teacher, `logits` has the run's options, or its defaults in a run without it, but only the positive pairs of a
    loss that splits them. Without a teacher, `detection` alone remains. Detectors and matching are unchanged.
    """
    student, teacher = distiller.student, distiller.teacher
    if teacher is None:
        only = {"detection": cast(Loss, distiller.losses["detection"])}
        return Distiller(student, only, {"detection": distiller.weights["detection"]}).eval()
    config = losses.module("logits").Config(weight=1.0)
    if "logits" in distiller.losses:
        config = distiller.losses["logits"].config
    config = replace(config, match="all" if config.match == "all" else "positive")
    built = {"logits": losses.build("logits", config, student, teacher)}
    return Distiller(student, built, map_weights(built, {"logits": 1.0}), teacher).eval()


@torch.no_grad()
def batch_rows(distiller: Distiller, images: Images, targets: Targets, device: str) -> pa.Table:
    """The rows of one batch, computed on a device."""
    images = images.to(device)
    return table_of_batch(distiller(images, targets.to(device)), images)


def to_parquet(table: pa.Table) -> bytes:
    """The table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=["side", "image"])
    return buffer.getvalue()
