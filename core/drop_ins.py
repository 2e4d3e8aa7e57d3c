"""Folders in which each file defines one loss, one detector, one recipe or one figure, under the file's name.

The files are read without being imported, so that listing a folder is quick and needs no torch.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import Lock
from types import ModuleType

from core.errors import UserError

# CPython 3.11 counts one recursion depth for all threads, so two that parse at once may raise SystemError.
PARSING = Lock()


@dataclass(frozen=True)
class DropIns:
    """The files of one folder, and of its subfolders, that define every name in `needs`.

    Files that begin with "_", and `base.py`, are helpers of the folder and are skipped.
    """

    folder: Path
    package: str  # the dotted name of the folder
    kind: str  # what one file is, as in "loss"
    needs: tuple[str, ...]  # what a file must define, as in ("Config", "Model")

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every file that is not a helper, by name, whether or not it defines what it must.

        UserError: two subfolders hold a file of one name.
        """
        files: dict[str, Path] = {}
        for path in sorted(p for p in self.folder.rglob("*.py") if not p.stem.startswith("_") and p.stem != "base"):
            if other := files.get(path.stem):
                raise UserError(f"{other} and {path} would be one {self.kind} of the same name; rename one of them")
            files[path.stem] = path
        return files

    @cached_property
    def incomplete(self) -> dict[str, list[str]]:
        """The files that lack a required name, each with the names it lacks."""
        lacking = {name: missing(path, self.needs) for name, path in self.files.items()}
        return {name: needs for name, needs in lacking.items() if needs}

    def names(self) -> list[str]:
        """The names of all complete files, in alphabetical order."""
        return sorted(self.files.keys() - self.incomplete.keys())

    def notes(self) -> list[str]:
        """One sentence for each file that is left out because it is incomplete."""
        return [
            f"{self.files[name]} is not a {self.kind}, because it defines no {' and no '.join(needs)}; "
            "it is left out (begin the name of a helper file with _)"
            for name, needs in self.incomplete.items()
        ]

    def module(self, name: str) -> ModuleType:
        """Imports one file and returns its module; ValueError names the alternatives."""
        if name not in self.names():
            raise ValueError(f"no {self.kind} {name!r}; there are {', '.join(self.names())}")
        return import_module(self.module_name(name))

    def module_name(self, name: str) -> str:
        """The dotted name of one file."""
        inner = self.files[name].relative_to(self.folder).with_suffix("")
        return ".".join([self.package, *inner.parts])

    def docstring(self, name: str) -> str:
        """The docstring of one file; empty where it has none."""
        return ast.get_docstring(parsed(self.files[name])) or ""


def summary(docstring: str) -> str:
    """The first line of a docstring; "-" where there is none."""
    return docstring.partition("\n")[0] or "-"


def missing(path: Path, needs: Sequence[str]) -> list[str]:
    """The names that a file does not define. It is parsed, which takes milliseconds, only if they are not seen in its text."""
    text = path.read_text(encoding="utf-8")
    if all(re.search(rf"^(class {need}[(:]|def {need}\()", text, re.MULTILINE) for need in needs):
        return []
    return [need for need in needs if need not in defined(path)]


def defined(path: Path) -> set[str]:
    """The names that a file defines or imports at its top level."""
    names = set()
    for node in parsed(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    with PARSING:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
