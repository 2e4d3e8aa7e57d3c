"""The published models at full size: number of parameters, memory, and the conversion of their files."""

import subprocess
import sys

import pytest
import torch

from core import detectors
from core.convert.classes import COCO
from core.convert.read import read_weights
from core.convert.to_detector import convert
from core.project import ROOT
from core.runs.checkpoint import load_detector
from tests.core.convert.test_convert import run_command
from tests.core.detectors.test_parity import draw
from tests.helpers import foreign
from tests.oracles import weights

LAPTOP = 4 * 2**30  # bytes: half of a small laptop's memory
ADAMIXER = {("resnet50", 100): 134.79, ("resnet50", 300): 134.84, ("resnet101", 300): 153.83}  # millions

FORWARD = """
import resource, sys, torch
from core import detectors
from core.types import Images
kind, backbone, options = sys.argv[1], sys.argv[2], eval(sys.argv[3])
model = detectors.build(kind, backbone=backbone, **options).eval()
size = torch.tensor([[800, 1333]])
pixels = torch.randint(0, 256, (1, 3, 800, 1333), dtype=torch.uint8)
with torch.no_grad():
    found = model(Images(pixels, torch.zeros(1, 800, 1333, dtype=torch.bool), size, size, torch.tensor([0])))
assert found.boxes.isfinite().all() and found.boxes.shape[:2] == (6, 1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.parametrize("backbone, queries", ADAMIXER)
def test_parameters_of_adamixer(backbone, queries):
    """AdaMixer's BatchNorm is trained, so it is counted. test_parity has the numbers of Conditional and Deformable DETR."""
    with torch.device("meta"):
        model = detectors.build("adamixer", backbone=backbone, queries=queries)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == ADAMIXER[backbone, queries]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet50", "resnet101"])
@pytest.mark.parametrize("case", foreign.KEYS)
def test_forward_at_800_x_1333_fits_a_laptop(case, backbone):
    """The model runs in a process of its own, so that the peak is that of the model."""
    words = [case.split()[0], backbone, repr(foreign.OPTIONS[case])]
    done = subprocess.run([sys.executable, "-c", FORWARD, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < LAPTOP


@pytest.mark.slow
@pytest.mark.parametrize("case", foreign.KEYS)
def test_a_file_of_full_size_is_converted(case, tmp_path):
    """The file has every name and shape of the released file, with random numbers. Export leads back, where it exists."""
    kind = case.split()[0]
    torch.manual_seed(2)
    held = {}
    for key, shape in weights.listed(foreign.KEYS[case]).items():
        held[key] = torch.rand(shape) * 0.02 if shape else torch.tensor(0)
    shared = "class_embed", "bbox_embed", "transformer.decoder.class_embed", "transformer.decoder.bbox_embed"
    for key in [k for k in held if k.startswith(shared) and kind == "deformable"]:
        own = key.removeprefix("transformer.decoder.")
        first = ".".join(["0" if i == 1 and "plain" in case else x for i, x in enumerate(own.split("."))])
        held[key] = held[first]
    model = detectors.build(kind, classes=80, **foreign.OPTIONS[case])
    path = foreign.write_pth(tmp_path / "x.pth", case, model, held)
    assert run_command("import", path, "--out", tmp_path / "run") == 0
    found, card = load_detector(tmp_path / "run" / "student.safetensors")
    assert found.config == model.config and [c["id"] for c in card["categories"]] == list(COCO)
    with torch.no_grad():
        p = found(draw(1, sizes=[(160, 192)]))
    assert p.logits.shape[-1] == 80
    if kind != "adamixer":
        assert run_command("export", tmp_path / "run", "--to", "hf", "--out", tmp_path / "hf") == 0
        again = convert(read_weights(tmp_path / "hf")).detector.state_dict()
        assert all(torch.equal(x, again[name]) for name, x in found.state_dict().items())
