"""The teacher's answers on disk, for training that shows it the same pictures in every epoch.

A picture is known by its pixels: mirrored it is another one, with answers of its own, and nothing is ever transformed that
the teacher would have seen otherwise. Memory is made live, since losses read it; its queries and what it decodes from them
come from the cache, which is filled by whatever it has not met. Colours, crops and sizes that are drawn anew are refused:
no picture would come again.
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from core.detectors.base import Detector
from core.errors import UserError
from core.files import write_bytes
from core.runs.checkpoint import sha256_of, weights_file
from core.types import Images, Memory, Predictions, Queries
from train.distributed.parallel import ranks
from train.job.build import Job, located

CHECKED = 8  # images, when a training starts or goes on
APART = 1e-3  # scores and boxes may be in the cache from the teacher's own, of each image alone
QUERIES = ("content", "position", "anchors")
Row = dict[str, Tensor]  # of one picture: queries.NAME, q *; predictions.NAME, l q *


class Cache:
    """Stands in the teacher's `propose` and `decode` once it is told which pictures come: `expect`, then one forward pass.

    Each process has files of its own, one for every pass that brought something new, each whole.
    """

    def __init__(self, folder: Path, teacher: Detector):
        self.folder, self.teacher = folder, teacher
        self.live, self.keys, self.queries = (teacher.propose, teacher.decode), None, None
        teacher.propose, teacher.decode = self.propose, self.decode
        self.places = {key: place for path in sorted(folder.glob("*.safetensors")) for key, place in listed(path)}

    def expect(self, images: Images) -> None:
        """Of the host's, not the device's: nothing waits for a GPU."""
        self.keys = [key(x) for x in alone(images)]

    def propose(self, memory: Memory) -> Queries:
        known = self.keys is not None and all(k in self.places for k in self.keys)
        self.queries = self.cached_queries(memory.sizes.device) if known else self.live[0](memory)
        return self.queries

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        keys, own = self.keys, queries is self.queries
        if keys is None or not own:
            return self.live[1](memory, queries)
        if any(k not in self.places for k in keys):
            self.add(keys, queries, self.live[1](memory, queries))
        found = self.stacked(memory.sizes.device)
        self.keys = self.queries = None
        return Predictions(**{n: found[f"predictions.{n}"].transpose(0, 1) for n in ("logits", "boxes", "hidden")})

    def cached_queries(self, device: torch.device) -> Queries:
        found = self.stacked(device)
        return Queries(**{name: found.get(f"queries.{name}") for name in QUERIES})

    def stacked(self, device: torch.device) -> Row:
        """Of all pictures that are expected, b first."""
        rows = [self.row(k) for k in self.keys]
        return {name: torch.stack([r[name] for r in rows]).to(device, non_blocking=True) for name in rows[0]}

    def row(self, key: str) -> Row:
        path, at = self.places[key]
        with safe_open(path, "pt") as file:
            return {name: file.get_slice(name)[at] for name in file.keys()}

    def add(self, keys: list[str], queries: Queries, p: Predictions) -> None:
        """What is not there yet, in one file; the one copy to the host."""
        new = [at for at, k in enumerate(keys) if k not in self.places and k not in keys[:at]]
        told = {f"queries.{name}": getattr(queries, name) for name in QUERIES if getattr(queries, name) is not None}
        told |= {f"predictions.{name}": x.transpose(0, 1) for name, x in vars(p).items()}
        tensors = {name: x.detach()[new].cpu().contiguous() for name, x in told.items()}
        path = self.folder / f"{keys[new[0]]}.safetensors"
        write_bytes(path, save(tensors, {"keys": json.dumps([keys[at] for at in new])}))
        self.places |= dict(listed(path))

    @torch.no_grad()
    def check(self, batches: Iterable[Images], device: torch.device) -> str:
        """How far the cache is from the teacher on the images of these batches, each seen alone.

        UserError: too far. The teacher hears the padding of a batch of mixed sizes, or the files are damaged.
        """
        apart = 0.0
        for images in batches:
            self.expect(images)
            cached = self.teacher(images.to(device))
            for at, image in enumerate(alone(images)):
                live = self.teacher(image.to(device))
                pairs = (
                    (cached.logits[:, at].sigmoid(), live.logits[:, 0].sigmoid()),
                    (cached.boxes[:, at], live.boxes[:, 0]),
                )
                off = max(float((a - b).abs().max()) for a, b in pairs)
                refuse(off, int(image.ids[0]), self.folder)
                apart = max(apart, off)
        return f"teacher's answers in {self.folder}: {len(self.places)} pictures, within {apart:.1e} of its own where checked"


def refuse(apart: float, image: int, folder: Path) -> None:
    if not apart <= APART:
        raise UserError(
            f"of image {image} the cached answers in {folder} are {apart:.2g} from the teacher's own, more than {APART:g}: it "
            "hears what an image is padded with in its batch; take images of one size (--data.aspect-groups may do), or leave "
            "--teacher-cache out"
        )


def cache_of(job: Job) -> Cache | None:
    """In a folder of the teacher's weights, what its classes mean here, the precision, and this process.

    UserError: the run shows no picture twice, or has no teacher that can be cached.
    """
    run, teacher = job.run, job.distiller.teacher
    if run.teacher_cache is None:
        return None
    if teacher is None:
        raise UserError("--teacher-cache needs a --teacher")
    if teacher.proposes:
        raise UserError(f"{run.teacher} proposes its queries anew from every image: leave --teacher-cache out")
    augment = run.data.augment
    drawn = {"jitter": augment.jitter > 0, "sizes": len(augment.sizes) > 1, "crop": augment.crop}
    if new := [f"--data.augment.{name}" for name, asked in drawn.items() if asked]:
        raise UserError(f"with {' and '.join(new)} no picture comes twice: leave that or --teacher-cache out")
    told = f"{sha256_of(weights_file(located(run.teacher)))} {job.columns} {run.amp}"
    name = blake2b(told.encode(), digest_size=8).hexdigest()
    return Cache(run.teacher_cache / name / f"{ranks().rank}-of-{ranks().size}", teacher)


def alone(images: Images) -> Iterator[Images]:
    """Each image without its padding."""
    for at, (height, width) in enumerate(images.sizes.tolist()):
        one = slice(at, at + 1)
        yield Images(
            images.pixels[one, :, :height, :width],
            images.padding[one, :height, :width],
            images.sizes[one],
            images.original[one],
            images.ids[one],
        )


def key(image: Images) -> str:
    """Of one picture, by its pixels and size."""
    pixels = image.pixels.contiguous().numpy()
    return blake2b(f"{pixels.shape}".encode() + pixels.tobytes(), digest_size=16).hexdigest()


def listed(path: Path) -> list[tuple[str, tuple[Path, int]]]:
    """The pictures of a file, and where each is."""
    with safe_open(path, "pt") as file:
        return [(k, (path, at)) for at, k in enumerate(json.loads(file.metadata()["keys"]))]
