"""Fields of dataclasses as flags of the command line. Imports no torch."""

import ast
import inspect
import sys
import textwrap
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

import tyro

from core.errors import UserError
from core.runs.config import did_you_mean

WIDTH = 100  # columns of a terminal
METAVARS = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH"}
HELP = ("-h", "--help", "--help-all")


def flags(default, arguments: list[str], prog: str, description: str | None = None, *, usual: Sequence[str] = ()):
    """`default` with what the flags change. --help shows the `usual` flags, where there are any, and --help-all all.

    UserError: an unknown flag; the nearest is suggested.
    """
    if usual and "--help-all" not in arguments and any(word in HELP for word in arguments):
        print(short_help(default, prog, description or "", usual))
        sys.exit(0)
    if "--help-all" in arguments:
        print(f"{description}\n")
        arguments, description = ["--help"], None
    refuse_unknown(default, arguments)
    return tyro.cli(
        type(default),
        default=default,
        args=arguments,
        prog=prog,
        description=description,
        config=(tyro.conf.AvoidSubcommands,),
    )


def refuse_unknown(default, arguments: list[str]) -> None:
    """UserError: an argument begins with -- and is no flag."""
    names = [*HELP, *(f"--{name}".replace("_", "-") for name in leaves(default))]
    for word in arguments:
        flag = word.split("=")[0].replace("_", "-")
        stem, _, last = flag.rpartition(".")
        positive = f"{stem}.{last.removeprefix('no-')}" if stem else flag.replace("--no-", "--", 1)
        if flag.startswith("--") and flag not in names and positive not in names:
            raise UserError(f"no flag {flag}{did_you_mean(flag, names)}")


def leaves(value, prefix: str = "") -> list[str]:
    """Dotted names of all fields that are no dataclasses."""
    found = []
    for f in fields(value):
        inner = getattr(value, f.name)
        found += leaves(inner, f"{prefix}{f.name}.") if is_dataclass(inner) else [prefix + f.name]
    return found


def short_help(default, prog: str, description: str, usual: Sequence[str]) -> str:
    """The description with its line breaks, and the usual flags."""
    blocks = [flag_help(default, name) for name in usual]
    return "\n".join(
        [
            f"usage: {prog} [FLAGS]\n",
            f"{description}\n",
            *blocks,
            "  --help-all",
            f"      Show all {len(leaves(default))} flags.",
        ]
    )


def flag_help(default, name: str) -> str:
    """One flag: its name and kind of value; below it the sentence beside the field, and the default."""
    *path, last = name.split(".")
    for part in path:
        default = getattr(default, part)
    said = f"{comments(type(default)).get(last, '')} (default: {getattr(default, last)})".strip()
    head = f"  --{name.replace('_', '-')} {metavar(typing.get_type_hints(type(default))[last])}".rstrip()
    return "\n".join([head, *textwrap.wrap(said, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)])


def metavar(kind) -> str:
    """What stands for a flag's value in the help, given its type."""
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    return METAVARS.get(kind) or (metavar(parts[0]) if parts else "")


def comments(kind: type) -> dict[str, str]:
    """The comment at the end of each field's line, as in `name: type = default  # comment`."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    rows = {node.target.id: lines[node.end_lineno - 1] for node in body if isinstance(node, ast.AnnAssign)}
    return {name: line.partition("  # ")[2] for name, line in rows.items()}
