"""The command line: `python -m analysis` makes figures, tables and measurements of runs, and runs benchmarks."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.catalogue import BENCHES, FIGURES, TABLES, in_order, title
from core.drop_ins import summary
from core.terminal import Parser, exit_code, printable

if TYPE_CHECKING:
    from analysis.inputs.inputs import Inputs  # takes seconds to import

ABOUT = "Figures, tables and measurements of runs and studies, and benchmarks."
USAGE = """\
python -m analysis VERB ...

  list                               list all figures, tables and benchmarks
  FIGURE|TABLE [RUN ...]             make one of them from runs, folders of runs and summaries of studies
  report [RUN ...]                   make all of them, on one page
  collect RUN                        write the query table of a run: every query of its images, in Parquet
  measure RUN ... --json FILE        write what figures need of each run as a summary, which can stand for the runs
  bench NAME [--before CHECKOUT]     run a benchmark, print its numbers and whether its aims are met

Without a RUN, the shipped runs are used. --help after a verb shows its flags.
"""
VENUES = ("cvpr", "neurips", "icml", "ieee", "acm")


def main(words: list[str]) -> int:
    """Runs one command; returns the exit code: 0, 2 for a user's mistake, 130 for an interruption, 141 for a closed pipe."""
    return exit_code(lambda: run(words))


def run(words: list[str]) -> None:
    """Runs one command."""
    options = arguments(words)
    options.act(options)


def arguments(words: list[str]) -> argparse.Namespace:
    """The parsed command line; `act` is the function to call. Imports nothing that takes time."""
    parser = Parser("python -m analysis", description=ABOUT)
    parser.usage = USAGE
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list").set_defaults(act=list_all)
    for name in in_order(FIGURES):
        add_page_flags(verbs.add_parser(name, description=title(FIGURES, name)), run_figure)
    for name in in_order(TABLES):
        add_table_flags(verbs.add_parser(name, description=title(TABLES, name)))
    add_page_flags(verbs.add_parser("report", description="All figures and tables on one page"), run_report)
    collect = verbs.add_parser("collect", description="Every query of a run's images in one Parquet table")
    collect.add_argument("run", type=Path)
    collect.add_argument("--data", type=Path, help="COCO instances JSON; default: the validation images of the run")
    collect.add_argument("--images", type=Path, help="folder of its images")
    collect.add_argument("--limit", type=positive, help="use only the first N images")
    collect.add_argument("--workers", type=int, default=0, help="processes that load images")
    collect.add_argument("--out", type=Path, metavar="FOLDER", help="folder to write; default: RUN/collected")
    collect.set_defaults(act=run_collect)
    measure = verbs.add_parser("measure", description="What figures need of each run, as a summary")
    measure.add_argument("runs", type=Path, nargs="+")
    measure.add_argument("--limit", type=positive, default=None, help="use only the first N images of each run")
    measure.add_argument("--json", type=Path, metavar="FILE", required=True, help="file to write")
    work = "folder for query tables, from which they are reused when the command is run again"
    measure.add_argument("--work", type=Path, metavar="FOLDER", default=Path("runs/measured"), help=work)
    measure.set_defaults(act=run_measure)
    bench = verbs.add_parser("bench")
    bench.add_argument("name", choices=BENCHES.names())
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file too")
    beside = "another checkout of the project, whose numbers are measured too and written beside these"
    bench.add_argument("--before", type=Path, metavar="CHECKOUT", help=beside)
    bench.set_defaults(act=run_bench)
    return parser.parse_args(words)


def add_table_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a table."""
    runs = "runs, folders of runs, summaries of studies; default: the shipped ones"
    parser.add_argument("runs", type=Path, nargs="*", help=runs)
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path("figures"), help="folder to write")
    parser.set_defaults(act=run_table, limit=None, image=None)


def add_page_flags(parser: argparse.ArgumentParser, act: Callable[[argparse.Namespace], None]) -> None:
    """Adds the flags of a figure, or of the report if `act` is `run_report`."""
    add_table_flags(parser)
    parser.add_argument("--interactive", action="store_true", help="also write an HTML page that needs no network")
    parser.add_argument("--venue", choices=VENUES, default="cvpr", help="venue whose page and column widths are used")
    parser.add_argument("--limit", type=positive, default=500, help="use only the first N images of a run")
    parser.add_argument(
        "--image", type=int, metavar="ID", help="image for figures of one image; default: chosen by rule"
    )
    parser.set_defaults(act=act)
    if act is run_report:
        parser.set_defaults(out=Path("report"))


def positive(text: str) -> int:
    """A whole number of at least 1; ValueError otherwise."""
    if (value := int(text)) < 1:
        raise ValueError
    return value


def list_all(options: argparse.Namespace) -> None:
    """Prints every figure, table and benchmark with its title."""
    for kind, files, prefix in (("figures", FIGURES, ""), ("tables", TABLES, ""), ("bench", BENCHES, "bench ")):
        print(f"{kind}:")
        for name in in_order(files):
            print(f"  {prefix + name:<20} {summary(files.docstring(name))}")
    print("all figures and tables of the shipped runs: python -m analysis report --out report")
    for note in (note for files in (FIGURES, TABLES, BENCHES) for note in files.notes()):
        print(f"note: {printable(note)}", file=sys.stderr)


def read(options: argparse.Namespace) -> "Inputs":
    """The inputs of figures and tables from the command line."""
    from analysis.inputs.inputs import LIMIT
    from analysis.inputs.sources import read_inputs

    return read_inputs(options.runs, options.out / "collected", limit=options.limit or LIMIT, image=options.image)


def run_figure(options: argparse.Namespace) -> None:
    """Makes a figure; prints its caption and files."""
    from analysis import figures
    from analysis.drawing import style

    style.VENUE.set(options.venue)
    result = figures.make(options.verb, read(options))
    written = figures.save(result, options.out, interactive=options.interactive)
    print(result.numbers.caption)
    print(f"written to {options.out}: {', '.join(path.name for path in written)}")


def run_table(options: argparse.Namespace) -> None:
    """Makes a table; prints it as Markdown, and its files."""
    from analysis import tables
    from analysis.tables._layout import to_markdown

    result = tables.make(options.verb, read(options))
    written = tables.save(result, options.out, options.verb)
    print(to_markdown(result))
    print(f"written to {options.out}: {', '.join(path.name for path in written)}")


def run_report(options: argparse.Namespace) -> None:
    """Makes all figures and tables on one page; prints where it is."""
    from analysis import report
    from analysis.drawing import style

    style.VENUE.set(options.venue)
    path = report.write(read(options), options.out, interactive=options.interactive)
    print(f"written to {options.out}; open {path} in a browser")


def run_collect(options: argparse.Namespace) -> None:
    """Writes the query table of a run; prints where it is."""
    from analysis.query_table.collect import collect
    from core.errors import UserError
    from core.runs.open import open_run

    if options.run.is_file() and not options.out:
        raise UserError(f"{options.run} is a file of weights; say with --out FOLDER where its table goes")
    run = open_run(options.run, options.data, options.images)
    out = collect(run, options.out or options.run / "collected", limit=options.limit, workers=options.workers)
    print(f"written to {out}; figures of this run read it, and so does pandas.read_parquet('{out}')")


def run_measure(options: argparse.Namespace) -> None:
    """Writes a summary with the measurements of runs; prints where it is."""
    from analysis.inputs.sources import write_summary

    out = write_summary(options.runs, options.json, options.work, limit=options.limit)
    print(f"written to {out}; give that file to figures in place of the runs")


def run_bench(options: argparse.Namespace) -> None:
    """Runs a benchmark; prints its numbers, and writes them if asked."""
    from analysis import bench
    from core.files import write_json

    result = bench.run(options.name, options.before)
    print(bench_text(result))
    if options.json:
        write_json(options.json, result)


def bench_text(result: dict) -> str:
    """The result of a benchmark as text: its name, a line for each row, and its aims."""
    rows = ["  ".join(f"{key} {value}" for key, value in row.items()) for row in result["rows"]]
    aims = [f"{'met' if a['met'] else 'MISSED'}: {a['aim']} ({a['value']})" for a in result["aims"]]
    return "\n".join([result["name"], *(f"  {line}" for line in rows), *aims])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
