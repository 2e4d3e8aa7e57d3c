"""Files of weights that strangers wrote: none takes more memory than it has bytes, and what is absurd is refused by name."""

import json
import pickle
import resource
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from core.convert.open_weights import open_weights
from core.convert.read import config_labels, processor_image_size, read_pth, unpickle
from core.convert.to_detector import convert
from core.errors import UserError
from core.nn import backbones, pretrained
from core.nn.memory import limited_to_file
from tests.helpers import foreign
from tests.helpers.hostile import VALUES


class Bomb:
    """A pickle that makes an object of 10 GB."""

    def __init__(self, make, *arguments):
        self.make, self.arguments = make, arguments

    def __reduce__(self):
        return self.make, self.arguments


def write_zip(path, content) -> None:
    """A file as torch.save writes it, with any pickle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")


@pytest.mark.parametrize("make", [bytearray, torch.Tensor, torch.FloatTensor], ids=str)
def test_a_small_file_cannot_take_the_memory(make, tmp_path):
    path = tmp_path / "bomb.pth"
    write_zip(path, {"model": Bomb(make, 10**10)})
    assert path.stat().st_size < 2000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (unpickle, pretrained.read):
        with pytest.raises(UserError, match="bomb.pth is (refused|not a file of weights)"):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20, "in KiB"


def test_the_limit_is_lifted_again(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError), limited_to_file(tmp_path / "a"):
        bytes(2**31)
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert len(bytes(2**31)) == 2**31, "of pages that nobody touches"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value, tmp_path):
    model = foreign.source_detector("conditional")
    tensors = foreign.released_tensors("conditional", model)
    name = next(key for key in tensors if "decoder" in key and key.endswith("weight"))
    tensors[name].view(-1)[-1] = value
    path = foreign.write_pth(tmp_path / "a.pth", "conditional", model, tensors)
    with pytest.raises(UserError, match=f"{name} holds numbers"):
        convert(read_pth(path))
    backbone = backbones.build("tiny8x1", (4,), 0)
    state = backbone.body.state_dict()
    key = next(iter(state))
    save_file(state | {key: state[key] + value}, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match=f"{key} holds numbers"):
        pretrained.load(backbone, "tiny8x1", str(tmp_path / "b.safetensors"))


@pytest.mark.parametrize(
    "option, value",
    [("dropout", float("nan")), ("dropout", -1.0), ("dropout", 1.0), ("nheads", 3), ("nheads", 0)],
)
def test_options_that_are_absurd_are_refused_by_name(option, value, tmp_path):
    model = foreign.source_detector("conditional")
    content = foreign.detr_file(foreign.released_tensors("conditional", model), model)
    setattr(content["args"], option, value)
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match="a.pth.*(dropout|heads|queries|query)"):
        convert(read_pth(tmp_path / "a.pth"))


@pytest.mark.parametrize("key", ["shortest_edge", "longest_edge"])
def test_sizes_of_a_processor_are_those_of_images(key, tmp_path):
    file = tmp_path / "preprocessor_config.json"
    for value in VALUES:
        file.write_text(json.dumps({"size": {key: value}}))
        if type(value) is int and 1 <= value <= 16_384:
            assert value in processor_image_size(tmp_path)
        else:
            with pytest.raises(UserError, match=f"preprocessor_config.json(: {key}| is not a JSON)"):
                processor_image_size(tmp_path)


@pytest.mark.parametrize("labels", [{"9" * 5000: "a"}, {"a": "b"}, {"1": 2}, [1], 5, {"²": "x"}])
def test_labels_that_are_none_are_refused(labels):
    with pytest.raises(UserError, match="id2label must be"):
        config_labels({"id2label": labels}, "config.json")


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.module.", "model.model."])
def test_what_a_wrapper_puts_before_every_name_is_taken_off(prefix, tmp_path):
    model = foreign.source_detector("conditional")
    tensors = foreign.released_tensors("conditional", model)
    args = {"nheads": model.config.heads, "dropout": model.config.dropout}
    torch.save({"state_dict": {prefix + name: x for name, x in tensors.items()}, "args": args}, tmp_path / "a.ckpt")
    converted = convert(read_pth(tmp_path / "a.ckpt")).detector
    assert converted.config.heads == model.config.heads, "of a dict of options, as of a Namespace"
    for name, x in model.state_dict().items():
        assert "to_class" in name or torch.equal(converted.state_dict()[name], x), name


def test_a_prefix_of_some_names_only_is_no_wrapper(tmp_path):
    model = foreign.source_detector("conditional")
    tensors = foreign.released_tensors("conditional", model)
    first = next(iter(tensors))
    foreign.write_pth(tmp_path / "a.pth", "conditional", model, {"module." + first: tensors.pop(first)} | tensors)
    with pytest.raises(UserError, match=f"module.{first}"):
        convert(read_pth(tmp_path / "a.pth"))


def without_options(path, heads: int | None, **changes):
    """Imports a Deformable DETR of 4 heads from a file that holds tensors only."""
    model = foreign.source_detector("deformable refine")
    assert (model.config.heads, model.config.points) == (4, 4)
    torch.save(foreign.released_tensors("deformable refine", model) | changes, path)
    return model, open_weights(path, heads=heads)


def test_heads_that_a_file_does_not_say_are_asked_for(tmp_path):
    """Four heads of four points have the shapes of eight heads of two."""
    with pytest.raises(UserError, match=r"give --heads N \(with the usual 4 points it has 4\)"):
        without_options(tmp_path / "a.pth", None)
    model, converted = without_options(tmp_path / "a.pth", 4)
    assert (converted.detector.config.heads, converted.detector.config.points) == (4, 4)


def test_heads_that_a_file_says_are_not_replaced(tmp_path):
    model = foreign.source_detector("deformable refine")
    foreign.write_pth(tmp_path / "a.pth", "deformable refine", model)
    assert open_weights(tmp_path / "a.pth", heads=4).detector.config.heads == 4
    with pytest.raises(UserError, match="says that it has 4 heads, not 8"):
        open_weights(tmp_path / "a.pth", heads=8)


def test_other_points_in_the_encoder_are_named(tmp_path):
    model = foreign.source_detector("deformable refine")
    halved = {
        name: x[: len(x) // 2].clone()
        for name, x in foreign.released_tensors("deformable refine", model).items()
        if "encoder" in name and ("attention_weights" in name or "sampling_offsets" in name)
    }
    with pytest.raises(UserError, match="reads 2 points in the encoder and 4 in the decoder"):
        without_options(tmp_path / "a.pth", 4, **halved)
