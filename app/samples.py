"""The images that can be shown, by key: the run's own, and what was uploaded."""

from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

from app import pictures
from app.replay import Run, pseudo, replay
from app.shown import Shown
from core.data.sample import Sample
from core.errors import UserError

UPLOADS = 16  # kept at most, the latest
PAGE = 12  # images on a page of the strip


class Samples:
    """Keys are "image/ID", or "upload/DIGEST/SCORE" with the score from which teacher queries are pseudo truth."""

    def __init__(self, run: Run):
        self.run = run
        self.classes = tuple(c.name for c in run.data.categories)
        self.names = {x["id"]: x.get("file_name", f"image {x['id']}") for x in run.data.truth()["images"]}
        self.places = {str(id): place for place, id in enumerate(run.data.ids)}
        self.uploads: OrderedDict[str, Sample] = OrderedDict()

    def shown(self, key: str) -> Shown:
        """UserError: nothing has this key."""
        kind, _, rest = str(key).partition("/")
        return self.own(rest) if kind == "image" else self.uploaded(*rest.partition("/")[::2])

    def own(self, id: str) -> Shown:
        place = self.places.get(id)
        if place is None:
            raise UserError(f"the run has no image {id[:40]!r}; the strip above the canvas shows those it has")
        return self.show(f"image/{id}", self.names[int(id)], self.run.data[place], "given")

    def upload(self, path: Path) -> str:
        """Keeps an image; its digest is the middle of its keys."""
        sample = pictures.read_upload(path)
        digest = sha256(path.read_bytes()).hexdigest()[:16]
        self.uploads[digest] = sample
        self.uploads.move_to_end(digest)
        while len(self.uploads) > UPLOADS:
            self.uploads.popitem(last=False)
        return digest

    def uploaded(self, digest: str, score: str) -> Shown:
        sample, floor = self.uploads.get(digest), number(score)
        if sample is None or floor is None:
            raise UserError("that upload is no longer kept; upload the image again")
        key = f"upload/{digest}/{floor:.2f}"
        if self.run.distiller.teacher is None:
            return self.show(key, "upload", sample, "none", "No ground truth, and no teacher to stand in for it")
        sample = pseudo(self.run, sample, floor)
        count = len(sample.labels)
        banner = f"No ground truth: pseudo truth from teacher queries scoring {floor:.2f} or more, here {count}"
        return self.show(key, "upload", sample, "pseudo", banner)

    def show(self, key: str, name: str, sample: Sample, truth: str, banner: str = "") -> Shown:
        return Shown(key, name, sample, replay(self.run, sample), self.run.distiller, self.classes, truth, banner)

    def page(self, page: int) -> dict:
        """What the strip shows: some of the run's images."""
        ids, pages = self.run.data.ids, max(1, -(-len(self.run.data.ids) // PAGE))
        page = max(0, min(page, pages - 1))
        here = range(page * PAGE, min(len(ids), (page + 1) * PAGE))
        items = [{"id": ids[i], "name": self.names[ids[i]], "picture": self.thumbnail(i)} for i in here]
        return {"items": items, "page": page, "pages": pages, "where": f"{here.start + 1}–{here.stop} of {len(ids)}"}

    def thumbnail(self, place: int) -> str:
        """Empty where the image cannot be read: it says why once it is chosen."""
        try:
            return pictures.thumbnail(self.run.data[place])
        except UserError:
            return ""


def number(text: str) -> float | None:
    """A score: 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None
