"""Names of tensors: ours, those of the originals' released files, and those of transformers' folders (on the hub).

Each detector has a table, which is read in any direction.
"""

import re
from functools import cache

OURS, RELEASED, HUB = range(3)  # the columns of a table
Table = tuple[tuple[str, str, str], ...]


def table(text: str) -> Table:
    """Modules and bare parameters, a row each; a row that starts with dots goes on from the last that does not.

    `*` stands for a number, `**` for anything, `-` for what has no such name.
    """
    rows, stem = [], ()
    for cells in map(str.split, text.strip().splitlines()):
        if cells[0].startswith("."):
            rows.append(tuple(a + b for a, b in zip(stem, cells, strict=True)))
        else:
            rows.append(stem := tuple(cells))
    return tuple(rows)


def translate(key: str, rows: Table, source: int, target: int) -> list[str]:
    """A tensor's names in another column: none if the table does not know it, several where one tensor has several."""
    key = key.replace(".in_proj_", ".in_proj.")  # as torch's MultiheadAttention writes it
    found = ((pattern.fullmatch(key), form) for pattern, form in patterns(rows, source, target))
    return [form.format(*match.groups()).replace(".in_proj.", ".in_proj_") for match, form in found if match]


@cache
def patterns(rows: Table, source: int, target: int) -> list[tuple[re.Pattern, str]]:
    cells = ((row[source], row[target]) for row in rows)
    return [(pattern(a), form(b)) for a, b in cells if "-" not in (a[0], b[0])]


def pattern(cell: str) -> re.Pattern:
    cell = re.escape(cell).replace(r"\*\*", "(.+)").replace(r"\*", r"(\d+)")
    return re.compile(cell + r"((?:\.weight|\.bias)?)")


def form(cell: str) -> str:
    return cell.replace("**", "*").replace("*", "{}") + "{}"


# transformers' own ResNet has other names than torchvision's, which the table of a detector holds.
STEM = (("embedder.embedder.convolution", "conv1"), ("embedder.embedder.normalization", "bn1"))
BLOCK = (("shortcut.convolution", "downsample.0"), ("shortcut.normalization", "downsample.1"))
LAYER = r"layer\.(\d+)\.(convolution|normalization)"


def from_native(key: str) -> str:
    """torchvision's name, of a ResNet's tensor as transformers calls it; other names stay."""
    key = swapped(key, *STEM, *BLOCK)
    key = re.sub(r"encoder\.stages\.(\d+)\.layers\.", lambda m: f"layer{int(m[1]) + 1}.", key)
    return re.sub(LAYER, lambda m: f"{'conv' if m[2] == 'convolution' else 'bn'}{int(m[1]) + 1}", key)


def to_native(key: str) -> str:
    """The way back."""
    key = re.sub(r"layer(\d)\.(\d+)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.", key)
    if ".layers." not in key:
        return swapped(key, *((b, a) for a, b in STEM))
    kinds = {"conv": "convolution", "bn": "normalization"}
    key = re.sub(r"(conv|bn)(\d)", lambda m: f"layer.{int(m[2]) - 1}.{kinds[m[1]]}", key)
    return swapped(key, *((b, a) for a, b in BLOCK))


def swapped(key: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        key = key.replace(old, new)
    return key
