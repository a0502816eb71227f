"""``ferjax export``: a run as one file."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import Prior
from ferjax.commands.console import out
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a run as one file that routes without the training code: on CPUs and CUDA GPUs, or as
    --platforms says.

        ferjax export RUN --out faces.ferjax
        ferjax route faces.ferjax photos/  in Python: Router("faces.ferjax")(images)

    The file holds preprocessing, all members, the decomposition and the routers as StableHLO for
    any batch size, with thresholds, class names and provenance. The exported program is compared
    with the run on sample pictures before anything is written; a difference is an error. It keeps
    the pictures and what the run said of them:

        ferjax export --verify faces.ferjax   compares again, from the file alone
    """

    run_folder: Annotated[Positional[Path], arg(metavar="RUN"), Reads(inputs.evaluated)]
    """An evaluated run (it brings the thresholds); with --verify, an exported file."""
    file: Annotated[Path | None, arg(name="out", metavar="FILE", help_behavior_hint="")] = None
    """The file to write."""
    verify: bool = False
    """Write nothing: repeat the comparison that an exported file keeps, and check its digest."""
    prior: Prior = None
    """Class frequencies that the file decides under, instead of those of the evaluation: training,
    uniform, sqrt, estimated (on --unlabelled), or a .json or .csv file of shares by class."""
    unlabelled: Annotated[
        tuple[str, ...], arg(metavar="PICTURES...", help_behavior_hint=""), Reads(inputs.pictures)
    ] = ()
    """Pictures that --prior estimated looks at: files, folders, patterns, .npz."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda")
    """Where it shall run."""
    small: bool = False
    """Keep matrices in fewer bytes: those of `ferjax members round` in 8 bits, without loss, those
    of densities in 16."""

    def run(self) -> int:
        from ferjax.commands.inputs import run
        from ferjax.serving.archive_parts import require_replaceable

        if self.verify:
            return self._verify()
        if self.file is None:
            raise ValueError("where to? give --out FILE, or --verify for a file that is there")
        if self.run_folder.is_file():
            run(self.run_folder)  # which it is not
        require_replaceable(self.file)
        if (self.prior == "estimated") != bool(self.unlabelled):
            raise ValueError("--prior estimated and --unlabelled PICTURES... go together")
        from ferjax.commands.display import Console
        from ferjax.events import Message
        from ferjax.serving.export import export

        unlabelled = self._unlabelled()
        with Console() as on_event:
            on_event(Message("tracing the run, and comparing what is exported with it"))
            about = export(
                self.run_folder,
                self.file,
                prior=self.prior,
                unlabelled=unlabelled,
                platforms=self.platforms,
                small=self.small,
                on_event=on_event,
            )
        parity = about["parity"]
        made = about["provenance"]
        size = self.file.stat().st_size / 1e6
        prior = "training" if about["prior"] is None else about["prior"]["name"]
        out.print(
            f"wrote {self.file}, {size:,.1f} MB: {made['members']} members for "
            f"{', '.join(made['platforms'])}, routers {', '.join(about['routers'])}, "
            f"class prior {prior}\n"
            f"compared with the run on {parity['pictures']} pictures: largest difference "
            f"{parity['largest_difference']:.2g} ({parity['in']})\n"
            f"next: ferjax route {self.file} photos/ --out lines.jsonl",
        )
        return 0

    def _unlabelled(self) -> Any:
        """Stored pictures to estimate a prior from."""
        if not self.unlabelled:
            return None
        from ferjax.ensemble.folder import RunFolder
        from ferjax.serving import pipeline, sources

        sources.check(list(self.unlabelled))
        spec = RunFolder(self.run_folder).spec()
        items = sources.items(list(self.unlabelled), None)
        return pipeline.sample_faces(items, spec.side, colour=spec.colour)

    def _verify(self) -> int:
        from ferjax.serving.archive_parts import read_about

        if self.file is not None:
            raise ValueError("--verify writes nothing: leave out --out")
        if self.run_folder.is_dir():
            raise ValueError(
                f"{self.run_folder} is a folder; --verify takes a file of `ferjax export`"
            )
        read_about(self.run_folder)
        from ferjax.serving.verification import verify

        found = verify(self.run_folder)
        out.print(
            f"{self.run_folder} says what its run said on {found['pictures']} pictures: largest "
            f"difference {found['largest_difference']:.2g} ({found['in']}), at most "
            f"{found['tolerance']:g} allowed; digest {found['digest']}\n"
            f"next: ferjax route {self.run_folder} photos/"
        )
        return 0
