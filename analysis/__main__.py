"""python -m analysis: figures, tables and measures of runs and studies, and benchmarks.

usage: python -m analysis VERB ...

  list                               the figures, the tables and the benchmarks
  FIGURE|TABLE [RUN ...]             one of them, of runs, folders of runs and studies' summaries
  report [RUN ...]                   all of them on one page
  collect RUN                        every query of the run's images, as one Parquet table
  measure RUN ... --json FILE        what figures need of each run, as a summary that can stand for the runs
  bench NAME [--json FILE]           measure, print the numbers and whether the aims are met

Without a RUN, the shipped ones. --help after a verb tells its flags.
"""

import argparse
import ast
import sys
from pathlib import Path

from core.errors import UserError

FOLDERS = {folder: Path(__file__).parent / folder for folder in ("figures", "tables", "bench")}
VENUES = ("cvpr", "neurips", "icml", "ieee", "acm")


def main(words: list[str]) -> int:
    """The exit code: 0, 2 for a user's mistake, 130 for an interruption."""
    asked = arguments(words)
    try:
        asked.act(asked)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def names(folder: str) -> list[str]:
    """Files of a folder that are one thing each."""
    found = [p.stem for p in FOLDERS[folder].glob("*.py") if p.stem not in ("__init__", "layout")]
    return sorted(
        found,
        key=lambda name: (not name.startswith(("figure", "table")), len(name) if name[-1:].isdigit() else 0, name),
    )


def arguments(words: list[str]) -> argparse.Namespace:
    """Nothing is imported that takes time until it is used."""
    about, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser("python -m analysis", description=about)
    parser.usage = usage.removeprefix("usage: ")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list").set_defaults(act=enumerate_all)
    for name in (*names("figures"), *names("tables"), "report"):
        page(verbs.add_parser(name, description=described(name)), name)
    table = verbs.add_parser("collect", description="Every query of a run's images in one Parquet table")
    table.add_argument("run", type=Path)
    table.add_argument("--data", type=Path, help="COCO instances JSON; by default what the run was measured on")
    table.add_argument("--images", type=Path, help="its folder of images")
    table.add_argument("--limit", type=positive, help="only the first so many images")
    table.add_argument("--workers", type=int, default=0, help="processes that read images")
    table.add_argument("--out", type=Path, metavar="FOLDER", help="by default RUN/collected")
    table.set_defaults(act=run_collect)
    numbers = verbs.add_parser("measure", description="What figures need of each run, as a summary")
    numbers.add_argument("runs", type=Path, nargs="+")
    numbers.add_argument("--limit", type=positive, default=None, help="only the first so many images of each")
    numbers.add_argument("--json", type=Path, metavar="FILE", required=True)
    work = {"type": Path, "metavar": "FOLDER", "default": Path("runs/measured")}
    numbers.add_argument("--work", **work, help="where the runs' tables are collected, and found when run again")
    numbers.set_defaults(act=run_measure)
    bench = verbs.add_parser("bench")
    bench.add_argument("name", choices=names("bench"))
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    bench.set_defaults(act=run_bench)
    return parser.parse_args(words)


def page(parser: argparse.ArgumentParser, name: str) -> None:
    told = "runs, folders of runs, studies' summaries; without any, the shipped"
    parser.add_argument("runs", type=Path, nargs="*", help=told)
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path("figures" if name != "report" else "report"))
    if name in names("tables"):
        parser.set_defaults(act=run_table, limit=None, image=None)
        return
    parser.add_argument("--interactive", action="store_true", help="also as an HTML page that needs no network")
    parser.add_argument("--venue", choices=VENUES, default="cvpr", help="whose page and column widths")
    parser.add_argument("--limit", type=positive, default=500, help="look at the first so many images of a run")
    parser.add_argument(
        "--image", type=int, metavar="ID", help="the image of figures of one image, instead of the rule"
    )
    parser.set_defaults(act=run_report if name == "report" else run_figure)


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


def described(name: str) -> str:
    folder = next((f for f in ("figures", "tables") if name in names(f)), None)
    return first_line(FOLDERS[folder] / f"{name}.py") if folder else "All figures and tables on one page"


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def enumerate_all(asked: argparse.Namespace) -> None:
    for folder, path in FOLDERS.items():
        prefix = "bench " if folder == "bench" else ""
        print(f"{folder}:")
        for name in names(folder):
            print(f"  {prefix + name:<20} {first_line(path / f'{name}.py')}")
    print("make all of the shipped runs with: python -m analysis report --out report")


def given(asked: argparse.Namespace):
    from analysis.given import LIMIT, read

    return read(asked.runs, asked.out / "collected", limit=asked.limit or LIMIT, image=asked.image)


def run_figure(asked: argparse.Namespace) -> None:
    from analysis import figures, style

    style.VENUE.set(asked.venue)
    made = figures.make(asked.verb, given(asked))
    written = figures.save(made, asked.out, interactive=asked.interactive)
    print(made.numbers.caption)
    print(f"written to {asked.out}: {', '.join(path.name for path in written)}")


def run_table(asked: argparse.Namespace) -> None:
    from analysis import tables
    from analysis.tables.layout import markdown

    made = tables.make(asked.verb, given(asked))
    written = tables.save(made, asked.out, asked.verb)
    print(markdown(made))
    print(f"written to {asked.out}: {', '.join(path.name for path in written)}")


def run_report(asked: argparse.Namespace) -> None:
    from analysis import report, style

    style.VENUE.set(asked.venue)
    path = report.write(given(asked), asked.out, interactive=asked.interactive)
    print(f"written to {asked.out}; open {path} in a browser")


def run_collect(asked: argparse.Namespace) -> None:
    from analysis.collect import collect
    from core.replay import open_run

    run = open_run(asked.run, asked.data, asked.images)
    out = collect(run, asked.out or asked.run / "collected", limit=asked.limit, workers=asked.workers)
    print(f"written to {out}; figures of this run read it, and so does pandas.read_parquet('{out}')")


def run_measure(asked: argparse.Namespace) -> None:
    from analysis.given import summarise

    out = summarise(asked.runs, asked.json, asked.work, limit=asked.limit)
    print(f"written to {out}; give that file to figures in place of the runs")


def run_bench(asked: argparse.Namespace) -> None:
    from analysis import bench
    from core.files import write_json

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
