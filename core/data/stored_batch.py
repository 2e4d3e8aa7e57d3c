"""A batch in a safetensors file. A run stores the batch of a step that failed, so that it can be inspected."""

import json
from dataclasses import fields
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from core.errors import UserError
from core.files import write_bytes
from core.types import Images, Targets


def write_batch(path: Path, images: Images, targets: Targets, *, within: Path | None = None) -> None:
    """Writes the batch as `write_bytes` does.

    `Targets.image` is called object_image in the file, `Targets.counts` is in the header.
    """
    parts = vars(images) | {name: getattr(targets, name) for name in ("boxes", "labels", "weights")}
    parts |= {"object_image": targets.image}
    tensors = {name: x.cpu().contiguous() for name, x in parts.items() if x is not None}
    write_bytes(path, save(tensors, metadata={"counts": json.dumps(targets.counts)}), within=within)


def read_batch(path: Path) -> tuple[Images, Targets]:
    """Reads what `write_batch` wrote. UserError: the file cannot be read, or is not a stored batch."""
    try:
        tensors = load(Path(path).read_bytes())
        with safe_open(path, "pt") as file:
            counts = tuple(json.loads(file.metadata()["counts"]))
        views = tensors.pop("views", None)  # files of earlier versions have none
        images = Images(**{f.name: tensors[f.name] for f in fields(Images) if f.name != "views"}, views=views)
        weights = tensors.get("weights")
        return images, Targets(tensors["boxes"], tensors["labels"], tensors["object_image"], counts, weights=weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a stored batch ({error}); give the .safetensors of a run's faults") from None
