"""Translation of tensor names between this project, the originals' released files, and transformers' folders (on the hub).

Each detector has a table of names, which is read in any direction.
"""

import re
from functools import cache

OURS, RELEASED, HUB = range(3)  # the columns of a table
Table = tuple[tuple[str, str, str], ...]


def table(text: str) -> Table:
    """Parses a table: a row for each module or bare parameter, with its name in each column.

    A row whose cells start with a dot is appended to the last row whose cells do not. `*` stands for a number, `**` for
    anything, `-` for a tensor that has no name in that column.
    """
    rows: list[tuple[str, ...]] = []
    stem: tuple[str, ...] = ()
    for cells in map(str.split, text.strip().splitlines()):
        if cells[0].startswith("."):
            rows.append(tuple(a + b for a, b in zip(stem, cells, strict=True)))
        else:
            rows.append(stem := tuple(cells))
    return tuple((own, released, hub) for own, released, hub in rows)


def translate(key: str, rows: Table, source: int, target: int) -> list[str]:
    """The names in column `target` of the tensor that column `source` calls `key`.

    Empty if the table does not know the tensor; several names where the target has copies of it.
    """
    key = key.replace(".in_proj_", ".in_proj.")  # as torch's MultiheadAttention writes it
    matches = ((pattern.fullmatch(key), form) for pattern, form in patterns(rows, source, target))
    return [form.format(*match.groups()).replace(".in_proj.", ".in_proj_") for match, form in matches if match]


@cache
def patterns(rows: Table, source: int, target: int) -> list[tuple[re.Pattern, str]]:
    """A pattern of the source name and a template of the target name for each row that has both."""
    cells = ((row[source], row[target]) for row in rows)
    return [(pattern(a), template(b)) for a, b in cells if "-" not in (a[0], b[0])]


def pattern(cell: str) -> re.Pattern:
    """A pattern that matches the names of a cell; its groups are the texts behind the stars, and the suffix."""
    cell = re.escape(cell).replace(r"\*\*", "(.+)").replace(r"\*", r"(\d+)")
    return re.compile(cell + r"((?:\.weight|\.bias)?)")


def template(cell: str) -> str:
    """A format string that puts the groups of `pattern` into the stars of a cell."""
    return cell.replace("**", "*").replace("*", "{}") + "{}"


# transformers' own ResNet does not use torchvision's names, which are those in the tables of the detectors.
STEM = (("embedder.embedder.convolution", "conv1"), ("embedder.embedder.normalization", "bn1"))
BLOCK = (("shortcut.convolution", "downsample.0"), ("shortcut.normalization", "downsample.1"))
LAYER = r"layer\.(\d+)\.(convolution|normalization)"


def from_native(key: str) -> str:
    """Converts transformers' name of a ResNet's tensor to torchvision's; other names stay."""
    key = swapped(key, *STEM, *BLOCK)
    key = re.sub(r"encoder\.stages\.(\d+)\.layers\.", lambda m: f"layer{int(m[1]) + 1}.", key)
    return re.sub(LAYER, lambda m: f"{'conv' if m[2] == 'convolution' else 'bn'}{int(m[1]) + 1}", key)


def to_native(key: str) -> str:
    """Converts torchvision's name of a ResNet's tensor to transformers'; the inverse of `from_native`."""
    key = re.sub(r"layer(\d)\.(\d+)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.", key)
    if ".layers." not in key:
        return swapped(key, *((b, a) for a, b in STEM))
    kinds = {"conv": "convolution", "bn": "normalization"}
    key = re.sub(r"(conv|bn)(\d)", lambda m: f"layer.{int(m[2]) - 1}.{kinds[m[1]]}", key)
    return swapped(key, *((b, a) for a, b in BLOCK))


def swapped(key: str, *pairs: tuple[str, str]) -> str:
    """The key with each old part replaced by its new one, in order."""
    for old, new in pairs:
        key = key.replace(old, new)
    return key
