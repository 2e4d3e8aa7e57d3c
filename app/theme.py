"""How the page looks. Fonts come with gradio; nothing is fetched from elsewhere."""

from pathlib import Path

import gradio as gr

from analysis.style import COLOURS

HERE = Path(__file__).parent


def theme() -> gr.themes.Base:
    local = gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700))
    return gr.themes.Base(
        primary_hue="slate", neutral_hue="slate", font=[local[0], "system-ui", "sans-serif"], font_mono=[local[1], "monospace"]
    )


def css() -> str:
    """The style sheet, after the colours by meaning as variables."""
    variables = "".join(f"--dd-{name}: {colour};" for name, colour in COLOURS.items())
    return f":root {{{variables}}}\n" + (HERE / "page.css").read_text()
