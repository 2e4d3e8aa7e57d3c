"""The theme and the style sheet of the page. Fonts come with gradio; nothing is fetched from elsewhere."""

from collections.abc import Mapping
from pathlib import Path

import gradio as gr

from analysis.drawing import style

WEB = Path(__file__).parents[1] / "web"
# In the order in which one rule overrides another.
STYLES = (
    *("page", "header", "gallery", "filters", "main", "stage/legend", "stage/panes", "stage/boxes", "stage/toolbar"),
    *("stage/controls", "text", "views/matches", "tables"),
    *("tiles", "views/masks", "charts", "views/stability", "views/losses", "views/diagnosis", "views/train"),
    *("views/figures", "views/overview", "views/overview_cards", "views/notes"),
)


def theme() -> gr.themes.Base:
    """The theme of gradio's own parts of the page."""
    sans, mono = (gr.themes.LocalFont(name, weights=(400, 700)) for name in ("IBM Plex Sans", "IBM Plex Mono"))
    return gr.themes.Base(
        primary_hue="slate",
        neutral_hue="slate",
        font=[sans, "system-ui", "sans-serif"],
        font_mono=[mono, "monospace"],
    )


def css() -> str:
    """The style sheet; it begins with the colours as variables, which are named by their meaning."""
    light, dark = variables(style.PAGE_COLOURS), variables(style.DARK_COLOURS)
    sheets = [(WEB / "styles" / f"{name}.css").read_text(encoding="utf-8") for name in STYLES]
    return "\n".join([f":root {{{light}}}", f".dark {{{dark}}}", *sheets])


def variables(colours: Mapping[str, str]) -> str:
    """The declarations of colours, by name."""
    return "".join(f"--dd-{name}: {colour};" for name, colour in colours.items())
