"""Runs the benchmarks, all or by name; each says what it compares with ``python -m benchmarks.NAME
--help``.

    python -m benchmarks [NAME ...] [--quick] [--out FOLDER]

  ensemble       training and inference throughput against the number of members, beside PyTorch
  decomposition  total, aleatoric, epistemic of up to 10 × 1,000,000 × 8 log-probabilities
  router_grid    512 × 512 thresholds over a million faces
  bootstrap      intervals of AUROC and Spearman
  corruptions    ImageNet-C against the package imagecorruptions
  judgments      judges beside people, with all intervals, beside a loop of numpy and scipy
  methods        a step and a prediction of every method, beside votes
  end_to_end     the quickstart and a full evaluation, seconds per stage
  devices        members over all GPUs or TPUs, bfloat16, B/14

Candidates are timed in turn within one run, after a warm-up, results waited for: read the ratios,
not the seconds. With --out every benchmark leaves NAME.json (every timing), NAME.md (these tables)
and NAME.png (time against size). PyTorch and the other peers are optional: pip install -e
'.[peers]' in the clone.
"""

import argparse
import importlib

from benchmarks import results

NAMES = (
    "ensemble",
    "decomposition",
    "router_grid",
    "bootstrap",
    "corruptions",
    "judgments",
    "methods",
    "end_to_end",
    "devices",
)


def main(argv: list[str] | None = None) -> None:
    """Runs what was named, or all."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to run; all unless given")
    results.add_options(parser)
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"unknown benchmark {', '.join(unknown)}; known: {', '.join(NAMES)}")
    for name in options.names or NAMES:
        results.run_one(importlib.import_module(f"benchmarks.{name}").run, options)


if __name__ == "__main__":
    main()
