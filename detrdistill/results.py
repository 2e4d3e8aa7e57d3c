"""The detections in an image as a sequence, which supervision takes too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy import ndarray

MISSING = "to_supervision needs supervision: pip install supervision"


@dataclass(frozen=True)
class Detection:
    """One object that was found."""

    label: str  # the name of its class
    score: float  # 0 .. 1
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the image, beyond which it may reach
    class_id: int  # the place of its class among `Model.classes`, from 0


@dataclass(frozen=True)
class Result(Sequence[Detection]):
    """The detections in one image, highest score first."""

    detections: tuple[Detection, ...]
    size: tuple[int, int]  # (height, width) of the image, upright

    def __len__(self) -> int:
        return len(self.detections)

    @overload
    def __getitem__(self, index: int) -> Detection: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Detection, ...]: ...
    def __getitem__(self, index: int | slice) -> Detection | tuple[Detection, ...]:
        return self.detections[index]

    @property
    def boxes(self) -> ndarray:
        """The boxes x0, y0, x1, y1 in pixels, n x 4, float32."""
        return np.array([d.box for d in self.detections], dtype=np.float32).reshape(-1, 4)

    @property
    def scores(self) -> ndarray:
        """The scores, float32."""
        return np.array([d.score for d in self.detections], dtype=np.float32)

    @property
    def labels(self) -> list[str]:
        """The names of the classes."""
        return [d.label for d in self.detections]

    def to_supervision(self) -> Any:
        """The detections as supervision.Detections. ImportError: supervision is not installed."""
        try:
            import supervision
        except ImportError:
            raise ImportError(MISSING) from None
        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=np.array([d.class_id for d in self.detections], dtype=int),
            data={"class_name": np.array(self.labels, dtype=str)},
        )
