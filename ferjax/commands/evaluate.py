"""``ferjax evaluate``: uncertainties held against people and against shift."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import (
    File,
    OptionalFolder,
    OptionalNumber,
    Prior,
    Word,
)
from ferjax.commands.console import out
from ferjax.commands.inputs import Reads
from ferjax.commands.memory import keep_freed_memory

if TYPE_CHECKING:
    from ferjax.workflow import Evaluated


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Hold uncertainties against people and against shift; choose thresholds; write one
    report.html, and JSON and CSV.

        ferjax evaluate RUN                     a run against its own data
        ferjax evaluate RUN --ood cats=photos/cats raf=rafdb
                                                and against other pictures
        ferjax evaluate --predictions FOLDER --votes votes.csv --out REPORT
                                                scores of any framework
        ferjax evaluate RUN1 RUN2 --predictions theirs=FOLDER --out REPORT
                                                methods side by side

    A folder given to --ood whose folders are named by classes (happy, sad, ...) is a labelled
    cross-dataset test. Files given to --predictions are .npz or .npy of log-probabilities,
    probabilities or logits [member, item, class], one file per condition: test.npz, valid.npz,
    blur_3.npz (corruption and severity), any other name is an out-of-distribution set.
    `python -c "import ferjax.evaluation.readers as r; help(r)"` documents them and shows how to
    dump them from PyTorch.
    """

    runs: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="[RUN...]", help_behavior_hint=""),
        Reads(inputs.run),
    ] = ()
    """Folder that `ferjax train --out` wrote; it also receives the report. Several are compared on
    the same test items, each by its folder's name."""
    predictions: Annotated[
        tuple[Path, ...],
        arg(metavar="FILE|FOLDER...", help_behavior_hint=""),
        Reads(inputs.scores),
    ] = ()
    """Files of predictions, or folders of them, instead of a run; NAME=FOLDER is a method to be
    compared."""
    baseline: Word = None
    """Method that others are compared with; the first unless given."""
    votes: File = None
    """Votes of the test items: CSV with a header, .npz or .npy (with --predictions)."""
    images: File = None
    """.npz with `images` of the test items, uint8, to show some in the report (with
    --predictions)."""
    out: OptionalFolder = None
    """Folder of the report; needed with --predictions, otherwise the run folder unless given."""
    ood: Annotated[
        tuple[str, ...],
        arg(metavar="NAME=FOLDER|NAME=FILE...", help_behavior_hint=""),
        Reads(inputs.named_set),
    ] = ()
    """Other sets of pictures, NAME=FOLDER or NAME=FILE.npz (with a run)."""
    accept: Annotated[
        tuple[str, ...],
        arg(metavar="NAME=FOLDER|NAME=FILE...", help_behavior_hint=""),
        Reads(inputs.named_set),
    ] = ()
    """Pictures that a router must not reject, e.g. of your own camera, NAME=FOLDER or
    NAME=FILE.npz. Each is one more tolerance: thresholds keep the bound on false rejection for it
    too (with a run)."""
    folder_classes: Annotated[
        tuple[str, ...], arg(metavar="FOLDER=CLASS|FOLDER=...", help_behavior_hint="")
    ] = ()
    """What folders in these sets hold that are not named after a class: FOLDER=CLASS, or FOLDER= to
    leave their pictures out."""
    resamples: OptionalNumber = None
    """Bootstrap resamples; the run's evaluate.resamples, or 2000, unless given."""
    seed: OptionalNumber = None
    """Seed of corruptions and bootstrap; the run's evaluate.seed, or 0, unless given."""
    corruptions: Annotated[
        tuple[str, ...] | None, arg(metavar="NAME...", help_behavior_hint="")
    ] = None
    """Corruptions; the run's evaluate.corruptions unless given."""
    fit_corruptions: Annotated[
        tuple[str, ...] | None, arg(metavar="NAME...", help_behavior_hint="")
    ] = None
    """Corruptions of valid faces from which routers and the ensemble's errors are learned, of
    several families best (noise, blur, weather, digital, occlusion, geometry); the router `error`
    then rejects where it is likelier to be wrong than it admits. The run's evaluate.fit_corruptions
    unless given."""
    data_path: Annotated[
        str | None, arg(metavar="FOLDER", help_behavior_hint=""), Reads(inputs.data_set)
    ] = None
    """Where the FER+ data set is now, if it moved since training."""
    resample_groups: bool = False
    """Draw pixel-identical test pictures together in the bootstrap (predictions files bring their
    own groups)."""
    prior: Prior = None
    """Class frequencies that everything is read under, thresholds too: those of training unless
    given; uniform, sqrt (the square root of training's), estimated (on the test items, without
    labels), or a .json or .csv file of shares by class."""
    training_prior: File = None
    """File of the class frequencies that predictions were trained under; without it those of the
    valid items' votes are taken for them, and the report says so (with --predictions)."""
    show_faces: bool = True
    """Put example faces into the report."""

    def run(self) -> int:
        self._check()
        if self._several:
            return self._compare()
        done = self.work()
        from ferjax.report import console

        console.show(
            done.evaluation, done.conclusions, out, report=done.files[0], more=self._next()
        )
        return 0

    def work(self) -> "Evaluated":
        """Evaluates, and tells how far it is."""
        keep_freed_memory()
        self._check()
        from ferjax import workflow
        from ferjax.commands.display import Console

        common: dict[str, Any] = {
            "resamples": self.resamples,
            "seed": self.seed,
            "prior": self.prior,
        }
        with Console() as on_event:
            if self.predictions:
                assert self.out is not None
                return workflow.evaluate_predictions(
                    self.predictions,
                    self.out,
                    votes=self.votes,
                    images=self.images if self.show_faces else None,
                    training=self.training_prior,
                    on_event=on_event,
                    **common,
                )
            else:
                return workflow.evaluate_run(
                    self.runs[0],
                    out=self.out,
                    ood=self._sets("ood"),
                    accept=self._sets("accept"),
                    folder_classes=self._folder_classes(),
                    corruptions=self.corruptions,
                    fit_corruptions=self.fit_corruptions,
                    data_path=self.data_path,
                    resample_groups=self.resample_groups,
                    show_examples=self.show_faces,
                    on_event=on_event,
                    **common,
                )

    def _next(self) -> list[tuple[str, str]]:
        """What comes after this."""
        if not self.runs:
            return [("next", f"thresholds for your own code: {self.out}/thresholds.json")]
        if self.out is not None:  # the thresholds are there, not with the run
            return [("next", f"ferjax evaluate {self.runs[0]}, without --out, for its router")]
        return [("next", f"ferjax route {self.runs[0]} photos/ --out lines.jsonl")]

    @property
    def _several(self) -> bool:
        """Whether methods are to be compared."""
        return len(self.runs) > 1 or bool(self._methods())

    def _methods(self) -> dict[str, Path]:
        """Those of --predictions that have a name: NAME=FOLDER."""
        named = (str(path).partition("=") for path in self.predictions if not path.exists())
        return {name: Path(path) for name, equals, path in named if equals and name}

    def _compare(self) -> int:
        from ferjax.commands.display import Console
        from ferjax.comparing_methods import compare_methods
        from ferjax.report import comparison

        assert self.out is not None
        keep_freed_memory()
        with Console() as on_event:
            found, files = compare_methods(
                self.runs,
                self._methods(),
                self.out,
                baseline=self.baseline,
                votes=self.votes,
                resamples=self.resamples,
                seed=self.seed,
                data_path=self.data_path,
                on_event=on_event,
            )
        comparison.show(found, out)
        for file in files:
            out.print(f"wrote {file}")
        out.print(f"next: open {files[0]}, or compare with another baseline: --baseline NAME")
        return 0

    def _check(self) -> None:
        """Refuses options that do not go together, or name nothing, before JAX is started."""
        from ferjax.config import require_corruptions, require_resamples, require_seed

        if self.resamples is not None:
            require_resamples(self.resamples, "--resamples")
        if self.seed is not None:
            require_seed(self.seed, "--seed")
        require_corruptions((*(self.corruptions or ()), *(self.fit_corruptions or ())))
        methods = self._methods()
        if methods and len(methods) < len(self.predictions):
            raise ValueError(
                "--predictions takes either files and folders of one method, or NAME=FOLDER of "
                f"several; got both: {', '.join(map(str, self.predictions))}"
            )
        if self._several:
            if self.out is None:
                raise ValueError("comparing methods needs --out FOLDER for the report")
            names = [*(path.resolve().name for path in self.runs), *methods]
            if self.baseline is not None and self.baseline not in names:
                raise ValueError(
                    f"no method {self.baseline!r} to compare with; there are {', '.join(names)}"
                )
            for name in (
                *("ood", "accept", "corruptions", "fit_corruptions", "images", "resample_groups"),
                *("prior", "training_prior", "folder_classes"),
            ):
                if getattr(self, name):
                    raise ValueError(
                        f"--{name.replace('_', '-')} is no option of a comparison; evaluate each "
                        "run by itself first"
                    )
            if self.votes is not None and not methods:
                raise ValueError("--votes goes with --predictions; runs bring their own")
            return
        if self.baseline is not None:
            raise ValueError("--baseline needs several methods: RUN1 RUN2, or NAME=FOLDER")
        if (not self.runs) == (not self.predictions):
            raise ValueError("give either a run folder or --predictions FILE...")
        if not self.predictions:
            for name in ("votes", "images", "training_prior"):
                if getattr(self, name) is not None:
                    flag = name.replace("_", "-")
                    raise ValueError(f"--{flag} goes with --predictions; a run brings its own")
            return
        if self.out is None:
            raise ValueError("--predictions needs --out FOLDER for the report")
        for name in (
            *("ood", "accept", "folder_classes", "corruptions", "fit_corruptions", "data_path"),
            "resample_groups",
        ):
            if getattr(self, name):
                raise ValueError(
                    f"--{name.replace('_', '-')} needs a run; here every condition is a file of "
                    "predictions"
                )

    def _sets(self, flag: str) -> dict[str, Path]:
        """Named sets of pictures given to --ood or --accept."""
        from ferjax.faces.image_folders import parse

        sets: dict[str, Path] = {}
        for name, path in map(parse, getattr(self, flag)):
            if name in sets:
                raise ValueError(f"--{flag} {name}=... is given twice: {sets[name]} and {path}")
            sets[name] = path
        return sets

    def _folder_classes(self) -> dict[str, str]:
        given = [text.partition("=") for text in self.folder_classes]
        for folder, equals, _ in given:
            if not folder or not equals:
                raise ValueError(f"--folder-classes takes FOLDER=CLASS or FOLDER=, got {folder!r}")
        return {folder: name for folder, _, name in given}
