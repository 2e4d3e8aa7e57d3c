"""The images of a run, those first that are worth a look. Their facts are found in calm moments and kept on disk."""

import json
import os
from collections import Counter, OrderedDict
from collections.abc import Generator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from threading import Lock

from app import words
from app.replay.facts import Facts, change, facts
from app.worker.desk import Desk
from app.worker.samples import Samples
from core.errors import UserError
from core.matching.costs import costs, weighted_sum
from core.runs.open import replay

FORMAT = 1  # of the files; another one when a fact changes its meaning
FILES = 64  # kept at most, the latest used
SURVEYS = 4  # at once: each holds its networks
PAGE = 24  # images
SORTS = ("order", "flips", "cost", "loss", "missed", "gained", "lost")
PAIRED = ("gained", "lost")


class Survey:
    """The facts of all images of a run, as far as they are known."""

    def __init__(self, samples: Samples):
        self.samples, self.total = samples, len(samples.run.data.ids)
        self.known: dict[int, Facts] = {}  # by the image's place in the data
        self.broken: set[int] = set()  # places of images that cannot be read
        self.over = False

    @property
    def done(self) -> int:
        return len(self.known) + len(self.broken)

    def steps(self) -> Generator:
        """Each step looks at one image."""
        file = folder() / f"{fingerprint(self.samples)}.jsonl"
        self.read(file)
        yield
        for place in range(self.total):
            if self.over:
                return
            if place not in self.known:
                self.look(place, file)
                yield

    def look(self, place: int, file: Path) -> None:
        run = self.samples.run
        try:
            sample = run.data[place]
            trace = replay(run, sample)
        except (UserError, FloatingPointError):  # the page says why once the image is chosen
            self.broken.add(place)
            return
        matching = run.distiller.student.matching
        price = weighted_sum(costs(trace.student.own, trace.targets, matching), matching.weights)
        self.known[place] = facts(trace, sample, price)
        with open(file, "a", encoding="utf-8") as out:
            out.write(json.dumps({"place": place} | asdict(self.known[place])) + "\n")

    def read(self, file: Path) -> None:
        """What an earlier survey found; a last line that was cut does not count."""
        make_room(file.parent)
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            try:
                row = json.loads(line)
                place = row.pop("place")
                self.known[place] = Facts(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        if file.exists():
            os.utime(file)

    def instability(self, whose: str = "unstable") -> list[float]:
        """By step from layer to layer, the mean over the images that are known; `calm` is the teacher's."""
        rows = [getattr(f, whose) for f in list(self.known.values())]
        return [sum(x) / len(rows) for x in zip(*rows)] if rows else []


def folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "detrdistill" / "surveys"


def make_room(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for old in sorted(path.glob("*.jsonl"), key=lambda f: f.stat().st_mtime)[:-FILES]:
        old.unlink(missing_ok=True)


def fingerprint(samples: Samples) -> str:
    """Of everything that the facts depend on: weights, losses, data."""
    distiller = samples.run.distiller
    digest = sha256(f"{FORMAT} {samples.data} {distiller.weights} {samples.run.augment}".encode())
    for name, x in distiller.state_dict().items():
        digest.update(name.encode())
        digest.update(x.detach().contiguous().numpy().data)
    return digest.hexdigest()[:32]


class Gallery:
    def __init__(self, desk: Desk):
        self.desk, self.lock = desk, Lock()
        self.surveys: OrderedDict[object, Survey] = OrderedDict()

    def survey(self, samples: Samples) -> Survey:
        """Begun when it is first asked for; the one that was asked for longest ago ends."""
        with self.lock:
            if samples.version not in self.surveys:
                self.surveys[samples.version] = Survey(samples)
                self.desk.chore(self.surveys[samples.version].steps())
            self.surveys.move_to_end(samples.version)
            while len(self.surveys) > SURVEYS:
                self.surveys.popitem(last=False)[1].over = True
            return self.surveys[samples.version]

    def page(self, main: Samples, other: Samples | None, sort: str, category: str, page: int) -> dict:
        surveys = [self.survey(s) for s in (main, other) if s is not None]
        places = ranked(surveys, sort, of_class(main, category))
        pages = max(1, -(-len(places) // PAGE))
        page = max(0, min(page, pages - 1))
        here = places[page * PAGE : (page + 1) * PAGE]
        items = [item(main, place, surveys, sort) for place in here]
        done = min(s.done for s in surveys)
        return {
            "items": items,
            "page": page,
            "pages": pages,
            "where": f"{page * PAGE + 1}–{page * PAGE + len(here)} of {len(places)}" if here else "no image",
            "known": done,
            "total": surveys[0].total,
            "sorts": [{"id": s} | words.sort(s) for s in SORTS if len(surveys) > 1 or s not in PAIRED],
        }


def of_class(samples: Samples, category: str) -> list[int]:
    """Places of the images with an object of the class; all without a class."""
    if not category:
        return list(range(len(samples.run.data.ids)))
    if category not in samples.run.classes:
        raise UserError(f"there is no class {category[:40]!r} in this data")
    return [place for place, counts in enumerate(samples.classes) if category in counts]


def ranked(surveys: list[Survey], sort: str, places: list[int]) -> list[int]:
    """The highest first; images that nobody has looked at yet come last, in order."""
    if sort == "order":
        return places
    values = {p: v for p in places if (v := value(surveys, sort, p)) is not None}
    return sorted(values, key=lambda p: -values[p]) + [p for p in places if p not in values]


def value(surveys: list[Survey], sort: str, place: int) -> float | None:
    known = [s.known.get(place) for s in surveys]
    if known[0] is None:
        return None
    mine = known[0]
    if sort in PAIRED:
        if len(known) < 2 or known[1] is None:
            return None
        return Counter(change(known[1].found, mine.found))[sort]
    if sort == "missed":
        return Counter(change(mine.found, mine.found))["missed"]
    return {"flips": mine.flips, "cost": mine.worst, "loss": mine.loss}[sort]


def item(samples: Samples, place: int, surveys: list[Survey], sort: str) -> dict:
    id = samples.run.data.ids[place]
    found = None if sort == "order" else value(surveys, sort, place)
    badge = "" if found is None else f"{found:.2f}" if isinstance(found, float) else str(found)
    return {"key": f"image/{id}", "name": samples.names[id], "picture": samples.thumbnail(place), "badge": badge}
