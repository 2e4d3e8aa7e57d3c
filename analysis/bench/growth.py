"""How time and memory grow: with images, queries and classes.

Each case runs at several sizes, each in a process of its own, which first prepares what the case needs and then measures one
call: seconds of the processor, the least of a few calls where one takes less than a second, and by how much the call raised the
peak memory. The exponent of growth is the slope of log(seconds) against log(size), from the smallest to the largest size: 1 is
proportional, 2 quadratic. `python -m analysis bench growth` takes about 10 minutes; QUICK=1 takes small sizes.
"""

import json
import os
import subprocess
import sys
from math import log
from tempfile import TemporaryDirectory

from analysis.bench import Aim, machine
from analysis.bench._growth_cases import CASES
from core.project import ROOT

MOST = 1.1  # exponent
MEASURE = (
    "import sys; from analysis.bench._growth_cases import measure; measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])"
)
READS = ("read a COCO file", "check a COCO file", "index its image files")
SECONDS, BYTES = 10, 1.5e9  # in which all of READS are done for the largest file


def run() -> tuple[list[dict], list[Aim]]:
    """Measures every case at every size. Aims are on the exponents, and on reading the largest file."""
    quick = os.environ.get("QUICK") == "1"
    with TemporaryDirectory() as folder:
        rows = [
            row(name, {size: measured(name, size, folder) for size in (case.quick if quick else case.sizes)})
            for name, case in CASES.items()
        ]
    return [machine(1), *rows], aims(rows)


def measured(name: str, size: int, folder: str) -> dict:
    """Measures a case at one size: {"seconds", "bytes"}. CalledProcessError: it failed."""
    words = [sys.executable, "-c", MEASURE, name, str(size), folder]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=variables)
    result: dict = json.loads(done.stdout.splitlines()[-1])
    return result


def row(name: str, by_size: dict[int, dict]) -> dict:
    """The row of a case: seconds and memory at each size, and the exponent."""
    return {
        "case": name,
        **{f"{size}_seconds": float(f"{result['seconds']:.3g}") for size, result in by_size.items()},
        **{f"{size}_MB": round(result["bytes"] / 1e6, 1) for size, result in by_size.items()},
        "exponent": round(exponent({size: result["seconds"] for size, result in by_size.items()}), 2),
    }


def exponent(seconds: dict[int, float]) -> float:
    """The slope of log(seconds) against log(size), from the smallest to the largest size."""
    low, high = min(seconds), max(seconds)
    return log(seconds[high] / seconds[low]) / log(high / low)


def aims(rows: list[dict]) -> list[Aim]:
    """The aims on growth, and on the time and memory of opening the largest file."""
    growth = [Aim(f"{r['case']}: exponent at most {MOST}", r["exponent"], r["exponent"] <= MOST) for r in rows]
    largest = max(CASES[READS[0]].sizes)
    of_largest = [r for r in rows if r["case"] in READS and f"{largest}_seconds" in r]
    if not of_largest:
        return growth
    seconds = sum(r[f"{largest}_seconds"] for r in of_largest)
    megabytes = max(r[f"{largest}_MB"] for r in of_largest)
    return [
        *growth,
        Aim(f"{largest} images read, checked and indexed in {SECONDS} s", round(seconds, 1), seconds <= SECONDS),
        Aim(f"with less than {BYTES / 1e9} GB of memory", megabytes / 1e3, 1e6 * megabytes < BYTES),
    ]
