"""Images that somebody gave the page: the latest few, in memory alone."""

import os
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from threading import Lock

from app.replay import pictures
from core.data.sample import Sample
from core.errors import UserError

KEPT = 16
STRANGE = "that is no file that was uploaded here; choose an image again"


class Uploads:
    """By digest: who knows the digest knows the image."""

    def __init__(self):
        self.samples: OrderedDict[str, Sample] = OrderedDict()
        self.digests: dict[Path, str] = {}  # of what came in under a path, for as long as it is kept
        self.lock = Lock()

    def add(self, path: str) -> str:
        """Keeps the image and removes the file. UserError: it is not a file that the page received, or no image.

        A path comes from the file's content, so of several who give one picture at once, who comes later finds it kept.
        """
        place = inside(path)
        with self.lock:
            if place.is_file():
                self.digests[place] = self.read(place)
            elif place not in self.digests:
                raise UserError(STRANGE)
            return self.digests[place]

    def read(self, path: Path) -> str:
        try:
            sample, digest = pictures.read_upload(path), sha256(path.read_bytes()).hexdigest()[:16]
        finally:
            path.unlink(missing_ok=True)
        self.samples[digest] = sample
        self.samples.move_to_end(digest)
        while len(self.samples) > KEPT:
            oldest, _ = self.samples.popitem(last=False)
            self.digests = {path: kept for path, kept in self.digests.items() if kept != oldest}
        return digest

    def get(self, digest: str) -> Sample:
        with self.lock:
            if digest not in self.samples:
                raise UserError("that upload is no longer kept; upload the image again")
            return self.samples[digest]


def inside(path: str) -> Path:
    """Where the page keeps what it received; UserError for every other path, whether it exists or not."""
    root = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(gettempdir(), "gradio")).resolve()
    try:
        found = Path(path).resolve()
    except (OSError, ValueError, RuntimeError):
        found = Path("/")
    if not found.is_relative_to(root):
        raise UserError(STRANGE)
    return found
