"""Opens a run and serves its page, on this machine alone."""

import socket
from pathlib import Path

import gradio as gr

from app.handlers import Handlers
from app.page import build
from app.pictures import BYTES
from app.replay import find_run, open_run
from app.theme import css, theme
from core.errors import UserError

HOST = "127.0.0.1"


def serve(run: Path | None, data: Path | None, images: Path | None, port: int) -> None:
    """Returns once it is interrupted. UserError where the run, its data or the port cannot be had."""
    path = run or find_run()
    print(f"opening {path} ...", flush=True)
    page = build(Handlers(open_run(path, data, images)))
    url = launch(page, port)
    print(f"look at it: {url}\nclick a box to see the cost of its match; Ctrl-C ends", flush=True)
    page.block_thread()


def launch(page: gr.Blocks, port: int) -> str:
    """The address that it is served at, from now on."""
    _, url, _ = page.queue().launch(
        server_name=HOST,
        server_port=port or free_port(),
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
