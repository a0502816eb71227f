"""What a benchmark leaves: Markdown as it goes, and JSON, Markdown and plots in a folder."""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import Timing, describe, machine
from ferjax.commands.memory import keep_freed_memory

__all__ = ["Results", "main"]


class Results:
    """Collects tables and timings, and prints each row the moment it is known.

    Args:
      name: name of the benchmark and of its files.
      quick: tiny sizes, to see that everything runs.
      cpu: count the processor time of all threads instead of the clock's: what a busy machine still
        tells.
      keep_memory: the process was told to keep freed memory, as ``ferjax train`` does.
    """

    def __init__(
        self, name: str, quick: bool = False, cpu: bool = False, keep_memory: bool = False
    ):
        self.name = name
        self.quick = quick
        self.cpu = cpu
        self.keep_memory = keep_memory
        self.clock = time.process_time if cpu else time.perf_counter
        self.machine = machine()
        self.tables: list[dict[str, Any]] = []
        self.timings: list[dict[str, Any]] = []
        self._markdown: list[str] = []
        heading = f"\n## {name}\n\n{describe(self.machine)}"
        if quick:
            heading += "  (--quick: sizes too small to conclude from)"
        if cpu:
            heading += (
                "\n\n--cpu: seconds are processor seconds, added up over threads; "
                "what two cores share counts twice"
            )
        if keep_memory:
            heading += "\n\n--keep-memory: freed memory stays with the process"
        self.say(heading)

    def say(self, line: str) -> None:
        """Prints a line of Markdown and keeps it."""
        self._markdown.append(line)
        print(line, flush=True)

    def table(self, title: str, *columns: str) -> None:
        """Opens a table."""
        self.tables.append({"title": title, "columns": list(columns), "rows": []})
        self.say(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")

    def row(self, *cells: Any) -> None:
        """Adds a row to the open table; numbers are shown with three digits.

        Raises:
          ValueError: if the row is not as wide as the table.
        """
        table = self.tables[-1]
        if len(cells) != len(table["columns"]):
            raise ValueError(f"expected {len(table['columns'])} cells, got {len(cells)}: {cells}")
        table["rows"].append(list(cells))
        self.say(f"| {' | '.join(map(shown, cells))} |")

    def timed(self, panel: str, x: float, timings: dict[str, Timing], x_name: str) -> None:
        """Keeps timings for the JSON file and the plot: one point of a panel's lines."""
        self.timings += [
            {"panel": panel, x_name: x, "candidate": name, **t._asdict()}
            for name, t in timings.items()
        ]

    def save(self, folder: Path) -> None:
        """Writes ``<name>.json``, ``<name>.md`` and, where timings have an axis, ``<name>.png``."""
        folder.mkdir(parents=True, exist_ok=True)
        whole = {
            "benchmark": self.name,
            "quick": self.quick,
            "cpu": self.cpu,
            "keep_memory": self.keep_memory,
            "machine": self.machine,
            "tables": self.tables,
            "timings": self.timings,
        }
        (folder / f"{self.name}.json").write_text(json.dumps(whole, indent=1, default=float) + "\n")
        (folder / f"{self.name}.md").write_text("\n".join(self._markdown).lstrip() + "\n")
        if self.timings:
            from benchmarks.plot import lines

            lines(self.timings, folder / f"{self.name}.png")


def shown(cell: Any) -> str:
    """A table cell: text as it is, None as a dash, numbers with three significant digits."""
    if cell is None:
        return "–"
    if isinstance(cell, bool | str | int):
        return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
    if not math.isfinite(cell) or cell == 0:
        return str(cell)
    digits = 2 - math.floor(math.log10(abs(cell)))
    return f"{round(cell, digits):,.{max(digits, 0)}f}"


def main(
    run: Callable[[Results], None], text: str | None, argv: Sequence[str] | None = None
) -> None:
    """The command line that every benchmark has; ``--help`` names its options.

    Args:
      run: the benchmark.
      text: its help: what is compared, how to read the table.
      argv: arguments; the process's own by default.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    run_one(run, options)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all benchmarks share."""
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes and few runs: does everything run? Conclude nothing from it",
    )
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="count processor seconds, not the clock's: for a machine that others use too",
    )
    parser.add_argument(
        "--keep-memory",
        action="store_true",
        help="keep freed memory, as ferjax train and evaluate do (glibc); "
        "without it all run as the allocator is set up",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="also leave NAME.json, NAME.md and NAME.png there",
    )


def run_one(run: Callable[[Results], None], options: argparse.Namespace) -> Results:
    """Runs a benchmark and saves what it found, also when it is interrupted half-way."""
    if options.keep_memory:
        keep_freed_memory()
    results = Results(
        run.__module__.rpartition(".")[2]
        if run.__module__ != "__main__"
        else Path(sys.argv[0]).stem,
        options.quick,
        options.cpu,
        options.keep_memory,
    )
    try:
        run(results)
    finally:
        if options.out is not None:
            results.save(options.out)
    return results
