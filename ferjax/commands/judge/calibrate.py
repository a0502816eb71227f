"""``ferjax judge calibrate``: maps from judges' distributions to people's, cross-fitted."""

import dataclasses
import shlex
import sys
from typing import Annotated, Literal

from tyro.conf import arg

from ferjax.commands.arguments import Classes, Judges, NewFolder, Number, Panel

CalibratorName = Literal[
    "temperature", "bias", "vector", "dirichlet", "shrinkage", "isotonic", "marginal"
]


@dataclasses.dataclass(frozen=True)
class Calibrate:
    """Fit maps from judges' distributions to people's, and score them on texts they have not seen,
    beside the trivial rivals: the uncalibrated judge, and what people choose on the whole.

        ferjax judge calibrate ratings.csv judgments.npz --out OUT

    PANEL and JUDGES are those of `ferjax judge compare`, with labels (not values) of the same
    texts:

        item,rater,label
        t1,p1,joy

    OUT receives calibration.html, .json,
    .csv, and calibrator.json, which `ferjax judge route` takes.
    """

    panel: Panel
    """Ratings of people."""
    judges: Judges
    """Files of judgments or of predictions (.npz)."""
    out: NewFolder
    """Folder of the table and of calibrator.json."""
    calibrators: Annotated[
        tuple[CalibratorName, ...] | None, arg(metavar="NAME...", help_behavior_hint="")
    ] = None
    """Some of temperature, bias, vector, dirichlet, shrinkage, isotonic, marginal; all unless
    given."""
    folds: Number = 5
    """Folds of texts; copies of a text stay together."""
    kind: Annotated[
        Literal["single", "multi"] | None, arg(metavar="single|multi", help_behavior_hint="")
    ] = None
    """What ratings are, where the panel's file leaves it open."""
    classes: Classes = None
    """All classes, where the panel's file holds only those that people chose."""
    resamples: Number = 1000
    """Bootstrap resamples of the texts."""
    seed: Number = 0
    """Of folds and resamples."""

    def run(self) -> int:
        from ferjax.config import require_resamples, require_seed
        from ferjax.files import require_folder

        require_resamples(self.resamples, "--resamples")
        require_seed(self.seed, "--seed")
        if self.folds < 2:
            raise ValueError(f"--folds must be at least 2, got {self.folds}")
        require_folder(self.out, make=False)
        from ferjax import comparing
        from ferjax.commands.display import Console
        from ferjax.commands.judge.ending import end
        from ferjax.recalibration import CALIBRATORS
        from ferjax.report.judgments import calibration as report

        with Console() as on_event:
            sides, panel = comparing.read_sides(
                self.panel, self.judges, kind=self.kind, classes=self.classes, on_event=on_event
            )
            done = comparing.calibrate(
                sides,
                calibrators=self.calibrators or tuple(CALIBRATORS),
                folds=self.folds,
                resamples=self.resamples,
                seed=self.seed,
                on_event=on_event,
            )
        read = [*panel.files, *map(str, self.judges)]
        about = {"command": shlex.join(["ferjax", *sys.argv[1:]]), "files_read": read}
        fitted = comparing.fitted(sides, done.best)
        found, files = report.write(done, fitted, sides.ratings.ids.tolist(), self.out, about)
        judges = map(str, self.judges)
        following = ["ferjax", "judge", "route", str(self.panel), *judges, "--out"]
        end(found, files, shlex.join([*following, str(self.out / "routed.jsonl")]))
        return 0
