"""A cache of the teacher's outputs on disk, for training that shows the teacher the same images in every epoch.

An image is identified by its pixels and its size, so a flipped image is another one. The cache holds the teacher's queries and
what it decodes from them; memory is computed each time, since losses read it. Outputs that are missing are computed and added.
Augmentation that makes every image different (colours, crops, random sizes) is refused, since no image would come twice.
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from core.detectors.base import Detector
from core.errors import UserError
from core.files import sweep, write_bytes
from core.runs.checkpoint import sha256_of, weights_file
from core.types import Images, Memory, Predictions, Queries
from train.distributed.parallel import ranks
from train.job.build import Job, resolve_path

CHECKED_IMAGES = 8  # images whose outputs are checked when training starts or continues
TOLERANCE = 1e-3  # largest difference of scores and boxes between the cache and the teacher on each image alone
QUERIES = ("content", "position", "anchors")
CachedRow = dict[str, Tensor]  # the outputs for one image: queries.NAME, q *; predictions.NAME, l q *


class TeacherCache:
    """Replaces the teacher's `propose` and `decode` by its outputs on disk.

    It does so for the one forward pass after `set_images`; otherwise the teacher computes as usual. Each process has its own
    files, one for each pass with images that were missing; each file is written whole.
    """

    def __init__(self, folder: Path, teacher: Detector):
        self.folder, self.teacher = folder, teacher
        self.computed_propose, self.computed_decode = teacher.propose, teacher.decode
        # The contract of Detector: both are called through the instance.
        teacher.propose = self.propose  # type: ignore[method-assign]
        teacher.decode = self.decode  # type: ignore[method-assign]
        self.keys: list[str] | None = None  # of the images of the next pass
        self.queries: Queries | None = None  # the teacher's own queries in this pass
        sweep(folder)
        self.files = {key: row for path in sorted(folder.glob("*.safetensors")) for key, row in rows_of_file(path)}

    def set_images(self, images: Images) -> None:
        """Announces the images of the next forward pass; they are on the CPU, so that nothing waits for a GPU."""
        self.keys = [image_key(x) for x in unpadded(images)]

    def propose(self, memory: Memory) -> Queries:
        """The teacher's own queries: from the cache if it has all images of the pass, otherwise computed."""
        if self.keys is not None and all(k in self.files for k in self.keys):
            self.queries = self.cached_queries(self.keys, memory.sizes.device)
        else:
            self.queries = self.computed_propose(memory)
        return self.queries

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        """Predictions for the teacher's own queries from the cache, after adding those that are missing; others computed."""
        keys, own = self.keys, queries is self.queries
        if keys is None or not own:
            return self.computed_decode(memory, queries)
        if any(k not in self.files for k in keys):
            self.add(keys, queries, self.computed_decode(memory, queries))
        outputs = self.stacked(keys, memory.sizes.device)
        self.keys = self.queries = None
        return Predictions(**{n: outputs[f"predictions.{n}"].transpose(0, 1) for n in ("logits", "boxes", "hidden")})

    def cached_queries(self, keys: list[str], device: torch.device) -> Queries:
        """The cached queries of these images."""
        outputs = self.stacked(keys, device)
        content, position, anchors = (outputs.get(f"queries.{name}") for name in QUERIES)
        return Queries(content, position, anchors)

    def stacked(self, keys: list[str], device: torch.device) -> CachedRow:
        """The cached outputs of these images on the device, with the batch as the first axis."""
        rows = [self.row(k) for k in keys]
        return {name: torch.stack([r[name] for r in rows]).to(device, non_blocking=True) for name in rows[0]}

    def row(self, key: str) -> CachedRow:
        """Reads the outputs of one image."""
        path, at = self.files[key]
        with safe_open(path, "pt") as file:
            return {name: file.get_slice(name)[at] for name in file.keys()}

    def add(self, keys: list[str], queries: Queries, p: Predictions) -> None:
        """Writes the outputs of the images that are missing to one new file. Its name is the key of the first of them."""
        new = [at for at, k in enumerate(keys) if k not in self.files and k not in keys[:at]]
        outputs = {f"queries.{name}": getattr(queries, name) for name in QUERIES if getattr(queries, name) is not None}
        outputs |= {f"predictions.{name}": x.transpose(0, 1) for name, x in vars(p).items()}
        tensors = {name: x.detach()[new].cpu().contiguous() for name, x in outputs.items()}
        path = self.folder / f"{keys[new[0]]}.safetensors"
        write_bytes(path, save(tensors, {"keys": json.dumps([keys[at] for at in new])}))
        self.files |= dict(rows_of_file(path))

    @torch.no_grad()
    def check(self, batches: Iterable[Images], device: torch.device) -> str:
        """Compares the cache with the teacher on each image of the batches alone; returns the result as text.

        UserError: they differ too much, because the teacher's outputs depend on the padding of a batch with images of several
        sizes, or because the files are those of another teacher.
        """
        largest = 0.0
        for images in batches:
            self.set_images(images)
            cached = self.teacher(images.to(device))
            for at, image in enumerate(unpadded(images)):
                computed = self.teacher(image.to(device))
                pairs = (
                    (cached.logits[:, at].sigmoid(), computed.logits[:, 0].sigmoid()),
                    (cached.boxes[:, at], computed.boxes[:, 0]),
                )
                difference = max(float((a - b).abs().max()) for a, b in pairs)
                refuse_difference(difference, int(image.ids[0]), self.folder)
                largest = max(largest, difference)
        return f"teacher cache {self.folder}: {len(self.files)} images, within {largest:.1e} of the teacher where it was checked"


def refuse_difference(difference: float, image: int, folder: Path) -> None:
    """Raises UserError if cached outputs of an image differ too much from computed ones, or are NaN."""
    if not difference <= TOLERANCE:
        raise UserError(
            f"the cached outputs of image {image} in {folder} are {difference:.2g} from the teacher's own, more than "
            f"{TOLERANCE:g}: they depend on how the image is padded in its batch; take images of one size "
            "(--data.aspect-groups may do), or leave --teacher-cache out"
        )


def open_cache(job: Job) -> TeacherCache | None:
    """The cache of the run's teacher; None if the run has no --teacher-cache.

    Its folder depends on the teacher's weights, the class map, the precision and the process. UserError: the run has no teacher,
    has one whose queries depend on the image, or shows no image twice.
    """
    run, teacher = job.run, job.distiller.teacher
    if run.teacher_cache is None:
        return None
    if teacher is None or run.teacher is None:
        raise UserError("--teacher-cache needs a --teacher")
    if teacher.proposes:
        raise UserError(
            f"{run.teacher} proposes its queries from each image, which no cache can hold: leave --teacher-cache out"
        )
    augment = run.data.augment
    random = {"jitter": augment.jitter > 0, "sizes": len(augment.sizes) > 1, "crop": augment.crop}
    if asked := [f"--data.augment.{name}" for name, on in random.items() if on]:
        raise UserError(f"with {' and '.join(asked)} no image comes twice: leave that or --teacher-cache out")
    identity = f"{sha256_of(weights_file(resolve_path(run.teacher)))} {job.class_map} {run.amp}"
    name = blake2b(identity.encode(), digest_size=8).hexdigest()
    return TeacherCache(run.teacher_cache / name / f"{ranks().rank}-of-{ranks().size}", teacher)


def unpadded(images: Images) -> Iterator[Images]:
    """Each image of a batch as a batch of its own, without padding."""
    for at, (height, width) in enumerate(images.sizes.tolist()):
        one = slice(at, at + 1)
        yield Images(
            images.pixels[one, :, :height, :width],
            images.padding[one, :height, :width],
            images.sizes[one],
            images.original[one],
            images.ids[one],
        )


def image_key(image: Images) -> str:
    """A hash of an image's pixels and size; `image` is a batch of one, without padding."""
    pixels = image.pixels.contiguous().numpy()
    return blake2b(f"{pixels.shape}".encode() + pixels.tobytes(), digest_size=16).hexdigest()


def rows_of_file(path: Path) -> list[tuple[str, tuple[Path, int]]]:
    """The key of each image in a file, with the file and the image's row in it.

    None for a file that cannot be read: its outputs are computed again, and replace it.
    """
    try:
        with safe_open(path, "pt") as file:
            return [(k, (path, at)) for at, k in enumerate(json.loads(file.metadata()["keys"]))]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        return []
