"""The floor plan: which part of the project may import which, and how full a folder may be."""

import ast
from functools import cache
from pathlib import Path

import pytest

from core.project import ROOT

PACKAGES = {
    "core": {"core"},
    "train": {"train", "core"},
    "analysis": {"analysis", "core"},
    "app": {"app", "analysis", "core"},
    "detrdistill": {"detrdistill", "app", "analysis", "train", "core"},
}
MEASURES = {
    **{f"analysis/bench/{name}.py": {"train"} for name in ("detectors", "hub", "layout", "matching", "step")},
    "analysis/bench/train.py": {"train"},
    "analysis/bench/predict.py": {"train"},
    "analysis/bench/_gpu_steps.py": {"train"},
    "analysis/bench/_gpu_options.py": {"train"},
    "analysis/bench/_growth_cases.py": {"app"},
    "analysis/bench/_app_brush.py": {"app"},
}  # a benchmark may import what it measures, and the settings under which it does
NOT_IN_CORE = {"matplotlib", "plotly", "gradio", "tyro", "rich", "tensorboard"}
DRAWS_PROGRESS = {"core/progress.py": {"rich"}}

# The floors of each package from the ground up. A part imports itself and lower floors of its package, nothing else;
# so there is no circle. A part is a module or a folder; a module belongs to the part with the longest name that fits.
FLOORS = {
    "core": [
        [
            "core.errors",
            "core.project",
            "core.boxes",
            "core.types",
            "core.tensor_names",
            "core.data.category",
        ],
        ["core.terminal"],
        ["core.files", "core.drop_ins", "core.limits", "core.progress", "core.data.decode"],
        ["core.matching", "core.nn", "core.hub", "core.pseudo"],
        ["core.detectors", "core.losses", "core.data.sample", "core.data.layouts"],
        ["core.distiller", "core.data.coco", "core.data.shapes"],
        ["core.data.check", "core.data"],
        ["core.metrics"],
        ["core.runs"],
        ["core.runs.diagnose", "core.convert"],
    ],
    "train": [
        ["train.errors", "train.memory", "train.run", "train.score_table"],
        ["train.distributed", "train.recipes"],
        ["train.job"],
        ["train.run_folder"],
        ["train.engine"],
        ["train.exports", "train.studies"],
        ["train.cli"],
        ["train.__main__"],
    ],
    "analysis": [
        ["analysis.query_table", "analysis.catalogue"],
        ["analysis.inputs"],
        ["analysis.drawing"],
        ["analysis.figures", "analysis.tables", "analysis.bench"],
        ["analysis.report"],
        ["analysis.__main__"],
    ],
    "app": [
        ["app.words", "app.arguments"],
        ["app.replay"],
        ["app.worker"],
        ["app.views", "app.jobs"],
        ["app.server"],
        ["app.__main__"],
    ],
}
# What may not be imported although it is on a lower floor.
STRANGERS = {
    "core.losses": {"core.nn"},  # a loss knows traces, not networks
    "core.matching": {"core.files"},
    "core.data": {"core.detectors", "core.losses", "core.matching", "core.nn", "core.distiller"},
    "core.data.layouts": {"core.detectors", "core.losses", "core.matching", "core.nn"},
    "core.data.coco": {"core.detectors", "core.losses", "core.matching", "core.nn"},
    "core.data.shapes": {"core.detectors", "core.losses", "core.matching", "core.nn"},
    "core.data.check": {"core.detectors", "core.losses", "core.matching", "core.nn", "core.distiller"},
    "train.studies": {"train.engine", "train.run_folder"},
}
# What single parts of core may import of core, more narrowly than their floor allows.
INSIDE = {
    "core.types": set(),
    "core.errors": set(),
    "core.project": set(),
    "core.progress": {"core.terminal"},
    "core.terminal": {"core.errors"},
    "core.boxes": set(),
    "core.tensor_names": set(),
    "core.files": {"core.errors"},
    "core.drop_ins": {"core.errors"},
    "core.limits": {"core.errors"},
    "core.matching": {"core.matching", "core.boxes", "core.limits", "core.types", "core.errors"},
    "core.matching.hungarian": set(),
    "core.matching.margins": set(),
    "core.matching.threads": set(),
    "core.pseudo": {"core.boxes", "core.types", "core.errors"},
    "core.runs.transport": {"core.boxes"},
    "core.nn": {"core.nn", "core.boxes", "core.types", "core.errors"},
    "core.hub": {"core.hub", "core.errors"},
    "core.detectors": {
        "core.detectors",
        "core.drop_ins",
        "core.hub",
        "core.nn",
        "core.matching",
        "core.boxes",
        "core.tensor_names",
        "core.limits",
        "core.types",
        "core.errors",
    },
    "core.losses": {
        "core.losses",
        "core.drop_ins",
        "core.limits",
        "core.matching",
        "core.boxes",
        "core.types",
        "core.errors",
    },
    "core.losses._layer_mapping": {"core.types"},
    "core.losses._imitation": {"core.types"},
    "core.metrics.instability": {"core.types"},
    "core.metrics.hits": {"core.data.category", "core.metrics.detections"},
    "core.metrics.tide": {"core.metrics.hits", "core.metrics.detections"},
    "core.metrics.gained_lost": {"core.metrics.hits", "core.metrics.detections"},
    "core.metrics.calibration": set(),
    "core.metrics.paired": set(),
    "core.metrics.query_quality": {"core.losses.base", "core.losses.features", "core.boxes", "core.types"},
    "core.metrics.query_masks": {
        "core.losses.features",
        "core.losses._imitation",
        "core.boxes",
        "core.matching",
        "core.types",
    },
    "core.metrics.agreement": {"core.metrics.instability", "core.boxes", "core.types"},
    "core.runs.class_mapping": {
        "core.data.category",
        "core.detectors.base",
        "core.detectors._wrapped",
        "core.errors",
        "core.runs.config",
        "core.types",
    },
    "core.distiller": {"core.detectors.base", "core.losses.base", "core.matching", "core.pseudo", "core.types"},
    "core.data": {"core.data", "core.boxes", "core.limits", "core.types", "core.errors", "core.files", "core.pseudo"},
}
CROWDED = 12  # files in a folder, besides __init__.py
DROP_INS = {"core/losses", "analysis/figures", "analysis/bench", "train/studies"}
DROP_INS |= {f"train/recipes/{group}" for group in ("from_papers", "on_shapes", "own_data")}


def imported(file: Path) -> set[str]:
    """Every module that a file imports, by its full name; for `from a import b` both a and a.b."""
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


def module_of(file: Path) -> str:
    """The dotted name of a file; a package's is that of its folder."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    return {module_of(file): file for package in PACKAGES for file in files(package)}


def imported_modules(file: Path) -> set[str]:
    """The project's own modules that a file imports; `from a import b` is a.b where that is a module, else a."""
    found = imported(file) & modules().keys()
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def floor(package: str, module: str) -> tuple[int, str]:
    """The floor of a module and the part to which it belongs."""
    parts = [(k, part) for k, parts in enumerate(FLOORS[package]) for part in parts]
    fitting = [(k, part) for k, part in parts if module == part or module.startswith(f"{part}.")]
    assert fitting, f"{module} is on no floor; give it one in FLOORS"
    return max(fitting, key=lambda found: len(found[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package):
    for file in files(package):
        ours = {name.split(".")[0] for name in imported(file)} & {*PACKAGES, "tests"}
        more = ours - PACKAGES[package] - MEASURES.get(str(file.relative_to(ROOT)), set())
        assert not more, f"{file} imports {more}"


def test_core_draws_nothing_and_reads_no_flags():
    for file in files("core"):
        found = {name.split(".")[0] for name in imported(file)} & NOT_IN_CORE
        assert found <= DRAWS_PROGRESS.get(str(file.relative_to(ROOT)), set()), f"{file} imports {found}"


@pytest.mark.parametrize("package", FLOORS)
def test_every_arrow_points_downwards(package):
    for module, file in modules().items():
        if module == package or not module.startswith(f"{package}."):
            continue
        height, part = floor(package, module)
        for name in imported_modules(file) - {package}:
            if name.startswith(f"{package}."):
                lower, other = floor(package, name)
                assert lower < height or other == part, f"{file} (floor {height}) imports {name} (floor {lower})"
                assert other not in STRANGERS.get(part, set()), f"{file} imports {name}"


@pytest.mark.parametrize("part", INSIDE)
def test_inside_core_nouns_come_before_verbs(part):
    path = ROOT / part.replace(".", "/")
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        for name in imported(file):
            if name.startswith("core."):
                assert any(name == x or name.startswith(f"{x}.") for x in INSIDE[part]), f"{file} imports {name}"


def test_no_module_imports_itself_by_way_of_others():
    below = {module: imported_modules(file) - {module} for module, file in modules().items()}
    while below:
        free = {module for module, names in below.items() if not names & below.keys()}
        assert free, f"there is a circle among {sorted(below)}"
        below = {module: names for module, names in below.items() if module not in free}


def test_no_folder_is_a_heap():
    for package in PACKAGES:
        for folder in {file.parent for file in files(package)}:
            own = [file for file in folder.glob("*.py") if file.name != "__init__.py"]
            if str(folder.relative_to(ROOT)) not in DROP_INS:
                assert len(own) <= CROWDED, f"{folder} holds {len(own)} files"


def test_tests_mirror_the_packages():
    """The tests of a folder are in the folder of the same name under tests/; project and gpu are about all of it."""
    folders = {file.parent.relative_to(ROOT / "tests") for file in files("tests") if file.name.startswith("test_")}
    assert {str(f) for f in folders if not (ROOT / f).is_dir()} == {"project", "gpu"}


def test_detectors_and_losses_do_not_import_each_other():
    for one, other in (("detectors", "losses"), ("losses", "detectors")):
        for file in files(f"core/{one}"):
            assert not any(name.startswith(f"core.{other}") for name in imported(file)), file


def test_shapes_are_checked_wherever_core_names_them(pytestconfig):
    """Every module of core that imports jaxtyping is in a package that pytest instruments."""
    checked = pytestconfig.getoption("jaxtyping_packages").split(",")
    for module, file in modules().items():
        if module.startswith("core.") and any(name.startswith("jaxtyping") for name in imported(file)):
            assert any(module == x or module.startswith(f"{x}.") for x in checked), module


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
