"""Probes of imports: files and folders of weights that strangers wrote."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from core.convert.read import config_labels, processor_image_size, read_pth
from core.convert.to_detector import convert
from core.errors import UserError
from core.nn import backbones, pretrained
from tests.core.convert.test_hardening_imports import Bomb, write_zip
from tests.helpers import foreign
from tests.probes.commands import command

DEEP = b"[" * 200_000


def written(name: str, content: bytes) -> Callable[[Path], None]:
    """Writes one file."""
    return lambda folder: (folder / name).write_bytes(content)


def refused(work: Callable[[Path], Any], says: str = "") -> Callable[[Path], None]:
    """A probe: the work ends with a sentence that holds `says`."""

    def probe(folder: Path) -> None:
        try:
            work(folder)
        except UserError as error:
            assert says in str(error) and len(str(error)) < 2000 and "\n" not in str(error), str(error)
        else:
            raise AssertionError("it was taken")

    return probe


def released(folder: Path, change: Callable[[dict], Any]) -> None:
    """Converts a released file after a change of its content."""
    model = foreign.source_detector("conditional")
    content = foreign.detr_file(foreign.released_tensors("conditional", model), model)
    change(content)
    torch.save(content, folder / "a.pth")
    convert(read_pth(folder / "a.pth"))


def with_option(name: str, value: Any) -> Callable[[Path], None]:
    """Converts a released file with another option of its training."""
    return lambda folder: released(folder, lambda content: setattr(content["args"], name, value))


def with_weight(value: float) -> Callable[[Path], None]:
    """Converts a released file of which one weight has this value."""

    def change(content: dict) -> None:
        key = next(k for k in content["model"] if "decoder" in k and k.endswith("weight"))
        content["model"][key].view(-1)[-1] = value

    return lambda folder: released(folder, change)


def backbone(content: bytes) -> Callable[[Path], None]:
    """Starts a backbone from a file."""

    def work(folder: Path) -> None:
        (folder / "b.safetensors").write_bytes(content)
        pretrained.load(backbones.build("tiny8x1", (4,), 0), "tiny8x1", str(folder / "b.safetensors"))

    return work


def bomb(make: Any) -> Callable[[Path], None]:
    """Imports a file of 2 KB that holds an object of 10 GB."""

    def work(folder: Path) -> None:
        write_zip(folder / "a.pth", {"model": Bomb(make, 10**10)})
        read_pth(folder / "a.pth")

    return work


def processor(key: str, value: Any) -> Callable[[Path], None]:
    """Reads the image size of a preprocessor."""

    def work(folder: Path) -> None:
        (folder / "preprocessor_config.json").write_text(json.dumps({"size": {key: value}}))
        processor_image_size(folder)

    return work


def imported(name: str, content: bytes, says: str = "") -> Callable[[Path], None]:
    """A probe: `import` of a file with this content is refused, and writes nothing."""
    return command("import", name, "--out", "run", prepare=written(name, content), says=says or name)


def hub_folder(config: bytes) -> Callable[[Path], None]:
    """A probe: `import` of a folder with this configuration is refused."""

    def prepare(folder: Path) -> None:
        (folder / "hub").mkdir()
        (folder / "hub" / "config.json").write_bytes(config)
        (folder / "hub" / "model.safetensors").write_bytes(save({"a": torch.ones(2)}))

    return command("import", "hub", "--out", "run", prepare=prepare)


PROBES = {
    "a bytearray of 10 GB": refused(bomb(bytearray), "a.pth"),
    "a tensor of 10^10 numbers": refused(bomb(torch.Tensor), "a.pth"),
    "a pickle that runs a command": imported("a.pth", pickle.dumps(Bomb(os.system, "touch hacked"))),
    "NaN weights": refused(with_weight(float("nan")), "holds numbers"),
    "infinite weights": refused(with_weight(float("inf")), "holds numbers"),
    "dropout NaN": refused(with_option("dropout", float("nan")), "dropout"),
    "dropout -1": refused(with_option("dropout", -1.0), "dropout"),
    "dropout 1": refused(with_option("dropout", 1.0), "dropout"),
    "heads 0": refused(with_option("nheads", 0), "heads"),
    "heads that do not divide the width": refused(with_option("nheads", 3), "heads"),
    "heads a text": refused(with_option("nheads", "8"), "heads"),
    "no options": refused(lambda folder: released(folder, lambda content: content.update(args=5))),
    "no model": refused(lambda folder: released(folder, lambda content: content.update(model=5)), "a.pth"),
    "a model of texts": refused(lambda folder: released(folder, lambda content: content.update(model={"a": "b"})), "a.pth"),
    "a backbone of NaN": refused(backbone(save({"a": torch.ones(2) * float("nan")}))),
    "a backbone of other tensors": refused(backbone(save({"a": torch.ones(2)}))),
    "a backbone that is no file of weights": refused(backbone(b"x")),
    "an empty .pth": imported("a.pth", b""),
    "a text as .pth": imported("a.pth", b"hello"),
    "half a zip": imported("a.pth", b"PK\x03\x04" + b"\0" * 100),
    "a deep header": imported("a.safetensors", len(DEEP).to_bytes(8, "little") + DEEP),
    "a header of 2^60 bytes": imported("a.safetensors", (2**60).to_bytes(8, "little")),
    "tensors of nobody": imported("a.safetensors", save({"a": torch.ones(2)})),
    "a size of a million pixels": refused(processor("shortest_edge", 10**6), "shortest_edge"),
    "a size that is NaN": refused(processor("longest_edge", float("nan"))),
    "labels that are numbers": refused(lambda folder: config_labels({"id2label": {"1": 2}}, "config.json"), "id2label"),
    "labels of 5000 digits": refused(lambda folder: config_labels({"id2label": {"9" * 5000: "a"}}, "c"), "id2label"),
    "a configuration that is no JSON": hub_folder(b"{"),
    "a configuration of a list": hub_folder(b"[]"),
    "a configuration of an unknown model": hub_folder(b'{"model_type": "../../x"}'),
    "a deep configuration": hub_folder(DEEP),
    "a name with ESC": command("import", "a\x1b[2J", "--out", "run", says="no such file"),
}  # fmt: skip
