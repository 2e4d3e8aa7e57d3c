"""How the page looks. Fonts come with gradio; nothing is fetched from elsewhere."""

from pathlib import Path

import gradio as gr

from analysis.drawing import style

WEB = Path(__file__).parents[1] / "web"


def theme() -> gr.themes.Base:
    sans, mono = (gr.themes.LocalFont(name, weights=(400, 700)) for name in ("IBM Plex Sans", "IBM Plex Mono"))
    fonts = {"font": [sans, "system-ui", "sans-serif"], "font_mono": [mono, "monospace"]}
    return gr.themes.Base(primary_hue="slate", neutral_hue="slate", **fonts)


def css() -> str:
    """The style sheet, after the colours by meaning as variables."""
    variables = "".join(f"--dd-{name}: {colour};" for name, colour in style.PAGE_COLOURS.items())
    return f":root {{{variables}}}\n" + (WEB / "page.css").read_text()
