"""The bins of D-FINE's decoder, whose edges are distributions over distances."""

from typing import Any

from jaxtyping import Float
from torch import Tensor


def bin_distances(decoder: Any) -> Float[Tensor, " n"]:
    """The distance of an edge from the middle of its reference box, in sides of that box, that each bin stands for.

    By transformers' own function; its offsets are from half a side, in units of a side divided by `reg_scale`.
    """
    from transformers.loss.loss_d_fine import weighting_function

    offsets = weighting_function(decoder.max_num_bins, decoder.up, decoder.reg_scale)
    return 0.5 + offsets / decoder.reg_scale.abs()
