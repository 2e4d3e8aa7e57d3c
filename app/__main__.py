"""`python -m app`: shows a run in the browser."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from core.terminal import Parser, exit_code

DESCRIPTION = (
    "Shows a run in the browser: matched pairs with their costs, query masks, the stability of matches, and losses."
)
RUN = (
    "The folder of a run, or a .safetensors file of weights. By default it is the newest run under runs/, else the one that "
    "comes with the project. Give two, TEACHER STUDENT, to show a student beside another teacher than its own."
)
TEACHER = "A run or file of weights whose detector replaces the run's own teacher."
COMPARE = "A second run, whose student is shown beside the first's."
DATA = "A COCO instances file whose images are shown instead of the run's validation images."
IMAGES = (
    "The folder with the images of --data. By default it is the folder `images` beside that file, or COCO's own. Without "
    "--data, a folder of pictures without annotations: those come first in which teacher and student disagree most."
)
PORT = "The port of the page, which only this machine can reach; 0 takes a free one (default: 7860)."


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options on the command line; exits with 2 where they do not fit."""
    parser = Parser("python -m app", description=DESCRIPTION)
    parser.add_argument("run", nargs="*", type=Path, help=RUN)
    parser.add_argument("--teacher", type=Path, metavar="RUN", help=TEACHER)
    parser.add_argument("--compare", type=Path, metavar="RUN", help=COMPARE)
    parser.add_argument("--data", type=Path, metavar="JSON", help=DATA)
    parser.add_argument("--images", type=Path, metavar="FOLDER", help=IMAGES)
    parser.add_argument("--port", type=int, default=7860, help=PORT)
    options = parser.parse_args(arguments)
    if len(options.run) > 2 or (len(options.run) == 2 and options.teacher):
        parser.error("give one RUN, or TEACHER STUDENT")
    if options.teacher and not options.run:
        parser.error("--teacher needs a RUN, whose student it is to teach")
    return options


def main(arguments: Sequence[str]) -> int:
    """Serves the page until it is interrupted; returns the exit code, 0, or 2 for a user's mistake."""
    return exit_code(lambda: run(arguments))


def run(arguments: Sequence[str]) -> None:
    """Serves the page until it is interrupted. UserError: a run, its data or the port is not available."""
    options = parse_arguments(arguments)
    *teacher, student = options.run or [None]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends it as Ctrl-C does: it cleans up
    with TemporaryDirectory(prefix="detrdistill-") as scratch:  # uploads are removed at the end
        os.environ["GRADIO_TEMP_DIR"] = str(Path(scratch, "uploads"))  # apart from the files of jobs
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads leave the cores to the browser
        with suppress(KeyboardInterrupt):
            from app.server.serve import Options, serve

            given_teacher = teacher[0] if teacher else options.teacher
            serve(Options(student, given_teacher, options.compare, options.data, options.images, options.port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
