"""Runs of random weights, opened as the app opens them."""

from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from weakref import finalize

from app.server.handlers import Handlers
from app.worker.cache import Cache
from app.worker.forward_queue import ForwardQueue
from app.worker.library import Library, Source


def handlers(*runs: Path, teacher: Path | None = None, **given) -> Handlers:
    """The first run is what is shown when nothing else is asked for."""
    first, *others = runs
    sources = [Source(first, teacher), *map(Source, others)]
    scratch = Path(mkdtemp(prefix="handlers-"))
    opened = Handlers(Library(sources, ForwardQueue(Cache(1 << 28)), **given), scratch)
    finalize(opened, rmtree, scratch, ignore_errors=True)
    return opened
