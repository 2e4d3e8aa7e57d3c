"""Tries the losses from which those of the recipe `hub_distill` were chosen.

The tiny RT-DETRv2 and RF-DETR of the study `hub` learn from the shipped AdaMixer: with the logits loss as in `shapes_distill`,
with parts and variants of it, and with the feature loss, for as many epochs as alone. One seed, AP on shapes/val; the study
`hub` then measures what was chosen with three seeds on shapes/test. Finished rows are not trained again.
Command: python -m train study hub_losses    Time: 50 minutes on two cores; QUICK=1 for minutes
Result: assets/results/hub_losses.json
"""

from dataclasses import replace
from pathlib import Path

from train.recipes.on_shapes import shapes_distill
from train.run import Losses, Run, is_quick
from train.studies import hub
from train.studies._grid import RUNS, Rows, result_writer, run_rows
from train.studies._labelled import DETECTION, FEATURES, LOGITS

FAMILIES = ("rt_detr_v2", "rf_detr")
WARMUP = 80  # steps; the study `hub` took more for RF-DETR after these rows were trained
BOXES = replace(LOGITS, match="positive", class_weight=0.0, stages="from_last")
WAYS: dict[str, Losses] = {  # a teacher's last layer teaches all layers in "last layer" and "boxes"
    "alone": Losses(detection=DETECTION),
    "logits": Losses(detection=DETECTION, logits=LOGITS),
    "logits, weight 0.25": Losses(detection=DETECTION, logits=replace(LOGITS, weight=0.25)),
    "logits, last layer": Losses(detection=DETECTION, logits=replace(LOGITS, stages="from_last")),
    "positives": Losses(detection=DETECTION, logits=replace(LOGITS, match="positive")),
    "positives, last layer": Losses(detection=DETECTION, logits=replace(LOGITS, match="positive", stages="from_last")),
    "positives, focal, last layer": Losses(
        detection=DETECTION, logits=replace(LOGITS, match="positive", target="focal", stages="from_last")
    ),
    "all queries, last layer": Losses(detection=DETECTION, logits=replace(LOGITS, match="all", stages="from_last")),
    "boxes": Losses(detection=DETECTION, logits=BOXES),
    "features": Losses(detection=DETECTION, features=FEATURES),
    "boxes and features": Losses(detection=DETECTION, logits=BOXES, features=FEATURES),
}


def main(at_once: int = 2, out: Path = Path("assets/results/hub_losses.json")) -> None:
    """Trains all rows, `at_once` of them side by side, prints their AP and writes the rows to `out`."""
    out = RUNS / "hub_losses.json" if is_quick() else out
    write = result_writer(out, command="python -m train study hub_losses", part="val")
    rows = run_rows(runs(), at_once=at_once, on_row=write)
    write(rows)
    print("\n".join(lines(rows)) + f"\nwritten to {out}")


def runs() -> dict[str, Run]:
    """The runs by the name of their row: each way to train each family's student, alone first."""
    of: dict[str, Run] = {}
    for family in FAMILIES:
        run = hub.base(family, hub.SEEDS[0])
        run = replace(run, data=replace(run.data, part="val"), optim=replace(run.optim, warmup=WARMUP))
        for way, losses in WAYS.items():
            of[f"{family}, {way}"] = replace(
                run, losses=losses, teacher=None if way == "alone" else shapes_distill.TEACHER
            )
    return of


def lines(rows: Rows) -> list[str]:
    """A line for each row: its AP, and how far it is above that of the student alone."""
    texts = []
    for name, row in rows.items():
        alone = rows[f"{name.split(', ')[0]}, alone"]["ap"]
        texts.append(f"{name:<42} AP {100 * row['ap']:5.1f}   {100 * (row['ap'] - alone):+5.1f}")
    return texts
