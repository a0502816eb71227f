"""``ferjax train``: trains an ensemble from a configuration."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from ferjax.commands.arguments import OptionalFolder, OptionalNumber, Word
from ferjax.commands.console import err, out
from ferjax.commands.memory import keep_freed_memory
from ferjax.config import Config, load_config

if TYPE_CHECKING:
    from ferjax.faces.dataset import Dataset


@dataclasses.dataclass(frozen=True)
class Train:
    """Train an ensemble from a configuration, any field of which can be overridden.

        ferjax train CONFIG --out RUN
        ferjax train ferplus_scratch --out runs/a --data.path data/ferplus --train.epochs 4

    It may be killed at any moment: the same command with --resume continues, with the same result.
    SIGTERM saves and exits with 75, Ctrl-C saves and exits with 130, a second Ctrl-C stops at once.
    ferjax watch RUN shows how it is going.

    On many hosts start the same command everywhere, with one --out on a file system they share:
    under SLURM, Open MPI, Kubernetes or on TPU pods with --cluster, elsewhere with --coordinator,
    --processes and --process.
    """

    config_file: Annotated[Positional[str], arg(metavar="CONFIG")]
    """A Python file that defines `config = Config(...)`, a run's config.json, or the name of one of
    the configurations that come with ferjax."""
    out: OptionalFolder = None
    """Folder of the run; must be new, unless --resume. Only --dry-run does without."""
    resume: bool = False
    """Continue an interrupted run from its newest whole checkpoint, on any number of devices."""
    dry_run: bool = False
    """Print parameters, FLOPs, layout and memory per device, check data and weights, and stop."""
    target: Word = None
    """With --dry-run: compile for devices that are not here and say what they take and whether it
    fits, e.g. v5e:2x4 (extra tpu), h100:8 or h100:2x8 (extra cuda12-compiler)."""
    replicas: OptionalNumber = None
    """Devices that share the batches of a member. Unset: as many as should take least time."""
    chunk: OptionalNumber = None
    """Members that a device computes at once. Unset: all that fit its memory, on CPUs at most 16. A
    resumed run keeps what it began with."""
    profile: OptionalFolder = None
    """Folder for a trace of five steps, for TensorBoard's profiler or ui.perfetto.dev."""
    cluster: bool = False
    """Join the other processes that the cluster's environment names."""
    coordinator: Word = None
    """host:port of the first process, where no cluster says it."""
    processes: OptionalNumber = None
    """How many processes there are (with --coordinator)."""
    process: OptionalNumber = None
    """Which one this is, from 0 (with --coordinator)."""
    config: Annotated[Config, arg(name="")] = dataclasses.field(default_factory=Config)

    @classmethod
    def defaults(cls, words: Sequence[str]) -> "Train | None":
        """The configuration that the first word names, for the options to override."""
        if not words or words[0].startswith("-"):
            return None
        return cls(words[0], config=load_config(words[0]))

    def run(self) -> int:
        if self.target is not None:
            from ferjax.commands.compile import compile_for

            if not self.dry_run:
                raise ValueError("--target goes with --dry-run: nothing is trained there")
            return compile_for(self.config, self.target, self.replicas, self.chunk)
        folder = self.work()
        if folder is not None:
            texts = self.config.data.name == "texts"
            then = "judge predict" if texts else "evaluate"
            out.print(
                f"trained {len(self.config.train.seeds)} members: {folder}\n"
                f"next: ferjax {then} {folder}" + (" --texts FILE" if texts else "")
            )
        return 0

    def work(self, after: str = "continue with --resume") -> Path | None:
        """Trains, and tells how far it is; the run's folder, for the process that is to tell.

        ``after``: what an interrupted one is to do.
        """
        keep_freed_memory()
        from ferjax.commands.display import Console, budget_lines
        from ferjax.ensemble import multihost, training
        from ferjax.ensemble.folder import RunFolder
        from ferjax.interruption import EXIT_STATUS

        if self.cluster or any(
            v is not None for v in (self.coordinator, self.processes, self.process)
        ):
            multihost.initialize(self.coordinator, self.processes, self.process)
        if self.out is None and not self.dry_run:
            raise ValueError("--out FOLDER is missing: where the run is to go")
        if self.out is not None and not self.dry_run:
            RunFolder(self.out).check(self.config, resume=self.resume)  # before data are read
            if multihost.is_primary():
                err.print(self._what())
        data = self._data()
        if self.dry_run:
            budget = training.dry_run(self.config, data, replicas=self.replicas, chunk=self.chunk)
            for line in budget_lines(budget):
                out.print(line)
            return None
        assert self.out is not None
        try:
            with Console() as on_event:
                run = training.train(
                    self.config,
                    data,
                    self.out,
                    resume=self.resume,
                    replicas=self.replicas,
                    chunk=self.chunk,
                    profile=self.profile,
                    on_event=on_event,
                )
        except training.Interrupted as interrupted:
            err.print(f"{interrupted}; {after}")
            # Whoever runs this command as a part of something longer must stop too.
            sys.exit(EXIT_STATUS[interrupted.cause])
        return run.folder if multihost.is_primary() else None

    def _data(self) -> "Dataset":
        if self.config.data.name == "texts":
            from ferjax.texts import dataset as texts

            return texts.load(self.config)
        from ferjax.faces import dataset as faces

        return faces.load(self.config.data)

    def _what(self) -> str:
        """Which data and which configuration, in a line."""
        data = self.config.data
        faces = (
            f"{data.synthetic_faces:,} synthetic faces"
            if data.name == "synthetic"
            else (f"{data.name} in {data.path}")
        )
        members = len(self.config.train.seeds)
        return (
            f"training {members} member{'s' * (members > 1)} on {faces}, as {self.config_file} says"
        )
