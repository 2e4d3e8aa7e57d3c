"""Foreign weights are converted tensor by tensor, or refused with one sentence."""

import contextlib
import io
import pickle
import random
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core import detectors
from core.convert.classes import COCO, choose_classes
from core.convert.read import ForeignWeights, read_weights
from core.convert.to_detector import convert
from core.data.category import Category
from core.errors import UserError
from core.files import read_json, write_json
from core.metrics.coco_ap import coco_results
from core.metrics.detections import select
from core.runs.checkpoint import load_detector, open_distiller, sha256_of, weights_file
from core.tensor_names import HUB, OURS, RELEASED, from_native, to_native, translate
from tests.core.detectors.test_parity import draw
from tests.core.runs.test_checkpoint import Trap
from tests.helpers import coco_folder, foreign, tiny
from tests.oracles import weights
from train.__main__ import main

CASES = list(foreign.KEYS)
HUBS = {case: f"hub_{foreign.KEYS[case]}_timm_backbone" for case in foreign.FAMILY}


def run_command(*words) -> int:
    """The exit code of `python -m train` with these words."""
    return main([str(w) for w in words])


@pytest.fixture(scope="module", params=CASES)
def given(request):
    """A case, its detector, and the detector's tensors under the released names."""
    model = foreign.source_detector(request.param)
    return request.param, model, foreign.released_tensors(request.param, model)


@pytest.fixture(scope="module")
def imported(given, tmp_path_factory):
    """A file that also has the leftovers of a counter of operations, the run imported from it, and what was printed."""
    case, model, held = given
    folder = tmp_path_factory.mktemp("imported")
    leftovers = {"backbone.0.body.conv1.total_ops": torch.zeros(1), "transformer.total_params": torch.zeros(1)}
    path = foreign.write_pth(folder / "x.pth", case, model, held | leftovers)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert run_command("import", path, "--out", folder / "runs" / "theirs") == 0
    return path, folder / "runs" / "theirs", shown.getvalue()


def as_read(case: str, model, held: dict, **fields) -> ForeignWeights:
    """The ForeignWeights that `read_weights` would return for these tensors; `fields` are further fields of it."""
    c = model.config
    options = {} if case == "adamixer" else {"heads": c.heads, "dropout": c.dropout, "queries": c.queries}
    return ForeignWeights(Path("x.pth"), RELEASED, held, options, **fields)


def pictures():
    """Two random images."""
    return draw(1, sizes=[(48, 33), (40, 64)])


def refused(call, *words: str) -> str:
    """The message of the UserError that `call` raises: one line, with these words in it."""
    with pytest.raises(UserError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message and all(word in message for word in words), message
    return message


def rows_of(case: str) -> list[int]:
    """The rows of COCO's 80 classes in the class heads."""
    return list(range(80)) if case == "adamixer" else list(COCO)


# ---- names


@pytest.mark.parametrize("case, style", [(c, RELEASED) for c in CASES] + [(c, HUB) for c in HUBS])
def test_every_tensor_on_file_has_its_place_at_full_size(case, style):
    """Compares names and shapes with those of the released files and of the hub, for the ResNet-50 models."""
    listed = weights.listed(foreign.KEYS[case]) if style == RELEASED else weights.listed(HUBS[case], prefix="")
    kind = case.split()[0]
    with torch.device("meta"):
        model = detectors.build(kind, classes=80 if kind == "adamixer" else 91, **foreign.OPTIONS[case])
    expected = {}
    for key, shape in listed.items():
        if ".q_proj." in key or ".k_proj." in key or ".v_proj." in key:
            key, shape = re.sub(r"\.[qkv]_proj", ".qkv_proj", key), (3 * shape[0], *shape[1:])
        names = translate(key, detectors.module(kind).NAMES, style, OURS)
        assert len(names) == (0 if "init_proposal" in key else 1), key
        expected |= dict.fromkeys(names, shape)
    own = {k: tuple(x.shape) for k, x in model.state_dict().items()}
    heads = {k for k in expected if re.match(r"to_(class|box)\.[1-6]", k)} if case == "deformable plain" else set()
    counters = {k for k in own if "num_batches" in k} - expected.keys()
    assert {k: x for k, x in expected.items() if k not in heads} == {k: x for k, x in own.items() if k not in counters}
    assert case != "adamixer" or not counters


@pytest.mark.parametrize("kind", tiny.NATIVE)
def test_names_go_there_and_back(kind):
    rows = detectors.module(kind).NAMES
    model = foreign.source_detector(next(c for c in CASES if c.startswith(kind)))
    for style in (RELEASED, HUB) if kind != "adamixer" else (RELEASED,):
        for name in model.state_dict():
            for foreign_name in translate(name, rows, OURS, style):
                assert translate(foreign_name, rows, style, OURS) == [name]


def test_native_names_of_a_backbone_go_there_and_back():
    for name in foreign.source_detector("conditional").state_dict():
        key = f"model.backbone.conv_encoder.model.{name.removeprefix('backbone.body.')}"
        assert "backbone" not in name or (to_native(key) != key and from_native(to_native(key)) == key)


# ---- whole files


def test_a_released_file_becomes_a_run(given, imported):
    """The detector has the same outputs, with the rows of the classes only, and the run can be opened."""
    case, model, _ = given
    path, run, _ = imported
    converted, card = load_detector(weights_file(run))
    assert converted.config == replace(model.config, classes=80)
    images = pictures()
    with torch.no_grad():
        p, original = converted(images), model(images)
    assert torch.equal(p.boxes, original.boxes) and torch.equal(p.hidden, original.hidden)
    torch.testing.assert_close(p.logits, original.logits[..., rows_of(case)], rtol=0, atol=1e-6)
    assert card["categories"] == [{"id": k, "name": name} for k, name in COCO.items()]
    assert card["imported"]["sha256"] == sha256_of(path)
    step, card = open_distiller(run)
    assert step.teacher is None and step.student.config == converted.config and list(step.losses) == ["detection"]
    files = sorted(p.name for p in run.parents[1].rglob("*") if p.is_file())
    assert files == ["card.json", "losses.safetensors", "student.safetensors", "x.pth"]


def test_the_report_counts_and_names_every_tensor(given, imported):
    case, _, held = given
    _, run, shown = imported
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    text, left = dict(lines), [rest for title, rest in lines if title == "left"]
    assert any("backbone.*.body.conv*.total_ops, transformer.total_params: left behind" in line for line in left)
    boxes = case == "adamixer"
    assert any("rpn_head.init_proposal_bboxes.weight: " in line for line in left) == boxes
    used, total = map(int, re.match(r"(\d+) of the file's (\d+) tensors", text["used"]).groups())
    copies = sum(map(int, re.findall(r"\((\d+)\)", text.get("copies", ""))))
    assert total == len(held) + 2 == used + copies + 2 + boxes
    assert read_json(run / "card.json")["imported"]["report"] == shown.splitlines()[1:-1]
    assert f"python -m train eval {run}" in shown.splitlines()[-1]


@pytest.mark.parametrize("layout", ["bare", "model only"])
def test_a_file_without_options_is_read_with_defaults_that_the_report_names(layout, tmp_path, capsys):
    model = foreign.source_detector("deformable twostage", heads=8, queries=300)
    held = foreign.released_tensors("deformable twostage", model)
    torch.save(held if layout == "bare" else {"model": held}, tmp_path / "x.pth")
    assert run_command("import", tmp_path / "x.pth", "--out", tmp_path / "run") == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("assumed"))
    assert set(line[10:].split(", ")) == {"heads 8", "dropout 0.1", "dilation False", "queries 300"}
    assert load_detector(tmp_path / "run" / "student.safetensors")[0].config == replace(model.config, classes=80)


def test_the_first_row_of_a_two_stage_encoder_is_any_object():
    model = foreign.source_detector("deformable twostage")
    tensors = foreign.released_tensors("deformable twostage", model)
    converted = convert(as_read("deformable twostage", model, tensors)).detector
    images = pictures()
    with torch.no_grad():
        own, original = (m.propose(m.encode(images)).proposals for m in (converted, model))
    torch.testing.assert_close(own.logits[..., 0], original.logits[..., 0])
    torch.testing.assert_close(own.logits[..., 1:], original.logits[..., list(COCO)[:-1]])
    assert torch.equal(own.boxes, original.boxes)


@pytest.mark.parametrize("case", ["conditional", "adamixer"])
def test_predictions_have_the_ids_of_coco(case):
    """A head that predicts only class 88 (row 88 in the DETR family, the 78th row of AdaMixer) finds teddy bears."""
    model = foreign.source_detector(case)
    held = foreign.released_tensors(case, model)
    row = list(COCO).index(88) if case == "adamixer" else 88
    for key in [k for k in held if re.search(r"(class_embed(\.\d+)?|fc_cls)\.bias$", k)]:
        held[key] = torch.full_like(held[key], -50)
        held[key][row] = 50
    converted = convert(as_read(case, model, held))
    images = pictures()
    with torch.no_grad():
        best = select(converted.detector(images), images, top=5)
    assert {r["category_id"] for r in coco_results([best], converted.categories)} == {88}
    assert Category(88, "teddy bear") in converted.categories


def test_dilation_comes_from_the_options(tmp_path):
    model = foreign.source_detector(
        "conditional", backbone="resnet50", dilation=True, strides=(16,), layers=1, encoder_layers=0
    )
    path = foreign.write_pth(tmp_path / "x.pth", "conditional", model)
    assert convert(read_weights(path)).detector.config == replace(model.config, classes=80)
    model = foreign.source_detector("deformable plain")
    path = foreign.write_pth(
        tmp_path / "y.pth", "deformable plain", model, args=foreign.training_args(model, dilation=True)
    )
    refused(lambda: convert(read_weights(path)), "y.pth", "dilated")


@pytest.mark.parametrize("strides", [(32,), (8, 16, 32), (16, 32, 64, 128)])
def test_strides_are_inferred(strides):
    model = foreign.source_detector("deformable plain")
    torch.manual_seed(0)
    model = detectors.module("deformable").Model(replace(model.config, strides=strides)).eval()
    own = {k: x for k, x in model.state_dict().items() if "num_batches" not in k}
    names = detectors.module("deformable").NAMES
    held = {translate(k, names, OURS, RELEASED)[0]: x for k, x in own.items()}
    assert convert(as_read("deformable plain", model, held)).detector.config.strides == strides


# ---- what does not fit

# The shapes of these show the architecture, so that a wrong one is reported as an error of other tensors.
INFORMATIVE = r"query_embed|init_content|level_embed|(input_proj|lateral_convs).*weight|^class_embed.weight"


def test_each_tensor_that_is_missing_or_misshapen_is_named(given):
    """Shapes that show the architecture are not tested: if one is wrong, the others are reported."""
    case, model, held = given
    heads = r"(class|bbox)_embed\.\d+" if case == "deformable plain" else r"$^"
    copied = r"decoder\.(class|bbox)_embed" if "deformable" in case else r"$^"
    second = {k.replace("transformer.decoder.", "") for k in held if re.search(copied, k)}
    names = [k for k in held if not re.search(f"num_batches|init_proposal|{heads}|{copied}", k) and k not in second]
    for key in random.Random(case).sample(names, 5):
        refused(lambda k=key: convert(as_read(case, model, {n: x for n, x in held.items() if n != k})), "x.pth", key)
        if not re.search(INFORMATIVE, key):
            wrong = torch.cat([held[key], held[key]])
            message = refused(lambda k=key, w=wrong: convert(as_read(case, model, held | {k: w})), key)
            assert str(tuple(wrong.shape)) in message and str(tuple(held[key].shape)) in message


def test_strange_shapes_are_refused(given):
    """A tensor without axes, with one too many, or without elements gives one sentence, even if it shows the architecture."""
    case, model, held = given
    names = [k for k in held if not re.search(r"num_batches|init_proposal", k)]
    informative = [k for k in names if re.search(INFORMATIVE, k) or ".0." in k and "backbone" not in k]
    for key in random.Random(case).sample(informative, 3):
        for wrong in (torch.zeros(()), held[key][None], held[key][:0], held[key][..., :1]):
            if wrong.shape != held[key].shape:
                refused(lambda k=key, w=wrong: convert(as_read(case, model, held | {k: w})), "x.pth")


def test_a_tensor_too_many_is_named(given):
    case, model, held = given
    extra = {"backbone.0.body.layer5.0.conv1.weight": "", "transformer.decoder.layers.0.norm9.weight": "", "ema.x": ""}
    if case == "adamixer":
        extra = {"backbone.layer5.0.conv1.weight": "", "roi_head.bbox_head.0.fc_iou.weight": "", "ema.x": ""}
    for key in extra:
        refused(lambda k=key: convert(as_read(case, model, held | {k: torch.zeros(3, 4)})), key, "(3, 4)")


@pytest.mark.parametrize("case", ["deformable plain", "deformable refine", "deformable twostage"])
def test_two_names_of_one_tensor_must_agree(case):
    model = foreign.source_detector(case)
    held = foreign.released_tensors(case, model)
    key = "class_embed.1.bias" if case == "deformable plain" else "transformer.decoder.bbox_embed.1.layers.2.bias"
    refused(lambda: convert(as_read(case, model, held | {key: held[key] + 1})), key, "differ")


@pytest.mark.parametrize("backbone", ["resnet34", "wide"])
def test_an_unknown_backbone_is_refused(backbone):
    model = foreign.source_detector("conditional")
    held = foreign.released_tensors("conditional", model)
    if backbone == "wide":
        key = "backbone.0.body.layer2.0.conv1.weight"
        changed, words = {key: held[key][:60]}, (key, "(60, 64")
    else:
        changed = {k.replace("layer1.1", "layer1.2"): x for k, x in held.items() if "layer1.1" in k}
        words = "(3, 2, 2, 2) basic blocks", "resnet18"
    refused(lambda: convert(as_read("conditional", model, held | changed)), *words)


# ---- files that are not safe, or not weights

NEEDS = {
    "model": lambda trap: {"model": trap},
    "args": lambda trap: {"args": __import__("argparse").Namespace(x=trap)},
    "array": lambda trap: {"epoch": np.zeros(3)},
    "path": lambda trap: {"epoch": Path("x")},
    "object scalar": lambda trap: {"epoch": np.array([trap], dtype=object)},
}


@pytest.mark.parametrize("needs", NEEDS)
@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_that_needs_more_is_refused_and_not_run(needs, old, tmp_path, capsys):
    trap = Trap(tmp_path / "sprung")
    value = foreign.detr_file({"query_embed.weight": torch.zeros(2)}, foreign.source_detector("conditional")) | NEEDS[
        needs
    ](trap)
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=not old)
    assert run_command("import", tmp_path / "x.pth", "--out", tmp_path / "run") == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "x.pth is refused" in shown and "nothing of it was run" in shown
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


@pytest.mark.parametrize("kind", ["bare pickle", "text", "empty", "cut", "list", "numbers", "zip"])
def test_what_is_no_file_of_weights_is_refused(kind, tmp_path, capsys):
    path = tmp_path / "x.pth"
    torch.save({"model": {"a": torch.zeros(100)}}, path)
    held = {
        "bare pickle": pickle.dumps(Trap(tmp_path / "sprung")),
        "text": b"<html>404</html>",
        "empty": b"",
        "cut": path.read_bytes()[:300],
    }
    if kind in held:
        path.write_bytes(held[kind])
    elif kind == "zip":
        zipfile.ZipFile(path, "w").close()
    else:
        torch.save([1, 2] if kind == "list" else {"model": {"a": 1}}, path)
    assert run_command("import", path, "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err.count("\n") == 1 and [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_scalars_of_an_older_numpy_are_read(tmp_path):
    """The module of numpy's scalars had another name when AdaMixer was released."""
    model = foreign.source_detector("adamixer")
    path = foreign.write_pth(tmp_path / "x.pth", "adamixer", model)
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name in file.namelist():
            data = file.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in data
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            old.writestr(name, data)
    assert read_weights(tmp_path / "old.pth").labels == dict(enumerate(COCO.values()))


@pytest.mark.parametrize("name, value", [("nheads", "8"), ("dropout", None), ("dilation", 3), ("num_queries", [1])])
def test_options_of_a_wrong_kind_are_refused(name, value, tmp_path):
    model = foreign.source_detector("conditional")
    options = foreign.training_args(model, **{name: value})
    path = foreign.write_pth(tmp_path / "x.pth", "conditional", model, args=options)
    refused(lambda: read_weights(path), f"x.pth: args.{name}", repr(value))


def test_heads_that_do_not_divide_the_channels_are_refused():
    model = foreign.source_detector("conditional")
    held = foreign.released_tensors("conditional", model)
    refused(
        lambda: convert(replace(as_read("conditional", model, held), options={"heads": 7})), "7 heads", "64 channels"
    )


# ---- classes


def chosen_classes(rows: int, kind: str = "conditional", class_file: Path | None = None, **labels):
    """The (row, id, name) of each class, for class heads of `rows` rows."""
    named = {int(k[1:]): name for k, name in labels.items()}
    chosen = choose_classes(ForeignWeights(Path("x.pth"), RELEASED, {}, labels=named), kind, rows, class_file)
    return [(row, c.id, c.name) for row, c in zip(chosen.rows, chosen.categories, strict=True)]


def test_classes_of_coco():
    by_id = [(k, k, name) for k, name in COCO.items()]
    assert len(COCO) == 80 and COCO[1] == "person" and COCO[13] == "stop sign" and COCO[90] == "toothbrush"
    assert chosen_classes(91) == chosen_classes(91, "deformable") == by_id
    assert chosen_classes(80, "adamixer") == [(row, k, name) for row, (k, name) in enumerate(COCO.items())]
    gaps = {f"_{k}": COCO.get(k, "street sign" if k == 12 else "N/A") for k in range(91)}
    assert chosen_classes(91, **gaps) == by_id
    assert chosen_classes(80, **{f"_{row}": name for row, name in enumerate(COCO.values())})[79] == (
        79,
        90,
        "toothbrush",
    )


def test_classes_without_names_are_numbers():
    assert chosen_classes(2) == chosen_classes(2, "adamixer") == [(0, 0, "class 0"), (1, 1, "class 1")]
    assert chosen_classes(2, _0="LABEL_0", _1="LABEL_1") == chosen_classes(2)


def test_classes_without_a_name_of_their_own_are_left_out():
    assert chosen_classes(4, _0="N/A", _1="cat", _2="N/A", _3="dog") == [(1, 1, "cat"), (3, 3, "dog")]
    refused(lambda: chosen_classes(3, _0="a", _1="b"), "names 2 classes", "3 rows")


BY_ID, IN_ORDER = [0, 7, 90], [0, 1, 2]


@pytest.mark.parametrize(
    "kind, count, rows", [("conditional", 91, BY_ID), ("deformable", 3, IN_ORDER), ("adamixer", 3, IN_ORDER)]
)
def test_classes_from_an_instances_file(kind, count, rows, tmp_path):
    """Rows are the ids in the DETR family, unless there are as many rows as classes, and in order of id for AdaMixer."""
    path = coco_folder.write_folder(tmp_path / "photos")
    assert chosen_classes(count, kind, path) == list(zip(rows, [0, 7, 90], ["none", "dog", "cat"]))
    refused(lambda: chosen_classes(80, kind, path), "instances.json names 3 classes", "80 rows")


def test_classes_by_the_names_that_the_file_has(tmp_path):
    """Classes are in order of id, whatever order they were trained in."""
    path = coco_folder.write_folder(tmp_path / "photos")
    found = chosen_classes(4, "adamixer", path, _0="cat", _1="bird", _2="none", _3="dog")
    assert found == [(2, 0, "none"), (3, 7, "dog"), (0, 90, "cat")]


def test_classes_from_a_list(tmp_path):
    write_json(tmp_path / "names.json", ["a", "b", "c"])
    assert chosen_classes(3, class_file=tmp_path / "names.json") == [(0, 0, "a"), (1, 1, "b"), (2, 2, "c")]
    refused(lambda: chosen_classes(4, class_file=tmp_path / "names.json"), "names.json names 3 classes", "4 rows")


@pytest.mark.parametrize(
    "value", [5, {}, {"categories": []}, {"categories": [{"id": 1}]}, [1], ["a", ""], {"images": 1}]
)
def test_an_invalid_file_of_classes_is_refused(value, tmp_path):
    write_json(tmp_path / "names.json", value)
    refused(lambda: chosen_classes(3, class_file=tmp_path / "names.json"), "names.json")


def test_names_and_ids_that_are_given_twice_are_refused(tmp_path):
    write_json(tmp_path / "names.json", ["a", "b", "a"])
    refused(lambda: chosen_classes(3, class_file=tmp_path / "names.json"), "names.json gives the name 'a'", "--classes")
    refused(lambda: chosen_classes(3, _0="cat", _1="dog", _2="cat"), "x.pth gives the name 'cat' to more", "--classes")
    own = ForeignWeights(Path("x.pth"), RELEASED, {}, labels={0: "cat", 1: "dog"}, category_ids=(4, 4))
    refused(lambda: choose_classes(own, "conditional", 2, None), "x.pth gives the id 4 to more", "--classes")
    write_json(tmp_path / "names.json", {"categories": [{"id": 2, "name": "cat"}]})
    refused(
        lambda: chosen_classes(4, "adamixer", tmp_path / "names.json", _0="cat", _1="cat", _2="a", _3="b"), "4 rows"
    )


@pytest.mark.parametrize("case, chosen", [("deformable twostage", [0, 7, 90]), ("adamixer", [2, 3, 0])])
def test_rows_of_every_head_are_the_classes(case, chosen, tmp_path):
    path = coco_folder.write_folder(tmp_path / "photos")
    model = foreign.source_detector(case, classes=4 if case == "adamixer" else 91)
    names = {0: "cat", 1: "bird", 2: "none", 3: "dog"} if case == "adamixer" else {}
    found = convert(as_read(case, model, foreign.released_tensors(case, model), labels=names), path).detector
    own, original = ([s.to_class[3] for s in m.stages] if case == "adamixer" else m.to_class for m in (found, model))
    for head, whole in list(zip(own, original))[:3]:
        assert torch.equal(head.weight, whole.weight[chosen]) and torch.equal(head.bias, whole.bias[chosen])


# ---- mistakes at the command line


@pytest.mark.parametrize(
    "words, message",
    [
        (["import", "none.pth", "--out", "run"], "none.pth: no such file or folder"),
        (["import", "x.pth"], "--out RUN"),
        (["import", "x.pth", "--out", "full"], "full exists; choose another --out"),
        (["import", "x.pth", "--oot", "run"], "no flag --oot; perhaps you meant --out"),
        (["import", "x.pth", "--out", "run", "--classes", "no.json"], "no.json: no such file"),
        (["import", "full", "--out", "run"], "config.json: no such file"),
        (["import", "x.safetensors", "--out", "run"], "give the folder that also holds its config.json"),
        (["export", "none", "--to", "hf", "--out", "run"], "none: no such run"),
        (["export", "full", "--to", "hg", "--out", "run"], "no format 'hg'; perhaps you meant hf"),
        (["export", "full", "--to", "hf"], "--out FOLDER"),
        (["export", "full", "--to", "hf", "--out", "run"], "student.safetensors: no such file"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("")
    foreign.write_pth(tmp_path / "x.pth", "conditional", foreign.source_detector("conditional", classes=3))
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    before = sorted(tmp_path.rglob("*"))
    assert run_command(*words) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
