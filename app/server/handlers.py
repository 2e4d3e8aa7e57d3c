"""What the page asks for, and anybody over the API: plain arguments in, plain data out. Arguments are not trusted.

`run` is one of the ids that `runs` lists, or "" for the first; `compare` another, whose student stands beside the
first's, or "". `key` is "image/ID", or what `upload` answered. Layers count from 0.
"""

from base64 import b64encode
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from time import monotonic

from analysis.figures import KINDS, drawn, table
from app.arguments import fitting, unit, within
from app.jobs.diagnosis import Doctor
from app.jobs.figures import Studio
from app.jobs.training import Training
from app.replay.shown import Replay, Shown
from app.views import epochs, losses, masks, query, sampling, scene, stability
from app.views.gallery import SORTS, Gallery
from app.views.header import about
from app.views.masks import Place
from app.worker.desk import Job
from app.worker.library import Library
from app.worker.samples import Samples, number
from core.errors import UserError

ANSWER = 15.0  # seconds after which a page that waits is told how far it is
MASKS = 12  # asked for at once
NO_IMAGE = -(2**31)  # ids of images may be any other number
NONE: list = []  # nothing changes it
DRAWN = (*KINDS, "csv")
AT_ONCE = 0.15  # seconds that a page waits for the whole before it takes a part


class Handlers:
    def __init__(self, library: Library, scratch: Path | None = None):
        self.library, self.desk = library, library.desk
        self.gallery_of, self.doctor_of = Gallery(self.desk), Doctor(self.desk)
        scratch = scratch or Path(mkdtemp(prefix="detrdistill-"))
        self.training, self.studio, self.drawing = Training(library, scratch), Studio(library, scratch), Lock()

    def runs(self) -> dict:
        """The runs that can be opened: {"runs": [{"id", "student", "teacher", "ap", "lacks"}], "first": id}."""
        return {"runs": self.library.list(), "first": self.library.first()}

    def about(self, run: str = "") -> dict:
        """What a run is: its detectors, AP, classes, feature levels, and its first image."""
        return about(self.run_id(run), self.samples(run))

    def gallery(self, run: str = "", compare: str = "", sort: str = "order", category: str = "", page: int = 0) -> dict:
        """A page of the run's images, those first that the sort prefers: {"items", "pages", "known", "total", ..}.

        `sort` is order, flips, cost, loss or missed, and beside another run gained or lost. Images are looked at in
        calm moments: `known` of `total` have been. `category` is the name of a class, or "" for all.
        """
        main, other = self.pair(run, compare)
        if sort not in SORTS or (other is None and sort in ("gained", "lost")):
            raise UserError(f"no sort {sort[:40]!r}; there are {', '.join(SORTS)}, the last two beside another run")
        return self.gallery_of.page(main, other, sort, category, page)

    def image(self, key: str, run: str = "") -> dict:
        """The picture and the objects of the data, which no network need be run for."""
        samples = self.samples(run)
        return scene.image(key, samples.name(key), samples.sample(key), samples.run.classes)

    def scene(self, key: str, run: str = "", compare: str = "") -> dict:
        """Boxes and matched pairs, with their costs, in every decoder layer.

        Boxes are (x0, y0, x1, y1) in fractions of the image; pairs are (query, target, cost).
        """
        return scene.scene(self.shown(key, run, compare))

    def look(self, key: str, who: str, run: str = "", compare: str = "", have: int = -1) -> dict:
        """As `scene`, for a page that waits: what is known so far, as soon as it is more than it `have`.

        `who` is the page: what it waited for before is dropped. {"stage", "stages", "seconds", "scene" once whole,
        before that "boxes" of the detectors that are done}.
        """
        jobs = self.desk.want(self.wanted(key, run, compare), who)
        if have < 0:
            self.desk.wait(jobs, seconds=AT_ONCE)
        else:
            self.desk.wait(jobs, seconds=ANSWER, beyond=have)
        return progress(jobs)

    def matches(self, key: str, layer: int, run: str = "", compare: str = "") -> dict:
        """Each object with the queries that answer for it in one layer, and the cost of each pair."""
        shown = self.shown(key, run, compare)
        within(layer, shown.layers, "layer")
        return query.overview(shown, layer)

    def query(self, key: str, layer: int, side: str, index: int, run: str = "", compare: str = "") -> dict:
        """One query in one layer: class scores, box, and each of its matches: cost by part, margin and runner-up.

        `side` is "student", "teacher", "other" for the second student, a further group of queries such as "prior", or
        "truth" for an object.
        """
        shown = self.shown(key, run, compare)
        known(shown.counts(), side, index)
        within(layer, shown.layers, "layer")
        return query.target(shown, layer, index) if side == "truth" else query.query(shown, layer, side, index)

    def reading(self, key: str, layer: int, side: str, index: int, run: str = "", compare: str = "") -> dict:
        """Where one query reads the image in one layer: {"places": [(x, y, weight)], "share" inside its box, "says"}.

        Its sampling points, or its attention to each token: the weightiest, last, in fractions of the image.
        """
        shown = self.shown(key, run, compare)
        known({name: count for name, count in shown.counts().items() if name != "truth"}, side, index)
        within(layer, shown.layers, "layer")
        place = "reading", side, *self.wanted(key, run, compare)
        found = self.desk.get(place, lambda on_decoded: sampling.of_all(shown, side))
        return sampling.of_query(shown, side, found, layer, index)

    def masks(self, key: str, run: str = "", level: int = 0, stage: int = -1, gamma: float = 0.5) -> dict:
        """Where the teacher's queries look: each with score, IoU and quality, and the combined weight three ways.

        `level` counts the teacher's feature levels and `stage` its decoder layers, -1 for the last; gamma is Eq. 8's.
        Maps are a byte for each place, in base64, `most` being the value of 255.
        """
        return masks.overview(self.place(key, run, level, stage), unit(gamma, "gamma"))

    def weighed(self, key: str, run: str = "", level: int = 0, stage: int = -1, gamma: float = 0.5) -> dict:
        """What another gamma changes of `masks`: the queries' quality, and the weight by quality."""
        return masks.weighed(self.place(key, run, level, stage), unit(gamma, "gamma"))

    def mask(self, key: str, queries: list, run: str = "", level: int = 0, stage: int = -1) -> list:
        """The masks of some of the teacher's query."""
        few = [fitting(q, int, "a query") for q in queries[:MASKS]]
        return masks.of_queries(self.place(key, run, level, stage), few)

    def stability(self, key: str, run: str = "", compare: str = "") -> dict:
        """Which query held each object in each decoder layer, at what cost and margin, of every network.

        "instability" counts, for each step from a layer to the next, the queries whose object is another (IS); "set" is
        its mean over the images that were looked at so far, `known` of `total`.
        """
        surveys = [self.gallery_of.survey(s) for s in self.pair(run, compare) if s is not None]
        return stability.stability(self.shown(key, run, compare), surveys)

    def epochs(self, key: str, run: str = "", compare: str = "", layer: int = -1) -> dict:
        """Which query held each object at the end of each epoch, in one decoder layer, where the runs recorded it."""
        return epochs.epochs(self.shown(key, run, compare), *self.pair(run, compare), layer)

    def losses(self, key: str, run: str = "") -> dict:
        """Each term of the step's loss on this image: its sum, weight, share of the total, and sum in each layer."""
        return losses.losses(self.shown(key, run, "").main)

    def term(self, key: str, path: str, layer: int = -1, run: str = "") -> dict:
        """One term, by its path LOSS/MAP, in one layer, -1 for the last: a value for each query, or a map over the image."""
        return losses.term(self.shown(key, run, "").main, path, layer)

    def doctor(self, run: str = "") -> dict:
        """What each loss does to the student of a run, and the setting to change: {"state": "working" or "made", ..}.

        As `python -m train doctor RUN`: of its records, and of a few images, which take a while; ask again until made.
        """
        return self.doctor_of.ask(self.samples(run))

    def figures(self) -> dict:
        """The figures and tables of the paper that can be made: {"pages": [{"kind", "name", "title", "image"}]}."""
        return {"pages": self.studio.catalogue()}

    def figure(self, name: str, runs: list, shipped: bool = False, image: int = NO_IMAGE) -> dict:
        """A figure or table of some runs, and of what the project ships: {"state": "working", "made" or "failed", ..}.

        It is made in a process of its own; ask again until it is. `image` is the id for a figure of one image.
        """
        return self.studio.ask(name, ids(runs), shipped, None if image == NO_IMAGE else image)

    def file(self, name: str, form: str, runs: list, shipped: bool = False, image: int = NO_IMAGE) -> dict:
        """A figure or table that is made, as pdf, svg, png, csv, tex or md: {"name", "data" in base64}."""
        return self.studio.file(name, form, ids(runs), shipped, None if image == NO_IMAGE else image)

    def figure4(self, key: str, form: str, run: str = "", level: int = 0, queries: list = NONE) -> dict:
        """Figure 4 of one image on one level, of the queries of its rules or of up to five others: {"name", "data"}."""
        if form not in DRAWN:
            raise UserError(f"no form {form[:10]!r}; there are {', '.join(DRAWN)}")
        pinned = [fitting(q, int, "a query") for q in queries[:5]]
        with self.drawing:  # matplotlib has one set of settings
            made = masks.paper(self.place(key, run, level, -1), pinned)
            data = table(made.numbers.rows) if form == "csv" else drawn(made.figure, form)
        return {"name": f"figure4.{form}", "data": b64encode(data).decode()}

    def recipes(self) -> dict:
        """What can be trained from the page, and what is: {"recipes", "run", "going", "code", "said"}."""
        return {"recipes": self.training.recipes()} | self.training.state()

    def train(self, recipe: str, epochs: int = 2, images: int = 400) -> dict:
        """Starts a small training, in a process of its own; one at a time."""
        return {"run": self.training.start(recipe, epochs, images)}

    def stop(self) -> dict:
        """Asks what was started here to save and end."""
        self.training.stop()
        return self.training.state()

    def watch(self, run: str) -> dict:
        """How a training goes: epoch, step, curves of the losses, AP and instability; and what was started here."""
        return self.training.watch(run) | {"here": self.training.state()}

    def upload(self, file: dict, score: float = 0.3) -> str:
        """Keeps an image, whose pseudo truth are teacher queries that score at least `score`; answers its key.

        `file` is what `gradio_client.handle_file(PATH)` gives: {"path"} of a file that was uploaded here.
        """
        digest = self.library.uploads.add(str(file.get("path")))
        return f"upload/{digest}/{number(str(score)):.2f}"

    # What they are made of --------------------------------------------------------------------------------------------

    def place(self, key: str, run: str, level: int, stage: int) -> Place:
        samples = self.samples(run)
        replay = self.shown(key, run, "").main
        stages = 1 if replay.trace.teacher is None else len(replay.trace.teacher.own.logits)
        where = samples.version, key
        return masks.place(replay, level, stages - 1 if stage == -1 else stage, self.desk.memory, where)

    def run_id(self, run: str) -> str:
        return run or self.library.first()

    def samples(self, run: str) -> Samples:
        return self.library.samples(self.run_id(run))

    def pair(self, run: str, compare: str) -> tuple[Samples, Samples | None]:
        main = self.samples(run)
        return main, self.library.beside(main, compare) if compare else None

    def wanted(self, key: str, run: str, compare: str) -> dict:
        """What has to be made to show an image."""
        both = [s for s in self.pair(run, compare) if s is not None]
        return {(s.version, s.check(key)): lambda on_decoded, s=s: s.replay(key, on_decoded) for s in both}

    def shown(self, key: str, run: str, compare: str) -> Shown:
        return Shown(*(self.desk.get(place, make) for place, make in self.wanted(key, run, compare).items()))


def known(counts: dict[str, int], side: str, index: int) -> None:
    """UserError: there is no such side, or none of it with this index."""
    if side not in counts:
        raise UserError(f"there is no side {side[:40]!r} here; there are {', '.join(counts)}")
    within(index, counts[side], side)


def progress(jobs: list[Job]) -> dict:
    """What is known of an image that is being looked at."""
    begun = min((job.begun for job in jobs if job.begun is not None), default=None)
    told = {
        "stage": sum(job.stage for job in jobs),
        "done": [job.done for job in jobs],
        "seconds": 0.0 if begun is None else monotonic() - begun,
    }
    if all(job.done for job in jobs):
        replays: list[Replay] = [job.result() for job in jobs]
        return told | {"scene": scene.scene(Shown(*replays))}
    return told | {"boxes": [scene.first_boxes(who, x.predictions["own"]) for who, x in jobs[0].decoded.items()]}


def ids(runs: list) -> list[str]:
    """Of a few runs."""
    return [fitting(run, str, "a run") for run in runs[:16]]
