"""`python -m analysis`: figures, tables and measures of runs and studies, and benchmarks."""

import argparse
import os
import sys
from pathlib import Path

from analysis.catalogue import BENCHES, FIGURES, TABLES, in_order, title
from core.drop_ins import summary
from core.errors import UserError

ABOUT = "Figures, tables and measures of runs and studies, and benchmarks."
USAGE = """\
python -m analysis VERB ...

  list                               the figures, the tables and the benchmarks
  FIGURE|TABLE [RUN ...]             one of them, of runs, folders of runs and studies' summaries
  report [RUN ...]                   all of them on one page
  collect RUN                        every query of the run's images, as one Parquet table
  measure RUN ... --json FILE        what figures need of each run, as a summary that can stand for the runs
  bench NAME [--json FILE]           measure, print the numbers and whether the aims are met

Without a RUN, the shipped ones are taken. --help after a verb shows its flags.
"""
VENUES = ("cvpr", "neurips", "icml", "ieee", "acm")


def main(words: list[str]) -> int:
    """Runs one command; returns the exit code: 0, 2 for a user's mistake, 130 for an interruption."""
    asked = arguments(words)
    try:
        asked.act(asked)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output, such as `head`, has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def arguments(words: list[str]) -> argparse.Namespace:
    """The parsed command line; `act` is the function to call. Imports nothing that takes time."""
    parser = argparse.ArgumentParser("python -m analysis", description=ABOUT)
    parser.usage = USAGE
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list").set_defaults(act=list_all)
    for name in in_order(FIGURES):
        add_page_flags(verbs.add_parser(name, description=title(FIGURES, name)), run_figure)
    for name in in_order(TABLES):
        add_table_flags(verbs.add_parser(name, description=title(TABLES, name)))
    add_page_flags(verbs.add_parser("report", description="All figures and tables on one page"), run_report)
    table = verbs.add_parser("collect", description="Every query of a run's images in one Parquet table")
    table.add_argument("run", type=Path)
    table.add_argument("--data", type=Path, help="COCO instances JSON; default: the validation images of the run")
    table.add_argument("--images", type=Path, help="folder of its images")
    table.add_argument("--limit", type=positive, help="use only the first N images")
    table.add_argument("--workers", type=int, default=0, help="processes that load images")
    table.add_argument("--out", type=Path, metavar="FOLDER", help="folder to write; default: RUN/collected")
    table.set_defaults(act=run_collect)
    numbers = verbs.add_parser("measure", description="What figures need of each run, as a summary")
    numbers.add_argument("runs", type=Path, nargs="+")
    numbers.add_argument("--limit", type=positive, default=None, help="use only the first N images of each run")
    numbers.add_argument("--json", type=Path, metavar="FILE", required=True, help="file to write")
    work = {"type": Path, "metavar": "FOLDER", "default": Path("runs/measured")}
    numbers.add_argument("--work", **work, help="folder in which query tables are collected, and found when run again")
    numbers.set_defaults(act=run_measure)
    bench = verbs.add_parser("bench")
    bench.add_argument("name", choices=BENCHES.names())
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file too")
    bench.set_defaults(act=run_bench)
    return parser.parse_args(words)


def add_table_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a table."""
    told = "runs, folders of runs, studies' summaries; default: the shipped ones"
    parser.add_argument("runs", type=Path, nargs="*", help=told)
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path("figures"), help="folder to write")
    parser.set_defaults(act=run_table, limit=None, image=None)


def add_page_flags(parser: argparse.ArgumentParser, act) -> None:
    """The flags of a figure, or of the report."""
    add_table_flags(parser)
    parser.add_argument("--interactive", action="store_true", help="also write an HTML page that needs no network")
    parser.add_argument("--venue", choices=VENUES, default="cvpr", help="venue whose page and column widths are used")
    parser.add_argument("--limit", type=positive, default=500, help="use only the first N images of a run")
    parser.add_argument("--image", type=int, metavar="ID", help="image of figures of one image; default: by their rule")
    parser.set_defaults(act=act)
    if act is run_report:
        parser.set_defaults(out=Path("report"))


def positive(text: str) -> int:
    """A whole number of at least 1; ValueError otherwise."""
    if (value := int(text)) < 1:
        raise ValueError
    return value


def list_all(asked: argparse.Namespace) -> None:
    """Prints every figure, table and benchmark with its title."""
    for kind, files, prefix in (("figures", FIGURES, ""), ("tables", TABLES, ""), ("bench", BENCHES, "bench ")):
        print(f"{kind}:")
        for name in in_order(files):
            print(f"  {prefix + name:<20} {summary(files.docstring(name))}")
    print("make all of the shipped runs with: python -m analysis report --out report")
    for note in (note for files in (FIGURES, TABLES, BENCHES) for note in files.notes()):
        print(f"note: {note}", file=sys.stderr)


def given(asked: argparse.Namespace):
    from analysis.inputs.given import LIMIT
    from analysis.inputs.sources import read

    return read(asked.runs, asked.out / "collected", limit=asked.limit or LIMIT, image=asked.image)


def run_figure(asked: argparse.Namespace) -> None:
    from analysis import figures
    from analysis.drawing import style

    style.VENUE.set(asked.venue)
    made = figures.make(asked.verb, given(asked))
    written = figures.save(made, asked.out, interactive=asked.interactive)
    print(made.numbers.caption)
    print(f"written to {asked.out}: {', '.join(path.name for path in written)}")


def run_table(asked: argparse.Namespace) -> None:
    from analysis import tables
    from analysis.tables._layout import markdown

    made = tables.make(asked.verb, given(asked))
    written = tables.save(made, asked.out, asked.verb)
    print(markdown(made))
    print(f"written to {asked.out}: {', '.join(path.name for path in written)}")


def run_report(asked: argparse.Namespace) -> None:
    from analysis import report
    from analysis.drawing import style

    style.VENUE.set(asked.venue)
    path = report.write(given(asked), asked.out, interactive=asked.interactive)
    print(f"written to {asked.out}; open {path} in a browser")


def run_collect(asked: argparse.Namespace) -> None:
    from analysis.query_table.collect import collect
    from core.runs.open import open_run

    run = open_run(asked.run, asked.data, asked.images)
    out = collect(run, asked.out or asked.run / "collected", limit=asked.limit, workers=asked.workers)
    print(f"written to {out}; figures of this run read it, and so does pandas.read_parquet('{out}')")


def run_measure(asked: argparse.Namespace) -> None:
    from analysis.inputs.sources import summarise

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
