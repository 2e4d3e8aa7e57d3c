"""The teacher store: what a teacher said of each image, on disk, so that it is asked once.

The teacher sees each image as it is, at the teacher's own size. What it said is carried through the augmentation of the student's
images (`core.runs.transport`): boxes are mirrored, cropped and resized exactly; colours do not move boxes. A store holds logits
and boxes, of all decoder layers or of the last; hidden vectors if asked for; and the queries, once if all images have the same.
Memory is never stored: where a loss reads it, the live teacher computes it.

A store is a folder with `store.json`, which says whose it is, and files of images, each written whole. An image is known by its
file's name and size in bytes (or by its number among the generated shapes), so a run may use a part of a store.
"""

import filecmp
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from core.data.batch import without_padding
from core.data.coco.dataset import Coco
from core.data.loader import evaluation
from core.data.sample import Dataset
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.data.unlabelled.image_files import ImageFiles
from core.data.unlabelled.mixed import Mixed
from core.data.unlabelled.predicted import Predicted
from core.detectors.base import Detector
from core.distiller import run_teacher
from core.errors import UserError
from core.files import read_json, sweep, write_bytes, write_json
from core.progress import watched
from core.runs.transport import carried_boxes, visible
from core.types import Decoded, Images, Memory, Predictions, Queries
from train.distributed.parallel import gather_numbers, ranks, share_user_errors

CHUNK = 64  # images in a file
CHECKED_IMAGES = 4  # images whose outputs are compared with the teacher's when training starts or continues
TOLERANCE = (
    2e-3  # largest difference of scores and boxes between the store and the teacher; half precision stays below 1e-3
)
Layers = Literal["all", "last"]
Precision = Literal["half", "single"]
QUERIES = ("content", "position", "anchors")
StoredRow = dict[str, Tensor]  # of one image: predictions.NAME, l q *; queries.NAME, q *


@dataclass(frozen=True)
class StoreSettings:
    """The teacher of a store, and what of its outputs is stored."""

    teacher: str  # SHA-256 of its file
    classes: tuple[str, ...]  # of the student, to which its logits are converted
    size: tuple[
        int | None, int
    ]  # short side at which it saw the images (None: as they are), and limit of the long side
    layers: Layers = "all"  # decoder layers
    precision: Precision = "half"
    hidden: bool = False  # whether the hidden vectors of its queries are stored

    @property
    def dtype(self) -> torch.dtype:
        """The type of the stored numbers."""
        return torch.float16 if self.precision == "half" else torch.float32


def read_settings(folder: Path) -> StoreSettings | None:
    """The settings of the store in a folder; None if there is none. UserError: they are damaged, or other files are there."""
    if not (folder / "store.json").exists():
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise UserError(f"{folder} holds files that are not those of a teacher store; name another folder")
        return None
    data = read_json(folder / "store.json")
    try:
        return StoreSettings(**{f.name: tuple_of(data[f.name]) for f in fields(StoreSettings)})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder}/store.json is not that of a teacher store ({error!r}); name another folder"
        ) from None


def tuple_of(value: Any) -> Any:
    """A tuple for a list of JSON; other values as they are."""
    return tuple(value) if isinstance(value, list) else value


def refuse_other_store(folder: Path, stored: StoreSettings, wanted: StoreSettings) -> None:
    """Raises UserError if a store is of another teacher, of other classes or of another size of images."""
    names = {"teacher": "another teacher", "classes": "other classes", "size": "images at another size"}
    for name, text in names.items():
        if getattr(stored, name) != getattr(wanted, name):
            raise UserError(f"{folder} was stored for {text} ({name}); name another folder, or take that {name} again")


def image_keys(data: Dataset) -> list[str]:
    """The key of each image, the same in any store. UserError: two different images have one."""
    keyed = keys_and_files(data)
    first: dict[str, Path | None] = {}
    for key, file in keyed:
        other = first.setdefault(key, file)
        if file and other and differ(file, other):
            raise UserError(
                f"a teacher store cannot tell {other} from {file}, which have one name and one size; rename one of them"
            )
    return [key for key, _ in keyed]


def keys_and_files(data: Dataset) -> list[tuple[str, Path | None]]:
    """The key of each image and its file, None for a generated one."""
    if isinstance(data, Mixed):
        by_part = [keys_and_files(part.dataset) for part in data.parts]
        return [keyed[index] for part, keyed in zip(data.parts, by_part) for index in part.indices]
    if isinstance(data, Coco):
        return [(file_key(data.folder, name), data.folder / name) for name in data.instances.names[: len(data)]]
    if isinstance(data, ImageFiles | Predicted):
        return [(file_key(data.folder, name), data.folder / name) for name in data.names]
    assert isinstance(data, Shapes), f"images of {type(data).__name__} have no keys"
    return [(f"{data.name} {id}", None) for id in data.ids]


def file_key(folder: Path, name: str) -> str:
    """The key of an image file: its name and its size in bytes."""
    path = folder / name
    return f"{name} {path.stat().st_size if path.exists() else 0}"


def differ(one: Path, other: Path) -> bool:
    """Returns whether two paths are those of files with different contents."""
    return one != other and one.is_file() and other.is_file() and not filecmp.cmp(one, other, shallow=False)


class TeacherStore:
    """The outputs of a teacher for images, read from a folder and completed there."""

    def __init__(self, folder: Path, settings: StoreSettings, data: Dataset):
        """Opens the store for the images of `data`, or begins it.

        UserError: the folder holds another teacher's store, or two images have one key.
        """
        self.folder, self.data = folder, data
        stored = read_settings(folder)
        if stored is not None:
            refuse_other_store(folder, stored, settings)
        self.settings = stored or settings
        self.keys = image_keys(data)
        self.key_of = dict(zip(data.ids, self.keys))
        self.places: dict[str, tuple[Path, int]] = {}
        self.handles: dict[Path, Any] = {}
        self.read_folder()

    def read_folder(self) -> None:
        """Lists what is in the folder. A file that is damaged is taken away, so that its images are asked again."""
        sweep(self.folder)
        for path in sorted(self.folder.glob("part-*.safetensors")):
            rows = rows_of_file(path)
            if not rows:
                path.unlink(missing_ok=True)
            for key, row in rows:
                self.places.setdefault(key, row)

    @property
    def missing(self) -> list[int]:
        """The indices of the images that the store lacks."""
        return [k for k, key in enumerate(self.keys) if key not in self.places]

    def complete(self, teacher: Detector, augment: Augment, *, batch: int, workers: int = 0) -> int:
        """Asks the teacher for the images that are missing, each process for its share; returns their number.

        UserError: an image cannot be read.
        """
        # No process writes before all have listed what is missing: they share out the same list.
        gather_numbers([0])
        missing = self.missing
        with share_user_errors():
            if ranks().first and read_settings(self.folder) is None:
                write_json(self.folder / "store.json", vars(self.settings))
            chunks = [missing[k : k + CHUNK] for k in range(0, len(missing), CHUNK)]
            own = chunks[ranks().rank :: ranks().size]
            for chunk in watched(own, "images stored", sum(map(len, own)), each=CHUNK) if ranks().first else own:
                self.write(chunk, answers(teacher, self.data, chunk, augment, batch, workers))
        gather_numbers([0])  # every process waits for all files
        self.read_folder()
        return len(missing)

    def write(self, chunk: Sequence[int], decoded: Iterator[Decoded]) -> None:
        """Writes one file with the answers for some images."""
        rows: dict[str, list[Tensor]] = {}
        shared: StoredRow = {}
        for answer in decoded:
            for name, x in self.tensors(answer).items():
                rows.setdefault(name, []).append(x)
            shared = queries_of(answer.queries["own"], slice(0, 1)) if answer.queries["own"].proposals is None else {}
        keys = [self.keys[k] for k in chunk]
        name = blake2b("\n".join(keys).encode(), digest_size=8).hexdigest()
        tensors = {name: torch.cat(x).contiguous() for name, x in rows.items()}
        if shared and not (self.folder / "queries.safetensors").exists():
            write_bytes(self.folder / "queries.safetensors", save({k: x.contiguous() for k, x in shared.items()}))
        write_bytes(self.folder / f"part-{name}.safetensors", save(tensors, {"keys": json.dumps(keys)}))

    def tensors(self, decoded: Decoded) -> StoredRow:
        """The tensors that are stored of a batch, with the batch as the first axis; boxes keep single precision."""
        p, own = decoded.predictions["own"], decoded.queries["own"]
        wanted = {"logits": p.logits, "hidden": p.hidden} if self.settings.hidden else {"logits": p.logits}
        rows = {f"predictions.{name}": x.transpose(0, 1).to(self.settings.dtype) for name, x in wanted.items()}
        rows["predictions.boxes"] = p.boxes.transpose(0, 1).float()
        if own.proposals is not None:
            rows |= {name: x.to(self.settings.dtype) for name, x in queries_of(own, slice(None)).items()}
        return {name: x.detach().cpu() for name, x in rows.items()}

    def decoded(self, images: Images, device: torch.device, memory: Memory | None = None) -> Decoded:
        """The stored outputs for the images of a batch, carried to their views; as if the teacher had been asked."""
        rows = self.rows([self.key_of[id] for id in images.ids.tolist()])
        rows = {name: x.to(device, non_blocking=True).float() for name, x in rows.items()}
        views = None if images.views is None else images.views.to(device, non_blocking=True)
        logits, boxes = (rows[f"predictions.{name}"].transpose(0, 1) for name in ("logits", "boxes"))
        boxes = carried_boxes(boxes, views)
        hidden = rows.get("predictions.hidden")
        hidden = logits.new_zeros(*logits.shape[:3], 0) if hidden is None else hidden.transpose(0, 1)
        content, position, anchors = (rows.get(f"queries.{name}") for name in QUERIES)
        if anchors is not None and "queries.anchors" not in self.shared_queries():
            anchors = carried_boxes(anchors[None], views)[0]
        no_memory = Memory((), (), (), images.sizes.to(device, non_blocking=True))
        return Decoded(
            no_memory if memory is None else memory,
            {"own": Queries(content, position, anchors)},
            {"own": Predictions(logits, boxes, hidden)},
            visible(boxes, views),
        )

    def rows(self, keys: Sequence[str]) -> StoredRow:
        """The stored outputs of images, with the batch as the first axis."""
        rows = [self.row(key) for key in keys]
        stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return stacked | {name: x.expand(len(keys), *x.shape[1:]) for name, x in self.shared_queries().items()}

    def row(self, key: str) -> StoredRow:
        """The stored outputs of one image."""
        path, at = self.places[key]
        file = self.handle(path)
        return {name: file.get_slice(name)[at] for name in file.keys()}

    def handle(self, path: Path) -> Any:
        """A file of the store, which stays open."""
        if path not in self.handles:
            self.handles[path] = safe_open(path, "pt").__enter__()
        return self.handles[path]

    def shared_queries(self) -> StoredRow:
        """The queries that are the same for every image, with a batch axis of one; {} if they are each image's own."""
        path = self.folder / "queries.safetensors"
        if path not in self.handles:
            has_shared = path.exists()
            self.handles[path] = {n: self.read_all(path, n) for n in self.names(path)} if has_shared else {}
        return self.handles[path]

    def names(self, path: Path) -> list[str]:
        """The names of the tensors in a file."""
        with safe_open(path, "pt") as file:
            return list(file.keys())

    def read_all(self, path: Path, name: str) -> Tensor:
        """A tensor of a file."""
        with safe_open(path, "pt") as file:
            return file.get_tensor(name)

    @torch.no_grad()
    def check(self, teacher: Detector, augment: Augment) -> str:
        """Compares the store with the teacher on a few images; returns the result as text. UserError: they differ too much."""
        indices = list(range(0, len(self.data), max(1, len(self.data) // CHECKED_IMAGES)))[:CHECKED_IMAGES]
        largest = 0.0
        for index, live in zip(indices, answers(teacher, self.data, indices, augment, 1, 0)):
            stored, asked = self.rows([self.keys[index]]), live.predictions["own"]
            pairs = (
                (stored["predictions.logits"].float().sigmoid(), asked.logits.transpose(0, 1).float().sigmoid()),
                (stored["predictions.boxes"].float(), asked.boxes.transpose(0, 1).float()),
            )
            difference = max(float((a - b.cpu()).abs().max()) if a.shape == b.shape else torch.inf for a, b in pairs)
            if not difference <= TOLERANCE:
                raise UserError(
                    f"{self.folder}: what is stored of {self.keys[index]!r} is {difference:.2g} from what the teacher says, "
                    f"more than {TOLERANCE:g}: the image has changed; move the folder away, or name another one"
                )
            largest = max(largest, difference)
        return f"teacher store {self.folder}: {len(self.keys)} images, within {largest:.1e} of the teacher where it was checked"


def rows_of_file(path: Path) -> list[tuple[str, tuple[Path, int]]]:
    """The key of each image in a file, with the file and the image's row in it; none for a file that cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            return [(key, (path, at)) for at, key in enumerate(json.loads(file.metadata()["keys"]))]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        return []


def queries_of(queries: Queries, rows: slice) -> StoredRow:
    """The tensors of queries that are not None, on the CPU, under queries.NAME."""
    tensors = {f"queries.{name}": getattr(queries, name) for name in QUERIES if getattr(queries, name) is not None}
    return {name: x[rows].detach().float().cpu() for name, x in tensors.items()}


@torch.no_grad()
def answers(
    teacher: Detector, data: Dataset, indices: Sequence[int], augment: Augment, batch: int, workers: int
) -> Iterator[Decoded]:
    """The teacher's outputs for images as they are, in batches without padding."""
    device = next(teacher.parameters()).device
    teacher.eval()
    for images, _ in evaluation(data, augment, batch, workers, indices):
        is_even = bool((images.sizes == images.sizes[0]).all())
        for part in [images] if is_even else unpadded(images):
            yield run_teacher(teacher, part.to(device))


def unpadded(images: Images) -> Iterator[Images]:
    """Each image of a batch as a batch of its own, without padding."""
    for at, (height, width) in enumerate(images.sizes.tolist()):
        yield without_padding(images, slice(at, at + 1), (height, width))


def bytes_per_image(teacher: Detector, settings: StoreSettings) -> int:
    """About how many bytes an image takes: its logits, boxes, hidden vectors and queries."""
    config, number = teacher.config, settings.dtype.itemsize
    layers = 1 if settings.layers == "last" else config.layers
    each = config.classes * number + 16 + (config.width * number if settings.hidden else 0)
    own = (2 * config.width + 4) * number if teacher.proposes else 0
    return config.queries * (layers * each + own)
