"""Conditional and Deformable DETR are the originals: same weights, same numbers, same gradients."""

import random

import pytest
import torch
import torchvision
from torchvision.models._utils import IntermediateLayerGetter

from core import detectors
from core.nn import backbones
from core.nn.backbones import normalise
from core.types import Images
from tests.helpers.foreign import FAMILY, KEYS, OPTIONS
from tests.oracles import detr, weights

CASES = {case: OPTIONS[case] for case in FAMILY}
COPIES = "transformer.decoder.class_embed", "transformer.decoder.bbox_embed"  # second names of the model's own heads
SMALL = dict(classes=7, backbone="resnet18", queries=11, layers=3, encoder_layers=2, width=64, heads=4, feedforward=48)
VARIED = {  # what a seed draws from
    "width": (64, 128),
    "heads": (2, 4),
    "layers": (2, 3),
    "encoder_layers": (1, 2, 3),
    "queries": (5, 11, 17),
    "classes": (1, 7),
    "feedforward": (32, 48),
    "points": (1, 2, 4),
}
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


def varied(case: str, seed: int) -> dict:
    chance = random.Random(seed)
    options = {name: chance.choice(values) for name, values in VARIED.items()} | {"backbone": "resnet18"}
    return options if "deformable" in case else {k: v for k, v in options.items() if k != "points"}


def draw(seed: int, sizes=None) -> Images:
    """Images of unequal sizes, padded to the largest."""
    g = torch.Generator().manual_seed(seed)
    if sizes is None:
        sizes = torch.randint(33, 130, (2 + seed % 2, 2), generator=g)
    sizes = torch.as_tensor(sizes)
    H, W = sizes.amax(0).tolist()
    inside = (torch.arange(H)[:, None] < sizes[:, :1, None]) & (torch.arange(W) < sizes[:, 1:, None])
    pixels = torch.randint(0, 256, (len(sizes), 3, H, W), generator=g, dtype=torch.uint8)
    return Images(pixels, ~inside, sizes, sizes, torch.arange(len(sizes)))


def look(model, images: Images) -> dict:
    """Our outputs under the names that tests.oracles.hub.look gives to those of transformers."""
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
    from tests.oracles import hub

    names = weights.official(model, KEYS[case])
    theirs = hub.build(model, weights.values(model, names))
    mine, other = look(model, images), hub.look(theirs, model.kind, seen(model, images), (~images.padding).long())
    close(mine, other)
    loss(mine).backward()
    loss(other).backward()
    own = {k: p.grad for k, p in model.named_parameters() if p.requires_grad}
    assert all(x is not None for x in own.values()), "every parameter takes part"
    wanted = {k: own[x] for k, x in names.items() if x in own and not k.startswith(COPIES)}
    assert set(names[k] for k in wanted) == own.keys()
    got = hub.gradients(theirs, wanted, model.kind)
    same_gradients(wanted, got)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("case", CASES)
def test_parity_with_transformers(case, seed):
    compare(case, build(case, seed=seed, **varied(case, seed)), draw(seed))


@pytest.fixture
def double(monkeypatch):
    """Both in double precision, casts to float32 too, but for transformers' sine of proposals.

    Six layers of random weights multiply roundings: in single precision transformers is as far from itself in double as from
    ours, some of the 9 million sampling points lie within it of a grid line, where the gradient jumps, and proposals swap.
    """
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("case", CASES)
def test_parity_at_full_size(case):
    compare(case, build(case, seed=9, classes=91).double(), draw(9, sizes=[(480, 600), (448, 640)]))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", CASES)
def test_parity_with_the_oracle(case, seed):
    """Literal functions over the released names; they know width 256 and 8 heads only."""
    model, images = build(case, seed=10 + seed, **SMALL | {"width": 256, "heads": 8}), draw(10 + seed)
    tensors = weights.values(model, weights.official(model, KEYS[case]))
    config = {"backbone": "resnet18", "enc_layers": 2, "dec_layers": 3, "num_queries": 11}
    config |= {"two_stage": "twostage" in case, "with_box_refine": case not in ("conditional", "deformable plain")}
    with torch.no_grad():
        mine = look(model, images)
        theirs = detr.run(model.kind, config, tensors, {"images": seen(model, images), "mask": images.padding})
        torch.testing.assert_close(model.encode(images).tokens, theirs["memory"], rtol=0, atol=1e-4)
    wanted = {k: torch.cat([theirs[f"aux_{k}"], theirs[f"pred_{k}"][None]]) for k in ("logits", "boxes")}
    close(mine, wanted | {f"first {k[4:]}": v for k, v in theirs.items() if k in ("enc_logits", "enc_boxes")})


def bare(case: str, **options):
    """Without memory or numbers."""
    with torch.device("meta"):
        return detectors.build(case.split()[0], classes=91, **CASES[case], **options)


@pytest.mark.parametrize("case", CASES)
def test_parity_of_names_and_shapes(case):
    model = bare(case)
    own = {k: tuple(x.shape) for k, x in model.state_dict().items() if "num_batches_tracked" not in k}
    released = {weights.own_name(model.kind, k): shape for k, shape in weights.listed(KEYS[case]).items()}
    copied = {k for k in released if k.startswith(("to_class.", "to_box.")) and k.split(".")[1] in "12345"}
    assert own == {k: x for k, x in released.items() if case != "deformable plain" or k not in copied}


@pytest.mark.parametrize("case, backbone", COUNTS)
def test_parity_of_counts(case, backbone):
    model = bare(case, backbone=backbone)
    norms = [m for m in model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    fixed = sum(p.numel() for m in norms for p in m.parameters())
    count = sum(p.numel() for p in model.parameters()) - fixed
    assert round(count / 1e6, 2) == COUNTS[case, backbone]


@pytest.mark.parametrize("case", CASES)
def test_parity_of_what_is_frozen(case):
    """The stem, the first stage, and every BatchNorm."""
    model = bare(case)
    fixed = {k.removeprefix("backbone.body.") for k, p in model.named_parameters() if not p.requires_grad}
    assert fixed == {
        k.removeprefix("backbone.body.")
        for k, _ in model.named_parameters()
        if "backbone" in k and ("layer" not in k or "layer1" in k or ".bn" in k or "downsample.1" in k)
    }


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_parity_of_the_backbone(name):
    """All four maps, and gradients of every weight, those of BatchNorm too."""
    from tests.oracles import hub

    ours = weights.settle(backbones.build(name, backbones.STRIDES, 0))
    images = draw(3)
    theirs = hub.resnet(name, ours.body.state_dict())
    maps = [ours(images), theirs(normalise(images.pixels, images.padding, ours.mean, ours.std, 1)).feature_maps]
    mine, other = ({str(stride): x for stride, x in zip(backbones.STRIDES, m, strict=True)} for m in maps)
    close(mine, other)
    loss(mine).backward()
    loss(other).backward()
    got = {k: theirs.get_parameter(hub.of_backbone(k)).grad for k, _ in ours.body.named_parameters()}
    same_gradients({k: p.grad for k, p in ours.body.named_parameters()}, got)


def test_parity_of_the_dilated_backbone():
    """DC5 as the original makes it."""
    images = draw(3)
    ours = weights.settle(backbones.build("resnet50", (8, 16), 2, dilation=True))
    theirs = torchvision.models.resnet50(replace_stride_with_dilation=[False, False, True])
    theirs.load_state_dict(ours.body.state_dict(), strict=False)
    theirs = IntermediateLayerGetter(theirs.eval(), {"layer2": 0, "layer4": 1})
    x = normalise(images.pixels, images.padding, ours.mean, ours.std, 1)
    assert ours.channels == [512, 2048]
    for a, b in zip(ours(images), theirs(x).values(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("case", CASES)
def test_parity_of_starting_values(case):
    torch.manual_seed(0)
    model = detectors.build(case.split()[0], **CASES[case], **SMALL)
    classes, boxes = [m if isinstance(m, torch.nn.ModuleList) else [m] for m in (model.to_class, model.to_box)]
    assert all(torch.allclose(x.bias.sigmoid(), torch.tensor(0.01)) for x in classes)
    assert not any(x[-1].weight.any() for x in boxes)
    sizes = [x[-1].bias[2:].unique().item() for x in boxes]
    assert sizes == {"conditional": [0], "deformable plain": [-2], "deformable refine": [-2, 0, 0]}.get(case, [0] * 4)
    assert len({p.data_ptr() for x in classes for p in x.parameters()}) == 2 * len(classes)  # copies, not one
    if case != "conditional":
        points = model.encoder[0].attention.to_offset.bias.view(4, 4, 4, 2)
        assert torch.allclose(points[0, :, 2], torch.tensor([3.0, 0]))
        assert torch.allclose(points[1, :, 0], torch.tensor([0, 1.0]), atol=1e-6)
