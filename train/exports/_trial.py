"""Images on which a detector from a file is tried: those that it was measured on, or drawn ones where they are not here."""

from dataclasses import dataclass, replace

from core.data.sample import Dataset
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.errors import UserError
from core.runs.config import decode
from train.job.build import dataset
from train.run import Data

SIDE = 256  # of the drawn images, in pixels


@dataclass(frozen=True)
class Trial:
    images: Dataset
    augment: Augment
    own: bool  # whether the detector was measured on them, so that its AP means something

    def __str__(self) -> str:
        return f"{len(self.images)} images" + ("" if self.own else " drawn for it, since its own are not here")


def trial(card: dict, count: int) -> Trial:
    """The first `count` at most; `card` is that of the detector's file."""
    if "data" in card:
        data = decode(Data, card["data"], "the card: data")
        first = replace(data, val_limit=min(count, data.val_limit or count))
        try:
            return Trial(dataset(first, "val"), data.augment, own=True)
        except UserError:  # an imported run, or images of another machine
            pass
    return Trial(Shapes("val", count, SIDE), Augment(), own=False)
