"""``ferjax train``: an ensemble from a configuration."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands.console import out
from ferjax.config import Config


@dataclasses.dataclass(frozen=True)
class Train:
    """Train an ensemble: ferjax train CONFIG --out RUN, with any field of the configuration overridden.

    CONFIG comes first and is a Python file that defines `config = Config(...)` (see configs/) or a run's config.json.
    Example: ferjax train configs/ferplus_scratch.py --out runs/a --data.path data/ferplus --train.epochs 4
    """

    config_file: Positional[Path]
    """Configuration file."""
    out: Path
    """Folder of the run; must be new, unless --resume."""
    resume: bool = False
    """Continue an interrupted run from its newest checkpoint."""
    dry_run: bool = False
    """Print parameters, FLOPs and memory per device, check data and weights, and stop."""
    config: Annotated[Config, arg(name="")] = dataclasses.field(default_factory=Config)

    def run(self) -> int:
        from ferjax.ensemble import training
        from ferjax.faces import dataset

        if self.dry_run:
            from ferjax.ensemble import budget, parallel

            faces = dataset.load(self.config.data)
            training.starting_point(self.config)
            layout = parallel.lay_out(len(self.config.train.seeds))
            for line in budget.estimate(self.config, len(faces["train"].ids), len(faces["valid"].ids), layout).lines():
                out.print(line, highlight=False)
            return 0
        run = training.train(self.config, dataset.load(self.config.data), self.out, resume=self.resume)
        out.print(f"trained {len(self.config.train.seeds)} members: {run.folder}\nnext: ferjax evaluate {run.folder}", highlight=False)
        return 0
