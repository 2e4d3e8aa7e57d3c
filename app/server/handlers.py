"""The functions that the page calls, which are the API too: plain arguments in, plain data out. Arguments are not trusted.

`run` is one of the ids that `runs` lists, or "" for the first. `compare` is a second run, whose student is displayed beside the
first's, or "". `key` is "image/ID", or what `upload` returned. Layers count from 0. All raise UserError for arguments that do
not fit.
"""

from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from time import monotonic

from app.arguments import fitting, unit, within
from app.jobs.diagnosis import DiagnosisJobs
from app.jobs.figures import FigureJobs
from app.jobs.train import TrainingJob
from app.replay.display import Display, Replay
from app.views import epochs, header, losses, masks, matches, sampling, scene, stability
from app.views.gallery import gallery
from app.views.gallery.filters import Filters, parse_filters
from app.views.gallery.histograms import histograms
from app.views.masks import TeacherLevel
from app.views.notes import listing
from app.views.overview.overview import Overview
from app.worker.forward_queue import Compute, Job
from app.worker.library import Library
from app.worker.notes import remove
from app.worker.samples import Samples, parse_score
from app.worker.survey import Survey, Surveys
from core.errors import UserError
from core.terminal import printable_data

ANSWER = 15.0  # seconds after which a page that waits gets an answer, whether or not anything new is known
AT_ONCE = 0.15  # seconds that a page waits for the whole scene before it gets a part
MASKS = 12  # queries whose masks one request gets
PINNED = 5  # queries that one can choose for Figure 4
RUNS = 16  # of which one figure is made
NO_IMAGE = -(2**31)  # image ids may be any other number
NONE: list = []  # a default that is never changed
FORMS = ("pdf", "svg", "png", "csv")


class Handlers:
    """The endpoints, and what they share: open runs, the queue of forward passes, surveys and jobs."""

    def __init__(self, library: Library, scratch: Path) -> None:
        """`scratch` is a folder for files of jobs, which the caller removes."""
        self.library, self.queue = library, library.queue
        self.surveys, self.diagnosis_jobs = Surveys(self.queue), DiagnosisJobs(self.queue)
        self.training, self.figure_jobs = TrainingJob(library, scratch), FigureJobs(library, scratch)
        self.overviews = Overview(library, self.diagnosis_jobs.known, self.surveys_of)
        self.matplotlib = Lock()  # its settings are global

    # Endpoints --------------------------------------------------------------------------------------------------------

    def runs(self) -> dict:
        """The runs that can be opened: {"runs": [{"id", "student", "teacher", "ap", "lacks"}], "first": id}."""
        return {"runs": self.library.listing(), "first": self.library.first()}

    def about(self, run: str = "") -> dict:
        """The header of a run: its detectors, AP, classes, feature levels, and the image that it opens on ("first")."""
        return header.about(run or self.library.first(), self.samples(run))

    def gallery(
        self,
        run: str = "",
        compare: str = "",
        sort: str = "order",
        category: str = "",
        page: int = 0,
        near: str = "",
        objects: str = "",
        size: str = "",
        score: str = "",
        change: str = "",
    ) -> dict:
        """One page of the run's images in some order: {"items", "page", "pages", "where", "known", "total", "sorts"}.

        `sort` is order, flips, cost, loss, disagreement or missed, and with a second run gained or lost. Images are evaluated
        in the background: `known` of `total` are so far. `near` is the key of an image whose page is wanted. The filters are
        those of `filters`.
        """
        both = self.both_samples(run, compare)
        if sort not in gallery.SORTS or (len(both) == 1 and sort in gallery.OF_TWO_RUNS):
            sorts = ", ".join(gallery.SORTS)
            raise UserError(f"no sort {sort[:40]!r}; there are {sorts}, the last two beside another run")
        chosen = filters_of(both, category, objects, size, score, change)
        return gallery.gallery(both[0], self.surveys_of(both), sort, chosen, page, near)

    def filters(
        self,
        run: str = "",
        compare: str = "",
        category: str = "",
        objects: str = "",
        size: str = "",
        score: str = "",
        change: str = "",
    ) -> dict:
        """How many images pass all filters, and histograms of what there is to filter by; "" stands for any.

        An image passes if one of its objects is of the class `category`, of the `size` (root of its area in pixels), found by a
        detection of the `score`, and gained, lost, kept or missed as `change` says, of which gained and lost need a second run;
        and if it has as many `objects`. Ranges are texts "FROM-TO", ends included, either of which may be missing.
        Returns {"matching", "images", "known", "analysed", "changes", "histograms": [{"id", "width", "most", "bars"}]}.
        """
        both = self.both_samples(run, compare)
        return histograms(self.surveys_of(both), filters_of(both, category, objects, size, score, change))

    def find(self, text: str, run: str = "") -> str:
        """The key of the image with this id or file name, or of the first whose file name contains the text."""
        return gallery.find(self.samples(run), text)

    def image(self, key: str, run: str = "") -> dict:
        """The picture of an image and its annotated objects, for which no network is run."""
        samples = self.samples(run)
        return scene.image(key, samples.name(key), samples.sample(key), samples.classes)

    def scene(self, key: str, run: str = "", compare: str = "") -> dict:
        """Boxes and matched pairs, with their costs, in every decoder layer.

        Boxes are (x0, y0, x1, y1) in fractions of the image; pairs are (query, target, cost).
        """
        return scene.scene(self.display(key, run, compare))

    def look(self, key: str, who: str, run: str = "", compare: str = "", have: int = -1) -> dict:
        """The scene for a page that waits, in parts: returns as soon as more is known than the stage that the page `have`.

        `who` is the page; what it waited for before is dropped. Returns {"stage", "done", "seconds"} with "scene" once all
        is computed, and before that with "boxes" of the detectors that are done.
        """
        jobs = self.queue.request(self.passes(key, run, compare), who)
        if have < 0:
            return progress(self.queue.wait(jobs, seconds=AT_ONCE))
        return progress(self.queue.wait(jobs, seconds=ANSWER, beyond=have))

    def matches(self, key: str, layer: int, run: str = "", compare: str = "") -> dict:
        """Each object with the queries that are matched with it in one layer, and the cost of each pair."""
        display = self.display(key, run, compare)
        within(layer, display.layers, "layer")
        return matches.overview(display, layer)

    def query(self, key: str, layer: int, side: str, index: int, run: str = "", compare: str = "") -> dict:
        """One query in one layer: class scores, box, and for each of its matches cost by part, margin and runner-up.

        `side` is "student", "teacher", "other" for the second run's student, a further group of queries such as "prior",
        or "truth" for an object.
        """
        display = self.display(key, run, compare)
        member(display.counts, side, index)
        within(layer, display.layers, "layer")
        return matches.target(display, layer, index) if side == "truth" else matches.query(display, layer, side, index)

    def reading(self, key: str, layer: int, side: str, index: int, run: str = "", compare: str = "") -> dict:
        """The sampling locations of one query in one layer: {"places": [(x, y, weight)], "share" inside its box, "says"}.

        They are sampling points, or tokens with their attention, in fractions of the image; the largest weight comes last.
        """
        display = self.display(key, run, compare)
        member({name: side.queries for name, side in display.sides.items()}, side, index)
        within(layer, display.layers, "layer")
        cache_key = "reading", side, *self.passes(key, run, compare)
        locations = self.queue.get(cache_key, lambda on_decoded: sampling.side_locations(display, side))
        return sampling.query_locations(display, side, locations, layer, index)

    def masks(self, key: str, run: str = "", level: int = 0, stage: int = -1, gamma: float = 0.5) -> dict:
        """The teacher's queries with score, IoU, quality and mask statistics, and their masks combined in three ways.

        `level` counts the teacher's feature levels and `stage` its decoder layers, -1 for the last; gamma is that of Eq. 8.
        Maps have one byte for each place, in base64; "most" is the value of byte 255.
        """
        return masks.overview(self.teacher_level(key, run, level, stage), unit(gamma, "gamma"))

    def weighed(self, key: str, run: str = "", level: int = 0, stage: int = -1, gamma: float = 0.5) -> dict:
        """The part of `masks` that depends on gamma: the queries' quality, and the masks combined by quality."""
        return masks.weighed(self.teacher_level(key, run, level, stage), unit(gamma, "gamma"))

    def mask(self, key: str, queries: list, run: str = "", level: int = 0, stage: int = -1) -> list:
        """The masks of some of the teacher's queries."""
        numbers = [fitting(q, int, "a query") for q in queries[:MASKS]]
        return masks.query_heat(self.teacher_level(key, run, level, stage), numbers)

    def stability(self, key: str, run: str = "", compare: str = "") -> dict:
        """The query matched with each object in each decoder layer, with cost and margin, of every detector.

        "instability" is, for each step from a layer to the next, the number of queries whose object changes (IS); "set" is
        its mean over the images that were evaluated so far, `known` of `total`.
        """
        surveys = self.surveys_of(self.both_samples(run, compare))
        means = {
            "teacher": surveys[0].mean_instability("teacher"),
            "student": surveys[0].mean_instability(),
            "other": surveys[-1].mean_instability(),
        }
        known = min(survey.done for survey in surveys)
        return stability.stability(self.display(key, run, compare), means, known, surveys[0].total)

    def epochs(self, key: str, run: str = "", compare: str = "", layer: int = -1) -> dict:
        """The query matched with each object at the end of each epoch, in one decoder layer, where the runs recorded it."""
        display = self.display(key, run, compare)
        if layer != -1:
            within(layer, display.layers, "layer")
        return epochs.epochs(display, self.both_samples(run, compare), layer)

    def losses(self, key: str, run: str = "") -> dict:
        """Each term of the training loss on this image: its sum, weight, share of the total, and sum in each layer."""
        return losses.losses(self.display(key, run, "").main)

    def term(self, key: str, path: str, layer: int = -1, run: str = "") -> dict:
        """One term, by its path LOSS/MAP, in one layer, -1 for the last: a value for each query, or a map over the image."""
        return losses.term(self.display(key, run, "").main, path, layer)

    def doctor(self, run: str = "") -> dict:
        """The diagnosis of a run, as of `python -m train doctor RUN`: {"state": "working" or "made", ...}.

        It replays a few images, which takes a while: ask again until it is made.
        """
        return printable_data(self.diagnosis_jobs.diagnose(self.samples(run)))

    def overview(self, run: str = "", compare: str = "", others: list = NONE) -> dict:
        """Returns what runs recorded while they were trained, and in words whether distilling helped.

        {"runs": the run, the one that it is compared with, and up to 14 others, "partners", "clauses": [{"text", "to"}], "gain"}.
        """
        run = run or self.library.first()
        others = [id for id in run_ids(others) if id not in (run, compare)]
        return printable_data(self.overviews.recorded(run, compare, others))

    def verdict(self, run: str = "", compare: str = "") -> dict:
        """Returns what the images of a run say about it, as far as it is known: ask again until it is "done".

        {"clauses": [{"text", "to"}], "counts" of objects, "doctor" and "measured" of each run, "said", "done"}.
        """
        return printable_data(self.overviews.verdict(run or self.library.first(), compare))

    def notes(self, run: str = "", text: str = "", tag: str = "") -> dict:
        """The notes on images and objects of a run: {"notes", "tags": {tag: count}, "total", "file"}.

        Only those with a text in them, and with a tag; "" for any.
        """
        return listing.listing(self.samples(run), text, tag)

    def note(self, key: str, text: str, tags: list = NONE, object: int = -1, run: str = "", id: str = "") -> dict:
        """Writes a note on an image, or on one of its objects, which count from 0; returns all notes.

        `id` is that of a note that it replaces.
        """
        listing.keep(self.samples(run), key, object, text, [fitting(tag, str, "a tag") for tag in tags], id)
        return self.notes(run)

    def unnote(self, id: str, run: str = "") -> dict:
        """Removes a note; returns all that are left."""
        remove(self.samples(run).run.path, id)
        return self.notes(run)

    def exported(self, form: str, run: str = "", text: str = "", tag: str = "") -> dict:
        """The notes with a text and a tag, as json or csv, or as coco their images, to label: {"name", "data" in base64}."""
        return listing.file(self.samples(run), form, text, tag)

    def figures(self) -> dict:
        """The figures and tables of the paper that can be made: {"pages": [{"kind", "name", "title", "image"}]}."""
        return {"pages": self.figure_jobs.catalogue()}

    def figure(self, name: str, runs: list, shipped: bool = False, image: int = NO_IMAGE) -> dict:
        """A figure or table of some runs: {"state": "working", "made" or "failed", ...}.

        It is made in a process of its own: ask again until it is. `shipped` adds the runs and results that come with the
        project; `image` is the id of an image, for a figure of one image.
        """
        return self.figure_jobs.request(name, run_ids(runs), shipped, None if image == NO_IMAGE else image)

    def file(self, name: str, form: str, runs: list, shipped: bool = False, image: int = NO_IMAGE) -> dict:
        """A figure or table that was made, as pdf, svg, png, csv, tex or md: {"name", "data" in base64}."""
        return self.figure_jobs.file(name, form, run_ids(runs), shipped, None if image == NO_IMAGE else image)

    def figure4(self, key: str, form: str, run: str = "", level: int = 0, queries: list = NONE) -> dict:
        """Figure 4 of one image on one level, as pdf, svg, png or csv: {"name", "data" in base64}.

        Its panels show the queries that its rules choose, the first of them replaced by up to five others.
        """
        if form not in FORMS:
            raise UserError(f"no form {form[:10]!r}; there are {', '.join(FORMS)}")
        pinned = [fitting(q, int, "a query") for q in queries[:PINNED]]
        from analysis.figures import render, to_csv  # takes a second to import, which the first page need not wait for

        with self.matplotlib:
            picture = masks.figure(self.teacher_level(key, run, level, -1), pinned)
            data = to_csv(picture.numbers.rows) if form == "csv" else render(picture.figure, form)
        return {"name": f"figure4.{form}", "data": b64encode(data).decode()}

    def recipes(self) -> dict:
        """The recipes that the page can train, and its last training: {"recipes", "run", "going", "code", "said"}."""
        return {"recipes": self.training.recipes()} | self.training.state()

    def train(self, recipe: str, epochs: int = 2, images: int = 400) -> dict:
        """Starts a small training in a process of its own, one at a time: {"run": id}."""
        return {"run": self.training.start(recipe, epochs, images)}

    def stop(self) -> dict:
        """Asks the training that was started here to save and end."""
        self.training.stop()
        return self.training.state()

    def watch(self, run: str) -> dict:
        """The progress of a training: epoch, step, curves of losses, AP and instability; and what was started here."""
        return self.training.watch(run) | {"here": self.training.state()}

    def upload(self, file: dict, score: float = 0.3) -> str:
        """Keeps an uploaded image and returns its key. Teacher queries that score at least `score` are its pseudo truth.

        `file` is what `gradio_client.handle_file(PATH)` gives: {"path"} of a file that was uploaded here.
        """
        digest = self.library.uploads.add(str(file.get("path")))
        return f"upload/{digest}/{parse_score(str(score)):.2f}"

    # What endpoints are made of ---------------------------------------------------------------------------------------

    def samples(self, run: str) -> Samples:
        """A run with its images; "" stands for the first."""
        return self.library.samples(run or self.library.first())

    def both_samples(self, run: str, compare: str) -> list[Samples]:
        """The run, and the second one if there is one, with the images of the first."""
        main = self.samples(run)
        return [main, self.library.second(main, compare)] if compare else [main]

    def surveys_of(self, both: Sequence[Samples]) -> list[Survey]:
        """The survey of each run."""
        return [self.surveys.survey(samples) for samples in both]

    def passes(self, key: str, run: str, compare: str) -> dict[tuple, Compute]:
        """The forward passes that display an image, one for each run, by their keys in the cache."""
        both = self.both_samples(run, compare)
        versions = [samples.version for samples in both]
        return {
            (*dict.fromkeys(versions[: k + 1]), samples.check(key)): partial(samples.replay, key, both[0])
            for k, samples in enumerate(both)
        }

    def display(self, key: str, run: str, compare: str) -> Display:
        """An image as the runs see it, from the cache or computed now."""
        return Display(*(self.queue.get(*item) for item in self.passes(key, run, compare).items()))

    def teacher_level(self, key: str, run: str, level: int, layer: int) -> TeacherLevel:
        """A level of the teacher's features of an image."""
        cache_key = self.samples(run).version, key
        return masks.teacher_level(self.display(key, run, "").main, level, layer, self.queue.cache, cache_key)


def filters_of(both: Sequence[Samples], category: str, objects: str, size: str, score: str, change: str) -> Filters:
    """The filters that a request asks for, of a run or of two."""
    ranges = {"objects": objects, "size": size, "score": score}
    return parse_filters(both[0].classes, category, change, ranges, len(both) > 1)


def member(counts: dict[str, int], side: str, index: int) -> None:
    """Checks that a side has a member with this index. UserError: it has none, or there is no such side."""
    if side not in counts:
        raise UserError(f"there is no side {side[:40]!r} here; there are {', '.join(counts)}")
    within(index, counts[side], side)


def progress(jobs: Sequence[Job]) -> dict:
    """The results for an image so far, from copies of the jobs of its runs."""
    begun = min((job.begun for job in jobs if job.begun is not None), default=None)
    state = {
        "stage": sum(job.stage for job in jobs),
        "done": [job.done for job in jobs],
        "seconds": 0.0 if begun is None else monotonic() - begun,
    }
    if all(job.done for job in jobs):
        replays: list[Replay] = [job.result() for job in jobs]
        return state | {"scene": scene.scene(Display(*replays))}
    decoded = jobs[0].decoded.items()
    return state | {"boxes": [scene.decoded_group(name, d.predictions["own"]) for name, d in decoded]}


def run_ids(runs: list) -> list[str]:
    """The ids of the first few runs. UserError: one of them is no text."""
    return [fitting(run, str, "a run") for run in runs[:RUNS]]
