"""Images that were uploaded to the page: the latest few, in memory only."""

import os
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from threading import Lock

from app.replay import pictures
from core.data.sample import Sample
from core.errors import UserError

KEPT = 16  # images
UNKNOWN = "that is no file that was uploaded here; choose an image again"


class Uploads:
    """Uploaded images by digest, so that an image is known only to those who know its digest."""

    def __init__(self) -> None:
        self.samples: OrderedDict[str, Sample] = OrderedDict()
        self.digests: dict[Path, str] = {}  # by the path of the uploaded file, for as long as its image is kept
        self.lock = Lock()

    def add(self, path: str) -> str:
        """Keeps the image of an uploaded file, removes the file, and returns the image's digest.

        The page's server names a file after its content: of several clients that upload the same picture, the later ones
        find it kept. UserError: the file was not uploaded to this page, or is no image.
        """
        file = uploaded_file(path)
        with self.lock:
            drop_unused(file)
            if file.is_file():
                self.digests[file] = self.read(file)
            elif file not in self.digests:
                raise UserError(UNKNOWN)
            return self.digests[file]

    def read(self, path: Path) -> str:
        """Keeps the image of a file, removes the file, and returns the digest; drops the oldest images."""
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
        """An uploaded image. UserError: it is not kept any more."""
        with self.lock:
            if digest not in self.samples:
                raise UserError("that upload is no longer kept; upload the image again")
            return self.samples[digest]


def drop_unused(wanted: Path) -> None:
    """Removes all but the newest uploads, and the one that is `wanted`, since some are never used."""
    files = [(file.stat().st_mtime, file) for file in upload_folder().glob("*/*") if file.is_file() and file != wanted]
    for _, file in sorted(files)[:-KEPT]:
        file.unlink(missing_ok=True)


def upload_folder() -> Path:
    """The folder into which the page's server puts uploads, each in a folder of its own."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(gettempdir(), "gradio")).resolve()


def uploaded_file(path: str) -> Path:
    """The path of a file in the folder into which the page's server puts uploads.

    UserError: the path is anywhere else, whether or not there is a file.
    """
    try:
        file = Path(path).resolve()
    except (OSError, ValueError, RuntimeError):
        file = Path("/")
    if not file.is_relative_to(upload_folder()):
        raise UserError(UNKNOWN)
    return file
