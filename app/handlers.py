"""What the page asks for, and anybody over the API: plain arguments in, plain data out. Arguments are not trusted."""

from pathlib import Path

from app import queries, views
from app.replay import Run
from app.samples import Samples
from core.errors import UserError


class Handlers:
    def __init__(self, run: Run):
        self.samples = Samples(run)

    def first(self) -> str:
        """The key of the run's first image."""
        return f"image/{self.samples.run.data.ids[0]}"

    def images(self, page: int = 0) -> dict:
        """A page of the run's images: {"items": [{"id", "name", "picture"}], "page", "pages", "where"}."""
        return self.samples.page(whole(page, "page"))

    def scene(self, key: str) -> dict:
        """Image, boxes and matched pairs in every decoder layer. The key is "image/ID", or what `upload` answered.

        Boxes are (x0, y0, x1, y1) in fractions of the image.
        """
        return views.scene(self.samples.shown(key))

    def losses(self, key: str) -> dict:
        """Each term of the step's loss on this image, by layer, with its weight; and the total that trains."""
        return views.losses(self.samples.shown(key))

    def matches(self, key: str, layer: int) -> dict:
        """Each object with the queries that answer for it in one layer, and the cost of each pair."""
        shown = self.samples.shown(key)
        if not 0 <= whole(layer, "layer") < shown.layers:
            raise UserError(f"no layer {layer}: there are {shown.layers}, from 0")
        return queries.overview(shown, layer)

    def query(self, key: str, layer: int, side: str, index: int) -> dict:
        """One query in one layer: class scores, box, and the cost of each of its matches by part.

        `side` is "student", "teacher", a further group of queries such as "prior", or "truth" for an object.
        """
        shown = self.samples.shown(key)
        layer, index = whole(layer, "layer"), whole(index, "index")
        counts = shown.counts()
        if side not in counts:
            raise UserError(f"there is no side {str(side)[:40]!r} here; there are {', '.join(counts)}")
        if not (0 <= layer < shown.layers and 0 <= index < counts[side]):
            raise UserError(f"no {side} {index} in layer {layer}: there are {shown.layers} layers of {counts[side]}")
        return queries.target(shown, layer, index) if side == "truth" else queries.query(shown, layer, side, index)

    def upload(self, path: str, score: float = 0.3) -> str:
        """Keeps an image, whose pseudo truth are teacher queries that score at least `score`; answers its key."""
        return self.rescore(f"upload/{self.samples.upload(Path(path))}/", score)

    def scored(self, key: str) -> bool:
        """Whether an image has pseudo truth, which a score decides."""
        return key.startswith("upload/") and self.samples.run.distiller.teacher is not None

    def rescore(self, key: str, score: float) -> str:
        """The key of the same upload with another score."""
        return f"{key.rpartition('/')[0]}/{float(score):.2f}"


def whole(value, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{name} must be a whole number")
    return value
