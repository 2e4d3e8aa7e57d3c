"""Work on many images in chunks, each of which is written to disk: a command that is repeated goes on where it was stopped.

Several processes share the chunks; what is written does not depend on their number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import read_json, write_json
from core.progress import watched
from train.distributed.parallel import ranks

CHUNK = 64  # images, after which what is known is on disk


@dataclass(frozen=True)
class Chunks:
    """The chunks of `count` images, as files in a folder."""

    folder: Path
    count: int
    identity: str  # of what is written: chunks of another work are not used

    def __len__(self) -> int:
        return -(-self.count // CHUNK)

    def indices(self, k: int) -> range:
        """The images of a chunk."""
        return range(k * CHUNK, min((k + 1) * CHUNK, self.count))

    def path(self, k: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"{k}.json"

    def is_known(self, k: int) -> bool:
        """Returns whether a chunk is on disk."""
        return self.path(k).exists() and read_json(self.path(k))["identity"] == self.identity

    def complete(self, title: str, work: Callable[[range], dict]) -> int:
        """Does this process's share of the missing chunks, with progress; returns the number of images in it."""
        own = [k for k in range(len(self)) if k % ranks().size == ranks().rank and not self.is_known(k)]
        images = sum(len(self.indices(k)) for k in own)
        done = self.count - images
        for k in watched(own, title, self.count, done=done, each=CHUNK) if ranks().first else own:
            write_json(self.path(k), {"identity": self.identity} | work(self.indices(k)))
        return images

    def joined(self, key: str) -> list[Any]:
        """The lists under a key of all chunks, one after another."""
        return [item for k in range(len(self)) for item in read_json(self.path(k))[key]]


def is_finished(path: Path, identity: str) -> bool:
    """Returns whether a file of this work is there already, which says so in its `info`. UserError: another file is there."""
    if not path.exists():
        return False
    if identity_in(path) != identity:
        raise UserError(f"{path} exists, and is not what this command writes; choose another --out, or move it away")
    return True


def identity_in(path: Path) -> str | None:
    """The identity of the work that wrote a file, from its `info`; None if another program wrote it."""
    content = read_json(path)
    info = content.get("info") if isinstance(content, dict) else None
    return info.get("identity") if isinstance(info, dict) else None
