"""`detrdistill train ...`, `detrdistill app ...` and `detrdistill analysis ...`: the three programs as one command."""

import sys
from importlib import import_module
from pathlib import Path

PROGRAMS = {
    "train": "Trains and evaluates detectors, checks data, imports and exports weights.",
    "app": "Shows a run in the browser.",
    "analysis": "Makes figures and tables, and runs benchmarks.",
}
HOME = str(Path(__file__).resolve().parents[1])


def main() -> int:
    """Runs the program that the first argument names, and returns its exit code, or 2 if there is no such program."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h"):
        print(usage())
        return 0
    if name not in PROGRAMS:
        print(f"error: no program {name!r}; there are {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    prefer_our_packages()
    return import_module(f"{name}.__main__").main(arguments)


def usage() -> str:
    """The help text: the programs, one on each line."""
    lines = [f"  detrdistill {name:<10} {purpose}" for name, purpose in PROGRAMS.items()]
    return "\n".join(["usage: detrdistill PROGRAM ...", "", *lines])


def prefer_our_packages() -> None:
    """Puts the folder of `train`, `app` and `analysis` first on the path.

    A user's folder may hold a train.py of its own, which must not be imported in place of ours.
    """
    sys.path[:] = [HOME, *(path for path in sys.path if path != HOME)]


if __name__ == "__main__":
    sys.exit(main())
