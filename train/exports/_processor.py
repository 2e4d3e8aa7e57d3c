"""The preprocessor_config.json of a folder for transformers: images are prepared as in evaluation here."""

from collections.abc import Sequence

from train.exports._trial import augment_of


def processor(kind: str, card: dict, mean: Sequence[float], std: Sequence[float]) -> dict:
    """The contents of the file. `kind` is the class of the processor; `mean` and `std` are of colours from 0 to 1.

    The card says how images are resized; see `Augment`.
    """
    augment = augment_of(card)
    side = augment.eval_short or 800
    square = {"height": side, "width": side}
    return {
        "image_processor_type": kind,
        "do_resize": augment.eval_short is not None,
        "size": square if augment.square else {"shortest_edge": side, "longest_edge": augment.longest},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": any(mean) or any(x != 1 for x in std),
        "image_mean": list(mean),
        "image_std": list(std),
        "do_pad": not augment.square,
        "format": "coco_detection",
    }
