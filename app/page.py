"""The page: layout and wiring, nothing else."""

from functools import wraps

import gradio as gr

from app.canvas import canvas, loss_panel, pack, query_panel, strip
from app.handlers import Handlers
from app.header import header
from app.pictures import FORMATS
from core.errors import UserError

FILES = [f".{name.lower()}" for name in (*FORMATS, "jpg")]
MODEL = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden"}  # one forward pass at a time
QUICK = {"concurrency_limit": 4, "show_progress": "hidden", "trigger_mode": "always_last"}
HIDDEN = {"api_visibility": "private"}  # the API has its own endpoints, below


def build(handlers: Handlers) -> gr.Blocks:
    with gr.Blocks(title="DETRDistill", fill_width=True, analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(handlers.samples.run), apply_default_css=False)
        key = gr.Textbox(visible=False)
        with gr.Row(elem_id="dd-pick"):
            images = strip()
            upload = gr.UploadButton("Upload an image", file_types=FILES, size="sm", scale=0)
        with gr.Row(elem_id="dd-main"):
            with gr.Column(elem_id="dd-left"):
                picture = canvas()
                score = gr.Slider(0, 1, 0.3, step=0.01, label="Pseudo truth: teacher queries from score", visible=False)
            with gr.Column(elem_id="dd-right"):
                query = query_panel()
            with gr.Column(elem_id="dd-below"):
                losses = loss_panel()
        wire(page, handlers, key, images, upload, picture, score, query, losses)
        offer(handlers)
    return page


def wire(page, handlers: Handlers, key, images, upload, picture, score, query, losses) -> None:
    """Whatever shows another image gives its key; canvas and losses follow, and the canvas says what is chosen."""
    shown = [key, picture, losses, score]

    @told
    def show(asked: str):
        scene, table = pack(handlers.scene(asked)), pack(handlers.losses(asked))
        return asked, scene, table, gr.update(visible=handlers.scored(asked))

    def picked(event: gr.EventData):
        return show(f"image/{event.image}")

    @told
    def turned(event: gr.EventData):
        return pack(handlers.images(event.page))

    @told
    def chosen(event: gr.EventData):
        at = event.key, event.layer
        return pack(handlers.query(*at, event.side, event.index) if event.side else handlers.matches(*at))

    page.load(lambda: pack(handlers.images()), None, images, **QUICK, **HIDDEN)
    page.load(lambda: show(handlers.first()), None, shown, **MODEL, **HIDDEN)
    images.turn(turned, None, images, **QUICK, **HIDDEN)
    images.pick(picked, None, shown, **MODEL, **HIDDEN)
    picture.pick(chosen, None, query, **QUICK, **HIDDEN)
    for event, handler, given in ((upload.upload, handlers.upload, upload), (score.release, handlers.rescore, key)):
        found = event(told(handler), [given, score], key, api_name=handler.__name__, **MODEL)
        found.success(show, key, shown, **MODEL, **HIDDEN)


def offer(handlers: Handlers) -> None:
    """The same over the API."""
    for handler in (handlers.images, handlers.scene, handlers.losses, handlers.matches, handlers.query):
        gr.api(told(handler), api_name=handler.__name__)


def told(handler):
    """A user's mistake becomes a message on the page."""

    @wraps(handler)
    def answer(*arguments):
        try:
            return handler(*arguments)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return answer
