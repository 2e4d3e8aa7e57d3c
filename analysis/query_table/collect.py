"""Images of a dataset through a run's Distiller, to one tidy table on disk that figures and the app read.

A folder of Parquet parts, each written whole, so that a stopped collection goes on where it was; `analysis/query_table/rows.py`
says what the columns are. Beside them `truth.json` holds the objects as a COCO instances dict, and `about.json` what was
collected.
"""

import io
import json
from dataclasses import replace
from hashlib import sha256
from itertools import chain, islice
from math import ceil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from analysis.query_table.rows import record
from core import losses
from core.data.loader import evaluation
from core.distiller import Distiller, map_weights
from core.errors import UserError
from core.files import read_json, write_bytes, write_json
from core.metrics.coco_ap import restricted_to
from core.progress import watched
from core.runs.checkpoint import sha256_of
from core.runs.config import encode
from core.runs.open import OpenRun
from core.types import Images, Targets

VERSION = 1  # of the columns
BATCH = 16
PART = 4  # batches in a file


def collect(run: OpenRun, out: Path, *, limit: int | None = None, batch: int = BATCH, workers: int = 0) -> Path:
    """The table in the folder `out`; what is there already is kept.

    UserError: `out` holds another collection, or an image cannot be read.
    """
    about, truth = describe(run, limit, batch)
    begin(out, about, truth)
    count, each = about["images"], about["each"]
    missing = [start for start in range(0, count, each) if not part(out, start).exists()]
    distiller = watcher(run.distiller).to(device())
    groups = [range(start, min(count, start + each)) for start in missing]
    batches = evaluation(run.data, run.augment, batch, workers, only=list(chain(*groups)))
    there = count - sum(map(len, groups))
    for images in watched(groups, f"collecting {run.path.name}", count, done=there, each=each):
        rows = [step(distiller, *x) for x in islice(batches, ceil(len(images) / batch))]
        write_bytes(part(out, images.start), parquet(pa.concat_tables(rows)))
    return out


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def part(out: Path, start: int) -> Path:
    """The file of the images from `start` on."""
    return out / f"part-{start:07}.parquet"


def describe(run: OpenRun, limit: int | None = None, batch: int = BATCH) -> tuple[dict, bytes]:
    """What decides the numbers, as about.json has it, and the truth of the images, as truth.json has it."""
    count = min(len(run.data), limit or len(run.data))
    truth = json.dumps(restricted_to(set(run.data.ids[:count]), run.data.truth(), [])[0]).encode()
    return {
        "version": VERSION,
        "images": count,
        "batch": batch,
        "each": batch * PART,
        "augment": encode(run.augment),
        "teacher": run.card["teacher"] and run.card["teacher"]["sha256"],
        "categories": [vars(c) for c in run.data.categories],
        "student": sha256_of(run.path / "student.safetensors"),
        "truth": sha256(truth).hexdigest(),
    }, truth


def begin(out: Path, about: dict, truth: bytes) -> None:
    """Makes the folder, or finds in it the same collection."""
    if (out / "about.json").exists():
        told = read_json(out / "about.json")
        if differ := [key for key in about if told.get(key) != about[key]]:
            raise UserError(
                f"{out} holds a collection of other {differ[0]}; remove that folder, or choose another --out"
            )
        return
    write_bytes(out / "truth.json", truth)
    write_json(out / "about.json", about)


def watcher(whole: Distiller) -> Distiller:
    """The Distiller with what the columns need of its losses: who of student and teacher is compared with whom.

    The step is otherwise the same. A run whose loss `logits` splits its pairs is asked for the positive ones alone; one
    without it gets it as it is by default.
    """
    student, teacher = whole.student, whole.teacher
    if teacher is None:
        return Distiller(
            student, {"detection": whole.losses["detection"]}, {"detection": whole.weights["detection"]}
        ).eval()
    config = losses.module("logits").Config(weight=1.0)
    if "logits" in whole.losses:
        config = whole.losses["logits"].config
    config = replace(config, match="all" if config.match == "all" else "positive")
    built = {"logits": losses.build("logits", config, student, teacher)}
    return Distiller(student, built, map_weights(built, {"logits": 1.0}), teacher).eval()


@torch.no_grad()
def step(distiller: Distiller, images: Images, targets: Targets) -> pa.Table:
    images = images.to(device())
    return record(distiller(images, targets.to(device())), images)


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=["side", "image"])
    return buffer.getvalue()
