"""Draws the import graph of the packages from the code itself: python docs/draw.py writes docs/drawings/imports.svg.

A box is a folder, or a module that lies directly in a package; an arrow points from what imports to what is imported.
Each box stands one floor above the highest that it imports, so nothing is drawn if there is a circle. An arrow that others
imply (a to c, where a imports b and b imports c) is left out of the drawing, and stands in the printed list.
"""

import ast
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib.figure import Figure  # noqa: E402

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from detrdistill.__main__ import PROGRAMS  # noqa: E402

PACKAGES = ("core", "train", "analysis", "app", "detrdistill")
COLOURS = {"core": "#4c72b0", "train": "#dd8452", "analysis": "#55a868", "app": "#8172b3", "detrdistill": "#777777"}
WIDTH, HEIGHT = 1.0, 0.5  # of a box, in units of the drawing

Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def box_of(module: str, known: dict[str, Path]) -> str:
    """The box of a module: its folder, or the module itself where it lies directly in a package."""
    folder = ".".join(known[module].relative_to(ROOT).parent.parts)
    return module if folder in PACKAGES else folder


def import_graph() -> Graph:
    """Returns the boxes that each box imports."""
    known = modules()
    graph: Graph = {box_of(module, known): set() for module in known}
    for module, path in known.items():
        for name in imported(path, known):
            one, other = box_of(module, known), box_of(name, known)
            if one != other:
                graph[one].add(other)
    graph["detrdistill.__main__"] |= {f"{program}.__main__" for program in PROGRAMS}  # imported by name
    return {box: names - {*PACKAGES} for box, names in graph.items() if box not in PACKAGES}  # their __init__ is empty


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the project that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {full if (full := f"{node.module}.{a.name}") in known else node.module for a in node.names}
    return names & known.keys()


def floors(graph: Graph) -> dict[str, int]:
    """The floor of each box: one above the highest that it imports. ValueError: there is a circle."""
    height: dict[str, int] = {}
    while len(height) < len(graph):
        ready = [box for box, names in graph.items() if box not in height and names <= height.keys()]
        if not ready:
            raise ValueError(f"there is a circle among {sorted(graph.keys() - height.keys())}")
        height |= {box: 1 + max((height[name] for name in graph[box]), default=-1) for box in ready}
    return height


def without_implied(graph: Graph, height: dict[str, int]) -> Graph:
    """The graph without arrows that a longer way implies (its transitive reduction)."""
    below: Graph = {}
    for box in sorted(graph, key=lambda box: height[box]):
        below[box] = graph[box].union(*(below[name] for name in graph[box]))
    return {box: {n for n in names if not any(n in below[other] for other in names)} for box, names in graph.items()}


def places(height: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Returns the position of each box: packages side by side from the left, floors from below."""
    found, left = {}, 0.0
    for package in PACKAGES:
        rows: dict[int, list[str]] = defaultdict(list)
        for box in sorted(b for b in height if b.split(".")[0] == package):
            rows[height[box]].append(box)
        wide = max(map(len, rows.values()))
        for floor, boxes in rows.items():
            start = left + (wide - len(boxes)) * (WIDTH + 0.15) / 2
            found |= {box: (start + k * (WIDTH + 0.15), floor * 0.95) for k, box in enumerate(boxes)}
        left += wide * (WIDTH + 0.15) + 0.4
    return found


def draw(graph: Graph) -> Figure:
    """The graph as a figure."""
    height_of = floors(graph)
    at, graph = places(height_of), without_implied(graph, height_of)
    width, height = (max(p[k] for p in at.values()) for k in (0, 1))
    figure = Figure(figsize=(width + 1.4, height + 1))
    ax = figure.subplots()
    ax.set(xlim=(-0.2, width + WIDTH + 0.2), ylim=(-0.2, height + HEIGHT + 0.2))
    ax.axis("off")
    for box, names in graph.items():
        for name in sorted(names):  # a set has another order in each process, and the drawing would differ
            start, end = (at[box][0] + WIDTH / 2, at[box][1]), (at[name][0] + WIDTH / 2, at[name][1] + HEIGHT)
            style = {"arrowstyle": "->", "color": COLOURS[box.split(".")[0]], "lw": 0.7, "alpha": 0.7}
            ax.annotate("", xy=end, xytext=start, arrowprops=style, zorder=0)
    for box, (x, y) in at.items():
        package, _, rest = box.partition(".")
        look = {"boxstyle": "round,pad=0.02", "fc": "white", "ec": COLOURS[package], "lw": 1.2}
        ax.add_patch(matplotlib.patches.FancyBboxPatch((x, y), WIDTH, HEIGHT, **look))
        title = f"{package}\n" + rest.replace(".", ".\n", 1) if rest else package
        ax.text(x + WIDTH / 2, y + HEIGHT / 2, title, ha="center", va="center", size=8, linespacing=0.95)
    return figure


def main() -> int:
    """Writes the drawing, and prints each box with what it imports."""
    graph, out = import_graph(), ROOT / "docs" / "drawings" / "imports.svg"
    out.parent.mkdir(exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "detrdistill", "svg.fonttype": "none"}):
        draw(graph).savefig(out, metadata={"Date": None}, bbox_inches="tight")
    height = floors(graph)
    for box in sorted(graph, key=lambda box: (PACKAGES.index(box.split(".")[0]), height[box], box)):
        print(f"{height[box]:>2}  {box:<24} {' '.join(sorted(graph[box]))}")
    print(f"written to {out.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
