"""The detectors of transformers: outputs and gradients are those of transformers' own models."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from core.detectors import hub as hub_detector
from core.errors import UserError
from core.hub.families import FAMILIES
from tests.helpers import hub, tiny

families = pytest.mark.parametrize("family", hub.NAMES)
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}


def perturbed(family: str, **options) -> hub_detector.Model:
    """A detector whose weights and BatchNorm statistics are not the initial ones, at which LayerNorm hides faults."""
    model = tiny.detector(family, layers=3, **options)
    for name, x in model.named_buffers():
        if name.endswith("running_mean"):
            x.add_(torch.randn_like(x), alpha=0.1)
        elif name.endswith("running_var"):
            x.mul_(0.5 + torch.rand_like(x))
    return model


def unequal():
    """A padded batch of unequal images."""
    return tiny.batch(((128, 192), (96, 128)))


def own(model: hub_detector.Model, network: nn.Module, images):
    """Logits and boxes of the last layer by a network of transformers, as ours are: of classes, in the unpadded image."""
    pixels, padding = model.padded(images)
    out = network(pixels, pixel_mask=(~padding).long())
    logits = hub_detector.sigmoid_logits(out.logits) if model.family.softmax else out.logits
    return logits, hub_detector.in_image(out.pred_boxes, model.encode(images).scale)


def cut(model: hub_detector.Model, layers: int) -> nn.Module:
    """A copy of transformers' model that ends after so many decoder layers."""
    network = deepcopy(model.network)
    network.model.decoder.layers = network.model.decoder.layers[:layers]
    for name, last in (("eval_idx", layers - 1), ("num_layers", layers)):
        if hasattr(network.model.decoder, name):
            setattr(network.model.decoder, name, last)
    return network


@families
def test_parity_of_every_layer(family):
    """Layer k is the last layer of transformers' own model without the layers after it."""
    model, (images, _) = perturbed(family), unequal()
    with torch.no_grad():
        p = model(images)
        first = FAMILIES[family].initial_prediction
        assert len(p.logits) == 3 + first
        for k in range(3):
            logits, boxes = own(model, cut(model, k + 1), images)
            torch.testing.assert_close(p.logits[k + first], logits, rtol=1e-5, atol=2e-5)
            torch.testing.assert_close(p.boxes[k + first], boxes, rtol=1e-5, atol=2e-6)
        assert (p.boxes[1:] - p.boxes[:-1]).abs().max() > 1e-3, "layers differ, or the comparison shows nothing"


@families
def test_parity_of_prediction(family):
    """Another memory format rounds differently, by more than the steps do."""
    model, (images, _) = perturbed(family), unequal()
    with torch.no_grad():
        p, (logits, boxes) = model.predict(images), own(model, model.network, images)
    assert len(p.logits) == len(p.boxes) == 1
    torch.testing.assert_close(p.logits[0], logits, rtol=1e-4, atol=2e-4)
    torch.testing.assert_close(p.boxes[0], boxes, rtol=1e-4, atol=2e-5)


@families
def test_parity_of_gradients(family):
    model, (images, _) = perturbed(family), unequal()
    network = deepcopy(model.network)
    logits, boxes = own(model, network, images)
    draw = torch.Generator().manual_seed(0)
    factors = [torch.randn(x.shape, generator=draw) for x in (logits, boxes)]
    (logits * factors[0]).sum().backward()
    p = model(images)
    (p.logits[-1] * factors[0]).sum().backward()
    theirs = dict(network.named_parameters())
    largest = max(float(x.grad.abs().max()) for x in theirs.values() if x.grad is not None)
    compared = 0
    for name, x in model.network.named_parameters():
        if x.grad is not None and theirs[name].grad is not None:
            # A bias of keys has no effect, so its gradient is nothing but rounding.
            limit = 1e-4 * float(theirs[name].grad.abs().max()) + 1e-6 * largest
            torch.testing.assert_close(x.grad, theirs[name].grad, rtol=1e-3, atol=limit)
            compared += 1
    assert compared > 0.5 * len(theirs)


@families
def test_parity_of_training_mode(family):
    """Without dropout the mode changes nothing: one group of queries, frozen statistics, all layers."""
    config = hub.config(family)
    entries = json.loads(config.config_json) | NO_DROPOUT
    torch.manual_seed(1)
    model = tiny.stir(hub_detector.Model(replace(config, config_json=json.dumps(entries))))
    images, _ = unequal()
    with torch.no_grad():
        trained, evaluated = model.train()(images), model.eval()(images)
    for x, y in zip(vars(trained).values(), vars(evaluated).values()):
        torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)


@families
def test_parity_of_saved_weights(family, tmp_path):
    """A file holds each tensor once, and gives the same outputs."""
    from core.runs.checkpoint import load_detector, save_detector

    model, (images, _) = perturbed(family), unequal()
    save_detector(tmp_path / "x.safetensors", model, {})
    again, _ = load_detector(tmp_path / "x.safetensors")
    with torch.no_grad():
        a, b = model(images), again(images)
    assert all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values()))
    assert deepcopy(model).state_dict().keys() == model.state_dict().keys()


def test_softmax_scores_are_exact_as_logits_of_a_sigmoid():
    logits = 5 * torch.randn(100, 7, dtype=torch.float64).float()
    expected = logits.softmax(-1)[:, :-1]
    torch.testing.assert_close(hub_detector.sigmoid_logits(logits).sigmoid(), expected, rtol=1e-5, atol=1e-6)


def test_proposals_are_those_that_queries_were_made_of():
    """RT-DETR's anchors are the boxes of its proposals, and RF-DETR's scores those of its first group's head."""
    model, (images, _) = perturbed("rt_detr_v2"), unequal()
    q = model.propose(model.encode(images))
    torch.testing.assert_close(q.proposals.boxes[0], q.anchors, rtol=1e-4, atol=1e-5)
    assert q.proposals.logits.shape == (1, 2, 10, 4)
    model = perturbed("deformable_detr")
    memory = model.encode(images)
    assert model.propose(memory).proposals.logits.shape[2] == memory.tokens.shape[1] and not model.proposes_classes


REFUSED = [
    ({"model_type": "yolos"}, "model_type 'yolos'; there are detr"),
    ({}, "model_type None"),
    ({"model_type": "rt_detr", "auto_map": {"AutoModel": "x.Y"}}, "asks to run code that comes with the weights"),
    ({"model_type": "detr", "auxiliary_loss": True}, "passes normed states"),
    ({"model_type": "detr", "d_model": 128}, "queries of 128 channels, but the detector's width is 256"),
    (
        {"model_type": "rt_detr", "decoder_layers": "six", "encoder_layers": []},
        "config_json is refused by transformers",
    ),
]


@pytest.mark.parametrize(("entries", "sentence"), REFUSED)
def test_a_configuration_that_cannot_be_used_is_one_sentence(entries, sentence):
    with pytest.raises(UserError, match=sentence):
        hub_detector.Model(hub_detector.Config(config_json=json.dumps(entries)))


def test_broken_json_is_one_sentence():
    with pytest.raises(UserError, match="config_json is not JSON"):
        hub_detector.Model(hub_detector.Config(config_json="{"))
