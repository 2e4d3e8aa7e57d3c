"""Opens weights that were trained elsewhere, as a detector of this project or of the hub."""

from dataclasses import replace
from pathlib import Path

from core.convert.hub_folder import convert_folder
from core.convert.read import read_weights
from core.convert.to_detector import Converted, convert
from core.errors import UserError
from core.files import read_json
from core.hub.families import FAMILIES

NATIVE = ("conditional_detr", "deformable_detr")  # families of transformers that this project has a detector for


def model_type(path: Path) -> str | None:
    """The family that a folder's config.json names; None if `path` is no folder with such a file."""
    file = path / "config.json"
    content = read_json(file) if path.is_dir() and file.is_file() else {}
    return content.get("model_type") if isinstance(content, dict) else None


def open_weights(
    path: Path, class_file: Path | None = None, *, hub: bool = False, heads: int | None = None
) -> Converted:
    """The detector of a file or folder; `class_file` names its classes, see `choose_classes`.

    `heads` is the number of attention heads of weights that do not say it.

    A folder of a family that this project has too becomes its detector, unless `hub` asks for transformers' own. UserError: the
    weights cannot be read, or are of no detector that can be used.
    """
    kind = model_type(path)
    if hub or (kind in FAMILIES and kind not in NATIVE):
        if heads is not None:
            raise UserError(f"{path} says in its config.json how many heads it has; leave --heads out")
        return convert_folder(path, class_file)
    foreign = read_weights(path)
    stated = foreign.options.get("heads", heads)
    if heads not in (None, stated):
        raise UserError(f"{path} says that it has {stated} heads, not {heads}; leave --heads out")
    options = foreign.options | ({} if stated is None else {"heads": stated})
    return convert(replace(foreign, options=options), class_file)
