"""python -m app: a run in the browser."""

import argparse
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import UserError

SAYS = "Look at a run in the browser: who was matched with whom, where good queries look, and why a match flips."
RUN = "a run's folder, or a .safetensors file; by default the newest under runs/, else the shipped one. Two: TEACHER STUDENT"
TEACHER = "a run or file to put in the place of the run's own teacher"
COMPARE = "another run, whose student stands beside the first's"
DATA = "COCO instances to look at, instead of those that the run was measured on"
IMAGES = "the folder of its images; by default `images` beside it, or COCO's own"
PORT = "on this machine alone; 0 takes a free one (default: 7860)"


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m app", description=SAYS)
    parser.add_argument("run", nargs="*", type=Path, help=RUN)
    parser.add_argument("--teacher", type=Path, metavar="RUN", help=TEACHER)
    parser.add_argument("--compare", type=Path, metavar="RUN", help=COMPARE)
    parser.add_argument("--data", type=Path, metavar="JSON", help=DATA)
    parser.add_argument("--images", type=Path, metavar="FOLDER", help=IMAGES)
    parser.add_argument("--port", type=int, default=7860, help=PORT)
    asked = parser.parse_args(words)
    if len(asked.run) > 2 or (len(asked.run) == 2 and asked.teacher):
        parser.error("give one RUN, or TEACHER STUDENT")
    if asked.teacher and not asked.run:
        parser.error("--teacher needs a RUN, whose student it is to teach")
    return asked


def main(words: list[str]) -> int:
    """The exit code: 0 once it is ended, 2 for a user's mistake."""
    asked = arguments(words)
    *teacher, student = asked.run or [None]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends it as Ctrl-C does: nothing is left behind
    with TemporaryDirectory(prefix="detrdistill-") as scratch:  # uploads end with the program
        os.environ["GRADIO_TEMP_DIR"] = scratch
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait leave the cores to the browser
        try:
            from app.server.serve import Wish, serve

            taught_by = teacher[0] if teacher else asked.teacher
            serve(Wish(student, taught_by, asked.compare, asked.data, asked.images, asked.port))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
