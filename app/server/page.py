"""The page: one component of our own, the functions it may call, and the same functions as an API."""

import json
from functools import wraps
from pathlib import Path

import gradio as gr

from analysis.drawing.style import PAGE_COLOURS, RAMP
from app.arguments import checked
from app.server.handlers import Handlers
from core.errors import UserError

WEB = Path(__file__).parents[1] / "web"
# In the order in which they need one another; `page.js` starts.
SCRIPTS = ("dom", "heat", "chart", "server", "state", "items", "stage", "gallery", "query", "matches", "masks")
SCRIPTS += ("stability", "doctor", "losses", "figures", "train", "header", "page")
VIEWS = ("runs", "about", "gallery", "image", "scene", "matches", "query", "reading", "masks", "weighed", "mask")
VIEWS += ("stability", "epochs", "losses", "term", "doctor", "recipes", "train", "stop", "watch", "upload")
VIEWS += ("figures", "figure", "file", "figure4")
PAGE_ALONE = ("look",)  # for one who waits, not for a program


def build(handlers: Handlers, start: dict) -> gr.Blocks:
    """`start` is what is selected when the address says nothing: {"run", "compare", "image"}."""
    with gr.Blocks(title="DETRDistill", fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML(
            html_template='<div class="dd-page"></div>',
            js_on_load=script(start),
            server_functions=[asker(handlers)],
            apply_default_css=False,
            elem_id="dd",
        )
        for name in VIEWS:
            gr.api(told(checked(getattr(handlers, name))), api_name=name, concurrency_limit=4, concurrency_id="views")
    return page


def script(start: dict) -> str:
    files = ((WEB / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    return "\n".join([f"const START = {json.dumps(start | {'ramp': RAMP, 'colours': PAGE_COLOURS})};", *files])


def asker(handlers: Handlers):
    """The one function that the page's script calls: what it wants by name, its arguments by name; JSON back."""
    known = {name: checked(getattr(handlers, name)) for name in (*VIEWS, *PAGE_ALONE)}

    def ask(asked: dict) -> str:
        return json.dumps(answer(known, asked), separators=(",", ":"))

    return ask


def answer(known: dict, asked) -> dict:
    """{"ok": value}, or {"error": sentence}."""
    try:
        if not isinstance(asked, dict) or not isinstance(asked.get("with", {}), dict):
            raise UserError("a question is {name, with}")
        name = str(asked.get("name"))
        if name not in known:
            raise UserError(f"there is nothing called {name[:40]!r}; there are {', '.join(known)}")
        return {"ok": known[name](**asked.get("with", {}))}
    except UserError as error:
        return {"error": str(error)}


def told(handler):
    """A user's mistake becomes an error that says so."""

    @wraps(handler)
    def answering(*arguments):
        try:
            return handler(*arguments)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return answering
