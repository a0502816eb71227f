"""``ferjax data``: builds a data set from its published files."""

import dataclasses
from typing import Literal

from tyro.conf import Positional

from ferjax.commands.arguments import File, NewFile, OptionalFolder
from ferjax.commands.console import err, out


@dataclasses.dataclass(frozen=True)
class Data:
    """Build the FER+ data set from its two published CSV files, and print what it holds.

        ferjax data ferplus --fer2013 fer2013.csv --votes fer2013new.csv --out data/ferplus

    The files pair by row. Everything is checked before anything is written. Without --fer2013 and
    --out only the votes file is read and counted.
    """

    name: Positional[Literal["ferplus"]]
    """Which data set."""
    votes: NewFile
    """fer2013new.csv: Usage, Image name, ten vote counts."""
    fer2013: File = None
    """fer2013.csv: emotion, pixels, Usage."""
    out: OptionalFolder = None
    """Folder to create for the data set."""

    def run(self) -> int:
        from ferjax.commands.display import progress
        from ferjax.faces import dataset, ferplus_files

        if (self.fer2013 is None) != (self.out is None):
            raise ValueError(
                "--fer2013 and --out go together: pixels are needed to build a data set"
            )
        if self.out is not None:
            ferplus_files.refuse_taken(self.out)
        rows = ferplus_files.read_votes(self.votes)
        share = 1 / len(rows.ids)
        if self.fer2013 is not None:
            with progress("reading pixels") as advance:
                pixels = ferplus_files.read_pixels(self.fer2013, lambda _: advance(share))
            rows = ferplus_files.pair(pixels, rows, self.fer2013, self.votes)
            if not pixels.split[0]:
                err.print(
                    f"{self.fer2013} has no column Usage; the splits are those of {self.votes}, "
                    "row by row"
                )
        _print_counts(dataset.count(rows.by_split()))
        if self.out is not None:
            with progress("writing the data set") as advance:
                ferplus_files.build(rows, self.out, lambda: advance(share))
            out.print(
                f"wrote {self.out}\nnext: ferjax train ferplus_scratch --out runs/scratch "
                f"--data.path {self.out}"
            )
        return 0


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    from rich.table import Table

    table = Table(title="faces per split (kept by the label filters paper, majority, probability)")
    table.add_column("")
    for split in counts:
        table.add_column(split, justify="right")
    for row in next(iter(counts.values())):
        table.add_row(row, *(f"{counts[split][row]:,}" for split in counts))
    out.print(table, soft_wrap=False)
