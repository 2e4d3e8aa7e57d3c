"""Opens a run and serves its page, on this machine alone."""

import socket
from pathlib import Path
from threading import Event

import gradio as gr

from app.handlers import Handlers
from app.page import build
from app.pictures import BYTES
from app.replay import find_run, open_run
from app.theme import css, theme
from core.errors import UserError

HOST = "127.0.0.1"


def serve(run: Path | None, data: Path | None, images: Path | None, port: int) -> None:
    """Until it is interrupted. UserError where the run, its data or the port cannot be had."""
    port = free_port(port)
    path = run or find_run()
    print(f"opening {path} ...", flush=True)
    page = build(Handlers(open_run(path, data, images)))
    url = launch(page, port)
    print(f"look at it: {url}\nclick a box to see the cost of its match; Ctrl-C ends", flush=True)
    try:
        Event().wait()
    finally:
        page.close(verbose=False)


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
