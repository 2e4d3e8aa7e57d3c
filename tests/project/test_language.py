"""The language of the code: docstrings that are sentences, and names that say what a thing is (docs/glossary.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.project import ROOT

PACKAGES = ("core", "train", "analysis", "app", "detrdistill")
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
# A docstring begins with what is done or returned, not with a fragment.
FRAGMENTS = (
    "Of|What|Whether|Whom|Whose|Who|Where|As|How dear|Those|That|These|But|Anew|Without|And|By|For|From|In|On|At"
)
# Names that say nothing: what the thing is goes into the signature.
EMPTY_NAMES = {"found", "told", "mine", "theirs", "met", "heard", "taught", "here", "there", "more", "dear", "said"}
# Texts that are not in the repository.
ELSEWHERE = re.compile(r"\bDETECTORS\b|\bPAPER\b|\bPAPER\.md\b|\bFIELD\.md\b|[Ss]tatements? \d")


def definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Every class, function and method that is not private and not nested in a function."""

    def visit(node: ast.AST) -> Iterator[ast.FunctionDef | ast.ClassDef]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                if not child.name.startswith("_"):
                    yield child
                if isinstance(child, ast.ClassDef):
                    yield from visit(child)
            elif not isinstance(child, ast.expr):
                yield from visit(child)

    yield from visit(tree)


def overrides_documented(node: ast.AST, tree: ast.Module) -> bool:
    """Whether a method is one of an interface, whose base class documents it: forward of a loss, say."""
    return isinstance(node, ast.FunctionDef) and node.name in INHERITED and node.args.args[:1] != []


# Methods that a base class documents: of torch's modules, of Loss and of Detector.
INHERITED = {
    "forward",
    "backward",
    "encode",
    "propose",
    "decode",
    "ask",
    "ask_teacher",
    "problems",
    "cost_parts",
    "with_layers",
    "train",
}


def problems(path: Path) -> list[str]:
    """What is wrong with the language of a file, a line each."""
    tree = ast.parse(path.read_text())
    found = []
    for node in definitions(tree):
        where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        text = ast.get_docstring(node)
        if text is None:
            if not overrides_documented(node, tree):
                found.append(f"{where} has no docstring")
        else:
            found += [f"{where}: {fault}" for fault in faults_of(text)]
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            found += [f"{where}: the parameter {a.arg!r} says nothing" for a in arguments if a.arg in EMPTY_NAMES]
            if node.name in EMPTY_NAMES:
                found.append(f"{where}: the name says nothing")
    module = ast.get_docstring(tree)
    if module:
        found += [f"{path.relative_to(ROOT)}: {fault}" for fault in faults_of(module)]
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if ELSEWHERE.search(line):
            found.append(f"{path.relative_to(ROOT)}:{number} refers to a text that is not in the repository")
    return found


def faults_of(docstring: str) -> list[str]:
    """What is wrong with a docstring."""
    first = docstring.split("\n\n")[0]
    faults = []
    if re.match(rf"({FRAGMENTS})\b", first):
        faults.append(f"begins with a fragment: {first[:50]!r}")
    if not first[0].isupper() and first[0] not in "`(\"'{0123456789" and not re.match(r"[a-zA-Z_0-9]+\b", first):
        faults.append(f"does not begin as a sentence: {first[:50]!r}")
    if not re.search(r"[.:)`?]$", first.rstrip()):
        faults.append(f"does not end as a sentence: {first[-50:]!r}")
    return faults


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_speaks_plainly(path):
    assert problems(path) == []
