"""Ours for others: what transformers makes of an exported folder, and we of a folder of transformers'."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.convert.classes import COCO
from core.convert.open_weights import open_weights
from core.convert.read import read_weights
from core.convert.to_detector import convert
from core.data.transforms import Augment
from core.files import read_json, write_json
from core.runs.checkpoint import load_detector, save_detector, weights_file
from core.runs.config import encode
from tests.core.convert.test_convert import pictures, refused, run_command
from tests.core.detectors.test_parity import close, seen
from tests.helpers import foreign, tiny
from tests.oracles import weights
from train.run import Data

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}, {"id": 8, "name": "a bird"}]
CARD = {"categories": CATEGORIES, "data": {"kind": "coco", "augment": encode(Augment(sizes=(64, 96), longest=160))}}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module", params=foreign.FAMILY)
def exported(request, tmp_path_factory):
    """(case, a detector of three classes, the folder it was exported to)."""
    folder = tmp_path_factory.mktemp("exported")
    model = foreign.source_detector(request.param, classes=3)
    save_detector(folder / "run" / "student.safetensors", model, CARD)
    assert run_command("export", folder / "run", "--to", "hf", "--out", folder / "hf") == 0
    return request.param, model, folder / "hf"


def opened(folder: Path):
    """By transformers, which finds a place for every tensor and a tensor for every place."""
    from transformers import AutoModelForObjectDetection

    model, about = AutoModelForObjectDetection.from_pretrained(folder, output_loading_info=True)
    assert not any(about.values()), about
    return model.eval()


def same(ours, theirs, images=None) -> None:
    """The last layer's outputs, and the memory that they were read from."""
    images = images or pictures()
    with torch.no_grad():
        p = ours(images)
        out = theirs(pixel_values=seen(ours, images), pixel_mask=(~images.padding).long())
        memory = ours.encode(images).tokens
    mine = {"logits": p.logits[-1], "boxes": p.boxes[-1], "memory": memory}
    close(mine, {"logits": out.logits, "boxes": out.pred_boxes, "memory": out.encoder_last_hidden_state})


# ---- to transformers


def test_transformers_opens_an_exported_folder(exported):
    case, model, folder = exported
    theirs = opened(folder)
    same(model, theirs)
    assert theirs.config.id2label == {0: "cat", 1: "dog", 2: "a bird"} and theirs.config.label2id["dog"] == 1
    assert theirs.config.category_ids == [3, 7, 8]
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors", "preprocessor_config.json"]


def test_it_goes_on_in_transformers_as_it_was_trained_here(exported):
    """The settings of training go along: dropout in every place, and the costs of matching."""
    case, model, folder = exported
    config = opened(folder).config
    assert config.dropout == config.attention_dropout == config.activation_dropout == 0.1
    assert (config.class_cost, config.bbox_cost, config.giou_cost) == (2, 5, 2)
    assert not config.auxiliary_loss


def test_names_in_an_exported_folder_are_those_of_the_hub(exported):
    """Which every version of transformers reads, but for the backbone's."""
    case, model, folder = exported
    listed = weights.listed(f"hub_{foreign.KEYS[case]}_timm_backbone", prefix="")
    found = set(load_file(folder / "model.safetensors"))
    wanted = {k for k in listed if "backbone" not in k and weights.deep_enough(k, model)}
    assert {k for k in found if "backbone" not in k} == wanted


def test_an_exported_folder_comes_back(exported, tmp_path):
    """The same weights, configuration, ids and sizes of images."""
    case, model, folder = exported
    assert run_command("import", folder, "--out", tmp_path / "run") == 0
    found, card = load_detector(weights_file(tmp_path / "run"))
    assert found.config == model.config and card["categories"] == CATEGORIES
    assert card["data"]["augment"]["sizes"] == [96] and card["data"]["augment"]["longest"] == 160
    for name, x in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], x), name


def test_the_image_processor_makes_what_the_detector_sees(exported):
    from transformers import AutoImageProcessor

    case, model, folder = exported
    images = pictures()
    pixels = [x[:, :h, :w] for x, (h, w) in zip(images.pixels, images.sizes.tolist())]
    made = AutoImageProcessor.from_pretrained(folder)(pixels, do_resize=False, return_tensors="pt")
    torch.testing.assert_close(made["pixel_values"], seen(model, images), rtol=0, atol=1e-5)
    assert torch.equal(made["pixel_mask"].bool(), ~images.padding)
    resized = AutoImageProcessor.from_pretrained(folder)(pixels[:1], return_tensors="pt")
    assert resized["pixel_values"].shape[-1] == 96, "the short side, which was 33"


def test_squares_are_squares_on_both_ways(tmp_path):
    augment = Augment(sizes=(64, 96), square=True)
    card = {"categories": CATEGORIES, "data": encode(Data(augment=augment))}
    save_detector(tmp_path / "x.safetensors", foreign.source_detector("conditional", classes=3), card)
    assert run_command("export", tmp_path / "x.safetensors", "--to", "hf", "--out", tmp_path / "hf") == 0
    said = read_json(tmp_path / "hf" / "preprocessor_config.json")
    assert said["size"] == {"height": 96, "width": 96} and not said["do_pad"]
    back = open_weights(tmp_path / "hf").augment
    assert back.sizes == (96,) and back.square


def test_images_that_come_as_they_are_stay_so(tmp_path):
    save_detector(
        tmp_path / "x.safetensors", foreign.source_detector("conditional", classes=3), {"categories": CATEGORIES}
    )
    assert run_command("export", tmp_path / "x.safetensors", "--to", "hf", "--out", tmp_path / "hf") == 0
    assert not read_json(tmp_path / "hf" / "preprocessor_config.json")["do_resize"]
    assert read_weights(tmp_path / "hf").augment.eval_short is None


def test_a_dilated_backbone_is_timm_s(tmp_path):
    pytest.importorskip("timm")
    own = {"backbone": "resnet50", "dilation": True, "strides": (16,), "layers": 1, "encoder_layers": 1, "classes": 3}
    model = foreign.source_detector("conditional", **own)
    save_detector(tmp_path / "x.safetensors", model, CARD)
    assert run_command("export", tmp_path / "x.safetensors", "--to", "hf", "--out", tmp_path / "hf") == 0
    same(model, opened(tmp_path / "hf"))
    assert convert(read_weights(tmp_path / "hf")).detector.config == model.config


@pytest.mark.parametrize("strides", [(32,), (8, 16), (4, 8, 16, 32, 64)])
def test_other_levels_are_exported(strides, tmp_path):
    config = replace(
        foreign.source_detector("deformable plain", classes=3).config, strides=strides, encoder_layers=1, layers=1
    )
    torch.manual_seed(3)
    model = tiny.stir(type(foreign.source_detector("deformable plain"))(config), 0.3).eval()
    save_detector(tmp_path / "x.safetensors", model, CARD)
    assert run_command("export", tmp_path / "x.safetensors", "--to", "hf", "--out", tmp_path / "hf") == 0
    same(model, opened(tmp_path / "hf"))


@pytest.mark.parametrize(
    "kind, more, said",
    [
        ("adamixer", {}, "transformers has no adamixer"),
        ("conditional", {}, "do not take the backbone tiny8x1, only resnet18, resnet50, resnet101"),
    ],
)
def test_what_transformers_lacks_is_said_and_nothing_is_written(kind, more, said, tmp_path, capsys):
    save_detector(tmp_path / "x.safetensors", tiny.detector(kind), CARD)
    assert run_command("export", tmp_path / "x.safetensors", "--to", "hf", "--out", tmp_path / "hf") == 2
    shown = capsys.readouterr().err
    assert said in shown and "--to safetensors" in shown and shown.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


# ---- from transformers


def saved(folder: Path, kind: str, *, timm: bool = False, change=None, **options):
    """A folder that transformers itself wrote, of a small detector with random weights."""
    import transformers

    resnet = {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}
    stages = ["stage2", "stage3", "stage4"] if kind == "Deformable" else ["stage4"]
    native = {
        "use_timm_backbone": False,
        "backbone_config": transformers.ResNetConfig(out_features=stages, **resnet),
    }
    small = {"num_queries": 7, "two_stage_num_proposals": 7, "d_model": 64, "encoder_layers": 1, "decoder_layers": 2}
    small |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    small |= {"id2label": {0: "N/A", 1: "cat", 2: "dog"}}
    if kind == "Conditional":
        small.pop("two_stage_num_proposals")
    config = getattr(transformers, f"{kind}DetrConfig")(
        **({"backbone": "resnet18"} if timm else native) | small | options
    )
    torch.manual_seed(5)
    model = getattr(transformers, f"{kind}DetrForObjectDetection")(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "backbone" not in name:
                p += 0.1 * torch.randn_like(p)
        if change:
            change(model)
    model.save_pretrained(folder)
    return opened(folder)


def copied(model) -> None:
    """The decoder's heads are the model's own, as when a released file was converted."""
    for part in ("bbox_embed", "class_embed"):
        if getattr(model.model.decoder, part) is not None:
            getattr(model.model.decoder, part).load_state_dict(getattr(model, part).state_dict())


FOLDERS = {
    "conditional": ("Conditional", {}),
    "conditional timm": ("Conditional", {"timm": True}),
    "plain": ("Deformable", {}),
    "plain timm": ("Deformable", {"timm": True}),
    "plain, no encoder": ("Deformable", {"encoder_layers": 0}),
    "refined, heads tied": ("Deformable", {"with_box_refine": True}),
    "refined": ("Deformable", {"with_box_refine": True, "tie_word_embeddings": False, "change": copied}),
    "two-stage": (
        "Deformable",
        {"with_box_refine": True, "two_stage": True, "tie_word_embeddings": False, "change": copied},
    ),
    "two-stage, heads tied": ("Deformable", {"with_box_refine": True, "two_stage": True}),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_of_transformers_becomes_ours(case, tmp_path, capsys):
    kind, options = FOLDERS[case]
    if options.get("timm"):
        pytest.importorskip("timm")
    theirs = saved(tmp_path / "theirs", kind, **options)
    found = convert(read_weights(tmp_path / "theirs"))
    keep = [1, 2]
    images = pictures()
    with torch.no_grad():
        p = found.detector(images)
        out = theirs(pixel_values=seen(found.detector, images), pixel_mask=(~images.padding).long())
    close({"logits": p.logits[-1], "boxes": p.boxes[-1]}, {"logits": out.logits[..., keep], "boxes": out.pred_boxes})
    assert [(c.id, c.name) for c in found.categories] == [(1, "cat"), (2, "dog")]
    assert found.detector.config.queries == 7 and found.detector.config.heads == 4


def test_heads_that_transformers_left_apart_are_refused(tmp_path):
    """Untied and not the same, a decoder's heads are of another network."""
    saved(tmp_path / "theirs", "Deformable", with_box_refine=True, tie_word_embeddings=False)
    refused(lambda: convert(read_weights(tmp_path / "theirs")), "bbox_embed.0.layers.0.", "differ")


def folder(path: Path, **changes) -> Path:
    """An exported folder with another config.json; None takes a key away."""
    model = foreign.source_detector("conditional", classes=3)
    save_detector(path / "x.safetensors", model, CARD)
    assert run_command("export", path / "x.safetensors", "--to", "hf", "--out", path / "hf") == 0
    told = read_json(path / "hf" / "config.json") | changes
    write_json(path / "hf" / "config.json", {k: v for k, v in told.items() if v is not None})
    return path / "hf"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"auxiliary_loss": True}, ["auxiliary_loss", "not Conditional DETR"]),
        ({"position_embedding_type": "learned"}, ["position_embedding_type 'learned'", "'sine'"]),
        ({"activation_function": "gelu"}, ["activation_function 'gelu'"]),
        (
            {"backbone_config": {"model_type": "resnet", "downsample_in_bottleneck": True}},
            ["downsample_in_bottleneck True"],
        ),
        ({"decoder_attention_heads": 2}, ["other numbers of heads"]),
        ({"encoder_attention_heads": "4", "decoder_attention_heads": "4"}, ["encoder_attention_heads must be int"]),
        ({"id2label": ["a"]}, ["id2label must be an object"]),
        ({"id2label": {"0": "a", "1": "b"}}, ["names 2 classes", "3 rows"]),
        ({"category_ids": [1, 2]}, ["2 category_ids"]),
        ({"category_ids": "x"}, ["category_ids must be a list"]),
    ],
)
def test_a_configuration_that_cannot_be_ours_is_refused(changes, words, tmp_path):
    path = folder(tmp_path, **changes)
    refused(lambda: convert(read_weights(path)), str(path), *words)


def image_size(path: Path) -> tuple[int | None, int]:
    """The short side (None: as they are) and the limit of the long side of images in evaluation, by a folder."""
    augment = read_weights(path).augment
    return augment.eval_short, augment.longest


@pytest.mark.parametrize("told, size", [({"size": 600, "max_size": 1000}, (600, 1000)), ({}, (800, 1333)), ([], None)])
def test_image_sizes_of_a_folder(told, size, tmp_path):
    """As older versions of transformers wrote them, and where there are none."""
    path = folder(tmp_path)
    write_json(path / "preprocessor_config.json", told)
    if size:
        assert image_size(path) == size
    else:
        refused(lambda: read_weights(path), "preprocessor_config.json is not an object")
    (path / "preprocessor_config.json").unlink()
    assert image_size(path) == (800, 1333)


def test_a_configuration_says_what_the_weights_cannot(tmp_path):
    found = convert(read_weights(folder(tmp_path, dropout=0.3, category_ids=None, id2label=None)))
    assert found.detector.config.dropout == 0.3
    assert [(c.id, c.name) for c in found.categories] == [(k, f"class {k}") for k in range(3)]


def test_tensors_of_a_folder_that_do_not_fit_are_named(tmp_path):
    path = folder(tmp_path)
    held = load_file(path / "model.safetensors")
    q = "model.encoder.layers.0.self_attn.q_proj.weight"
    stem = "model.backbone.conv_encoder.model.embedder.embedder.convolution.weight"
    cases = {
        f"lacks the tensor {q}": {k: x for k, x in held.items() if k != q},
        f"{q} (5, 64), {q.replace('.q_', '.k_')} (64, 64), ": held | {q: held[q][:5]},
        f"lacks the tensor {stem}": {k: x for k, x in held.items() if k != stem},
        f"{stem} has the shape (64, 3, 3, 3), not (64, 3, 7, 7)": held | {stem: held[stem][..., :3, :3].contiguous()},
        "has the tensor model.encoder.layers.0.fc3.bias (5,)": held
        | {"model.encoder.layers.0.fc3.bias": torch.zeros(5)},
        "it begins with the tensor x, and its config.json says 'conditional_detr'": {"x": torch.zeros(2)},
    }
    for said, tensors in cases.items():
        save_file(tensors, path / "model.safetensors")
        refused(lambda: convert(read_weights(path)), str(path), said)
    (path / "model.safetensors").write_bytes(b"x" * 50)
    refused(lambda: read_weights(path), "not a safetensors file")
    (path / "model.safetensors").unlink()
    refused(lambda: read_weights(path), "model.safetensors: no such file")


# ---- the student alone


def test_an_exported_student_is_alone_and_opens(tmp_path, capsys):
    student, teacher = tiny.pair("adamixer")
    step = tiny.distiller(student, teacher)
    save_detector(tmp_path / "run" / "student.safetensors", step.student, CARD | {"epoch": 3})
    assert run_command("export", tmp_path / "run", "--to", "safetensors", "--out", tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["student.safetensors"]
    with safe_open(tmp_path / "out" / "student.safetensors", "pt") as file:
        assert set(file.keys()) == set(student.state_dict())
        assert json.loads(file.metadata()["card"])["epoch"] == 3
    found, card = load_detector(weights_file(tmp_path / "out"))
    assert found.config == student.config and card["categories"] == CATEGORIES
    assert f"python -m train eval {tmp_path / 'out'}" in capsys.readouterr().out


def test_coco_comes_through_import_and_export(tmp_path):
    """From a released file of 91 rows to transformers' 80 labels, with COCO's ids beside them."""
    path = foreign.write_pth(tmp_path / "x.pth", "conditional", foreign.source_detector("conditional"))
    assert run_command("import", path, "--out", tmp_path / "run") == 0
    assert run_command("export", tmp_path / "run", "--to", "hf", "--out", tmp_path / "hf") == 0
    config = read_json(tmp_path / "hf" / "config.json")
    assert list(config["id2label"].values()) == list(COCO.values()) and config["category_ids"] == list(COCO)
    assert run_command("import", tmp_path / "hf", "--out", tmp_path / "back") == 0
    a, b = (load_detector(weights_file(tmp_path / name)) for name in ("run", "back"))
    assert a[0].config == b[0].config and a[1]["categories"] == b[1]["categories"]
