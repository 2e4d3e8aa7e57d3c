"""The page: layout and wiring, nothing else."""

from functools import wraps

import gradio as gr

from app.canvas import canvas, loss_panel, pack, query_panel, strip
from app.handlers import Handlers
from app.header import header
from app.pictures import FORMATS
from core.errors import UserError

MODEL = {"concurrency_id": "model", "concurrency_limit": 1, "show_progress": "hidden"}  # one forward pass at a time
QUICK = {"concurrency_limit": 4, "show_progress": "hidden", "trigger_mode": "always_last"}


def build(handlers: Handlers) -> gr.Blocks:
    with gr.Blocks(title="DETRDistill", fill_width=True, analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(handlers.samples.run), apply_default_css=False)
        key = gr.State("")
        with gr.Row(elem_id="dd-pick"):
            images = strip()
            upload = gr.UploadButton("Upload an image", file_types=[f".{x.lower()}" for x in (*FORMATS, "jpg")], size="sm", scale=0)
        with gr.Row(elem_id="dd-main"):
            with gr.Column(elem_id="dd-left"):
                picture = canvas()
                score = gr.Slider(0, 1, 0.5, step=0.01, label="Pseudo truth: teacher queries that score at least", visible=False)
            with gr.Column(elem_id="dd-right"):
                query = query_panel()
            with gr.Column(elem_id="dd-below"):
                losses = loss_panel()
        wire(page, handlers, key, images, upload, picture, score, query, losses)
        offer(handlers)
    return page


def wire(page, handlers: Handlers, key, images, upload, picture, score, query, losses) -> None:
    """Whatever shows another image gives its key; canvas and losses follow, and nothing is chosen on it."""
    private = {"api_visibility": "private"}
    outputs = [key, picture, losses, query, score]

    @told
    def show(asked: str):
        scene = pack(handlers.scene(asked))
        return asked, scene, pack(handlers.losses(asked)), "", gr.update(visible=asked.startswith("upload/") and handlers.samples.run.distiller.teacher is not None)

    def picked(event: gr.EventData):
        return show(f"image/{event.image}")

    @told
    def turned(event: gr.EventData):
        return pack(handlers.images(event.page))

    @told
    def chosen(event: gr.EventData):
        return pack(handlers.query(event.key, event.layer, event.side, event.index)) if event.side else ""

    page.load(lambda: pack(handlers.images()), None, images, **QUICK, **private)
    page.load(lambda: show(handlers.first()), None, outputs, **MODEL, **private)
    images.turn(turned, None, images, **QUICK, **private)
    images.pick(picked, None, outputs, **MODEL, **private)
    upload.upload(told(lambda path, floor: show(handlers.upload(path, floor))), [upload, score], outputs, **MODEL, **private)
    score.release(told(lambda asked, floor: show(handlers.rescore(asked, floor))), [key, score], outputs, **MODEL, **private)
    picture.pick(chosen, None, query, **QUICK, **private)


def offer(handlers: Handlers) -> None:
    """The same over the API."""
    for handler in (handlers.images, handlers.scene, handlers.losses, handlers.query, handlers.upload):
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
