"""Every flag of `python -m train`, one a line: what tests/train/cli/flags.txt holds.

Written again by: python -m tests.helpers.flags_of > tests/train/cli/flags.txt
"""

from dataclasses import replace

from core import detectors
from train.cli.check_flags import Check
from train.cli.flags import leaves
from train.cli.import_weights import Import
from train.cli.verbs import Doctor, Export, Measure
from train.engine.label import Label
from train.engine.predict import Predict
from train.job.stored_teacher import Store
from train.recipes.on_shapes import shapes

OTHER = {
    "eval": Measure(),
    "check": Check(),
    "doctor": Doctor(),
    "predict": Predict(),
    "label": Label(),
    "store": Store(),
    "import": Import(),
    "export": Export(),
}


def flags() -> list[str]:
    run = shapes.run()
    typed = [f"{verb} --{name}" for verb, given in OTHER.items() for name in leaves(given)]
    for kind in detectors.names():
        student = replace(run, student=detectors.module(kind).Config())
        typed += [f"fit --{name}" + f"  ({kind})" * name.startswith("student.") for name in leaves(student)]
    return sorted({flag.replace("_", "-") for flag in typed})


if __name__ == "__main__":
    print("\n".join(flags()))
