"""A trained detector with all that it needs to find objects in a picture: its classes, and the size of its images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.data.batch import collate_images, without_padding
from core.data.category import Category
from core.data.sample import unlabelled
from core.data.transforms import Augment, eval_transform
from core.detectors.base import Detector
from core.errors import UserError
from core.metrics.detections import Detections, join, select
from core.runs.checkpoint import load_detector, weights_file
from core.runs.class_mapping import categories_of
from core.runs.open import data_of
from core.types import Images


@dataclass(frozen=True)
class Predictor:
    """A detector in eval mode, its classes, and how images are resized for it."""

    path: Path
    detector: Detector
    categories: tuple[Category, ...]
    augment: Augment

    @property
    def device(self) -> torch.device:
        """The device of the detector."""
        return next(self.detector.parameters()).device

    @torch.no_grad()
    def detect(self, images: Images, score: float) -> Detections:
        """The detections of a batch with at least this score, on the CPU: at most 100 an image, as AP counts them.

        Images of one size are computed together, without padding, so that no image changes what is found in another.
        """
        parts = [self.detect_unpadded(group) for group in groups_of_one_size(images)]
        detections = Detections(*(x.cpu() for x in vars(join(parts)).values()))
        place = (detections.image_ids[:, None] == images.ids.cpu()).long().argmax(1)
        in_order = detections.at(place.argsort(stable=True))
        return in_order.at(in_order.scores >= score)

    def detect_unpadded(self, images: Images) -> Detections:
        """The best 100 detections of each image of a batch, whose images are of one size."""
        images = images.to(self.device)
        return select(self.detector.predict(images), images)

    def detect_in(self, pixels: list[Tensor], score: float) -> list[Detections]:
        """The detections in RGB images (uint8, 3 h w) of any sizes, one after another in a batch."""
        samples = [eval_transform(unlabelled(x, k), self.augment) for k, x in enumerate(pixels)]
        detections = self.detect(collate_images(samples), score)
        return [detections.at(detections.image_ids == k) for k in range(len(pixels))]


def groups_of_one_size(images: Images) -> Iterator[Images]:
    """The images in groups of one size each, without padding."""
    for height, width in images.sizes.unique(dim=0).tolist():
        yield without_padding(images, (images.sizes == torch.tensor([height, width])).all(1), (height, width))


def open_predictor(path: Path, device: torch.device) -> Predictor:
    """Opens the student of a run, or a file of weights. UserError: it cannot be read, or does not name its classes."""
    detector, card = load_detector(weights_file(path))
    if "categories" not in card:
        raise UserError(f"{path} does not name its classes; take it in with: python -m train import {path} --out RUN")
    categories = categories_of(card, path)
    augment = data_of(card["data"], path).augment if card.get("data") else Augment()
    return Predictor(path, detector.to(device), categories, augment)
