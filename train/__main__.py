"""`python -m train`: trains, evaluates and exports detectors, and checks their data and their runs."""

import sys

from train.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
