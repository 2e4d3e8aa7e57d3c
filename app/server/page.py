"""The page: one component with scripts of its own, the functions that it calls, and the same functions as an API."""

import json
from collections.abc import Callable, Mapping
from functools import wraps

import gradio as gr
from gradio.events import api

from analysis.drawing.style import DARK_COLOURS, PAGE_COLOURS, RAMP
from app.arguments import checked
from app.server.handlers import Handlers
from app.server.modules import address
from core.errors import UserError
from core.terminal import printable

VIEWS = (
    *("runs", "about", "gallery", "filters", "find", "image", "scene", "matches", "query", "reading", "masks"),
    *("weighed", "mask", "stability", "epochs", "losses", "term", "doctor", "recipes", "train", "stop", "watch"),
    *("upload", "figures", "figure", "file", "figure4", "overview", "verdict"),
    *("notes", "note", "unnote", "exported"),
)
UNUSED = (60, 600)  # seconds: how often, and after how long, uploads that nobody used are removed
PAGE_ONLY = ("look",)  # no part of the API: it answers in parts, to a page that waits


def build(handlers: Handlers, start: dict) -> gr.Blocks:
    """The page and its API. `start` is selected when the address selects nothing: {"run", "compare", "image"}."""
    with gr.Blocks(title="DETRDistill", fill_width=True, analytics_enabled=False, delete_cache=UNUSED) as page:
        gr.HTML(
            html_template='<div class="dd-page"></div>',
            js_on_load=script(start),
            server_functions=[caller(handlers)],
            apply_default_css=False,
            elem_id="dd",
        )
        for name in VIEWS:
            endpoint = with_gradio_errors(checked(getattr(handlers, name)))
            api(endpoint, api_name=name, concurrency_limit=4, concurrency_id="views")
    return page


# `element`, `server` and `upload` are what gradio gives to the script of a component. Addresses are whole ones: Chromium
# keeps compiled scripts, and resolves others against the address of the page that first ran an equal script.
SCRIPT = """
import(location.origin + "%(gradio)s")
  .then(({ receive }) => receive({ element, server, upload, START: %(start)s }))
  .then(() => import(location.origin + "%(page)s"));
"""


def script(start: dict) -> str:
    """Returns the script that gives the page's modules what they need, and then starts `page.js`."""
    values = start | {"ramp": RAMP, "colours": PAGE_COLOURS, "dark": DARK_COLOURS}
    return SCRIPT % {"gradio": address("gradio.js"), "start": json.dumps(values), "page": address("page.js")}


def caller(handlers: Handlers) -> Callable[[dict], str]:
    """The one function that the page's script calls, with {"name", "with"}: an endpoint and its arguments; returns JSON."""
    known = {name: checked(getattr(handlers, name)) for name in (*VIEWS, *PAGE_ONLY)}

    # The script knows this function by its name.
    def ask(request: dict) -> str:
        return json.dumps(answer(known, request), separators=(",", ":"))

    return ask


def answer(known: Mapping[str, Callable], request: object) -> dict:
    """Calls one of the known functions with the arguments of a request: {"ok": value}, or {"error": sentence}."""
    try:
        if not isinstance(request, dict) or not isinstance(request.get("with", {}), dict):
            raise UserError("a request is {name, with}")
        name = str(request.get("name"))
        if name not in known:
            raise UserError(f"there is nothing called {name[:40]!r}; there are {', '.join(known)}")
        return {"ok": known[name](**request.get("with", {}))}
    except UserError as error:
        return {"error": printable(error)}


def with_gradio_errors(handler: Callable) -> Callable:
    """Wraps a handler so that a UserError becomes an error with which gradio answers."""

    @wraps(handler)
    def with_errors(*arguments: object) -> object:
        try:
            return handler(*arguments)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return with_errors
