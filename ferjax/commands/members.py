"""``ferjax members``: list, select, merge, add and round the members of runs."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import NewFolder, Run
from ferjax.commands.console import err, out
from ferjax.commands.inputs import Reads


def _wrote(run: Path) -> None:
    out.print(f"wrote {run}\nnext: ferjax evaluate {run}")


@dataclasses.dataclass(frozen=True)
class MembersList:
    """List the members of a run: seed, best valid accuracy, steps skipped, whether frozen."""

    run_folder: Run
    """Folder of a run, finished or not."""

    def run(self) -> int:
        from rich.table import Table

        from ferjax.commands.display import Console
        from ferjax.ensemble import regroup

        run = regroup.open_run_members(self.run_folder, Console())
        table = Table(title=f"{self.run_folder}, step {run.step:,}")
        for column in ("member", "seed", "best valid accuracy", "steps skipped", "note"):
            table.add_column(column, justify="right")
        status = run.state.status
        for k, seed in enumerate(run.config.train.seeds):
            best = float(run.state.best_accuracy[k])
            note = "frozen" if status.frozen[k] else "restored once" if status.restored[k] else ""
            table.add_row(
                str(k), str(seed), f"{best:.3f}" if best >= 0 else "-", str(status.skipped[k]), note
            )
        out.print(table, soft_wrap=False)
        out.print(f"next: ferjax members select {self.run_folder} --members 0 1 --out NEW_RUN")
        return 0


@dataclasses.dataclass(frozen=True)
class MembersSelect:
    """Write some members of a run as a run of their own, to evaluate or to continue."""

    run_folder: Run
    """Folder of a run."""
    members: Annotated[tuple[int, ...], arg(metavar="N...")]
    """Which, from 0, e.g. 0 2 3."""
    out: NewFolder
    """Folder to create."""

    def run(self) -> int:
        from ferjax.ensemble.folder import RunFolder, require_members
        from ferjax.files import require_new_folder

        require_new_folder(self.out)
        require_members(self.members, len(RunFolder(self.run_folder).config().train.seeds))
        from ferjax.commands.display import Console
        from ferjax.ensemble import regroup

        written = regroup.select(self.run_folder, self.members, self.out, Console())
        _wrote(written)
        return 0


@dataclasses.dataclass(frozen=True)
class MembersRound:
    """Write a run's members with every matrix rounded to 8 bits, as a run of their own.

        ferjax members round RUN --out SMALL
        ferjax evaluate SMALL
        ferjax export SMALL --small --out small.ferjax

    The exported file has a quarter of the bytes.
    """

    run_folder: Run
    """Folder of a run whose members share no frozen trunk; it is not changed."""
    out: NewFolder
    """Folder to create."""

    def run(self) -> int:
        from ferjax.files import require_new_folder

        require_new_folder(self.out)
        from ferjax.commands.display import Console
        from ferjax.ensemble import regroup

        _wrote(regroup.rounded(self.run_folder, self.out, Console()))
        return 0


@dataclasses.dataclass(frozen=True)
class MembersMerge:
    """Write the members of several runs, which differ by their seeds alone, as one run."""

    run_folders: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="RUN RUN...", help_behavior_hint="(required)"),
        Reads(inputs.run),
    ]
    """Folders of runs, equally far."""
    out: NewFolder
    """Folder to create."""

    def run(self) -> int:
        from ferjax.files import require_new_folder

        if len(self.run_folders) < 2:
            raise ValueError(f"a merger needs at least two runs, got {len(self.run_folders)}")
        require_new_folder(self.out)
        from ferjax.commands.display import Console
        from ferjax.ensemble import regroup

        _wrote(regroup.merge(self.run_folders, self.out, Console()))
        return 0


@dataclasses.dataclass(frozen=True)
class MembersAdd:
    """Train new members for a finished run, only those, and write old and new ones as one run.

    The new ones are trained in a folder beside --out, named after it with ".added"; the same
    command again continues there.
    """

    run_folder: Run
    """Folder of a finished run; it is not changed."""
    seeds: Annotated[tuple[int, ...], arg(metavar="N...")]
    """Seeds of the new members."""
    out: NewFolder
    """Folder to create."""

    def run(self) -> int:
        from ferjax.ensemble.folder import RunFolder, require_other_seeds
        from ferjax.files import require_new_folder

        require_new_folder(self.out)
        config = RunFolder(self.run_folder).config()
        require_other_seeds(self.run_folder, self.seeds, config)
        from ferjax.commands.display import Console
        from ferjax.ensemble import regroup, training
        from ferjax.interruption import EXIT_STATUS

        try:
            with Console() as on_event:
                written = regroup.add_members(
                    self.run_folder, self.seeds, self.out, on_event=on_event
                )
        except training.Interrupted as interrupted:
            err.print(f"{interrupted}; the same command continues")
            sys.exit(EXIT_STATUS[interrupted.cause])
        _wrote(written)
        return 0
