"""`python -m tests.probes [PART ...]` prints how many probes of each part hold, and those that do not."""

import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.probes import PARTS, Probe


def fault(probe: Probe) -> str:
    """What is wrong with the answer to a probe; "" if it holds."""
    with TemporaryDirectory() as folder:
        try:
            probe(Path(folder))
        except Exception as error:
            return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def main(names: list[str]) -> int:
    """Prints a line for each part, and below it one for each probe that does not hold; returns 1 if there is one."""
    warnings.filterwarnings("ignore")
    failed = 0
    for part in names or PARTS:
        faults = {name: text for name, probe in PARTS[part].items() if (text := fault(probe))}
        print(f"{part}: {len(PARTS[part]) - len(faults)} of {len(PARTS[part])}", flush=True)
        for name, text in faults.items():
            print(f"  {name!a}: {text!a}")
        failed += len(faults)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
