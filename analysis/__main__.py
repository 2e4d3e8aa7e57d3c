"""python -m analysis: figures of runs and studies, and benchmarks.

usage: python -m analysis VERB ...

  list                            the figures and the benchmarks
  FIGURE FOLDER [--out FOLDER]    draw it from a run's or a study's folder, as PDF, SVG and PNG
  bench NAME [--json FILE]        measure, print the numbers and whether the aims are met
"""

import argparse
import sys
from pathlib import Path

from analysis import bench, figures
from core.errors import UserError
from core.files import write_json


def main(words: list[str]) -> int:
    """The exit code: 0, or 2 for a user's mistake."""
    asked = arguments(words)
    try:
        asked.act(asked)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def arguments(words: list[str]) -> argparse.Namespace:
    about, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser("python -m analysis", description=about)
    parser.usage = usage.removeprefix("usage: ")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list").set_defaults(act=enumerate_all)
    measure = verbs.add_parser("bench")
    measure.add_argument("name", choices=bench.names())
    measure.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    measure.set_defaults(act=run_bench)
    for name in figures.names():
        figure = verbs.add_parser(name)
        figure.add_argument("folder", type=Path)
        figure.add_argument("--out", type=Path, metavar="FOLDER", help="where to; by default the folder itself")
        figure.set_defaults(act=draw)
    return parser.parse_args(words)


def enumerate_all(asked: argparse.Namespace) -> None:
    print("\n".join([*figures.names(), *(f"bench {name}" for name in bench.names())]))


def draw(asked: argparse.Namespace) -> None:
    written = figures.save(figures.make(asked.verb, asked.folder), asked.out or asked.folder, asked.verb)
    print("look at " + ", ".join(map(str, written)))


def run_bench(asked: argparse.Namespace) -> None:
    found = bench.run(asked.name)
    print(table(found))
    if asked.json:
        write_json(asked.json, found)


def table(found: dict) -> str:
    rows = ["  ".join(f"{key} {value}" for key, value in row.items()) for row in found["rows"]]
    aims = [f"{'met' if a['met'] else 'MISSED'}: {a['aim']} ({a['value']})" for a in found["aims"]]
    return "\n".join([found["name"], *(f"  {line}" for line in rows), *aims])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
