"""``ferjax data``: data sets from published files, or from anybody's labelled pictures."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import File, NewFolder, Number, OptionalFolder
from ferjax.commands.console import err, out
from ferjax.commands.inputs import Reads

if TYPE_CHECKING:
    import numpy as np

    from ferjax.faces.picture_dataset import Decoded


@dataclasses.dataclass(frozen=True)
class DataFerplus:
    """Build the FER+ data set from its two published CSV files, and print what it holds.

        ferjax data ferplus --fer2013 fer2013.csv --votes fer2013new.csv \\
          --out data/ferplus

    The files pair by row. Everything is checked before anything is written. Without --fer2013 and
    --out only the votes file is read and counted.
    """

    votes: Annotated[Path, arg(metavar="FILE"), Reads(inputs.file)]
    """fer2013new.csv: Usage, Image name, ten vote counts."""
    fer2013: File = None
    """fer2013.csv: emotion, pixels, Usage."""
    out: OptionalFolder = None
    """Folder to create for the data set."""

    def run(self) -> int:
        from ferjax.files import require_new_folder

        if (self.fer2013 is None) != (self.out is None):
            raise ValueError(
                "--fer2013 and --out go together: pixels are needed to build a data set"
            )
        if self.out is not None:
            require_new_folder(self.out)
        from ferjax.commands.display import progress
        from ferjax.faces import dataset, ferplus_files

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
        if self.out is None:
            out.print(
                f"next: ferjax data ferplus --fer2013 fer2013.csv --votes {self.votes} "
                "--out data/ferplus"
            )
        else:
            with progress("writing the data set") as advance:
                ferplus_files.build(rows, self.out, lambda: advance(share))
            out.print(
                f"wrote {self.out}\nnext: ferjax train ferplus_scratch --out runs/scratch "
                f"--data.path {self.out}"
            )
        return 0


@dataclasses.dataclass(frozen=True)
class DataFolder:
    """Build a data set from labelled pictures: a folder, a table, Kaggle's train.csv, or parquet.

        ferjax data folder rafdb/ --names 1=surprise 2=fear --out data/rafdb
        ferjax data folder photos/ --labels votes.csv --classes calm glad \\
          --out data/mine
        ferjax data folder FERPlus/data --out data/mine   (FER2013Train/label.csv)

    Without --labels, the folder that a picture lies in is its class, and folders named train, valid
    (or val) and test are the splits, above or below the classes. A table has one row a picture: its
    path, and one label or a column of votes for each class; columns named split and group are read
    too. Splits that nothing names are drawn, identical pictures and groups together. What each
    thing was taken for is printed, and so is what could not be read.
    """

    pictures: Annotated[Positional[Path], arg(metavar="PICTURES"), Reads(inputs.there)]
    """Folder of pictures, Kaggle's train.csv, or a parquet file or a folder of them."""
    out: NewFolder
    """Folder to create for the data set."""
    labels: File = None
    """CSV with a header: labels or votes of the pictures in the folder; without it, folders are."""
    classes: Annotated[tuple[str, ...], arg(metavar="CLASS...", help_behavior_hint="")] = ()
    """The classes, in the order wanted, and the vote columns of a table; else all labels found."""
    abstentions: Annotated[tuple[str, ...], arg(metavar="COLUMN...", help_behavior_hint="")] = ()
    """Columns of a table that count people who chose no class, e.g. unknown."""
    names: Annotated[tuple[str, ...], arg(metavar="LABEL=CLASS...", help_behavior_hint="")] = ()
    """Class of a folder or label of another name; LABEL= leaves its pictures out."""
    columns: Annotated[tuple[str, ...], arg(metavar="ROLE=COLUMN...", help_behavior_hint="")] = ()
    """Columns of a table by other names: picture, label, split, group."""
    side: Number = 96
    """Side at which pictures are stored, pixels, 16 to 512."""
    colour: bool = True
    """Keep colour; --no-colour stores gray, a third of the size."""
    faces: bool = False
    """Cut out the largest face found in each picture (needs the extra `faces`); a picture without
    one is left out."""
    valid: Annotated[float, arg(metavar="SHARE")] = 0.1
    """Share of the pictures to draw for valid, if nothing names it."""
    test: Annotated[float, arg(metavar="SHARE")] = 0.1
    """Share of the pictures to draw for test, if nothing names it."""
    seed: Number = 0
    """Seed of that draw."""

    def run(self) -> int:
        from ferjax.commands.display import progress
        from ferjax.config import require_seed
        from ferjax.faces import picture_dataset, voted_pictures
        from ferjax.faces.detection import haar_finder
        from ferjax.faces.spec import DataSpec
        from ferjax.files import require_new_folder

        for name, share in (("valid", self.valid), ("test", self.test)):
            if not 0 < share < 1:
                raise ValueError(f"--{name} must lie strictly between 0 and 1, got {share}")
        require_seed(self.seed, "--seed")
        require_new_folder(self.out)
        find = haar_finder() if self.faces else None
        found = voted_pictures.find(
            self.pictures,
            self.labels,
            classes=self.classes,
            abstentions=self.abstentions,
            names=_pairs("names", self.names),
            columns=_pairs("columns", self.columns),
        )
        done = 0.0
        with progress(f"reading {len(found.pictures):,} pictures") as advance:

            def tell(share: float) -> None:
                nonlocal done
                advance(share - done)
                done = share

            decoded = picture_dataset.decode(
                found, self.side, colour=self.colour, find=find, on_picture=tell
            )
        splits, drawn = picture_dataset.split(
            decoded, valid=self.valid, test=self.test, seed=self.seed
        )
        notes = [*found.notes, *drawn]
        about = {"pictures": str(self.pictures), "notes": notes}
        spec = DataSpec(found.classes, self.side, self.colour)
        picture_dataset.save(decoded, splits, spec, self.out, about)
        for note in notes:
            out.print(note)
        _print_pictures(decoded, splits)
        if decoded.unreadable:
            name, reason = decoded.unreadable[0]
            err.print(f"{len(decoded.unreadable):,} pictures left out; the first, {name}: {reason}")
        out.print(
            f"wrote {self.out}\nnext: ferjax train CONFIG --data.name folder --data.path {self.out}"
        )
        return 0


def _pairs(option: str, words: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` words as a dictionary."""
    for word in words:
        if "=" not in word:
            raise ValueError(f"--{option}: expected NAME=VALUE, got {word!r}")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _print_pictures(decoded: "Decoded", splits: "np.ndarray") -> None:
    from rich.table import Table

    order = ("train", "valid", "test")
    table = Table(title="pictures by the class that most people chose")
    table.add_column("")
    for split in order:
        table.add_column(split, justify="right")
    chosen = decoded.found.votes.argmax(1)
    for number, name in enumerate(decoded.found.classes):
        table.add_row(name, *(f"{((chosen == number) & (splits == s)).sum():,}" for s in order))
    table.add_row("all", *(f"{(splits == s).sum():,}" for s in order))
    out.print(table)


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    from rich.table import Table

    table = Table(title="faces per split (kept by the label filters paper, majority, probability)")
    table.add_column("")
    for split in counts:
        table.add_column(split, justify="right")
    for row in next(iter(counts.values())):
        table.add_row(row, *(f"{counts[split][row]:,}" for split in counts))
    out.print(table, soft_wrap=False)
