"""``ferjax quickstart``: train, evaluate and route drawn faces."""

import dataclasses
from pathlib import Path

from tyro.conf import Suppress

from ferjax.commands.arguments import NewFolder
from ferjax.commands.console import err, out
from ferjax.commands.evaluate import Evaluate
from ferjax.commands.train import Train
from ferjax.config import Config


@dataclasses.dataclass(frozen=True)
class Quickstart:
    """Everything once, on drawn faces: train five tiny ViTs, evaluate them, route two dozen
    pictures. No downloads, no GPU.

    Takes about two minutes on two CPU cores and leaves report and pictures in the run folder.

    With --judges everything once on texts: people and four models of a local server judge texts
    whose truth is known; the answers are collected, compared, calibrated and routed. No network, no
    model; under two minutes too.
    """

    judges: bool = False
    """Judges of texts instead of faces."""
    out: NewFolder = Path("runs/quickstart")
    """Folder of the run; where it holds a quickstart already, that is continued and shown again."""
    config: Suppress[Config] = dataclasses.field(default_factory=Config)

    def run(self) -> int:
        if self.judges:
            from ferjax.commands.judge import quickstart

            return quickstart.run(self.out)
        from ferjax.ensemble.folder import RunFolder

        there = (self.out / "config.json").is_file()
        if there and RunFolder(self.out).config().data != self.config.data:
            raise FileExistsError(
                f"{self.out} holds a run that is no quickstart; choose another folder with --out"
            )
        if there:
            err.print(f"{self.out} holds a quickstart already: it is continued and shown again")
        train = Train("synthetic_tiny", self.out, resume=there, config=self.config)
        train.work("the same command continues")
        done = Evaluate((self.out,)).work()
        from ferjax.report import console

        err.print("routing two dozen pictures")
        wall = self._route()
        members = len(self.config.train.seeds)
        out.print(f"{members} members, trained on {self.config.data.synthetic_faces:,} drawn faces")
        console.show(
            done.evaluation,
            done.conclusions,
            out,
            report=done.files[0],
            more=[
                ("picture", f"open {wall}: what the router does with 24 pictures"),
                ("next", f"ferjax route {self.out} photos/ --router density --wall wall.png"),
                ("real faces", "ferjax data --help, then ferjax train ferplus_scratch --out RUN"),
            ],
        )
        return 0

    def _route(self) -> Path:
        """Routes some test faces, the last pictures of which are no faces or covered ones."""
        import numpy as np

        from ferjax.faces import dataset
        from ferjax.serving.contact_sheet import ContactSheet
        from ferjax.serving.router import Router

        data = dataset.load(self.config.data)
        counts = {"test": 18, "not_a_face": 4, "unknown": 2}
        pictures = np.concatenate([data[name].images[:n] for name, n in counts.items()])
        titles = {name: name.replace("_", " ") for name in counts}
        names = [f"{titles[name]} {i + 1}" for name, n in counts.items() for i in range(n)]
        router = Router(self.out, router="density")
        sheet = ContactSheet(router.rule)
        for name, picture, decision in zip(names, pictures, router(pictures)):
            sheet.add({"path": name}, picture, decision)
        return sheet.draw(self.out / "routed.png")
