"""Every flag of `python -m train`, one a line: what tests/flags.txt holds. Anew: python -m tests.flags_of > tests/flags.txt"""

from dataclasses import replace

from core import detectors
from train.check import Check
from train.flags import leaves
from train.recipes import shapes
from train.verbs import Doctor, Measure


def flags() -> list[str]:
    run, other = shapes.run(), {"eval": Measure(), "check": Check(), "doctor": Doctor()}
    found = [f"{verb} --{name}" for verb, given in other.items() for name in leaves(given)]
    for kind in detectors.names():
        student = replace(run, student=detectors.module(kind).Config())
        found += [f"fit --{name}" + f"  ({kind})" * name.startswith("student.") for name in leaves(student)]
    return sorted({flag.replace("_", "-") for flag in found})


if __name__ == "__main__":
    print("\n".join(flags()))
