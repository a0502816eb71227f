"""``ferjax train``: trains an ensemble from a configuration."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands.console import err, out
from ferjax.commands.memory import keep_freed_memory
from ferjax.config import Config


@dataclasses.dataclass(frozen=True)
class Train:
    """Train an ensemble: ferjax train CONFIG --out RUN.

    Any field of the configuration can be overridden. CONFIG comes first and is a Python file that
    defines `config = Config(...)` (see configs/) or a run's config.json. Example: ferjax train
    configs/ferplus_scratch.py --out runs/a --data.path data/ferplus --train.epochs 4

    It may be killed at any moment: the same command with --resume continues, with the same result.
    SIGTERM saves and exits with 75, Ctrl-C saves and exits with 130, a second Ctrl-C stops at once.
    `ferjax watch RUN` shows how it is going.

    On many hosts start the same command everywhere, with one --out on a file system they share:
    under SLURM, Open MPI, Kubernetes or on TPU pods with --cluster, elsewhere with --coordinator,
    --processes and --process.
    """

    config_file: Positional[Path]
    """Configuration file."""
    out: Path
    """Folder of the run; must be new, unless --resume."""
    resume: bool = False
    """Continue an interrupted run from its newest whole checkpoint, on any number of devices."""
    dry_run: bool = False
    """Print parameters, FLOPs and memory per device, check data and weights, and stop."""
    replicas: int | None = None
    """Devices that share the batches of a member. Unset: as many as there are for each; give it
    where members and devices do not fit, e.g. 8 for 5 members on 8 devices."""
    cluster: bool = False
    """Join the other processes that the cluster's environment names."""
    coordinator: str | None = None
    """host:port of the first process, where no cluster says it."""
    processes: int | None = None
    """How many processes there are (with --coordinator)."""
    process: int | None = None
    """Which one this is, from 0 (with --coordinator)."""
    config: Annotated[Config, arg(name="")] = dataclasses.field(default_factory=Config)

    def run(self) -> int:
        keep_freed_memory()
        from ferjax.commands.display import Console, budget_lines
        from ferjax.ensemble import multihost, training
        from ferjax.faces import dataset
        from ferjax.interruption import EXIT_STATUS

        if self.cluster or any(
            v is not None for v in (self.coordinator, self.processes, self.process)
        ):
            multihost.initialize(self.coordinator, self.processes, self.process)
        data = dataset.load(self.config.data)
        if self.dry_run:
            for line in budget_lines(training.dry_run(self.config, data, replicas=self.replicas)):
                out.print(line, highlight=False, soft_wrap=True)
            return 0
        try:
            with Console() as on_event:
                run = training.train(
                    self.config,
                    data,
                    self.out,
                    resume=self.resume,
                    replicas=self.replicas,
                    on_event=on_event,
                )
        except training.Interrupted as interrupted:
            err.print(f"{interrupted}; continue with --resume", highlight=False, soft_wrap=True)
            # Whoever runs this command as a part of something longer must stop too.
            sys.exit(EXIT_STATUS[interrupted.cause])
        except OSError as error:
            if isinstance(error, FileExistsError | FileNotFoundError | PermissionError):
                raise
            raise ValueError(str(error)) from error
        if multihost.is_primary():
            out.print(
                f"trained {len(self.config.train.seeds)} members: {run.folder}\n"
                f"next: ferjax evaluate {run.folder}",
                highlight=False,
            )
        return 0
