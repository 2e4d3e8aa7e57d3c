"""Opens what was asked for and serves its page, on this machine alone."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import gradio as gr
from starlette.middleware import Middleware

from app.replay.pictures import BYTES
from app.server.handlers import Handlers
from app.server.local import Local
from app.server.page import build
from app.server.theme import css, theme
from app.worker.desk import Desk
from app.worker.library import Library, Source
from app.worker.memory import Memory
from core.errors import UserError

HOST = "127.0.0.1"
BUDGET = 1 << 30  # bytes of traces


@dataclass(frozen=True)
class Wish:
    """What the command line says."""

    run: Path | None
    teacher: Path | None
    compare: Path | None
    data: Path | None
    images: Path | None
    port: int


def serve(wish: Wish) -> None:
    """Until it is interrupted. UserError where a run, its data or the port cannot be had."""
    port = free_port(wish.port)
    given = [Source(wish.run, wish.teacher)] if wish.run else []
    second = Source(wish.compare) if wish.compare else None
    library = Library([*given, *filter(None, [second])], Desk(Memory(BUDGET)), wish.data, wish.images)
    handlers = Handlers(library, Path(os.environ["GRADIO_TEMP_DIR"]))
    page = build(handlers, opening(library, second))
    url = launch(page, port)
    print(f"look at it: {url}\nclick a box to see the cost of its match; Ctrl-C ends", flush=True)
    try:
        Event().wait()
    finally:
        page.close(verbose=False)
        library.desk.close()
        handlers.training.close()
        handlers.studio.leave()


def opening(library: Library, second: Source | None) -> dict:
    """What the page shows first; whatever is wrong with it is told before anything is served."""
    first = library.first()
    print(f"opening {first} ...", flush=True)
    main = library.samples(first)
    if second:
        library.beside(main, second.id)
    return {"run": first, "compare": second.id if second else "", "image": f"image/{main.run.data.ids[0]}"}


def launch(page: gr.Blocks, port: int) -> str:
    """The address that the page is served at from now on."""
    _, url, _ = page.queue().launch(
        server_name=HOST,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        max_file_size=BYTES,
        footer_links=["api", "settings"],
        theme=theme(),
        css=css(),
        app_kwargs={"middleware": [Middleware(Local)]},
    )
    return url


def free_port(port: int) -> int:
    """The port itself, or any that is free for 0; UserError where it is taken."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            raise UserError(f"port {port} cannot be had; give another, such as --port 0 for any that is free") from None
        return probe.getsockname()[1]
