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
        ferjax train ferplus_scratch --out runs/a --data.path data/ferplus \\
          --train.epochs 4

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
    """Check data and weights, print what it takes, whether that fits and the command that trains,
    and stop."""
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
            from ferjax.ensemble.target_names import named_target

            if not self.dry_run:
                raise ValueError("--target goes with --dry-run: nothing is trained there")
            named_target(self.target)
            from ferjax.commands.compile import compile_for

            return compile_for(self.config, self.target, self.replicas, self.chunk)
        if self.dry_run:
            return self._dry_run()
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
        self._check()
        from ferjax.commands.display import Console
        from ferjax.ensemble import multihost, training
        from ferjax.interruption import EXIT_STATUS

        self._join()
        if multihost.is_primary():
            err.print(self._what())
        data = self._data()
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

    def _join(self) -> None:
        """Joins the other processes, if there are any."""
        named = (self.coordinator, self.processes, self.process)
        if self.cluster or any(value is not None for value in named):
            from ferjax.ensemble import multihost

            multihost.initialize(*named)

    def _dry_run(self) -> int:
        """Says what training would take; 1 where it does not fit."""
        self._check()
        from ferjax.commands import dry_run
        from ferjax.commands.display import Console
        from ferjax.ensemble import plan

        self._join()
        data = self._data()
        with Console() as on_event:
            placed = plan.dry_run(
                self.config, data, replicas=self.replicas, chunk=self.chunk, on_event=on_event
            )
        memory = dry_run.memory(placed)
        for line in dry_run.lines(self.config, data, placed.budget, memory):
            out.print(line)
        if memory.fits is False:
            out.print("next: the same with one of these, or --target for other devices")
            return 1
        more = [
            word
            for name in ("replicas", "chunk")
            if getattr(self, name) is not None
            for word in (f"--{name}", str(getattr(self, name)))
        ]
        train = dry_run.train_command(self.config_file, self.config, self.out, more)
        out.print(f"next: {train}")
        return 0

    def _check(self) -> None:
        """Refuses what is wrong with the request, before JAX is started and data are read."""
        from ferjax.commands import inputs
        from ferjax.config import require_corruptions
        from ferjax.ensemble.folder import RunFolder

        for name in ("replicas", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name} must be at least 1, got {value}")
        if not self.dry_run:
            if self.out is None:
                raise ValueError("--out FOLDER is missing: where the run is to go")
            RunFolder(self.out).check(self.config, resume=self.resume)
        if "ferjax.corruptions" not in sys.modules:  # a configuration may bring some of its own
            evaluate = self.config.evaluate
            require_corruptions((*evaluate.corruptions, *evaluate.fit_corruptions))
        inputs.data_of(self.config.data)
        if self.config.model.pretrained:
            inputs.weights(self.config.model.pretrained)

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
