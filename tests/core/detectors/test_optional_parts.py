"""A detector without the optional parts of the contract: no backbone, no encoder, no samplers, no proposals."""

import json
import sys
from dataclasses import dataclass, field, replace
from types import ModuleType

import pytest
import torch
from einops import rearrange, repeat
from torch import nn

from app.views import header
from app.worker.library import Source
from app.worker.library import about as listed
from core import detectors
from core.detectors.base import Detector
from core.errors import UserError
from core.matching.costs import Matching
from core.metrics.sampling_locations import sampling_locations
from core.nn import backbones
from core.nn.attention import attend
from core.runs.checkpoint import load_detector, save_detector
from core.runs.config import encode
from core.types import Memory, Predictions, Queries
from tests.helpers import tiny
from train.job.build import build, load_initial_weights
from train.job.summary import summary
from train.run import Data, Losses, Optim, Run

STRIDE = 16


@dataclass(frozen=True)
class Config:
    classes: int = 4
    queries: int = 10
    layers: int = 2
    width: int = 8
    strides: tuple[int, ...] = (STRIDE,)
    matching: Matching = field(default_factory=Matching)


class Model(Detector):
    """Patches of the image are its memory; each layer attends to them once."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.patches = nn.Conv2d(3, config.width, STRIDE, STRIDE)
        self.content = nn.Embedding(config.queries, config.width)
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.layers))
        self.to_class, self.to_box = nn.Linear(config.width, config.classes), nn.Linear(config.width, 4)
        self.register_buffer("grey", torch.full((3, 1, 1), 127.5), persistent=False)

    def encode(self, images):
        neck = self.patches(backbones.normalise(images.pixels, images.padding, self.grey, self.grey, STRIDE))
        padding = backbones.level_padding(images.padding, (neck.shape[-2], neck.shape[-1]), STRIDE)
        return Memory((neck,), (padding,), self.config.strides, images.sizes)

    def propose(self, memory):
        return Queries(content=repeat(self.content.weight, "q d -> b q d", b=len(memory.sizes)))

    def decode(self, memory, queries):
        tokens, x, layers = rearrange(memory.neck[0], "b d h w -> b (h w) d"), queries.content, []
        for layer in self.layers:
            x = x + attend(layer(x), tokens, tokens, heads=1, padding=memory.padding[0].flatten(1))
            layers.append((self.to_class(x), self.to_box(x).float().sigmoid(), x))
        return Predictions(*map(torch.stack, zip(*layers)))


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """The two classes as if they were the file core/detectors/bare.py."""
    module, modules, names = ModuleType("core.detectors.bare"), detectors.module, detectors.names
    for kind in (Config, Model):
        monkeypatch.setattr(kind, "__module__", module.__name__)
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(detectors, "module", lambda name: module if name == "bare" else modules(name))
    monkeypatch.setattr(detectors, "names", lambda: [*names(), "bare"])


def model(**options) -> Model:
    torch.manual_seed(0)
    return Model(Config(**options)).eval()


def test_what_it_lacks_has_a_default(batch):
    detector = model()
    memory = detector.encode(batch[0])
    assert detector.kind == "bare" and detector.known == (True,) * 4 and not detector.proposes
    assert detector.backbone_name is None and detector.own_backbone is None
    assert memory.maps("encoder") is memory.neck
    assert sampling_locations(detector, memory, detector.propose(memory)) == ()


def test_it_learns_as_student_and_as_teacher(batch):
    torch.manual_seed(1)
    step = tiny.distiller(model(), Model(Config(queries=12))).train()
    step(*batch).total.backward()
    assert [name for name, p in step.named_parameters() if p.requires_grad and p.grad is None] == []


def test_a_run_of_it_is_built_and_summed_up(tmp_path):
    data, optim = Data(train_limit=4, val_limit=2, size=48), Optim(batch=2)
    job = build(Run("bare", Config(), Losses(), data, optim, device="cpu"))
    assert "student   bare, 0.0 M parameters\n" in summary(job, tmp_path)
    assert job.distiller.student.config == replace(Config(), classes=8)


def test_it_is_saved_and_loaded(tmp_path):
    save_detector(tmp_path / "bare.safetensors", model(), {})
    again, card = load_detector(tmp_path / "bare.safetensors")
    assert again.config == Config() and card["detector"] == "bare"
    assert all(torch.equal(x, again.state_dict()[k]) for k, x in model().state_dict().items())


def test_the_app_shows_no_backbone(tmp_path):
    assert header.detector(model(), None) == {
        "kind": "bare",
        "backbone": None,
        "layers": 2,
        "queries": 10,
        "strides": [16],
        "ap": None,
    }
    (tmp_path / "card.json").write_text(json.dumps({"run": {"student": encode(Config())}}))
    assert listed(Source(tmp_path))["student"] == ""


@pytest.mark.parametrize("kind", ["bare", "named", "unnamed"])
def test_imagenets_weights_need_a_backbone(kind, tmp_path):
    """One is refused without a name to look them up by, or without the module that they belong to."""
    detector = model()
    if kind == "unnamed":
        detector.backbone = backbones.build("tiny8x1", (16,), 0)
    if kind == "named":
        detector.config = tiny.config("adamixer")
        detector.backbone = nn.Identity()
    with pytest.raises(UserError, match="--init imagenet: the detector bare has no backbone .*; set --init None"):
        load_initial_weights(detector, "imagenet")


def test_a_file_of_weights_needs_a_backbone_and_no_name(tmp_path):
    detector, filled = model(), backbones.build("tiny8x1", (16,), 0)
    torch.save(filled.body.state_dict(), tmp_path / "backbone.pth")
    with pytest.raises(UserError, match="has no backbone"):
        load_initial_weights(detector, str(tmp_path / "backbone.pth"))
    detector.backbone = backbones.build("tiny8x1", (16,), 0)
    load_initial_weights(detector, str(tmp_path / "backbone.pth"))
    assert all(torch.equal(x, filled.body.state_dict()[k]) for k, x in detector.backbone.body.state_dict().items())


def test_weights_of_a_whole_detector_need_no_backbone(tmp_path):
    save_detector(tmp_path / "bare.safetensors", model(), {})
    torch.manual_seed(2)
    other = Model(Config())
    load_initial_weights(other, str(tmp_path / "bare.safetensors"))
    assert all(torch.equal(x, model().state_dict()[k]) for k, x in other.state_dict().items())
