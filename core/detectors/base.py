"""The contract of a detector: what a file in this folder must define, and what it may leave out.

A file defines a frozen dataclass `Config` with at least the fields of `DetectorConfig`, and a class `Model(Detector)` that
is built as `Model(config)` and keeps the config as `self.config`. That is enough to train it, to distil it as student or
teacher, to evaluate and export it, and to open it in the app; tests/core/detectors/test_detectors.py checks the contract for
every file.

- `encode`, `propose` and `decode` are required.
- Everything that has a default in `Detector` is optional: `proposes`, `proposes_classes`, `reads_padding`,
  `queries_are_boxes`, `bins`, `query_groups`, `known`, `samplers`, `decode_groups`, `predict`. Without an encoder,
  `Memory.tokens` and `Memory.position` are None. For a backbone, see `backbone_name` and `own_backbone`.
- Parameters whose name has the part `backbone` learn at the backbone's learning rate. The names of parameters and
  persistent buffers are those in files of weights, so renaming a module makes old files unreadable.
"""

from abc import ABC, abstractmethod
from dataclasses import Field
from typing import Any, ClassVar, Protocol

from torch import nn

from core.matching.costs import Matching
from core.nn.backbones import Backbone
from core.types import Images, Memory, Predictions, Queries


class DetectorConfig(Protocol):
    """The fields that the project reads of a detector's `Config`; it may have any others.

    A `Config` is a frozen dataclass in which every field has a default. Each field becomes a flag `--student.FIELD`, whose
    help is the comment beside the field, and an entry of the cards, so its type must be one that `core.runs.config` can
    write as JSON: int, float, bool, str, Path, Literal, a tuple or union of these, or a dataclass of such fields.

    `backbone: str` is optional: the name of the backbone in `core.nn.backbones` (see `Detector.backbone_name`).
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def classes(self) -> int:
        """Number of classes c, labelled 0 to c - 1; training replaces it by the number of categories of the data."""

    @property
    def layers(self) -> int:
        """Number of decoder layers l, each of which makes predictions."""

    @property
    def queries(self) -> int:
        """Number of the detector's own queries in an image."""

    @property
    def width(self) -> int:
        """Channels d of the neck's maps, the tokens, and the hidden vectors of queries."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride in pixels of each level of memory, in the order of the levels."""

    @property
    def matching(self) -> Matching:
        """Weights and constants of the detector's matching and detection loss."""


class Detector(nn.Module, ABC):
    """A detector with queries, in three steps: images to memory, memory to queries, queries to predictions.

    The steps are called one by one, so that a student can also decode its teacher's queries. They are called through the
    instance, on which training may replace them by compiled or cached versions. Each depends on its arguments and on the
    weights alone: calling it again, or for another group of queries, gives the same bits. In training mode dropout is the
    only exception; running statistics of BatchNorm are never updated.

    An image's predictions depend on its own pixels only, never on padding, on `ids` or `original`, or on other images of
    the batch. Under autocast logits and hidden vectors may be of lower precision, boxes are float32. No method looks at the
    values of tensors: that would wait for a GPU, and the memory of a run is estimated on torch's device `meta`, which has
    no values.
    """

    config: DetectorConfig

    @property
    def kind(self) -> str:
        """The name of the detector, which is that of its file."""
        return type(self).__module__.rsplit(".", 1)[-1]

    @property
    def width(self) -> int:
        """Channels of memory and of hidden vectors, as in the config."""
        return self.config.width

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the levels of memory in pixels, as in the config."""
        return self.config.strides

    @property
    def matching(self) -> Matching:
        """Weights and constants of matching and detection loss, as in the config."""
        return self.config.matching

    @property
    def proposes(self) -> bool:
        """Returns whether its queries are chosen from proposals of its encoder (two-stage); by default False.

        If so, `propose` sets `Queries.proposals`, and the detection loss also trains the proposals.
        """
        return False

    @property
    def proposes_classes(self) -> bool:
        """Returns whether its proposals have a logit for each class; by default False: class 0 stands for any object.

        It is read only where the detector `proposes`. The proposals are then matched and trained with the objects' own classes,
        as in RT-DETR (arXiv 2304.08069), otherwise as if all objects were of class 0, as in Deformable DETR.
        """
        return False

    @property
    def reads_padding(self) -> bool:
        """Returns whether its predictions depend on how far an image is padded; by default False.

        Such a detector is meant for images of one size, see `Augment.square`.
        """
        return False

    @property
    def queries_are_boxes(self) -> bool:
        """Returns whether a query is a content vector and a box and nothing else, as denoising needs; by default False."""
        return False

    @property
    def bins(self) -> bool:
        """Returns whether its boxes come from distributions over bins (`BinnedPredictions`); by default False.

        It then predicts the bins where its `matching` weights their loss.
        """
        return False

    @property
    def query_groups(self) -> int:
        """Returns the number of groups of own queries with which it is trained (Group DETR, arXiv 2207.13085); by default 1.

        `propose` gives the groups after the first as `Queries.others` in training mode.
        """
        return 1

    @property
    def known(self) -> tuple[bool, ...]:
        """Returns whether the detector knows each class; all True unless it is a teacher with other classes (`ClassMapped`)."""
        return (True,) * self.config.classes

    @property
    def samplers(self) -> tuple[nn.Module, ...]:
        """The module of each decoder layer that reads memory, for showing where queries look; by default none.

        `decode` calls each of them once, in the order of the layers and with positional arguments. Each has a method
        `sampling_locations(memory, *arguments)` that takes the arguments of that call and returns the locations (x, y) in
        pixels, "b q n 2", and their weights, "b q n", which sum to 1.
        """
        return ()

    @property
    def backbone_name(self) -> str | None:
        """The name of its backbone, for display and for ImageNet's weights; None if the config has no field `backbone`."""
        return getattr(self.config, "backbone", None)

    @property
    def own_backbone(self) -> Backbone | None:
        """Its submodule `backbone`, which `--init` fills with pretrained weights; None unless it has such a `Backbone`."""
        part = dict(self.named_children()).get("backbone")
        return part if isinstance(part, Backbone) else None

    @abstractmethod
    def encode(self, images: Images) -> Memory:
        """Encodes a batch of images of any size from 1 x 1 pixel on, padded to the size of the largest.

        Pixels are RGB in 0 .. 255: the detector normalises them itself, and must treat padding as if it were not there.

        `neck` has a map b d h w for each level, with h and w at least the padded size divided by the stride; `padding` is
        True at its places outside the image, and every image has a valid place in every level. `tokens`, if there is an
        encoder, holds all places of the first level row by row, then those of the next; they are None without an encoder.
        `strides` are the config's, and `sizes` those of the images. Gradients flow to the weights from all of them:
        losses compare neck and tokens of student and teacher.
        """

    @abstractmethod
    def propose(self, memory: Memory) -> Queries:
        """The detector's own queries for each image, q = `config.queries`.

        Of `content`, `position` and `anchors` it sets those that its `decode` reads, with the batch as the first axis, also
        if all images have the same ones; the rest are None. Anchors are boxes (cx, cy, w, h). `proposals` is set if, and
        only if, the detector `proposes`: the encoder's logits, boxes and hidden vectors of n tokens, all of them or those that
        became queries, as one layer "1 b n ...". Class 0 stands for any object unless the detector `proposes_classes`.
        """

    @abstractmethod
    def decode(self, memory: Memory, queries: Queries) -> Predictions:
        """Predictions of every decoder layer for one group of queries, "l b q ...", with l = `config.layers`.

        The queries are the detector's own or those of another detector of the same kind and width (query-prior assignment),
        so their number q may differ from `config.queries`, they may carry no gradient, and `proposals` may be None. Boxes
        are (cx, cy, w, h) as fractions of the image without its padding, and are not clamped to it; logits are those of a
        sigmoid for each class. The order of queries does not matter. Which gradients flow between layers is the detector's
        own choice, but each layer's predictions are trained.
        """

    def decode_groups(self, memory: Memory, groups: dict[str, Queries]) -> dict[str, Predictions]:
        """Predictions for several groups of queries, by their names; queries of different groups do not see each other.

        By default one call of `decode` for each. A detector may decode all in one pass, whose predictions are those of single
        calls up to rounding.
        """
        return {name: self.decode(memory, queries) for name, queries in groups.items()}

    def forward(self, images: Images) -> Predictions:
        """Predictions for the detector's own queries, as in inference and exports."""
        memory = self.encode(images)
        return self.decode(memory, self.propose(memory))

    def predict(self, images: Images) -> Predictions:
        """Predictions of the last layer alone, "1 b q ...", for measuring AP and for finding objects; in evaluation mode.

        By default those of `forward`. A detector may compute them in a faster way, which gives the same up to rounding.
        """
        p = self(images)
        return Predictions(p.logits[-1:], p.boxes[-1:], p.hidden[-1:])
