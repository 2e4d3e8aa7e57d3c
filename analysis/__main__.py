"""python -m analysis bench NAME [--json FILE]: measure, print the numbers and whether the aims are met."""

import argparse
import sys
from pathlib import Path

from analysis import bench
from core.errors import UserError
from core.files import write_json


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m analysis")
    verbs = parser.add_subparsers(dest="verb", required=True)
    measure = verbs.add_parser("bench", help="measure something; " + ", ".join(bench.names()))
    measure.add_argument("name", choices=bench.names())
    measure.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    asked = parser.parse_args(words)
    try:
        found = bench.run(asked.name)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(found))
    if asked.json:
        write_json(asked.json, found)
    return 0


def table(found: dict) -> str:
    rows = ["  ".join(f"{key} {value}" for key, value in row.items()) for row in found["rows"]]
    aims = [f"{'met' if a['met'] else 'MISSED'}: {a['aim']} ({a['value']})" for a in found["aims"]]
    return "\n".join([found["name"], *(f"  {line}" for line in rows), *aims])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
