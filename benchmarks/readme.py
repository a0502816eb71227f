"""Draws the README's pictures and measures its figures anew.

    python -m benchmarks.readme [RUN] [--timings ensemble.json]

Without RUN it runs ``ferjax quickstart`` in a temporary folder first; with one it takes that
quickstart's. ``.readme/routed.png`` becomes the run's wall of decisions, and the lines of README.md
between ``<!-- quickstart-figures -->`` and ``<!-- end -->`` its figures. With the timings that
``python -m benchmarks ensemble --out FOLDER`` left, ``.readme/throughput.png`` is drawn too.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import plot

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- quickstart-figures -->\n).*?(<!-- end -->)", re.S)


def figures(tables: Mapping[str, Any]) -> str:
    """The README's line on a quickstart, from its evaluation.json."""
    quality = tables["quality"]
    rho = tables["disagreement"]["scores"]["aleatoric"]["spearman_true_entropy"]["value"]
    area = tables["shift"]["curve"]["epistemic"]["5"]["value"]
    return (
        f"- `ferjax quickstart`: accuracy {quality['accuracy']['value']:.3f} (most frequent class "
        f"{quality['majority_class']:.3f}), ρ(aleatoric, true entropy) {rho:.3f}, AUROC of "
        f"epistemic at severity 5 {area:.3f}.\n"
    )


def update(run: Path, root: Path = ROOT) -> None:
    """Puts a quickstart's wall and figures into the README of a checkout.

    Raises:
      ValueError: if the README has no place for the figures.
    """
    readme = root / "README.md"
    line = figures(json.loads((run / "evaluation.json").read_text()))
    text, count = MARKED.subn(lambda found: f"{found[1]}{line}{found[2]}", readme.read_text())
    if count != 1:
        raise ValueError(f"{readme}: expected one place marked quickstart-figures, found {count}")
    shutil.copyfile(run / "routed.png", root / ".readme" / "routed.png")
    readme.write_text(text)


def main(argv: list[str] | None = None) -> None:
    """Runs the quickstart unless one is named, and updates the README."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.readme",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="folder of a quickstart")
    parser.add_argument("--timings", type=Path, metavar="FILE", help="ensemble.json to draw")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        run = options.run
        if run is None:
            run = Path(scratch, "quickstart")
            command = [sys.executable, "-m", "ferjax", "quickstart", "--out", str(run)]
            subprocess.run(command, check=True)
        update(run)
    print("wrote README.md and .readme/routed.png")
    if options.timings is not None:
        timings = json.loads(options.timings.read_text())["timings"]
        print(f"wrote {plot.lines(timings, ROOT / '.readme' / 'throughput.png')}")


if __name__ == "__main__":
    main()
