"""``ferjax quickstart``: the whole road on drawn faces."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from ferjax.commands.console import out
from ferjax.commands.evaluate import Evaluate
from ferjax.commands.train import Train
from ferjax.config import Config

if TYPE_CHECKING:
    from ferjax.serving.router import Decision


@dataclasses.dataclass(frozen=True)
class Quickstart:
    """The whole road on drawn faces: train five tiny ViTs, evaluate them, route a handful. No
    downloads, no GPU.

    Takes under three minutes on two CPU cores and leaves pictures in the run folder.
    """

    out: Path = Path("runs/quickstart")
    """Folder of the run; must be new."""
    config: Annotated[Config, arg(name="")] = dataclasses.field(default_factory=Config)

    def run(self) -> int:
        import numpy as np

        from ferjax.faces import dataset
        from ferjax.report import plots
        from ferjax.serving.router import Router

        Train(Path("quickstart"), self.out, config=self.config).run()
        Evaluate(self.out).run()
        faces = dataset.load(self.config.data)
        handful = np.concatenate(
            [faces["test"].images[:18], faces["not_a_face"].images[:4], faces["unknown"].images[:2]]
        )
        decisions = Router(self.out, router="familiarity")(handful)
        captions = [
            f"{_said(d)}\nal {d.aleatoric:.2f}  unfamiliar {d.scores['ood_density']:.1f}"
            for d in decisions
        ]
        sheet = plots.contact_sheet(
            handful, captions, self.out / "routed.png", colours=[d.action for d in decisions]
        )
        for name, number in (
            ("first test face", 0),
            ("fifth test face", 4),
            ("first picture that is no face", 18),
        ):
            out.print(f"{name}: {decisions[number].why}", highlight=False)
        out.print(f"picture: {sheet}", highlight=False)
        return 0


def _said(decision: "Decision") -> str:
    if decision.action == "reject":
        return "reject"
    likely = [name for name, p in decision.probs.items() if p > 0.25] or ["?"]
    return (
        f"{decision.action}: {decision.label if decision.action == 'accept' else ', '.join(likely)}"
    )
