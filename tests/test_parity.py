"""Conditional and Deformable DETR are the originals: same weights, same numbers, same gradients."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch

from core import detectors
from core.nn.backbones import normalise
from core.types import Images
from tests.parity import oracle, weights

CASES = {
    "conditional": {},
    "deformable plain": {},
    "deformable refine": {"refine": True},
    "deformable twostage": {"refine": True, "two_stage": True},
}
SMALL = dict(classes=7, backbone="resnet18", queries=11, layers=3, encoder_layers=2, width=64, heads=4, feedforward=48)
COUNTS = {  # millions of parameters, frozen BatchNorm not counted
    ("conditional", "resnet50"): 43.42,
    ("conditional", "resnet101"): 62.36,
    ("deformable plain", "resnet50"): 40.07,
    ("deformable refine", "resnet50"): 40.85,
    ("deformable twostage", "resnet50"): 41.18,
    ("deformable plain", "resnet101"): 59.01,
    ("deformable refine", "resnet101"): 59.79,
    ("deformable twostage", "resnet101"): 60.12,
}


def build(case: str, *, seed: int, **options):
    return weights.detector(case.split()[0], seed=seed, **CASES[case], **options)


def draw(seed: int, sizes=None) -> Images:
    """Images of unequal sizes, padded to the largest."""
    g = torch.Generator().manual_seed(seed)
    if sizes is None:
        sizes = torch.randint(40, 200, (2 + seed % 2, 2), generator=g)
    sizes = torch.as_tensor(sizes)
    H, W = sizes.amax(0).tolist()
    inside = (torch.arange(H)[:, None] < sizes[:, :1, None]) & (torch.arange(W) < sizes[:, 1:, None])
    pixels = torch.randint(0, 256, (len(sizes), 3, H, W), generator=g, dtype=torch.uint8)
    return Images(pixels, ~inside, sizes, sizes, torch.arange(len(sizes)))


def look(model, images: Images) -> dict:
    """Ours, as parity.hub.look says theirs."""
    memory = model.encode(images)
    queries = model.propose(memory)
    p = model.decode(memory, queries)
    found = {"logits": p.logits, "boxes": p.boxes}
    if queries.proposals is not None:
        found |= {"first logits": queries.proposals.logits[0], "first boxes": queries.proposals.boxes[0]}
    return found


def seen(model, images: Images):
    """The network's input."""
    return normalise(images.pixels, images.padding, model.backbone.mean, model.backbone.std, 1)


def loss(found: dict) -> torch.Tensor:
    """A number that every output moves, each in its own way."""
    g = torch.Generator().manual_seed(5)
    return sum((x * torch.randn(x.shape, generator=g)).sum() / x[0].numel() ** 0.5 for x in found.values())


def close(mine: dict, theirs: dict, tolerance: float = 1e-4) -> None:
    assert mine.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(mine[key], value, rtol=0, atol=tolerance, msg=lambda m, key=key: f"{key}: {m}")


def same_gradients(mine: dict, theirs: dict) -> None:
    """Each to 1e-3 of its norm; one that is zero but for rounding, absolutely."""
    assert mine.keys() == theirs.keys()
    scale = max(x.norm() for x in theirs.values())
    for key, value in theirs.items():
        gap = (mine[key] - value).norm()
        assert gap <= 1e-3 * value.norm() + 1e-6 * scale, f"{key}: {gap} of {value.norm()}"


def compare(case: str, model, images: Images) -> None:
    """Outputs and gradients against transformers."""
    from tests.parity import hub

    names = weights.official(model, f"{case.replace(' ', '_r50_')}" if " " in case else f"{case}_r50")
    theirs = hub.build(model, weights.values(model, names))
    mine, other = look(model, images), hub.look(theirs, model.kind, seen(model, images), (~images.padding).long())
    close(mine, other)
    loss(mine).backward()
    loss(other).backward()
    own = dict(model.named_parameters())
    wanted = {k: own[x] for k, x in names.items() if x in own and own[x].requires_grad}
    got = {k: p.grad for k, p in wanted.items() if p.grad is not None}
    assert got.keys() == wanted.keys(), "every parameter takes part"
    same_gradients(got, {k: g for k, g in hub.gradients(theirs, names, model.kind).items() if k in wanted})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", CASES)
def test_parity_with_transformers(case, seed):
    compare(case, build(case, seed=seed, **SMALL), draw(seed))
