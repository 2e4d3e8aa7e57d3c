"""The runs of the study `labels`: which student learns from which images, for how long, and what that costs."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from core.detectors import adamixer
from core.losses import detection, features, logits, prior
from train.recipes.on_shapes import shapes, shapes_teacher
from train.run import Distil, Losses, Pseudo, Run
from train.studies import backbones
from train.studies._grid import RUNS, row_folder
from train.studies._pace import kept_costs

FOLDER = RUNS / "labels"
BUDGET, IMAGES, SCORE = 4500, 2400, 0.4  # steps of the student alone; images with and without labels; of pseudo truth
DRAW = 1  # data seed of the images that teacher and backbones learn from; the student's have 0
# Numbers of labelled images, those of the main question first.
GROUPS, EXTENDED = ((150, 2400), (38, 600)), (75, 300, 1200)
FEW_AND_ALL = (150, 2400)  # labelled images of the rows with a live teacher, and of those with falling weights
SEEDS, TUNING_SEED = (0, 1, 2), 100
LENGTHS = (1.0, 0.5, 0.25)  # of the student alone, as shares of the budget
DETECTION, LOGITS = detection.Config(weight=1.0), logits.Config(weight=1.0)
FEATURES, PRIOR = features.Config(weight=1.0), prior.Config(weight=1.0)
FALLING = Distil(until=0.75, weights="falling")
METHODS = {  # by name, the losses; `alone` has no teacher, `full` a live one, the others a stored one
    "alone": Losses(detection=DETECTION),
    "pseudo": Losses(detection=DETECTION),
    "logits": Losses(detection=DETECTION, logits=LOGITS),
    "falling": Losses(detection=DETECTION, logits=LOGITS),
    "prior": Losses(detection=DETECTION, logits=LOGITS, prior=PRIOR),
    "full": Losses(detection=DETECTION, logits=LOGITS, features=FEATURES, prior=PRIOR),
}
Setting = tuple[int, str]  # number of labelled images, and method
# Seconds of a step by method, but "falling"; under "image", those in which the teacher looks at an image.
Costs = dict[str, float]


def prepare_backbones() -> None:
    """Trains the backbones on the other draw of the images, if they are not there yet."""
    if not (FOLDER / "backbones" / "tiny32x2.safetensors").exists():
        backbones.main(FOLDER / "backbones", data_seed=DRAW)


def teacher() -> Run:
    """The teacher of `shapes`, trained on the other draw of the images."""
    run = shapes_teacher.run()
    return replace(quiet(run), data=replace(run.data, seed=DRAW, part="test"), init=backbone_file(run))


def backbone_file(run: Run) -> str:
    """The file of the backbone that the run's student starts from."""
    assert isinstance(run.student, adamixer.Config)
    return str(FOLDER / "backbones" / f"{run.student.backbone}.safetensors")


def quiet(run: Run) -> Run:
    """The run without measurements that take time."""
    return replace(run, recorded=0, gradients_every=0, checkpoint_every=1000, eval_every=run.optim.epochs)


def student(labelled: int, method: str, epochs: int, seed: int) -> Run:
    """A run of the student; images without labels are used by all methods but `alone`."""
    run = shapes.run()
    others = labelled < IMAGES and method != "alone"
    data = replace(
        run.data,
        part="test",
        train_limit=labelled if labelled < IMAGES else None,
        unlabelled=("rest",) if others else (),
    )
    run = replace(run, data=data, optim=replace(run.optim, epochs=epochs), losses=METHODS[method], seed=seed)
    run = replace(quiet(run), init=backbone_file(run), distil=FALLING if method == "falling" else Distil())
    if others:
        run = replace(run, pseudo=Pseudo(score=SCORE))
    if method != "alone":
        run = replace(run, teacher=row_folder(teacher()), teacher_store=None if method == "full" else FOLDER / "store")
    return run


def tuning_rows(group: Sequence[int]) -> dict[str, Run]:
    """The student alone with each number of labelled images and each length, evaluated on shapes/val."""
    runs = {
        tuning_name(n, share): student(n, "alone", alone_epochs(n, share), TUNING_SEED)
        for n in group
        for share in LENGTHS
    }
    return {name: replace(run, data=replace(run.data, part="val")) for name, run in runs.items()}


def tuning_name(labelled: int, share: float) -> str:
    """The name of a row that chooses the length of the student alone."""
    return f"{labelled} alone, {share:g} of the budget"


def alone_epochs(labelled: int, share: float) -> int:
    """The epochs of the student alone that take a share of the budget."""
    return max(1, int(share * BUDGET / ceil(labelled / shapes.run().optim.batch)))


def best_lengths(tuned: dict[str, float]) -> dict[int, float]:
    """The best length of the student alone for each number of labelled images, as a share of the budget.

    `tuned` are the AP of the tuning rows by their names.
    """
    numbers = dict.fromkeys(int(name.split()[0]) for name in tuned)
    return {n: max(LENGTHS, key=lambda share: tuned[tuning_name(n, share)]) for n in numbers}


def measured_costs() -> Costs:
    """The costs of the methods; the teacher store of all images is filled for it."""
    runs = {method: student(GROUPS[0][0], method, 1, 0) for method in METHODS if method != "falling"}
    return kept_costs(FOLDER / "costs.json", runs, student(IMAGES, "logits", 1, 0))


def settings(group: Sequence[int]) -> list[Setting]:
    """The settings with these numbers of labelled images. With all labels there is no pseudo truth."""
    plain = [(n, m) for m in ("alone", "pseudo", "logits") for n in group if (n, m) != (IMAGES, "pseudo")]
    return plain + [(n, m) for m in ("falling", "full") for n in group if n in FEW_AND_ALL]


def extended_settings() -> list[Setting]:
    """The settings that `--extended` adds: more numbers of labelled images, and what the first part lacks with some of them."""
    numbers = sorted({n for group in GROUPS for n in group} | set(EXTENDED))
    falling = [(n, "falling") for n in numbers if n not in FEW_AND_ALL]
    return settings(EXTENDED) + falling + [(n, "prior") for n in numbers]


def setting_run(setting: Setting, seed: int, costs: Costs, lengths: dict[int, float]) -> Run:
    """The run of a setting, as long as the budget allows."""
    labelled, method = setting
    if method == "alone":
        nearest = min(lengths, key=lambda n: abs(n - labelled))
        return student(labelled, method, alone_epochs(labelled, lengths[nearest]), seed)
    return student(labelled, method, taught_epochs(labelled, method, costs, BUDGET), seed)


def taught_epochs(labelled: int, method: str, costs: Costs, budget: int) -> int:
    """The epochs with a teacher in the seconds in which the student alone makes `budget` steps; at least 1."""
    left = budget * costs["alone"] - asked_images(labelled, method) * costs["image"]
    steps_per_epoch = ceil(IMAGES / shapes.run().optim.batch)
    return max(1, int(left / step_cost(labelled, method, costs) / steps_per_epoch))


def step_cost(labelled: int, method: str, costs: Costs) -> float:
    """The mean seconds of a step. Once distillation has ended, a step costs as much as without it."""
    if method != "falling":
        return costs[method]
    after = costs["alone" if labelled == IMAGES else "pseudo"]
    return FALLING.until * costs["logits"] + (1 - FALLING.until) * after


def asked_images(labelled: int, method: str) -> int:
    """Images that the teacher looks at before training: all, or those without labels if only their objects are needed."""
    return {"alone": 0, "pseudo": IMAGES - labelled, "full": 0}.get(method, IMAGES)


def row_name(setting: Setting, seed: int) -> str:
    """The name of a row."""
    return f"{setting[0]} {setting[1]}-{seed}"


def with_costs(name: str, row: dict, costs: Costs) -> dict:
    """The row with its seconds: those of its steps, and those of the teacher before them."""
    setting, _, _ = name.rpartition("-")
    labelled, method = int(setting.split()[0]), setting.split()[1]
    teacher_seconds = asked_images(labelled, method) * costs["image"]
    return row | {
        "labelled": labelled,
        "method": method,
        "teacher_seconds": teacher_seconds,
        "seconds": teacher_seconds + row["steps"] * step_cost(labelled, method, costs),
    }
