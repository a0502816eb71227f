"""Runs every benchmark: ``python -m benchmarks [--quick]``."""

import sys

from benchmarks import ensemble

if __name__ == "__main__":
    ensemble.main(sys.argv[1:])
