"""Imports point one way: between packages, and inside core."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "core": {"core"},
    "train": {"train", "core"},
    "analysis": {"analysis", "core"},
    "app": {"app", "analysis", "core"},
}
MEASURES = {"analysis/bench/train.py": {"train"}}  # a benchmark may import what it measures
NOT_IN_CORE = {"matplotlib", "plotly", "gradio", "tyro", "rich", "tensorboard"}
# What each part of core may import of core; longest name first.
INSIDE = {
    "core.types": set(),
    "core.errors": set(),
    "core.files": {"core.errors"},
    "core.boxes": set(),
    "core.names": set(),
    "core.hungarian": set(),
    "core.matching": {"core.boxes", "core.hungarian", "core.types", "core.errors"},
    "core.nn": {"core.nn", "core.boxes", "core.types", "core.errors"},
    "core.detectors": {
        "core.detectors",
        "core.nn",
        "core.matching",
        "core.boxes",
        "core.names",
        "core.types",
        "core.errors",
    },
    "core.stages": {"core.types"},
    "core.classes": {"core.detectors.base", "core.types", "core.errors"},
    "core.imitation": {"core.types"},
    "core.measures": {"core.types"},
    "core.losses": {
        "core.losses",
        "core.matching",
        "core.stages",
        "core.imitation",
        "core.boxes",
        "core.types",
        "core.errors",
    },
    "core.hits": {"core.data.sample", "core.detections"},
    "core.tide": {"core.hits", "core.detections"},
    "core.changes": {"core.hits", "core.detections"},
    "core.calibration": set(),
    "core.quality": {"core.losses.base", "core.losses.features", "core.boxes", "core.types"},
    "core.masks": {"core.losses.features", "core.boxes", "core.imitation", "core.matching", "core.types"},
    "core.agreement": {"core.boxes", "core.types"},
    "core.pairing": {
        "core.checkpoint",
        "core.classes",
        "core.detectors.base",
        "core.distiller",
        "core.losses",
        "core.errors",
    },
    "core.distiller": {"core.detectors.base", "core.losses.base", "core.matching", "core.types"},
    "core.data": {"core.data", "core.boxes", "core.types", "core.errors", "core.files", "core.detections"},
}


def imported(file: Path) -> set[str]:
    """Every module that a file imports, by its full name; of `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: import by the full name"
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return names


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package):
    for file in files(package):
        ours = {name.split(".")[0] for name in imported(file)} & {*PACKAGES, "tests"}
        more = ours - PACKAGES[package] - MEASURES.get(str(file.relative_to(ROOT)), set())
        assert not more, f"{file} imports {more}"


def test_core_draws_nothing_and_reads_no_flags():
    for file in files("core"):
        found = {name.split(".")[0] for name in imported(file)} & NOT_IN_CORE
        assert not found, f"{file} imports {found}"


@pytest.mark.parametrize("part", INSIDE)
def test_inside_core_nouns_come_before_verbs(part):
    path = ROOT / part.replace(".", "/")
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        for name in imported(file):
            if name.startswith("core."):
                assert any(name == x or name.startswith(f"{x}.") for x in INSIDE[part]), f"{file} imports {name}"


def test_detectors_and_losses_never_meet():
    for here, there in (("detectors", "losses"), ("losses", "detectors")):
        for file in files(f"core/{here}"):
            assert not any(name.startswith(f"core.{there}") for name in imported(file)), file


def test_nothing_is_unpickled():
    """No file of ours imports pickle, and torch.load is told that it meets weights only."""
    for package in PACKAGES:
        for file in files(package):
            assert not {"pickle", "cloudpickle", "dill", "joblib", "shelve"} & imported(file), file
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "numpy.load"):
                    said = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert said.get("weights_only") == "True" or said.get("allow_pickle") == "False", (
                        f"{file}:{node.lineno}"
                    )
