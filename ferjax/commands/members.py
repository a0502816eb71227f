"""``ferjax members``: who is in a run; some of them, more of them, several runs as one."""

import dataclasses
import shutil
import sys
from pathlib import Path

from tyro.conf import Positional

from ferjax.commands.console import err, out


@dataclasses.dataclass(frozen=True)
class MembersList:
    """List the members of a run: seed, best valid accuracy, steps skipped, and whether any is
    frozen."""

    run_folder: Positional[Path]
    """Folder of a run, finished or not."""

    def run(self) -> int:
        from rich.table import Table

        from ferjax.ensemble import regroup

        run = regroup.open_run_members(self.run_folder)
        table = Table(title=f"{self.run_folder}, step {run.step:,}")
        for column in ("member", "seed", "best valid accuracy", "steps skipped", "note"):
            table.add_column(column, justify="right")
        health = run.state.health
        for k, seed in enumerate(run.config.train.seeds):
            best = float(run.state.best_accuracy[k])
            note = "frozen" if health.frozen[k] else "restored once" if health.restored[k] else ""
            table.add_row(
                str(k), str(seed), f"{best:.3f}" if best >= 0 else "-", str(health.skipped[k]), note
            )
        out.print(table)
        return 0


@dataclasses.dataclass(frozen=True)
class MembersSlice:
    """Write some members of a run as a run of their own, to evaluate or to continue."""

    run_folder: Positional[Path]
    """Folder of a run."""
    members: tuple[int, ...]
    """Which, from 0, e.g. 0 2 3."""
    out: Path
    """Folder to create."""

    def run(self) -> int:
        from ferjax.ensemble import regroup

        out.print(f"wrote {regroup.take(self.run_folder, self.members, self.out)}", highlight=False)
        return 0


@dataclasses.dataclass(frozen=True)
class MembersMerge:
    """Write the members of several runs as one run. They must agree in everything but their
    seeds."""

    run_folders: Positional[tuple[Path, ...]]
    """Folders of runs, equally far."""
    out: Path
    """Folder to create."""

    def run(self) -> int:
        from ferjax.ensemble import regroup

        out.print(f"wrote {regroup.merge(self.run_folders, self.out)}", highlight=False)
        return 0


@dataclasses.dataclass(frozen=True)
class MembersAdd:
    """Train new members for a finished run, only those, and write old and new ones as one run.

    The new ones are trained in a folder beside --out, named after it with ".added"; the same
    command again continues there.
    """

    run_folder: Positional[Path]
    """Folder of a finished run; it is not changed."""
    seeds: tuple[int, ...]
    """Seeds of the new members."""
    out: Path
    """Folder to create."""

    def run(self) -> int:
        from ferjax.ensemble import regroup, training
        from ferjax.ensemble.interruption import EXIT_STATUS
        from ferjax.faces import dataset
        from ferjax.models.pretrained import load_tree

        old = regroup.open_run_members(self.run_folder)
        both = sorted(set(self.seeds) & set(old.config.train.seeds))
        if both:
            raise ValueError(f"{self.run_folder} has members with the seeds {both} already")
        if self.out.exists():
            raise FileExistsError(f"{self.out} exists; choose another folder")
        config = dataclasses.replace(
            old.config, train=dataclasses.replace(old.config.train, seeds=self.seeds)
        )
        faces = dataset.load(config.data)
        steps = config.train.epochs * (len(faces["train"].ids) // config.train.batch_size)
        if old.step != steps:
            raise ValueError(
                f"{self.run_folder} is at step {old.step} of {steps}; finish it first (`ferjax train ... --resume`)"
            )
        trunk = load_tree(old.folder.trunk) if old.folder.trunk.is_file() else None
        added = self.out.with_name(f"{self.out.name}.added")
        try:
            training.train(config, faces, added, resume=added.exists(), trunk=trunk)
        except training.Interrupted as interrupted:
            err.print(f"{interrupted}; the same command continues", highlight=False)
            sys.exit(EXIT_STATUS[interrupted.cause])
        out.print(f"wrote {regroup.merge((self.run_folder, added), self.out)}", highlight=False)
        shutil.rmtree(added)
        return 0
