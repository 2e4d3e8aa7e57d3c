"""The images of a run that can be displayed, by key: its validation images, and uploaded images."""

import json
from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import torch

from app import words
from app.replay import pictures
from app.replay.display import Replay, Truth, shown_classes
from app.worker.cache import Cache
from app.worker.columns import Columns, columns
from app.worker.uploads import Uploads
from core.boxes import corners
from core.data.sample import Sample
from core.data.unlabelled.pictures import Pictures
from core.distiller import OnDecoded
from core.errors import UserError
from core.metrics.gained_lost import MIN_SCORE
from core.pseudo import PseudoRule, pseudo_objects
from core.runs.open import OpenRun, replay
from core.terminal import printable
from core.types import Decoded, DistillTrace, Trace

THUMBNAILS = 1000  # kept in memory, of some kB each


class Samples:
    """A run with its images. A key is "image/ID", or "upload/DIGEST/SCORE" with the lowest score of pseudo truth."""

    def __init__(
        self, run: OpenRun, version: tuple[Hashable, ...], uploads: Uploads, cache: Cache, *, own_images: bool = True
    ) -> None:
        """`version` differs between any two runs, weights or sets of images.

        `own_images` says whether the images are those on which the run was measured while it was trained.
        """
        self.run, self.version, self.uploads, self.cache = run, version, uploads, cache
        self.own_images = own_images
        self.truth = run.data.truth()
        self.names = {x["id"]: shown_name(x) for x in self.truth["images"]}
        self.thumbnails: dict[int, str] = {}  # by index
        self.indices = {str(id): index for index, id in enumerate(run.data.ids)}

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by label, as they are shown."""
        return shown_classes(self.run)

    @cached_property
    def digest(self) -> str:
        """A digest of the annotations and the images' names."""
        return sha256(json.dumps(self.truth).encode()).hexdigest()

    @cached_property
    def columns(self) -> Columns:
        """The annotated objects of all images."""
        return columns(self.truth)

    @cached_property
    def opening(self) -> str:
        """The key of the image that the page opens on: one that is worth it, by its annotations alone."""
        return f"image/{self.run.data.ids[self.columns.telling()]}"

    def with_run(self, run: OpenRun, version: tuple[Hashable, ...]) -> "Samples":
        """The same images in another run. UserError: that run has other classes."""
        if run.classes != self.run.classes:
            raise UserError(f"{run.path} knows other classes than {self.run.path}; choose a run of the same data")
        return Samples(replace(run, data=self.run.data), version, self.uploads, self.cache, own_images=False)

    def sample(self, key: str) -> Sample:
        """The image with its annotated objects, of which an upload has none. UserError: there is no such image."""
        kind, rest = split_key(key)
        return self.run.data[self.index(rest)] if kind == "image" else self.uploads.get(rest.partition("/")[0])

    def index(self, id: str) -> int:
        """The place of an image in the data, from its id. UserError: there is no such image."""
        index = self.indices.get(id)
        if index is None:
            raise UserError(f"{self.run.path} has no image {id[:40]!r}; the images above the canvas are those it has")
        return index

    def name(self, key: str) -> str:
        """The file name of an image, or "upload"."""
        kind, rest = split_key(key)
        return self.names[self.run.data.ids[self.index(rest)]] if kind == "image" else "upload"

    def check(self, key: str) -> str:
        """Returns the key without reading its image. UserError: there is no such image."""
        kind, rest = split_key(key)
        if kind == "image":
            self.index(rest)
        else:
            digest, _, score = rest.partition("/")
            self.uploads.get(digest)
            parse_score(score)
        return key

    def replay(self, key: str, truth_of: "Samples", on_decoded: OnDecoded) -> Replay:
        """The training step on one image, with the objects that `truth_of`, the first of two runs, has for it."""
        sample, truth, banner = truth_of.with_truth(key, on_decoded if truth_of is self else nothing)
        return Replay(key, self.name(key), self.run, sample, replay(self.run, sample, on_decoded), truth, banner)

    def with_truth(self, key: str, on_decoded: OnDecoded) -> tuple[Sample, Truth, str]:
        """An image with its objects, the kind of truth that these are, and a banner.

        An upload, or an image of unlabelled data, has confident teacher queries as its objects, if there is a teacher.
        """
        kind, rest = split_key(key)
        sample = self.sample(key)
        if kind == "image" and not isinstance(self.run.data, Pictures):
            return sample, "given", ""
        if self.run.distiller.teacher is None:
            return sample, "none", words.NO_TRUTH
        digest, _, text = rest.partition("/")
        rule = self.rule() if kind == "image" else self.least(parse_score(text))
        teacher = self.replay_without_truth(key if kind == "image" else digest, sample, on_decoded).teacher
        assert teacher is not None  # the run has one
        sample = with_pseudo_truth(sample, teacher, rule)
        return sample, "pseudo", words.pseudo_truth(rule.scores, len(sample.labels))

    def rule(self) -> PseudoRule:
        """Which teacher queries are the objects of a picture: by the rule that the run itself learnt with, if it had one."""
        entry = self.run.card.get("pseudo")
        return PseudoRule.from_entry(entry, f"{self.run.path}/card.json: pseudo") if entry else self.least(MIN_SCORE)

    def least(self, score: float) -> PseudoRule:
        """The rule that takes every query of at least a score."""
        return PseudoRule((score,) * len(self.run.classes))

    def replay_without_truth(self, digest: str, sample: Sample, on_decoded: OnDecoded) -> DistillTrace:
        """The training step on an upload without objects, which is cached: it is the same for every score."""
        key = self.version, "without truth", digest
        if (trace := self.cache.get(key)) is None:
            trace = replay(self.run, sample, on_decoded)
            self.cache.put(key, trace)
        return trace

    def thumbnail(self, index: int) -> str:
        """A small picture as a data URI; empty where the image cannot be read, which is reported when it is chosen."""
        if index not in self.thumbnails:
            if len(self.thumbnails) >= THUMBNAILS:
                self.thumbnails.clear()
            try:
                self.thumbnails[index] = pictures.thumbnail_uri(self.run.data[index])
            except UserError:
                self.thumbnails[index] = ""
        return self.thumbnails[index]


def shown_name(image: dict) -> str:
    """The name under which an image of an annotation file is shown: that of its file."""
    return printable(Path(image.get("file_name", f"image {image['id']}")).name)


def nothing(who: str, decoded: Decoded) -> None:
    """Takes what another run has decoded, which is not shown as this run's."""


def with_pseudo_truth(sample: Sample, teacher: Trace, rule: PseudoRule) -> Sample:
    """The sample with those teacher queries of the last layer as its objects that a rule chooses."""
    objects = pseudo_objects(teacher.own, rule)
    height, width = sample.size
    boxes = corners(objects.boxes) * torch.tensor([width, height, width, height])
    return replace(sample, boxes=boxes, labels=objects.labels)


def split_key(key: str) -> tuple[str, str]:
    """The kind of a key, "image" or "upload", and the rest of it. UserError: it is of another kind."""
    kind, _, rest = key.partition("/")
    if kind not in ("image", "upload"):
        raise UserError(f"no image {key[:40]!r}; a key is image/ID, or what an upload answered")
    return kind, rest


def parse_score(text: str) -> float:
    """A score from 0 to 1. UserError: the text is none."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise UserError(f"{text[:40]!r} is no score; give one from 0 to 1")
    return value
