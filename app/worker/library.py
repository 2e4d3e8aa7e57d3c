"""The runs that can be opened, and the few that are open."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from app.worker.forward_queue import ForwardQueue
from app.worker.samples import Samples
from app.worker.uploads import Uploads
from core.detectors.base import Detector
from core.errors import UserError
from core.files import read_json
from core.project import ASSETS
from core.runs.checkpoint import load_detector, sha256_of
from core.runs.open import open_run
from core.runs.results import best_ap
from core.terminal import printable

RUNS, SHIPPED = Path("runs"), ASSETS / "runs"
OPEN = 4  # runs at once
FRESH = 2.0  # seconds for which a list of the folders is used

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A run folder or a file of weights, and optionally a teacher in place of its own."""

    path: Path
    teacher: Path | None = None

    @property
    def id(self) -> str:
        """The name of the run on the page: its path as one types it in the current folder."""
        path = short_path(self.path)
        return printable(path if self.teacher is None else f"{path} under {short_path(self.teacher)}")


class Detectors:
    """Keeps one detector in memory for each file of weights, for as long as anything uses it."""

    def __init__(self) -> None:
        self.loaded: WeakValueDictionary[str, Detector] = WeakValueDictionary()  # by digest of the file
        self.cards: dict[str, dict] = {}

    def load(self, path: Path) -> tuple[Detector, dict]:
        """A detector and its card, from memory or from the file."""
        digest = sha256_of(path) if Path(path).is_file() else ""
        detector = self.loaded.get(digest)
        if detector is None:
            detector, card = load_detector(path)
            self.loaded[digest], self.cards[digest] = detector, card
        return detector, self.cards[digest]


class Once(Generic[T]):
    """A value that is computed by the first thread that asks for it; after an error it is computed again."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self.compute, self.lock = compute, Lock()
        self.values: list[T] = []  # none or one

    def get(self) -> T:
        """The value; raises what its computation raises."""
        with self.lock:
            if not self.values:
                self.values.append(self.compute())
        return self.values[0]


class Library:
    """Lists runs and opens them. It opens only what it lists, so that no name from the page becomes a path."""

    def __init__(
        self, given: Iterable[Source], queue: ForwardQueue, data: Path | None = None, images: Path | None = None
    ) -> None:
        """`given` are listed first; `data` is a COCO file whose images replace those of all runs, in the folder `images`.

        `images` without `data` is a folder of pictures without annotations.
        """
        self.given, self.queue, self.data, self.images = tuple(given), queue, data, images
        self.listed: tuple[float, dict[str, Source]] = (-FRESH, {})  # when, and what
        self.detectors, self.uploads, self.lock = Detectors(), Uploads(), Lock()
        self.open: OrderedDict[tuple, Once[Samples]] = OrderedDict()  # by version, the last used last

    def sources(self) -> dict[str, Source]:
        """All runs by id: those that were given, then those in the folders, the last written first."""
        if monotonic() - self.listed[0] > FRESH:
            cards = (sorted(folder.glob("**/card.json"), key=age) for folder in (RUNS, SHIPPED))
            in_folders = (Source(card.parent) for group in cards for card in group)
            given = {source.id: source for source in self.given}
            self.listed = monotonic(), given | {s.id: s for s in in_folders if s.id not in given}
        return self.listed[1]

    def source(self, id: str) -> Source:
        """A run that is listed. UserError: there is none of this id."""
        source = self.sources().get(id)
        if source is None:
            raise UserError(f"there is no run {id[:80]!r} here; the list of runs shows those there are")
        return source

    def first(self) -> str:
        """The id of the run that is displayed when none is chosen. UserError: there is no run with weights."""
        ready = (id for id, source in self.sources().items() if source in self.given or weights(source).exists())
        id = next(ready, None)
        if id is None:
            raise UserError(f"there is no run under {RUNS}/ yet; type `make demo`, or give the folder of a run")
        return id

    def samples(self, id: str) -> Samples:
        """A run with its images, opened on demand, and again when it has new weights.

        UserError: there is no such run, or it cannot be opened.
        """
        source = self.source(id)
        file = weights(source)
        version = id, file.stat().st_mtime if file.exists() else 0.0
        return self.opened(version, lambda: self.open_source(source, version))

    def second(self, main: Samples, id: str) -> Samples:
        """Another run on the images of the first. UserError: it cannot be opened, or has other classes."""
        other = self.samples(id)
        if other.digest == main.digest:
            return other
        version = (*other.version, main.version)
        return self.opened(version, lambda: main.with_run(other.run, version))

    def opened(self, version: tuple, open_samples: Callable[[], Samples]) -> Samples:
        """The samples of a version, opened now if need be; those that were used longest ago are closed."""
        with self.lock:
            entry = self.open.setdefault(version, Once(open_samples))
            self.open.move_to_end(version)
            while len(self.open) > OPEN:
                self.open.popitem(last=False)
        return entry.get()

    def open_source(self, source: Source, version: tuple[str, float]) -> Samples:
        """Opens a run, with networks from memory where they are loaded already."""
        shown: dict[str, Path | None] = (
            {"data": self.data, "images": self.images} if self.data else {"pictures": self.images}
        )
        run = open_run(source.path, **shown, teacher=source.teacher, load=self.detectors.load)
        return Samples(run, version, self.uploads, self.queue.cache, own_images=not self.images)

    def listing(self) -> list[dict]:
        """The rows of the page's list of runs; an incomplete run says what it lacks."""
        return [{"id": id} | about(source) for id, source in self.sources().items()]


def short_path(path: Path) -> str:
    """A path relative to the current folder where it is in it, else an absolute one."""
    full, current = Path(path).resolve(), Path.cwd()
    return str(full.relative_to(current)) if full.is_relative_to(current) else str(full)


def weights(source: Source) -> Path:
    """The student's file of weights."""
    return source.path if source.path.is_file() else source.path / "student.safetensors"


def age(card: Path) -> float:
    """A key that sorts runs by their weights' time of writing, the latest first; by the card's for runs without weights."""
    file = card.with_name("student.safetensors")
    return -(file if file.exists() else card).stat().st_mtime


def about(source: Source) -> dict:
    """A run as its card describes it, without opening the networks: {"student", "teacher", "ap", "lacks"}."""
    try:
        card: dict[str, Any] = read_json(source.path / "card.json") if source.path.is_dir() else {}
        student = card["run"]["student"]["config"] if card else {}
        lacks = "" if weights(source).exists() else "no weights yet: it has not finished its first epoch"
        teacher = str(source.teacher or (card.get("teacher") or {}).get("path", ""))
        backbone = str(student.get("backbone", ""))
    except (UserError, KeyError, TypeError, AttributeError):
        return {"student": "", "teacher": "", "ap": None, "lacks": "its card.json is not that of a run"}
    try:
        ap = best_ap(source.path).get("student") if card else None
    except UserError as error:
        ap, lacks = None, lacks or str(error)
    return {"student": backbone, "teacher": teacher, "ap": ap, "lacks": lacks}
