"""Images on which an exported detector is tried: its own validation images, or generated ones if those are missing."""

from dataclasses import dataclass, replace

from core.data.sample import Dataset
from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from core.errors import UserError
from core.runs.config import decode
from train.job.images import dataset
from train.run import Data

SIDE = 256  # of generated images, in pixels


@dataclass(frozen=True)
class Trial:
    """Images, how to resize them, and whether the detector was evaluated on them, so that its AP means something."""

    images: Dataset
    augment: Augment
    own: bool

    def __str__(self) -> str:
        return f"{len(self.images)} images" + ("" if self.own else " generated for it, since its own are missing")


def trial(card: dict, count: int) -> Trial:
    """A trial on the first images, `count` at most; `card` is the card of the detector's file."""
    augment = augment_of(card)
    if "data" in card:
        data = decode(Data, card["data"], "the card: data")
        first = replace(data, val_limit=min(count, data.val_limit or count))
        try:
            return Trial(dataset(first, "val"), augment, own=True)
        except UserError:  # an imported run, or the images are on another machine
            pass
    return Trial(Shapes("val", count, SIDE), augment, own=False)


def augment_of(card: dict) -> Augment:
    """How the images of the detector are resized, by the card of its file."""
    return decode(Augment, card.get("data", {}).get("augment", {}), "the card: data.augment")
