"""Fields of dataclasses as flags of the command line. Imports no torch."""

from dataclasses import fields, is_dataclass

import tyro

from core.config import meant
from core.errors import UserError


def flags(default, arguments: list[str], prog: str, description: str | None = None):
    """`default` with what the flags say instead; a flag that is not there is refused in one sentence."""
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
    names = ["--help", *(f"--{name}".replace("_", "-") for name in leaves(default))]
    for word in arguments:
        flag = word.split("=")[0].replace("_", "-")
        stem, _, last = flag.rpartition(".")
        positive = f"{stem}.{last.removeprefix('no-')}" if stem else flag.replace("--no-", "--", 1)
        if flag.startswith("--") and flag not in names and positive not in names:
            raise UserError(f"no flag {flag}{meant(flag, names)}")


def leaves(value, prefix: str = "") -> list[str]:
    """Dotted names of all fields that are no dataclasses."""
    found = []
    for f in fields(value):
        inner = getattr(value, f.name)
        found += leaves(inner, f"{prefix}{f.name}.") if is_dataclass(inner) else [prefix + f.name]
    return found
