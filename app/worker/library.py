"""The runs that can be opened, and the few that are open."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from weakref import WeakValueDictionary

from app.worker.desk import Desk
from app.worker.samples import Samples
from app.worker.uploads import Uploads
from core.detectors.base import Detector
from core.errors import UserError
from core.files import read_json
from core.project import ASSETS
from core.runs.checkpoint import load_detector, sha256_of
from core.runs.open import open_run
from core.runs.results import best_ap

RUNS, SHIPPED = Path("runs"), ASSETS / "runs"
OPEN = 4  # runs at once
FRESH = 2.0  # seconds for which a list of the folders holds


@dataclass(frozen=True)
class Source:
    """A run, or a student beside a teacher that is not its own."""

    path: Path
    teacher: Path | None = None

    @property
    def id(self) -> str:
        """As one types it here."""
        return near(self.path) if self.teacher is None else f"{near(self.path)} under {near(self.teacher)}"


class Detectors:
    """One detector in memory for each file of weights, for as long as anything uses it."""

    def __init__(self):
        self.found: WeakValueDictionary[str, Detector] = WeakValueDictionary()
        self.cards: dict[str, dict] = {}

    def load(self, path: Path) -> tuple[Detector, dict]:
        key = sha256_of(path) if Path(path).is_file() else ""
        detector = self.found.get(key)
        if detector is None:
            detector, card = load_detector(path)
            self.found[key], self.cards[key] = detector, card
        return detector, self.cards[key]


class Once:
    """A value that is made when it is first asked for, by one thread; one that failed is tried again."""

    def __init__(self, make: Callable):
        self.make, self.lock, self.made = make, Lock(), []

    def get(self):
        with self.lock:
            if not self.made:
                self.made.append(self.make())
        return self.made[0]


class Library:
    """Opens only what it lists: no name that the page sends becomes a path."""

    def __init__(self, given: Iterable[Source], desk: Desk, data: Path | None = None, images: Path | None = None):
        self.given, self.desk, self.data, self.images = tuple(given), desk, data, images
        self.seen: tuple[float, dict[str, Source]] = (-FRESH, {})
        self.detectors, self.uploads, self.lock = Detectors(), Uploads(), Lock()
        self.open: OrderedDict[tuple, Once] = OrderedDict()

    def sources(self) -> dict[str, Source]:
        """Those that were given, then what is in the folders, the latest first."""
        if monotonic() - self.seen[0] > FRESH:
            cards = (sorted(folder.glob("**/card.json"), key=age) for folder in (RUNS, SHIPPED))
            found = (Source(card.parent) for group in cards for card in group)
            known = {source.id: source for source in self.given}
            self.seen = monotonic(), known | {s.id: s for s in found if s.id not in known}
        return self.seen[1]

    def first(self) -> str:
        """UserError where there is nothing to look at."""
        ready = (id for id, source in self.sources().items() if source in self.given or weights(source).exists())
        if (found := next(ready, None)) is None:
            raise UserError(f"there is no run under {RUNS}/ yet; type `make demo`, or give the folder of a run")
        return found

    def samples(self, id: str) -> Samples:
        """Of a run, opened on demand, and again once it has new weights; UserError, in one sentence, where that cannot be."""
        source = self.sources().get(id)
        if source is None:
            raise UserError(f"there is no run {id[:80]!r} here; the list of runs shows those there are")
        file = weights(source)
        key = id, file.stat().st_mtime if file.exists() else 0.0
        with self.lock:
            opening = self.open.setdefault(key, Once(lambda: self.opened(source, key)))
            self.open.move_to_end(key)
            self.close_old()
        return opening.get()

    def beside(self, main: Samples, id: str) -> Samples:
        """Another run on the images of the first. UserError: it cannot be opened, or knows other classes."""
        other = self.samples(id)
        if other.data == main.data:
            return other
        key = (*other.version, main.version)
        with self.lock:
            pairing = self.open.setdefault(key, Once(lambda: main.of(other.run, key)))
            self.open.move_to_end(key)
            self.close_old()
        return pairing.get()

    def close_old(self) -> None:
        while len(self.open) > OPEN:
            self.open.popitem(last=False)

    def opened(self, source: Source, key: tuple[str, float]) -> Samples:
        run = open_run(source.path, self.data, self.images, teacher=source.teacher, load=self.detectors.load)
        return Samples(run, key, self.uploads, self.desk.memory)

    def list(self) -> list[dict]:
        """What the run picker shows; a run that is not whole says what it lacks."""
        return [{"id": id} | about(source) for id, source in self.sources().items()]


def near(path: Path) -> str:
    """From the current folder where the path is in it."""
    full, here = Path(path).resolve(), Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)


def weights(source: Source) -> Path:
    return source.path if source.path.is_file() else source.path / "student.safetensors"


def age(card: Path) -> float:
    """The run that was written to last first."""
    file = card.with_name("student.safetensors")
    return -(file if file.exists() else card).stat().st_mtime


def about(source: Source) -> dict:
    """{"student", "teacher", "ap", "lacks"}: what a card says without opening the networks."""
    try:
        card = read_json(source.path / "card.json") if source.path.is_dir() else {}
        student = card["run"]["student"]["config"] if card else {}
        lacks = "" if weights(source).exists() else "no weights yet: it has not finished its first epoch"
    except (UserError, KeyError, TypeError):
        return {"student": "", "teacher": "", "ap": None, "lacks": "its card.json is not that of a run"}
    try:
        ap = best_ap(source.path).get("student") if card else None
    except UserError as error:
        ap, lacks = None, lacks or str(error)
    teacher = str(source.teacher or (card.get("teacher") or {}).get("path", ""))
    words = [str(student[k]) for k in ("backbone",) if k in student]
    return {"student": ", ".join(words), "teacher": teacher, "ap": ap, "lacks": lacks}
