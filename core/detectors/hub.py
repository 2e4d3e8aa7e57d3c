"""Any DETR of transformers, by the family's own code: DETR, Table Transformer, Conditional, DAB and Deformable DETR, RT-DETR
(v1, v2), D-FINE, DEIMv2, LW-DETR and RF-DETR.

Nothing of a family's forward pass is repeated here. `encode` runs transformers' own model with a decoder that only records
its arguments. `decode` runs the real decoder on these arguments with the given queries, and transformers' own head code, whose
loss function is replaced by one that records the logits and boxes of every layer.

Needs the extra `hf`. Nothing is ever downloaded, and no code of a folder or a hub is run.
"""

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, cast

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from core.detectors.base import Detector
from core.hub.bins import bin_distances
from core.hub.families import FAMILIES
from core.hub.settings import build_settings, import_transformers
from core.hub.shells import Outputs, recording, shell
from core.hub.tied import forget_second_names, restore_second_names
from core.limits import Count, Items, Layers, Positive, Size, Text
from core.matching.costs import Matching
from core.nn.backbones import level_padding
from core.types import BinnedPredictions, Images, Memory, Predictions, Queries

UNUSED, LATER_GROUPS = r"denoising_class_embed|mask_token", r"model\.enc_out\w*\.[1-9]"  # parameters by their names
Strides = Annotated[tuple[Size, ...], Items(1)]
Mean = Annotated[tuple[float, ...], Items(3, 3)]
Deviation = Annotated[tuple[Positive, ...], Items(3, 3)]
EPS = 1e-6  # boxes keep this distance from 0 and 1 before their logits are taken


@dataclass(frozen=True)
class Config:
    """A detector of transformers. `--init FOLDER` fills in all fields from a folder that transformers saved."""

    config_json: Text = '{"model_type": "rt_detr_v2"}'  # Contents of transformers' config.json.
    classes: Count = 80  # Number of classes; set from the data.
    queries: Count = 300  # Number of queries.
    layers: Layers = 6  # Layers of predictions: the decoder's layers, for D-FINE and DEIMv2 one more.
    width: Size = 256  # Channels of tokens and queries.
    strides: Strides = (8, 16, 32)  # Stride in pixels of each level that the decoder reads.
    mean: Mean = (0.0, 0.0, 0.0)  # Mean of each colour, in 0 to 1, which is subtracted.
    std: Deviation = (1.0, 1.0, 1.0)  # Standard deviation of each colour, by which pixels are divided.
    divisor: Size = 32  # Images are padded to multiples of this many pixels.
    groups: Literal["first", "all"] = "first"  # Groups of queries that are trained, for LW- and RF-DETR (Group DETR).
    batch_norm: Literal["frozen", "live"] = "frozen"  # Statistics of BatchNorm; live needs one process and one pass.
    matching: Matching = field(default_factory=Matching)


@dataclass(frozen=True)
class HubMemory(Memory):
    """Memory with what the decoder of transformers is given, and what the model returned besides."""

    arguments: dict[str, Any] = field(default_factory=dict)
    outputs: Any = None
    scale: Float[Tensor, "b 1 4"] | None = None  # the network's unit of boxes in fractions of the image; None: equal


class Model(Detector):
    """A detector of transformers as the submodule `network`, whose parameters keep transformers' names."""

    config: Config
    mean: Tensor
    std: Tensor

    def __init__(self, config: Config):
        super().__init__()
        settings = build_settings(
            config.config_json,
            classes=config.classes,
            queries=config.queries,
            layers=config.layers,
            width=config.width,
        )
        self.config, self.family = config, FAMILIES[settings.model_type]
        self.with_auxiliary = copy.copy(settings)
        settings.auxiliary_loss = not self.family.norm_states
        self.with_auxiliary.auxiliary_loss = True
        self.network: Any = import_transformers().AutoModelForObjectDetection.from_config(settings)
        freeze_unused(self.network, config.groups)
        for name in ("mean", "std"):
            self.register_buffer(name, 255 * torch.tensor(getattr(config, name)).view(3, 1, 1), persistent=False)
        self.register_state_dict_post_hook(forget_second_names)
        self.register_load_state_dict_pre_hook(restore_second_names)
        self.train(self.training)

    @property
    def kind(self) -> str:
        """transformers' name of the family, so that only detectors of one family decode each other's queries."""
        return self.network.config.model_type

    @property
    def proposes(self) -> bool:
        """Returns whether the encoder makes the queries; Deformable DETR's does if it is two-stage."""
        if self.family.proposals == "tokens":
            return bool(self.network.config.two_stage)
        return self.family.proposals != "none"

    @property
    def proposes_classes(self) -> bool:
        """Returns whether proposals are scored for each class; those of Deformable DETR are of one class, any object."""
        return self.family.proposals in ("queries", "groups")

    @property
    def reads_padding(self) -> bool:
        """Returns whether the network sees padding, which the originals of these families never make."""
        return self.family.reads_padding

    @property
    def queries_are_boxes(self) -> bool:
        """Returns whether the decoder is given boxes and no position beside them."""
        return self.family.anchors is not None and self.family.position is None

    @property
    def bins(self) -> bool:
        """Returns whether boxes come from distributions over bins, as those of D-FINE and DEIMv2."""
        return self.family.bins

    @property
    def query_groups(self) -> int:
        """Returns the number of groups of queries with which LW- or RF-DETR is trained: its `group_detr`, or 1."""
        return int(self.network.config.group_detr) if self.family.groups and self.config.groups == "all" else 1

    def train(self, mode: bool = True) -> "Model":
        """Sets the mode; with frozen statistics BatchNorm stays in evaluation mode."""
        super().train(mode)
        if self.config.batch_norm == "frozen":
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def predict(self, images: Images) -> Predictions:
        """Returns the same as in `Detector`, by transformers' own forward pass, which in most families predicts from one layer.

        On a CPU its input is in the channels-last memory format, which convolutions pass on and in which they are faster
        without gradients.
        """
        pixels, padding = self.padded(images)
        if pixels.device.type == "cpu":
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        outputs = self.network(pixels, pixel_mask=(~padding).long())
        logits = sigmoid_logits(outputs.logits) if self.family.softmax else outputs.logits
        boxes = in_image(outputs.pred_boxes.float(), self.scale(images, (pixels.shape[-2], pixels.shape[-1])))
        return Predictions(logits[None], boxes[None], outputs.last_hidden_state[None])

    def encode(self, images: Images) -> HubMemory:
        pixels, padding = self.padded(images)
        arguments, outputs = self.before_decoder(pixels, padding)
        height, width = pixels.shape[-2:]
        shapes = self.level_shapes(arguments, (height, width))
        parts = arguments["encoder_hidden_states"].split([h * w for h, w in shapes], 1)
        neck = tuple(rearrange(x, "b (h w) d -> b d h w", h=h) for x, (h, _) in zip(parts, shapes, strict=True))
        # The decoder reads the tokens through the maps, so that its gradient at the maps can be measured.
        tokens = torch.cat([rearrange(x, "b d h w -> b (h w) d") for x in neck], 1)
        arguments["encoder_hidden_states"] = tokens
        return HubMemory(
            neck,
            tuple(level_padding(padding, shape) for shape in shapes),
            self.config.strides,
            images.sizes,
            tokens,
            arguments=arguments,
            outputs=outputs,
            scale=self.scale(images, (height, width)),
        )

    def before_decoder(self, pixels: Tensor, padding: Tensor) -> tuple[dict[str, Any], Any]:
        """The arguments that transformers' model passes to its decoder, and what it returns besides."""
        arguments: dict[str, Any] = {}

        def record(*_: Any, **given: Any) -> Outputs:
            arguments.update(given)
            return Outputs({})

        # In training mode Group DETR makes several groups of queries: one is enough where the others are not trained.
        training = False if self.query_groups == 1 and self.family.groups else None
        model = shell(self.network.model, training=training, decoder=shell(self.network.model.decoder, forward=record))
        return arguments, model(pixels, pixel_mask=(~padding).long())

    def shapes_of_levels(self, pixels: Tensor, padding: Tensor) -> list[tuple[int, int]]:
        """Height and width of each level that the decoder reads of a square input, whatever the config says of strides."""
        arguments, _ = self.before_decoder(pixels, padding)
        side = math.isqrt(arguments["encoder_hidden_states"].shape[1])
        return levels_given(arguments) or [(side, side)]

    def padded(self, images: Images) -> tuple[Tensor, Tensor]:
        """Normalised pixels and padding, padded to multiples of the divisor and until there is a place for each query."""
        side, (height, width) = self.config.divisor, images.pixels.shape[-2:]
        height, width = (-(-n // side) * side for n in (height, width))
        while self.proposes and sum((height // s) * (width // s) for s in self.config.strides) < self.config.queries:
            height, width = height + side, width + side
        more = (0, width - images.pixels.shape[-1], 0, height - images.pixels.shape[-2])
        pixels = (images.pixels - self.mean).div_(self.std).masked_fill_(images.padding[:, None], 0)
        return F.pad(pixels, more), F.pad(images.padding, more, value=True)

    def level_shapes(self, arguments: dict[str, Any], size: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of each level; families with one level do not pass them to the decoder."""
        stride = self.config.strides[0]
        return levels_given(arguments) or [(-(-size[0] // stride), -(-size[1] // stride))]

    def scale(self, images: Images, size: tuple[int, int]) -> Float[Tensor, "b 1 4"] | None:
        """The size of the padded input in units of each image's size, as (w, h, w, h), if boxes are fractions of the input."""
        if not self.family.padded_boxes:
            return None
        extent = torch.tensor([size[1], size[0]], device=images.sizes.device)
        return repeat(extent / images.sizes.flip(1), "b side -> b 1 (twice side)", twice=2)

    def propose(self, memory: Memory) -> Queries:
        assert isinstance(memory, HubMemory)
        count = self.query_groups if self.training else 1
        own, *others = self.groups(memory, count)
        return replace(own, others=tuple(others) or None)

    def groups(self, memory: HubMemory, count: int) -> list[Queries]:
        """The queries that transformers' model passes to its decoder, as `count` groups of equal size.

        Each tensor is split once for all groups, since the gradient of each split has the size of the whole tensor.
        """
        family, arguments, none = self.family, memory.arguments, (None,) * count
        contents = arguments[family.content].chunk(count, 1)
        positions = arguments[family.position].chunk(count, 1) if family.position else none
        anchors: Sequence[Tensor | None] = none
        if family.anchors:
            boxes = arguments[family.anchors]
            anchors = in_image(boxes.sigmoid() if family.anchor_logits else boxes, memory.scale).chunk(count, 1)
        proposals = self.proposals(memory, contents) if self.proposes else none
        return [Queries(*group) for group in zip(contents, positions, anchors, proposals, strict=True)]

    def proposals(self, memory: HubMemory, content: Sequence[Tensor]) -> list[Predictions]:
        """The encoder's predictions for each group with these queries: of every token, or of those that became queries."""
        outputs, hidden, count = memory.outputs, content, len(content)
        if self.family.proposals == "tokens":
            logits, boxes = [outputs.enc_outputs_class], outputs.enc_outputs_coord_logits.sigmoid()
            hidden = [cast(Tensor, memory.tokens)]
        elif self.family.proposals == "groups":
            parts, boxes = outputs.enc_outputs_class.chunk(count, 1), outputs.enc_outputs_coord_logits
            logits = [head(part) for head, part in zip(self.network.model.enc_out_class_embed, parts)]
        else:
            logits, boxes = [outputs.enc_topk_logits], outputs.enc_topk_bboxes
        of_groups = logits, in_image(boxes.float(), memory.scale).chunk(count, 1), hidden
        return [Predictions(*(x[None] for x in group)) for group in zip(*of_groups, strict=True)]

    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        return self.decode_joined(memory, queries, 1)

    def decode_groups(self, memory: Memory, groups: dict[str, Queries]) -> dict[str, Predictions]:
        """Predictions for all groups; in training of LW- and RF-DETR, groups of equal size are decoded in one pass."""
        if not (self.family.groups and self.training):
            return super().decode_groups(memory, groups)
        predictions: dict[str, Predictions] = {}
        for size in {content_of(q).shape[1] for q in groups.values()}:
            same = {name: q for name, q in groups.items() if content_of(q).shape[1] == size}
            joined = self.decode_joined(memory, join_queries(list(same.values())), len(same))
            parts = (x.split(size, 2) for x in (joined.logits, joined.boxes, joined.hidden))
            predictions |= {name: Predictions(*part) for name, part in zip(same, zip(*parts))}
        return {name: predictions[name] for name in groups}

    def decode_joined(self, memory: Memory, queries: Queries, groups: int) -> Predictions:
        """Predictions for queries that are `groups` groups of equal size, one after the other."""
        assert isinstance(memory, HubMemory)
        family, states = self.family, list[Tensor]()
        arguments = self.with_queries(memory, queries)
        decoder = self.decoder_of(groups)
        if family.norm_states:
            decoder = shell(decoder, layers=nn.ModuleList(recording(layer, states) for layer in decoder.layers))
        outputs = decoder(**arguments)
        hidden = outputs.intermediate_hidden_states
        if family.norm_states:
            hidden = torch.stack([decoder.layernorm(x) for x in states])
        of_decoder = {
            "intermediate_hidden_states": hidden,
            "init_reference_points": arguments.get("reference_points"),
        }
        logits, boxes = self.heads(Outputs(of_decoder, outputs, memory.outputs))
        if family.hidden_image_first:
            hidden = rearrange(hidden, "b l q d -> l b q d")
        if family.initial_prediction:
            hidden = torch.cat([hidden[:1], hidden])
        logits = sigmoid_logits(logits) if family.softmax else logits
        predictions = Predictions(logits, in_image(boxes.float(), memory.scale), hidden)
        return self.with_bins(predictions, outputs, memory) if self.matching.bin_weights and self.bins else predictions

    def with_bins(self, p: Predictions, outputs: Any, memory: HubMemory) -> BinnedPredictions:
        """The predictions with the bins of the decoder's layers, and the distances that these stand for."""
        distances = bin_distances(self.network.model.decoder)
        bins = rearrange(outputs.intermediate_predicted_corners, "b k q (edge n) -> k b q edge n", n=len(distances))
        references = rearrange(outputs.initial_reference_points, "b k q c -> k b q c")
        return BinnedPredictions(
            p.logits, p.boxes, p.hidden, bins, in_image(references.float(), memory.scale), distances.detach()
        )

    def with_queries(self, memory: HubMemory, queries: Queries) -> dict[str, Any]:
        """The decoder's arguments with other queries in them."""
        family, arguments = self.family, dict(memory.arguments)
        arguments[family.content] = queries.content
        if family.position:
            arguments[family.position] = queries.position
        if family.anchors:
            assert queries.anchors is not None
            anchors = queries.anchors if memory.scale is None else queries.anchors / memory.scale
            arguments[family.anchors] = anchors.clamp(EPS, 1 - EPS).logit() if family.anchor_logits else anchors
        return arguments

    def decoder_of(self, groups: int) -> Any:
        """The decoder, in the mode in which it returns all layers and takes any number of queries as so many equal groups."""
        decoder = self.network.model.decoder
        if self.family.all_layers_in_training:
            return shell(decoder, training=True)
        if self.family.groups and self.training:
            layers = [shell(x, self_attn=within_groups(x.self_attn, groups)) for x in decoder.layers]
            return shell(decoder, layers=nn.ModuleList(layers))
        return decoder

    def heads(self, outputs: Outputs) -> tuple[Float[Tensor, "l b q c"], Float[Tensor, "l b q 4"]]:
        """Logits and boxes of every layer by transformers' own head code, which hands them to its loss function."""
        recorded: list[Tensor] = []

        def record(
            logits: Any,
            labels: Any,
            device: Any,
            boxes: Any,
            config: Any,
            layers: Any,
            boxes_of_layers: Any,
            *_: Any,
            **__: Any,
        ) -> tuple[None, None, None]:
            recorded.extend((layers, boxes_of_layers))
            return None, None, None

        network = shell(self.network, training=False, model=shell(self.network.model, forward=lambda *_, **__: outputs))
        network.config, network.loss_function = self.with_auxiliary, record
        network.forward(None, labels=[])
        logits, boxes = recorded
        if self.family.image_first:
            return rearrange(logits, "b l q c -> l b q c"), rearrange(boxes, "b l q c -> l b q c")
        return logits, boxes


def levels_given(arguments: dict[str, Any]) -> list[tuple[int, int]]:
    """Height and width of each level as the decoder gets them; [] in families with one level."""
    return [(int(h), int(w)) for h, w in arguments.get("spatial_shapes_list") or ()]


def in_image(boxes: Float[Tensor, "*l b q 4"], scale: Float[Tensor, "b 1 4"] | None) -> Float[Tensor, "*l b q 4"]:
    """Boxes of the network as fractions of the image without padding; `scale` is the unit as in `HubMemory`."""
    return boxes if scale is None else boxes * scale


def sigmoid_logits(logits: Float[Tensor, "*n c1"]) -> Float[Tensor, "*n c"]:
    """Logits whose sigmoid is the softmax of a class: z = log p - log(1 - p), exactly. The last class, no object, is dropped."""
    p = logits.float().log_softmax(-1)
    return (p - torch.log1p(-p.exp().clamp(max=1 - EPS)))[..., :-1]


def content_of(queries: Queries) -> Float[Tensor, "b q d"]:
    """The content of queries, which those of every family have."""
    assert queries.content is not None
    return queries.content


def join_queries(groups: list[Queries]) -> Queries:
    """The queries of all groups, one group after the other, as a decoder reads them."""
    fields = zip(*((q.content, q.position, q.anchors) for q in groups))
    content, position, anchors = (None if parts[0] is None else torch.cat(parts, 1) for parts in fields)
    return Queries(content, position, anchors)


def within_groups(attention: nn.Module, groups: int) -> nn.Module:
    """The self-attention of LW- or RF-DETR, which in training mode splits the queries into `group_detr` groups of equal size."""
    grouped: Any = shell(attention, training=groups > 1)
    grouped.config = copy.copy(attention.config)
    grouped.config.group_detr = groups
    return grouped


def freeze_unused(network: nn.Module, groups: str) -> None:
    """Takes weights out of training that no step uses: of denoising queries, masked tokens, and groups that are not trained."""
    for name, parameter in network.named_parameters():
        if re.search(UNUSED if groups == "all" else f"{UNUSED}|{LATER_GROUPS}", name):
            parameter.requires_grad_(False)
