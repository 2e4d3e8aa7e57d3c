"""The families of DETR in transformers that can be used, and how each passes queries to its decoder."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Family:
    """One family: the arguments of its decoder that hold queries, and the meaning of its outputs.

    Seen in transformers 5.24; a parity test of each family holds it.
    """

    content: str = "inputs_embeds"  # Name of the decoder's argument that holds the content of queries.
    position: str | None = None  # Name of the argument that holds their position embeddings.
    anchors: str | None = None  # Name of the argument that holds their anchor boxes.
    anchor_logits: bool = True  # Whether anchors are passed as logits of the boxes.
    softmax: bool = False  # Whether class scores are a softmax whose last class is "no object".
    reads_padding: bool = False  # Whether padding is seen by the network.
    padded_boxes: bool = False  # Whether boxes are fractions of the padded input, not of the image.
    # Proposals of the encoder: none, one for each token (of one class), one for each query, or the same in groups.
    proposals: Literal["none", "tokens", "queries", "groups"] = "none"
    # With `auxiliary_loss` these decoders feed normed states to the next layer, which is another network. The states are
    # taken before the norm instead, and normed here.
    norm_states: bool = False
    all_layers_in_training: bool = False  # Whether the decoder returns the outputs of all layers in training mode only.
    initial_prediction: bool = False  # Whether the first layer makes a prediction before its refinement too.
    bins: bool = False  # Whether boxes come from distributions over bins, of the layers after the first prediction.
    image_first: bool = False  # Whether logits and boxes come as (image, layer), not (layer, image).
    hidden_image_first: bool = False  # The same of hidden states.
    class_loss: Literal["focal", "vfl", "mal", "ia_bce", "softmax"] = "focal"  # Class loss of its original training.
    processor: str = "DetrImageProcessor"  # Class of its image processor.
    groups: bool = False  # Whether training mode splits queries into groups (Group DETR).


LEARNT = Family(position="object_queries_position_embeddings", softmax=True, norm_states=True, class_loss="softmax")
RT_DETR = Family(
    anchors="reference_points",
    reads_padding=True,
    padded_boxes=True,
    proposals="queries",
    image_first=True,
    hidden_image_first=True,
    class_loss="vfl",
    processor="RTDetrImageProcessor",
)
D_FINE = replace(RT_DETR, all_layers_in_training=True, initial_prediction=True, bins=True, hidden_image_first=False)
LW_DETR = Family(
    anchors="reference_points",
    anchor_logits=False,
    reads_padding=True,
    proposals="groups",
    class_loss="ia_bce",
    processor="DeformableDetrImageProcessor",
    groups=True,
)
FAMILIES = {  # by transformers' model_type
    "detr": LEARNT,
    "table-transformer": replace(LEARNT, position="query_position_embeddings"),
    "conditional_detr": replace(LEARNT, softmax=False, class_loss="focal", processor="ConditionalDetrImageProcessor"),
    "dab-detr": Family(anchors="query_position_embeddings", processor="ConditionalDetrImageProcessor"),
    "deformable_detr": Family(
        position="object_queries_position_embeddings",
        anchors="reference_points",
        anchor_logits=False,
        proposals="tokens",
        hidden_image_first=True,
        processor="DeformableDetrImageProcessor",
    ),
    "rt_detr": RT_DETR,
    "rt_detr_v2": RT_DETR,
    "d_fine": D_FINE,
    "deimv2": replace(D_FINE, class_loss="mal"),
    "lw_detr": LW_DETR,
    "rf_detr": replace(LW_DETR, processor="RfDetrImageProcessor"),
}
