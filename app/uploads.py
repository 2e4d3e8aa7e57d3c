"""Images that somebody gave the page: the latest few, in memory alone."""

import os
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from threading import Lock

from app import pictures
from core.data.sample import Sample
from core.errors import UserError

KEPT = 16


class Uploads:
    """By digest: who knows the digest knows the image."""

    def __init__(self):
        self.samples: OrderedDict[str, Sample] = OrderedDict()
        self.lock = Lock()

    def add(self, path: Path) -> str:
        """Keeps the image and removes the file. UserError: it is not a file that the page received, or no image."""
        try:
            sample, digest = pictures.read_upload(path), sha256(path.read_bytes()).hexdigest()[:16]
        finally:
            path.unlink(missing_ok=True)
        with self.lock:
            self.samples[digest] = sample
            self.samples.move_to_end(digest)
            while len(self.samples) > KEPT:
                self.samples.popitem(last=False)
        return digest

    def get(self, digest: str) -> Sample:
        with self.lock:
            if digest not in self.samples:
                raise UserError("that upload is no longer kept; upload the image again")
            return self.samples[digest]


def received(path: str) -> Path:
    """A file that came in over the page; UserError for every other path, whether it exists or not."""
    root = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(gettempdir(), "gradio")).resolve()
    try:
        found = Path(path).resolve()
    except (OSError, ValueError, RuntimeError):
        found = Path("/")
    if not (found.is_relative_to(root) and found.is_file()):
        raise UserError("that is no file that was uploaded here; choose an image again")
    return found
