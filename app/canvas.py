"""The page's own components: a gr.HTML each, drawn by a script beside this file. They take JSON and send events."""

import json
from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent


def canvas() -> gr.HTML:
    """Takes a scene; sends 'pick' {key, layer, side, index}, where side is "" once nothing is chosen."""
    return component("canvas")


def strip() -> gr.HTML:
    """Takes a page of thumbnails; sends 'pick' {image} and 'turn' {page}."""
    return component("strip")


def query_panel() -> gr.HTML:
    return component("query")


def loss_panel() -> gr.HTML:
    return component("losses")


def component(name: str) -> gr.HTML:
    script = (HERE / "dom.js").read_text() + (HERE / f"{name}.js").read_text()
    return gr.HTML(
        html_template=f'<div class="dd-{name}"></div>', js_on_load=script, apply_default_css=False, elem_id=f"dd-{name}"
    )


def pack(view: dict) -> str:
    """JSON that cannot open a tag, whatever names are in it."""
    return json.dumps(view, separators=(",", ":")).replace("<", "\\u003c")
