"""Lets the site's pages use files of assets/ by the same relative links that work in the repository: ../assets/..."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SHOWN = ("assets/*.png", "assets/figures/*.png", "assets/results/*.json")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pictures and results of assets/ to the site."""
    for path in sorted(path for pattern in SHOWN for path in ROOT.glob(pattern)):
        files.append(File(str(path.relative_to(ROOT)), str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, **_) -> str:
    """Links to ../assets/ lead to the site's copy of assets/."""
    return markdown.replace("](../assets/", "](assets/")
