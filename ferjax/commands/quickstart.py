"""``ferjax quickstart``: train, evaluate and route drawn faces."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Suppress

from ferjax.commands.arguments import NewFolder
from ferjax.commands.console import out
from ferjax.commands.evaluate import Evaluate
from ferjax.commands.train import Train
from ferjax.config import Config

if TYPE_CHECKING:
    from ferjax.serving.router import Decision


@dataclasses.dataclass(frozen=True)
class Quickstart:
    """Everything once, on drawn faces: train five tiny ViTs, evaluate them, route two dozen
    pictures. No downloads, no GPU.

    Takes about two minutes on two CPU cores and leaves report and pictures in the run folder.
    """

    out: NewFolder = Path("runs/quickstart")
    """Folder of the run; where it holds a quickstart already, that is continued and shown again."""
    config: Suppress[Config] = dataclasses.field(default_factory=Config)

    def run(self) -> int:
        Train("synthetic_tiny", self.out, config=self.config).run()
        Evaluate(self.out).run()
        self._route()
        return 0

    def _route(self) -> None:
        """Routes some test faces, the last pictures of which are no faces or covered ones."""
        import numpy as np

        from ferjax.faces import dataset
        from ferjax.report import plots
        from ferjax.serving.router import Router

        data = dataset.load(self.config.data)
        counts = {"test": 18, "not_a_face": 4, "unknown": 2}
        pictures = np.concatenate([data[name].images[:n] for name, n in counts.items()])
        decisions = Router(self.out, router="density")(pictures)
        sheet = plots.contact_sheet(
            list(pictures),
            [_caption(decision) for decision in decisions],
            self.out / "routed.png",
            colours=[decision.action for decision in decisions],
        )
        shown = {"first test face": 0, "fifth test face": 4, "first picture that is no face": 18}
        for name, number in shown.items():
            out.print(f"{name}: {decisions[number].why}")
        out.print(f"picture: {sheet}")
        out.print(f"report: {self.out / 'report.html'}")


def _caption(decision: "Decision") -> str:
    likely = [name for name, p in decision.probs.items() if p > 0.25] or ["?"]
    label = {"accept": f": {decision.label}", "defer": f": {', '.join(likely)}"}
    density = decision.scores["ood_density"]
    return (
        f"{decision.action}{label.get(decision.action, '')}\n"
        f"al {decision.aleatoric:.2f}  density {density:.1f}"
    )
