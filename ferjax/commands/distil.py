"""``ferjax distil``: one student from an ensemble."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from ferjax.commands import inputs
from ferjax.commands.arguments import NewFolder, OptionalNumber, Run
from ferjax.commands.console import err, out
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class Distil:
    """Train one network that predicts what an ensemble does, at one forward pass.

        ferjax distil RUN --out STUDENT
        ferjax distil RUN --out STUDENT --config smaller.py
        ferjax evaluate STUDENT

    The student learns the ensemble's mean and spread on the training faces, as a Dirichlet
    distribution for each, and so has an epistemic uncertainty of its own. It is a run like any
    other, of the same architecture and frozen trunk, and starts where the members started; with
    --config it is of another architecture, or trained otherwise. Killed, it continues with
    --resume.
    """

    run_folder: Run
    """A trained run; it is not changed."""
    out: NewFolder
    """Folder of the student; must be new, unless --resume."""
    seed: OptionalNumber = None
    """Seed of the student; that of the first member if left out."""
    epochs: OptionalNumber = None
    """Epochs of its training; those of the ensemble if left out."""
    config: Annotated[
        Path | None, arg(metavar="CONFIG", help_behavior_hint=""), Reads(inputs.config)
    ] = None
    """A configuration to take architecture and training from, in place of the ensemble's: a file,
    or the name of one that comes with ferjax. Its data are not read."""
    resume: bool = False
    """Continue an interrupted student."""

    def run(self) -> int:
        from ferjax.config import load_config, require_seed
        from ferjax.ensemble.folder import RunFolder

        if not self.resume:
            RunFolder(self.out).require_new()
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"--epochs must be at least 1, got {self.epochs}")
        if self.seed is not None:
            require_seed(self.seed, "--seed")
        like = None if self.config is None else load_config(self.config)
        from ferjax.commands.display import Console
        from ferjax.ensemble import distillation, training
        from ferjax.interruption import EXIT_STATUS

        try:
            with Console() as on_event:
                student = distillation.distil(
                    self.run_folder,
                    self.out,
                    seed=self.seed,
                    epochs=self.epochs,
                    like=like,
                    resume=self.resume,
                    on_event=on_event,
                )
        except training.Interrupted as interrupted:
            err.print(f"{interrupted}; continue with --resume")
            sys.exit(EXIT_STATUS[interrupted.cause])
        out.print(
            f"distilled {self.run_folder}: {student.folder}\n"
            f"next: ferjax evaluate {student.folder}",
        )
        return 0
