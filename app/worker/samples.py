"""The images of a run that can be shown, by key: its own, and what was uploaded."""

import json
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from app.replay import pictures
from app.replay.shown import Replay
from app.worker.memory import Memory
from app.worker.uploads import Uploads
from core.data.batch import images
from core.data.sample import Sample
from core.distiller import OnDecoded
from core.errors import UserError
from core.metrics.detections import select
from core.runs.open import OpenRun, replay
from core.types import DistillTrace

THUMBNAILS = 1000  # kept at once, some kB each
NO_TRUTH = "No ground truth, and no teacher to stand in for it"
PSEUDO = "No ground truth: pseudo truth from teacher queries scoring {floor:.2f} or more, here {count}"


class Samples:
    """Keys are "image/ID", or "upload/DIGEST/SCORE" with the score from which teacher queries are pseudo truth."""

    def __init__(self, run: OpenRun, version: Hashable, uploads: Uploads, memory: Memory):
        """`version` tells this run, with these weights, from every other."""
        self.run, self.version, self.uploads, self.memory = run, version, uploads, memory
        self.truth = run.data.truth()
        self.names = {x["id"]: Path(x.get("file_name", f"image {x['id']}")).name for x in self.truth["images"]}
        self.thumbnails: dict[int, str] = {}
        self.places = {str(id): place for place, id in enumerate(run.data.ids)}

    @cached_property
    def data(self) -> str:
        """A digest of the objects and the images' names."""
        return sha256(json.dumps(self.truth).encode()).hexdigest()

    @cached_property
    def classes(self) -> list[Counter]:
        """Objects of each class in each image, by place."""
        name = {c.id: c.name for c in self.run.data.categories}
        found = {id: Counter() for id in self.run.data.ids}
        for a in self.truth["annotations"]:
            found[a["image_id"]][name[a["category_id"]]] += 1
        return list(found.values())

    def of(self, run: OpenRun, version: Hashable) -> "Samples":
        """The same images in another run. UserError: it knows other classes."""
        if run.classes != self.run.classes:
            raise UserError(f"{run.path} knows other classes than {self.run.path}; choose a run of the same data")
        return Samples(replace(run, data=self.run.data), version, self.uploads, self.memory)

    def sample(self, key: str) -> Sample:
        """As the data has it: an upload is without objects. UserError: nothing has this key."""
        kind, rest = split(key)
        return self.run.data[self.place(rest)] if kind == "image" else self.uploads.get(rest.partition("/")[0])

    def place(self, id: str) -> int:
        place = self.places.get(id)
        if place is None:
            raise UserError(f"{self.run.path} has no image {id[:40]!r}; the images above the canvas are those it has")
        return place

    def name(self, key: str) -> str:
        kind, rest = split(key)
        return self.names[self.run.data.ids[self.place(rest)]] if kind == "image" else "upload"

    def check(self, key: str) -> str:
        """The key; UserError where nothing has it. Reads no image."""
        kind, rest = split(key)
        if kind == "image":
            self.place(rest)
        else:
            digest, _, score = rest.partition("/")
            self.uploads.get(digest)
            number(score)
        return key

    def replay(self, key: str, on_decoded: OnDecoded) -> Replay:
        """The step on this image. Without ground truth the teacher's sure queries stand in for it."""
        kind, rest = split(key)
        sample = self.sample(key)
        if kind == "image":
            return self.show(key, sample, "given", on_decoded)
        if self.run.distiller.teacher is None:
            return self.show(key, sample, "none", on_decoded, NO_TRUTH)
        digest, _, score = rest.partition("/")
        floor = number(score)
        found = pseudo(self.untold(digest, sample, on_decoded), sample, floor)
        return self.show(key, found, "pseudo", on_decoded, PSEUDO.format(floor=floor, count=len(found.labels)))

    def untold(self, digest: str, sample: Sample, on_decoded: OnDecoded) -> DistillTrace:
        """The step on an upload without objects, which every score starts from."""
        place = self.version, "untold", digest
        if (trace := self.memory.get(place)) is None:
            trace = replay(self.run, sample, on_decoded)
            self.memory.put(place, trace)
        return trace

    def show(self, key: str, sample: Sample, truth: str, on_decoded: OnDecoded, banner: str = "") -> Replay:
        return Replay(key, self.name(key), self.run, sample, replay(self.run, sample, on_decoded), truth, banner)

    def thumbnail(self, place: int) -> str:
        """Empty where the image cannot be read: it says why once it is chosen."""
        if place not in self.thumbnails:
            if len(self.thumbnails) >= THUMBNAILS:
                self.thumbnails.clear()
            try:
                self.thumbnails[place] = pictures.thumbnail(self.run.data[place])
            except UserError:
                self.thumbnails[place] = ""
        return self.thumbnails[place]


def pseudo(trace: DistillTrace, sample: Sample, score: float) -> Sample:
    """The sample with the teacher's queries of the last layer that score at least `score` as its truth."""
    found = select(trace.teacher.own, images([replace(sample, original=sample.size)]))
    kept, seen = [], set()
    for place, (query, value) in enumerate(zip(found.queries.tolist(), found.scores.tolist())):
        if value >= score and query not in seen:
            seen.add(query)
            kept.append(place)
    return replace(sample, boxes=found.boxes[kept], labels=found.labels[kept])


def split(key: str) -> tuple[str, str]:
    kind, _, rest = key.partition("/")
    if kind not in ("image", "upload"):
        raise UserError(f"no image {key[:40]!r}; a key is image/ID, or what an upload answered")
    return kind, rest


def number(text: str) -> float:
    """A score: 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise UserError(f"{text[:40]!r} is no score; give one from 0 to 1")
    return value
