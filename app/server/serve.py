"""Opens the runs that the command line names, and serves the page to this machine only."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import gradio as gr
from starlette.middleware import Middleware

from app.replay.pictures import UPLOAD_BYTES
from app.server.handlers import Handlers
from app.server.local import Local
from app.server.modules import mount
from app.server.page import build
from app.server.theme import css, theme
from app.worker.cache import Cache
from app.worker.forward_queue import ForwardQueue
from app.worker.library import Library, Source
from app.worker.survey import refuse_unwritable
from core.errors import UserError
from core.terminal import printable

HOST = "127.0.0.1"
CACHE_BYTES = 1 << 30  # of traces and masks


@dataclass(frozen=True)
class Options:
    """The options of the command line; None for one that was not given."""

    run: Path | None
    teacher: Path | None
    compare: Path | None
    data: Path | None
    images: Path | None
    port: int


def serve(options: Options) -> None:
    """Serves the page until it is interrupted. UserError: a run, its data, the port or the cache is not available."""
    refuse_unwritable()
    port = free_port(options.port)
    first = Source(options.run, options.teacher) if options.run else None
    second = Source(options.compare) if options.compare else None
    queue = ForwardQueue(Cache(CACHE_BYTES))
    library = Library(filter(None, [first, second]), queue, options.data, options.images)
    jobs = Path(os.environ["GRADIO_TEMP_DIR"]).with_name("jobs")
    jobs.mkdir(exist_ok=True)
    handlers = Handlers(library, jobs)
    page = build(handlers, first_selection(library, second))
    url = launch(page, port)
    print(f"The page is at {url}\nClick a box to see the cost of its match. Ctrl-C ends the program.", flush=True)
    try:
        Event().wait()
    finally:
        page.close(verbose=False)
        queue.close()
        handlers.training.close()
        handlers.figure_jobs.stop()


def first_selection(library: Library, second: Source | None) -> dict:
    """The selection that the page begins with: {"run", "compare", "image", "sort", "apart"}.

    UserError: a run cannot be opened.
    """
    first = library.first()
    print(f"opening {printable(first)} ...", flush=True)
    main = library.samples(first)
    if second:
        library.second(main, second.id)
    shown = {"run": first, "compare": second.id if second else "", "image": main.opening}
    pictures = bool(library.images and not library.data)  # without annotations: which ones are worth a look?
    return shown | {"sort": "disagreement" if pictures else "order", "apart": pictures}


def launch(page: gr.Blocks, port: int) -> str:
    """Starts to serve the page, and returns its address."""
    _, url, _ = page.queue().launch(
        server_name=HOST,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        max_file_size=UPLOAD_BYTES,
        footer_links=["api", "settings"],
        theme=theme(),
        css=css(),
        app_kwargs={"middleware": [Middleware(Local)], "routes": [mount()]},
    )
    return url


def free_port(port: int) -> int:
    """The port itself, or for 0 any that is free. UserError: it is taken."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            raise UserError(f"port {port} cannot be had; give another, such as --port 0 for any that is free") from None
        return probe.getsockname()[1]
