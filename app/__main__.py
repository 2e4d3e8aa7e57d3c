"""python -m app: a run in the browser."""

import argparse
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import UserError

SAYS = "Look at a run in the browser: who was matched with whom, and at what cost."
RUN = "folder of a run; by default the newest under runs/, else the shipped one"
DATA = "COCO instances to look at, instead of those that the run was measured on"
IMAGES = "the folder of its images; by default `images` beside it, or COCO's own"
PORT = "on this machine alone; 0 takes a free one (default: 7860)"


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m app", description=SAYS)
    parser.add_argument("run", nargs="?", type=Path, help=RUN)
    parser.add_argument("--data", type=Path, metavar="JSON", help=DATA)
    parser.add_argument("--images", type=Path, metavar="FOLDER", help=IMAGES)
    parser.add_argument("--port", type=int, default=7860, help=PORT)
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """The exit code: 0 once it is ended, 2 for a user's mistake."""
    asked = arguments(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends it as Ctrl-C does: nothing is left behind
    with TemporaryDirectory(prefix="detrdistill-") as scratch:  # uploads end with the program
        os.environ["GRADIO_TEMP_DIR"] = scratch
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        try:
            from app.serve import serve  # gradio reads its environment when it is imported, and takes its time

            serve(asked.run, asked.data, asked.images, asked.port)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
