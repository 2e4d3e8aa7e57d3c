"""Fields of dataclasses as flags of the command line. Imports no torch."""

import ast
import contextlib
import inspect
import io
import itertools
import re
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from core.errors import UserError
from core.limits import refuse_outside
from core.runs.config import did_you_mean

WIDTH = 100  # columns of a terminal
SIDE, RULE = " │", "─-╰╯"  # of the boxes that tyro draws, on terminals that know no more than ASCII too
PLAIN = (  # what it writes in them, and what a sentence says instead
    (r"^Error parsing (--\S+): *", r"\1: "),
    (r"^Error parsing \w+: *", "--"),
    (r"invalid literal for int\(\) with base 10: (.+)", r"\1 is no whole number"),
    (r"could not convert string to float: (.+)", r"\1 is no number"),
    (r" +(?=[.;,])", ""),
)
METAVARS = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH"}
HELP = ("-h", "--help", "--help-all")
NO_SHORT: Mapping[str, str] = {}
T = TypeVar("T")


def flags(
    default: T,
    arguments: list[str],
    prog: str,
    description: str | None = None,
    *,
    usual: Sequence[str] = (),
    short: Mapping[str, str] = NO_SHORT,
) -> T:
    """A copy of the dataclass `default` with the fields that the flags set.

    --help prints the `usual` flags, if there are any, and --help-all all of them; both exit. `short` are further flags, which
    the caller has replaced, for the help and for suggestions: the long flag of each, or a sentence where it has none.
    UserError: an unknown flag; the nearest is suggested. Or a value that is outside the limits of its field.
    """
    if usual and "--help-all" not in arguments and any(word in HELP for word in arguments):
        print(short_help(default, prog, description or "", usual, short))
        sys.exit(0)
    if "--help-all" in arguments:
        if description:
            print(f"{description}\n")
        arguments, description = ["--help"], None
    refuse_unknown(default, arguments, short)
    if not arguments and find_spec("tyro") is None:
        return default
    tyro = parser()
    with refusals_as_sentences():
        chosen = tyro.cli(
            type(default),
            default=default,
            args=arguments,
            prog=prog,
            description=description,
            config=(tyro.conf.AvoidSubcommands,),
        )
    refuse_outside(chosen, "--")
    return chosen


@contextlib.contextmanager
def refusals_as_sentences() -> Iterator[None]:
    """While open, what tyro refuses is a UserError, not a box and an exit."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            yield
    except SystemExit as end:
        if end.code:
            raise UserError(sentence_in(output.getvalue())) from None
        raise


def sentence_in(box: str) -> str:
    """The text of a box before its first rule, in one line and plain words."""
    lines = [line.strip(SIDE) for line in box.splitlines()[1:]]  # without the title
    parts = [list(part) for ruled, part in itertools.groupby(lines, is_rule) if not ruled]
    text = " ".join(parts[0] if parts else box.split())
    for pattern, plain in PLAIN:
        text = re.sub(pattern, plain, text)
    return text.removesuffix(".") + "; --help shows the flags"


def is_rule(line: str) -> bool:
    """Returns whether a line of a box has no text."""
    return not line.strip(RULE)


def parser() -> Any:
    """The module tyro. UserError: it is not installed."""
    try:
        import tyro
    except ImportError:
        raise UserError("flags need tyro: pip install tyro, or leave them out") from None
    return tyro


def refuse_unknown(default: Any, arguments: list[str], short: Mapping[str, str]) -> None:
    """UserError: an argument begins with -- and is not a flag of the dataclass `default`."""
    names = [*HELP, *(f"--{name}".replace("_", "-") for name in leaves(default))]
    for word in arguments:
        flag = word.split("=")[0].replace("_", "-")
        stem, _, last = flag.rpartition(".")
        positive = f"{stem}.{last.removeprefix('no-')}" if stem else flag.replace("--no-", "--", 1)
        if flag.startswith("--") and flag not in names and positive not in names:
            raise UserError(f"no flag {flag}{did_you_mean(flag, [*(f'--{name}' for name in short), *names])}")


def leaves(value: Any, prefix: str = "") -> list[str]:
    """Dotted names of all fields of a dataclass, and of those within, that are not dataclasses themselves.

    A field that is named after a word of Python ends with _, which its flag does not.
    """
    names: list[str] = []
    for f in fields(value):
        inner = getattr(value, f.name)
        names += leaves(inner, f"{prefix}{f.name}.") if is_dataclass(inner) else [prefix + f.name.removesuffix("_")]
    return names


def short_help(default: Any, prog: str, description: str, usual: Sequence[str], short: Mapping[str, str]) -> str:
    """The help text with the usual flags only. Keeps the line breaks of the description."""
    names = {long: name for name, long in short.items()}
    alone = [(name, text) for name, text in short.items() if " " in text]
    known = leaves(default)
    blocks = [flag_help(default, name, names.get(name)) for name in usual if name in known]
    blocks += [indented(f"  --{name} INT", text) for name, text in alone]
    return "\n".join(
        [
            f"usage: {prog} [FLAGS]\n",
            f"{description}\n",
            *blocks,
            "  --help-all",
            f"      Show all {len(leaves(default))} flags.",
        ]
    )


def flag_help(default: Any, name: str, short: str | None = None) -> str:
    """The help of one flag: its names and kind of value; below them the comment beside its field, and the default."""
    *path, last = name.split(".")
    for part in path:
        default = getattr(default, part)
    text = f"{comments(type(default)).get(last, '')} (default: {getattr(default, last)})".strip()
    names = f"--{short}, --{name}" if short else f"--{name}"
    return indented(f"  {names.replace('_', '-')} {metavar(typing.get_type_hints(type(default))[last])}".rstrip(), text)


def indented(head: str, text: str) -> str:
    """A head, and below it a text in lines of at most WIDTH columns."""
    return "\n".join([head, *textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)])


def metavar(kind: Any) -> str:
    """The placeholder of a flag's value in the help, given its type: INT, PATH, {a,b} ..."""
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    return METAVARS.get(kind) or (metavar(parts[0]) if parts else "")


def comments(kind: type) -> dict[str, str]:
    """The comment at the end of each field's last line, as in `name: type = default  # comment`."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    texts = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last_line = lines[(node.end_lineno or node.lineno) - 1]
            texts[node.target.id] = last_line.partition("  # ")[2]
    return texts
