"""The overview: its numbers are those of `analysis` and of the doctor for the same runs, and its words say what is so."""

import json
import shutil
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pytest

from analysis.bench._random_runs import random_run
from analysis.figures import convergence
from analysis.inputs.sources import read_inputs
from app.jobs import diagnosis
from app.server.handlers import Handlers
from app.views.overview import verdict
from app.views.overview.gain import Gain, gain, partners
from app.views.overview.record import record
from app.worker import library, measuring
from app.worker.library import Source
from app.worker.measuring import Measurement
from app.worker.survey import Survey
from core.errors import UserError
from core.metrics.gained_lost import changes
from core.metrics.paired import paired_gain
from core.runs.diagnose import diagnose
from core.runs.results import evaluations
from tests.helpers import opened

IMAGES = 4  # of the shipped runs that are analysed here
DISTILLED, ALONE = (library.SHIPPED / name for name in ("shapes_distill", "shapes"))


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return opened.handlers(DISTILLED, ALONE)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measuring, "LIMIT", IMAGES)
    monkeypatch.setattr(diagnosis, "IMAGES", 2)
    return tmp_path / "detrdistill"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return read_inputs([DISTILLED, ALONE], tmp_path_factory.mktemp("scratch"), limit=IMAGES)


def ids(handlers: Handlers) -> list[str]:
    return [source.id for source in handlers.library.given]


def close(value):
    """The same numbers but for rounding, which differs between batches of one image and of several."""
    if isinstance(value, dict):
        return {key: close(x) for key, x in value.items()}
    return pytest.approx(value, abs=1e-4)


def measure(handlers: Handlers, run: str) -> Measurement:
    made = Measurement(handlers.samples(run))
    for _ in made.steps():
        pass
    made.measure(next(measuring.folder().iterdir()))
    return made


def test_measurements_are_those_of_analysis(handlers, inputs):
    found, (row, _) = measure(handlers, ""), inputs.rows
    want, state = inputs.measurements(row), found.state()
    assert (state["done"], state["total"], state["error"]) == (IMAGES, IMAGES, "")
    for who in ("student", "teacher"):
        assert state[who]["instability"] == close(want[who]["instability"])
        assert state[who]["masks"]["correlation"] == close(want[who]["looks"]["correlation"])
        assert state[who]["masks"]["count"] == want[who]["looks"]["count"]
    for part, by_layer in want["agreement"].items():
        assert state["agreement"][part] == close(by_layer)


def test_measurements_are_kept_and_what_is_missing_is_made(handlers):
    first = measure(handlers, "")
    (folder,) = measuring.folder().iterdir()
    sorted(folder.glob("part-*"))[-1].unlink()
    again = Measurement(handlers.samples(""))
    steps = again.steps()
    next(steps)
    assert again.done == IMAGES and len(list(islice(steps, 99))) == 0
    again.measure(folder)
    assert again.values == first.values


def test_a_file_of_weights_has_no_measurements(handlers, tmp_path):
    weights = opened.handlers(ALONE / "student.safetensors")
    made = Measurement(weights.samples(""))
    assert list(made.steps()) == [] and "open the folder of its run" in made.error


def test_counts_of_objects_are_those_of_the_figure(handlers, inputs):
    both = handlers.both_samples("", ids(handlers)[1])
    for samples in both:
        survey = Survey(samples)
        list(islice(survey.steps(), IMAGES + 1))
        assert survey.done == IMAGES
        handlers.surveys.surveys[samples.version] = survey
    answer = handlers.verdict(compare=ids(handlers)[1])["counts"]
    tables = [inputs.query_table(row) for row in inputs.rows]
    distilled, alone = (table.detections("student") for table in tables)
    want = changes(alone, distilled, tables[0].objects)
    assert {k: answer[k] for k in ("kept", "gained", "lost", "missed")} == {
        k: want.count(k) for k in ("kept", "gained", "lost", "missed")
    }
    assert answer["objects"] == len(want.object) and answer["known"] == IMAGES and want.count("kept")


def test_findings_and_shares_are_those_of_the_doctor(handlers):
    for id, folder in zip(ids(handlers), (DISTILLED, ALONE)):
        want = asdict(diagnose(folder, limit=2))
        state = handlers.diagnosis_jobs.known(handlers.samples(id))
        while state["state"] == "working":
            state = handlers.diagnosis_jobs.known(handlers.samples(id))
        same = ("findings", "verdict", "pulls", "agreement", "steps", "teacher")
        assert json.dumps([state[k] for k in same]) == json.dumps([want[k] for k in same])
        shown = handlers.overview(id)["runs"][0]
        assert shown["pulls"] == [dict(x) for x in want["pulls"]] and shown["steps"] == want["steps"]


def test_curves_are_those_of_the_figure_of_convergence(handlers, inputs):
    rows = convergence.measure(inputs).rows
    answer = handlers.overview(compare=ids(handlers)[1])
    for run, who in zip(answer["runs"], ("distilled", "student")):
        want = [{k: row[k] for k in ("epoch", "minutes", "ap")} for row in rows if row["who"] == who]
        assert run["ap"] == want and run["kind"] == who
    assert answer["runs"][0]["teacher"] == next(row["ap"] for row in rows if row["who"] == "teacher")


def test_parts_are_those_of_the_last_evaluation(handlers):
    shown = handlers.overview()["runs"][0]["scores"]
    for who in ("student", "teacher"):
        line = [x for x in evaluations(DISTILLED) if x["eval"] == who][-1]
        assert shown[who]["classes"] == {name: 100 * ap for name, ap in line["per_class"].items()}
        assert shown[who]["sizes"] == {"small": 100 * line["aps"], "medium": 100 * line["apm"], "large": None}


def test_a_gain_is_that_of_all_seeds_with_its_interval(handlers):
    """The two shipped runs are seed 0 of the project's study of three."""
    answer = handlers.overview(compare=ids(handlers)[1])["gain"]
    study = json.loads((library.ASSETS / "results" / "demo_seeds.json").read_text())
    rows = study.get("rows", study)
    aps = {kind: [100 * rows[f"{kind}-{seed}"]["ap"] for seed in range(3)] for kind in ("distilled", "alone")}
    want = paired_gain(aps["distilled"], aps["alone"])
    assert (answer["mean"], answer["half"], answer["seeds"]) == (close(want["mean"]), close(want["half"]), 3)
    assert answer["significant"] and answer["same_training"]
    assert handlers.overview(compare="")["gain"] is None


def test_one_seed_has_no_interval(tmp_path, monkeypatch):
    for folder, seed in ((DISTILLED, 71), (ALONE, 72)):
        copy = tmp_path / folder.name
        copy.mkdir()
        for file in ("metrics.jsonl", "timing.jsonl", "student.safetensors"):
            (copy / file).symlink_to(folder / file)
        card = json.loads((folder / "card.json").read_text())
        (copy / "card.json").write_text(json.dumps(card | {"run": card["run"] | {"seed": seed}}))
    runs = [Source(tmp_path / folder.name) for folder in (DISTILLED, ALONE)]
    assert gain(*runs, runs).seeds == 3  # those of the project's study
    monkeypatch.setattr("app.views.overview.gain.shipped_results", tuple)
    found = gain(*runs, runs)
    assert found == Gain(found.single, found.single, None, 1, True) and not found.significant
    assert partners(runs[0], runs) == [runs[1].id] and partners(runs[1], runs) == [runs[0].id]


def test_a_run_says_what_it_lacks(tmp_path):
    folder = random_run(tmp_path / "run", queries=5, layers=2, size=32, images=2)
    lacks = {
        "copy it from where": Source(folder),
        "open the folder": Source(folder / "student.safetensors"),
    }
    for words, source in lacks.items():
        answer = record(source)
        assert words in answer["lacks"] and source.id in answer["lacks"] and set(answer) == {"id", "lacks"}
        assert verdict.recorded(answer, None, None) == [verdict.clause(f"{answer['lacks']}.")]
    (folder / "metrics.jsonl").write_text('{"step": 1, "terms"')
    assert "train resume" in record(Source(folder))["lacks"]
    assert record(Source(DISTILLED, teacher=DISTILLED))["teacher"] is None


def test_a_damaged_log_of_one_run_takes_nothing_from_the_others(tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(ALONE, damaged)
    (damaged / "metrics.jsonl").write_text('{"eval": "student", "epoch": 1, "ap": "high"}\n')
    assert "take the file from a backup" in record(Source(damaged))["lacks"]
    assert gain(Source(DISTILLED), Source(damaged), [Source(damaged)]) is None
    assert gain(Source(DISTILLED), Source(ALONE), [Source(damaged)]).seeds == 3


def test_nothing_is_said_of_an_ap_that_was_not_measured():
    for clauses in (
        verdict.recorded(run(ap=[]), None, None),
        verdict.recorded(run(), alone(35.0) | {"ap": []}, None),
        verdict.recorded(run(ap=[]), alone(35.0), None),
    ):
        assert clauses[0]["text"] == "AP was not measured, so what was reached is not known."
        assert "AP 0.0" not in words(clauses) and "teacher (AP" not in words(clauses)


def run(**changed) -> dict:
    """The record of a distilled run, AP 40 after 2 epochs."""
    parts = {"all": 40.0, "sizes": {"small": 30.0, "large": None}, "classes": {"cat": 50.0, "dog": 20.0}}
    ap = [{"epoch": k, "minutes": 3.0 * k, "ap": 20.0 * k} for k in (1, 2)]
    pulls = [{"loss": "logits", "share": 0.5, "features": 0.1, "decoder": 0.8}]
    base = {"id": "a", "lacks": "", "kind": "distilled", "ap": ap, "teacher": 60.0, "pulls": pulls}
    return base | {"scores": {"student": parts, "teacher": None}, "step_seconds": 0.2} | changed


def alone(ap: float, **changed) -> dict:
    points = [{"epoch": k, "minutes": 2.0 * k, "ap": ap * k / 2} for k in (1, 2)]
    parts = {"all": ap, "sizes": {"small": 31.0, "large": 9.0}, "classes": {"cat": 45.0, "dog": 30.0, "cow": None}}
    base = {"kind": "student", "ap": points, "teacher": None, "pulls": [], "step_seconds": 0.1}
    return run(**base, scores={"student": parts, "teacher": None}) | changed


def words(*clauses) -> str:
    return " ".join(x["text"] for group in clauses for x in group)


@pytest.mark.parametrize(
    ("mean", "half", "says"),
    [
        (5.0, 2.0, "Distilling helped: +5.0 ± 2.0 AP over 3 seeds"),
        (-5.0, 2.0, "Distilling did harm: −5.0 ± 2.0 AP"),
        (1.0, 2.0, "It is not shown that distilling helped: +1.0 ± 2.0"),
        (-1.0, 2.0, "It is not shown that distilling helped: −1.0 ± 2.0"),
        (5.0, None, "Distilling helped: AP 40.0 distilled, 35.0 alone, +5.0. This is one seed of each"),
        (-5.0, None, "Distilling did not help: AP 40.0 distilled, 35.0 alone, −5.0."),
        (0.0, None, "Distilling did not help"),
    ],
)
def test_the_truth_is_said_of_what_distilling_did(mean, half, says):
    """Also where the run on the page is the student alone: the gain is then that of the other one."""
    difference = Gain(mean, mean, half, 3, True)
    assert says in words(verdict.recorded(run(), alone(35.0), difference))
    turned = Gain(-mean, -mean, half, 3, True)
    assert says in words(verdict.recorded(alone(35.0), run(), turned))


def test_runs_that_differ_otherwise_are_not_called_distilling():
    said = words(verdict.recorded(run(), alone(35.0), Gain(5.0, 5.0, None, 1, False)))
    assert "5.0 above the compared run" in said and "not all of it is distilling" in said
    said = words(verdict.recorded(run(), run(), Gain(0.0, 0.0, None, 1, True)))
    assert "Distilling" not in said


def test_the_other_clauses_say_what_is_so_and_where_it_stands():
    clauses = verdict.recorded(run(), alone(35.0), Gain(5.0, 5.0, None, 1, True))
    said = words(clauses)
    assert "20% of the way from the student alone to the teacher (AP 60.0)" in said
    assert "In the 4.0 minutes that the student alone took for AP 35.0, the distilled student had AP 20.0" in said
    assert "its step takes 2.0 times as long" in said and "the class dog (−10.0 AP)" in said
    assert "small objects (−1.0 AP)" in said and "80% of the gradient is that of logits" in said
    assert {x["to"] for x in clauses} == {"ap", "parts", "gradient"}
    assert "hardly better than the student alone" in words(
        verdict.recorded(run(teacher=36.0), alone(35.0), Gain(5.0, 5.0, None, 1, True))
    )
    untimed = words(verdict.recorded(run(step_seconds=None), alone(35.0), Gain(5.0, 5.0, None, 1, True)))
    assert "no timing.jsonl" in untimed
    single = words(verdict.recorded(run(teacher=None), None, None))
    assert "not measured with this run" in single and "Compare with" in single and "ends with AP 40.0" in single


def test_clauses_on_images_say_how_far_they_are():
    counts = {"known": 0, "total": 9, "objects": 0, "kept": 0, "gained": 0, "lost": 0, "missed": 0}
    assert "being counted (0 of 9 images)" in words(verdict.object_clauses(counts, True))
    counts |= {"known": 3, "objects": 9, "kept": 4, "gained": 2, "lost": 1, "missed": 2}
    assert "Of 9 objects on 3 of 9 images so far this run gains 2, loses 1" in words(
        verdict.object_clauses(counts, True)
    )
    assert "finds 4 and misses 2" in words(verdict.object_clauses(counts, False))
    masks = {"correlation": 0.1, "error": 0.2, "images": 4}
    one = {"student": {"instability": {"moved": []}, "masks": masks}, "teacher": None, "agreement": None}
    assert "do not look more into boxes" in words(verdict.measured_clauses(one))
    assert words(verdict.measured_clauses({"student": None})) == ""


def test_what_is_asked_of_no_run_is_refused(handlers):
    for asked in ({"run": "nothing"}, {"compare": "<img>"}, {"others": ["x"]}, {"others": [3]}):
        with pytest.raises(UserError):
            handlers.overview(**asked)
    assert [x["id"] for x in handlers.overview(others=[ids(handlers)[1]])["runs"]] == ids(handlers)
