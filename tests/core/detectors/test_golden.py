"""AdaMixer against numbers that the authors' modules computed (tests/golden), and against the oracle on random draws."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core import losses
from core.boxes import centers, corners
from core.detectors import adamixer
from core.detectors.adamixer import from_xyzr, to_xyzr
from core.distiller import Distiller, map_weights
from core.matching.solving import match_to_truth
from core.nn import backbones
from core.nn.pyramid import pyramid, sample_3d
from core.project import ROOT
from core.types import Images, Memory, Queries, Targets, Trace
from tests.helpers import tiny
from tests.oracles import adamixer as oracle
from tests.oracles.weights import own_name

CASES = {path.name: path for path in sorted((ROOT / "tests" / "golden").iterdir())}
NEAR = {"rtol": 1e-4, "atol": 1e-4}


class Given(nn.Module):
    """Stands for a backbone: its maps are given."""

    def __init__(self, channels, maps):
        super().__init__()
        self.channels, self.maps = channels, maps

    def forward(self, images, *, divisor):
        return self.maps


@pytest.fixture(params=CASES)
def case(request, monkeypatch):
    """A golden case: what is on file, and our model with its weights and its maps in place of a backbone."""
    about = json.loads((CASES[request.param] / "card.json").read_text())
    tensors = load_file(CASES[request.param] / "case.safetensors")
    c = about["config"]
    given = Given(c["backbone_channels"], [tensors[f"input.backbone.{i}"] for i in range(4)])
    monkeypatch.setattr(backbones, "build", lambda *_: given)
    model = adamixer.Model(config(c))
    model.load_state_dict({own_name("adamixer", k): x for k, x in released(tensors, "weight.").items()})
    images, truth = inputs(about["image_sizes_h_w"], tensors)
    return SimpleNamespace(about=about, tensors=tensors, model=model, images=images, truth=truth)


def released(tensors: dict, kind: str) -> dict:
    """Of every parameter under its released name; the first boxes are stored there, but are the whole image all the same."""
    found = {k.removeprefix(kind): x for k, x in tensors.items() if k.startswith(kind)}
    found.pop("rpn_head.init_proposal_bboxes.weight", None)
    return found


def config(c: dict) -> adamixer.Config:
    return adamixer.Config(
        classes=c["classes"],
        strides=tuple(c["strides"]),
        queries=c["queries"],
        layers=c["stages"],
        width=c["dim"],
        heads=c["heads"],
        groups=c["groups"],
        points=c["in_points"],
        mixed_points=c["out_points"],
        feedforward=c["ff"],
    )


def inputs(sizes, tensors) -> tuple[Images, Targets]:
    height, width = (max(x) for x in zip(*sizes))
    padding = torch.ones(len(sizes), height, width, dtype=torch.bool)
    for pad, (h, w) in zip(padding, sizes):
        pad[:h, :w] = False
    pixels = torch.zeros(len(sizes), 3, height, width, dtype=torch.uint8)
    sizes, ids = torch.tensor(sizes), torch.arange(len(sizes))
    boxes = [tensors[f"input.gt_boxes_xyxy_pixels.{i}"] / s.flip(0).repeat(2) for i, s in enumerate(sizes)]
    counts = tuple(map(len, boxes))
    labels = torch.cat([tensors[f"input.gt_labels.{i}"] for i in ids])
    truth = Targets(centers(torch.cat(boxes)), labels, ids.repeat_interleave(torch.tensor(counts)), counts)
    return Images(pixels, padding, sizes, sizes, ids), truth


def near(ours, theirs):
    torch.testing.assert_close(ours, theirs, **NEAR)


def sampled(maps, points, strides):
    groups, each = points.shape[2:4]
    return sample_3d(pyramid(maps, strides, groups=groups, points=each), points)


def test_golden_neck_and_first_queries(case):
    memory = case.model.encode(case.images)
    for i, level in enumerate(memory.neck):
        near(level, case.tensors[f"output.neck.{i}"])
    queries = case.model.propose(memory)
    near(queries.content, case.tensors["output.query_content_initial"])
    near(to_xyzr(queries.anchors, memory.sizes), case.tensors["output.query_xyzr_initial"])


def test_golden_sampling(case):
    points, expected = (case.tensors[f"operator.sampling.{x}"] for x in ("points_xyz", "output"))
    neck = tuple(case.tensors[f"output.neck.{i}"] for i in range(4))
    groups = case.model.config.groups
    near(sampled(neck, points.view(*points.shape[:2], groups, -1, 3), case.model.strides), expected)


def test_golden_mixing(case):
    x, query, expected = (case.tensors[f"operator.{k}"] for k in ("sampling.output", "mixing.query", "mixing.output"))
    near(query + case.model.stages[0].mixing.mix(x, query), expected)


def test_golden_stages(case):
    p, sizes = case.model(case.images), case.images.sizes
    for k in range(case.model.config.layers):
        expected = {
            x: case.tensors[f"output.stage{k}.{x}"]
            for x in ("logits", "boxes_xyxy_pixels", "query_content", "query_xyzr")
        }
        near(p.logits[k], expected["logits"])
        near(p.hidden[k], expected["query_content"])
        near(corners(p.boxes[k]) * sizes.flip(1).repeat(1, 2)[:, None], expected["boxes_xyxy_pixels"])
        near(to_xyzr(p.boxes[k], sizes), expected["query_xyzr"])


def test_golden_losses_and_every_gradient(case):
    parts = {"detection": losses.build("detection", losses.module("detection").Config(), case.model, None)}
    trace = Distiller(case.model, parts, map_weights(parts, {"detection": 1.0}))(case.images, case.truth)
    maps = trace.outcomes["detection"].maps
    for ours, theirs in (("class", "cls"), ("l1", "bbox"), ("giou", "iou")):
        by_layer = case.model.matching.weights[ours] * maps[ours].sum((1, 2))
        expected = [case.about["losses"][f"stage{k}_loss_{theirs}"] for k in range(len(by_layer))]
        assert by_layer.tolist() == pytest.approx(expected, rel=1e-4)
    assert trace.total.item() == pytest.approx(case.about["total_loss"], rel=1e-4)
    trace.total.backward()
    ours = {name: p.grad for name, p in case.model.named_parameters()}
    expected = {own_name("adamixer", k): x for k, x in released(case.tensors, "grad.").items()}
    assert ours.keys() == expected.keys()
    for name, theirs in expected.items():
        # Rounding alone for a bias before a GroupNorm of one channel a group, and for the first tau: both are 0 in exact numbers.
        size = theirs.abs().max()
        assert (ours[name] - theirs).abs().max() <= (1e-3 * size if size > 1e-7 else 1e-5), name


def test_golden_weights_are_all_ours_and_ours_are_all_theirs(case):
    """Each released name has one place; the backbone is not on file."""
    names = [own_name("adamixer", k) for k in released(case.tensors, "weight.")]
    assert sorted(names) == sorted(case.model.state_dict())


# The oracle, at sizes that are not on file.

SIZES = [
    {"dim": 32, "groups": 1, "in_points": 3, "out_points": 5, "heads": 2, "queries": 7, "stages": 1, "classes": 3},
    {"dim": 64, "groups": 4, "in_points": 2, "out_points": 7, "heads": 8, "queries": 5, "stages": 3, "classes": 6},
    {"dim": 96, "groups": 3, "in_points": 6, "out_points": 2, "heads": 4, "queries": 9, "stages": 2, "classes": 1},
]
STRIDES = (4, 8, 16, 32)


def drawn(size: dict, seed: int):
    """A model with random weights, and the same weights under the released names."""
    c = {"ff": 24, "strides": STRIDES, **size}
    torch.manual_seed(seed)
    model = adamixer.Model(replace(config(c), backbone="tiny8x1", frozen=0)).eval()
    tiny.stir(model, 0.4)
    names = [f"roi_head.bbox_head.{k}.{name}" for k in range(c["stages"]) for name in STAGE]
    return model, c, {name: model.state_dict()[own_name("adamixer", name)] for name in names}


STAGE = (
    *(
        f"{kind}.{part}"
        for kind in ("attention_norm", "sampling_n_mixing.norm", "ffn_norm", "fc_cls", "fc_reg")
        for part in ("weight", "bias")
    ),
    *(f"{kind}.{i}.{part}" for kind in ("cls_fcs", "reg_fcs") for i in (0, 1) for part in ("weight", "bias")),
    *(f"ffn.layers.{i}.{part}" for i in ("0.0", "1") for part in ("weight", "bias")),
    *(f"sampling_n_mixing.sampling_offset_generator.0.{part}" for part in ("weight", "bias")),
    *(
        f"sampling_n_mixing.adaptive_mixing.{x}.{part}"
        for x in ("parameter_generator.0", "out_proj")
        for part in ("weight", "bias")
    ),
    *(f"attention.attn.{x}" for x in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")),
    "iof_tau",
)


def drawn_memory(draw, width: int, sizes) -> Memory:
    shapes = [(4 * 8 // (2**k), 6 * 8 // (2**k)) for k in range(4)]  # of 128 x 192 pixels
    neck = tuple(torch.randn(len(sizes), width, h, w, generator=draw) for h, w in shapes)
    padding = tuple(torch.zeros(len(sizes), h, w, dtype=torch.bool) for h, w in shapes)
    return Memory(neck, padding, STRIDES, torch.tensor(sizes))


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"width {s['dim']}")
def test_stages_and_loss_agree_with_the_oracle(size):
    for seed in range(4):
        draw = torch.Generator().manual_seed(seed)
        sizes = [(128, 192), (100, 160)]
        model, c, released = drawn(size, seed)
        memory = drawn_memory(draw, c["dim"], sizes)
        start = Queries(
            content=torch.randn(2, c["queries"], c["dim"], generator=draw), anchors=tiny.boxes((2, c["queries"]), draw)
        )
        p = model.decode(memory, start)
        truth = tiny.targets((3, 4), c["classes"], draw)
        q, z, scale = start.content, to_xyzr(start.anchors, memory.sizes), memory.sizes.flip(1).repeat(1, 2)
        true_boxes = [corners(truth.boxes[truth.image == i]) * scale[i] for i in (0, 1)]
        true_labels = [truth.labels[truth.image == i] for i in (0, 1)]
        parts = {"detection": losses.build("detection", losses.module("detection").Config(), model, None)}
        found = detection_sums(model, memory, p, truth, parts["detection"])
        for k in range(c["stages"]):
            logits, q, z = oracle.stage(released, f"roi_head.bbox_head.{k}.", c, memory.neck, z, q)
            torch.testing.assert_close(p.logits[k], logits, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(p.hidden[k], q, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(p.boxes[k], from_xyzr(z, memory.sizes), rtol=1e-3, atol=1e-3)
            expected = oracle.loss(logits, oracle.box_of(z), sizes, true_boxes, true_labels)
            assert found[k] == pytest.approx([float(x.detach()) for x in expected], rel=2e-3)


def detection_sums(model, memory, p, truth, loss):
    found = match_to_truth({"s": (p, model.matching)}, truth)["s"]
    maps = loss(Trace(memory, {}, {"own": p}, found), None, truth, {}).maps
    return torch.stack([loss.weights[k] * maps[k].detach().sum((1, 2)) for k in ("class", "l1", "giou")], 1).tolist()


def test_sampling_agrees_with_the_oracle_within_and_beyond_the_image():
    for seed, groups in enumerate((1, 2, 4, 8)):
        draw = torch.Generator().manual_seed(seed)
        memory = drawn_memory(draw, 16, [(128, 192)] * 2)
        xy = torch.rand(2, 5, groups * 6, 2, generator=draw) * torch.tensor([260.0, 190]) - 30
        points = torch.cat([xy, torch.rand(2, 5, groups * 6, 1, generator=draw) * 7], -1)
        expected = oracle.sample(points, memory.neck, STRIDES, groups)
        near(sampled(memory.neck, points.view(2, 5, groups, 6, 3), STRIDES), expected)


def test_sampling_reads_the_place_and_the_scale_that_it_is_asked_for():
    """At the centre of a pixel of level k and z = log2 of its stride, a level that holds k there is read as a mean about k."""
    maps = tuple(torch.full((1, 2, 8 >> k, 8 >> k), float(k)) for k in range(3))
    for k in range(3):
        point = torch.tensor([16.0, 16.0, [2.0, 3.0, 4.0][k]]).view(1, 1, 1, 1, 3)
        weight = torch.softmax(-((torch.tensor([2.0, 3, 4]) - [2.0, 3.0, 4.0][k]) ** 2) / 2, 0)
        assert sampled(maps, point, (4, 8, 16)).flatten().tolist() == pytest.approx(
            [(weight * torch.arange(3)).sum().item()] * 2
        )
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    point = torch.tensor([[4 * 5.5, 4 * 2.5, 2.0]]).view(1, 1, 1, 1, 3)
    assert sampled((ramp,), point, (4,)).item() == pytest.approx(5)


def test_boxes_go_to_xyzr_and_back():
    draw = torch.Generator().manual_seed(0)
    boxes, sizes = tiny.boxes((2, 50), draw), torch.tensor([[128, 192], [100, 37]])
    torch.testing.assert_close(from_xyzr(to_xyzr(boxes, sizes), sizes), boxes)
    whole = to_xyzr(torch.tensor([[[0.5, 0.5, 1.0, 1.0]]]), torch.tensor([[64, 256]])).flatten().tolist()
    assert whole == pytest.approx([128, 32, 7, -2])


def test_a_fresh_model_starts_at_rest():
    """The authors' start: every query is the whole image in every stage, and every class has a score of 0.01."""
    model = adamixer.Model(tiny.config("adamixer"))
    images, _ = tiny.batch()
    p = model.eval()(images)
    torch.testing.assert_close(p.boxes, torch.tensor([0.5, 0.5, 1, 1]).expand_as(p.boxes))
    z = torch.stack([s.to_class[-1].bias for s in model.stages])
    torch.testing.assert_close(z.sigmoid(), torch.full_like(z, 0.01))
