"""Average precision of a detector: which predictions are asked for."""

import pytest

from core.data.shapes.dataset import Shapes
from core.data.transforms import Augment
from tests.helpers import tiny
from train.distributed.evaluate import score


@pytest.mark.parametrize("looks_at_all", [False, True])
def test_the_last_layer_alone_is_asked_for_unless_somebody_looks_at_all_layers(looks_at_all, monkeypatch):
    detector, layers = tiny.detector("rt_detr_v2", classes=8), []
    not_to_be_called = "predict" if looks_at_all else "forward"
    monkeypatch.setattr(detector, not_to_be_called, None)
    on_batch = (lambda _, predictions, *__: layers.append(len(predictions.logits))) if looks_at_all else None
    scores = score(detector, Shapes("val", 4), Augment(), batch=2, workers=0, on_batch=on_batch)
    assert scores and 0 <= scores["ap"] <= 1
    assert layers == [detector.config.layers] * 2 * looks_at_all
