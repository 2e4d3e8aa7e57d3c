"""python -m app: a run in the browser."""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import UserError


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m app", description="Look at a run: who was matched with whom, and at what cost.")
    parser.add_argument("run", nargs="?", type=Path, help="folder of a run; by default the newest under runs/, else the shipped one")
    parser.add_argument("--data", type=Path, metavar="JSON", help="COCO instances to look at, instead of those the run was measured on")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="its images; by default the folder `images` beside it")
    parser.add_argument("--port", type=int, default=7860, help="on this machine alone; 0 takes a free one (default 7860)")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    asked = arguments(words)
    with TemporaryDirectory(prefix="detrdistill-") as scratch:  # uploads end with the program
        os.environ["GRADIO_TEMP_DIR"] = scratch
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        from app import serve

        try:
            serve.serve(asked.run, asked.data, asked.images, asked.port)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
