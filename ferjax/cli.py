"""The ``ferjax`` command: parse, call, print. Everything it does can be done from Python in as many lines."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from tyro.conf import Positional, arg, subcommand

from ferjax.config import Config, load_config

_ABOUT = """Deep ensembles that tell ambiguous faces from unfamiliar ones.

First time here: ferjax quickstart. Then: ferjax data, train, evaluate, route, in this order; each command has --help.
"""

SOME_FAILED = 3
"""Exit status when some pictures could not be routed and the rest were."""

out = Console()
err = Console(stderr=True)


@dataclasses.dataclass(frozen=True)
class Data:
    """Build the FER+ data set from its two published CSV files, and print what it holds.

    ferjax data ferplus --fer2013 fer2013.csv --votes fer2013new.csv --out DIR

    The files pair by row. Everything is checked before anything is written. Without --fer2013 and --out only the votes
    file is read and counted.
    """

    name: Positional[Literal["ferplus"]]
    """Which data set."""
    votes: Path
    """fer2013new.csv: Usage, Image name, ten vote counts."""
    fer2013: Path | None = None
    """fer2013.csv: emotion, pixels, Usage."""
    out: Path | None = None
    """Folder to create for the data set."""

    def run(self) -> int:
        from ferjax.ensemble.training import progress
        from ferjax.faces import dataset, ferplus

        if (self.fer2013 is None) != (self.out is None):
            raise ValueError("--fer2013 and --out go together: pixels are needed to build a data set")
        rows = ferplus.read_votes(self.votes)
        if self.fer2013 is not None and self.out is not None:
            with progress("reading pixels") as advance:
                pixels = ferplus.read_pixels(self.fer2013, lambda _: advance(1 / len(rows.split)))
            rows = ferplus.pair(pixels, rows, self.fer2013, self.votes)
        splits = {
            name: (rows.votes[rows.split == name], None if rows.images is None else rows.images[rows.split == name])
            for name in ferplus.SPLITS.values()
        }
        _print_counts(dataset.count(splits))
        if self.out is not None:
            ferplus.build(rows, self.out)
            out.print(f"wrote {self.out}; train on it with --data.name ferplus --data.path {self.out}", highlight=False)
        return 0


def _print_counts(counts: dict) -> None:
    from rich.table import Table

    table = Table(title="faces per split (kept under the policies paper, majority, probability)")
    table.add_column("")
    for split in counts:
        table.add_column(split, justify="right")
    for row in next(iter(counts.values())):
        table.add_row(row, *(f"{counts[split][row]:,}" for split in counts))
    out.print(table)


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


@dataclasses.dataclass(frozen=True)
class WeightsInfo:
    """Say what a weights file or folder holds: naming, size, patches, registers, position grid, head."""

    source: Positional[str]
    """A .safetensors file, a folder (sharded or not), a .pth file, or a hub name."""

    def run(self) -> int:
        from ferjax.models import layouts, pretrained

        state = pretrained.read_state(self.source)
        found = layouts.describe(state)
        dtypes = ", ".join(sorted({str(v.dtype) for v in state.values()}))
        out.print(
            f"{self.source}: DINOv2 in {found.layout} naming, {found.parameters:,} parameters in {len(state)} tensors ({dtypes})\n"
            f"dim {found.dim}, {found.depth} blocks, {found.mlp} MLP, patch {found.patch_size}, {found.registers} registers, "
            f"positions {found.grid} x {found.grid} ({found.grid * found.patch_size} px), resized by the rule {found.rule!r}\n"
            + ("no classification head" if found.head_classes is None else f"a head of {found.head_classes} classes"), highlight=False)
        return 0


@dataclasses.dataclass(frozen=True)
class WeightsExport:
    """Write one member of a run as a Hugging Face folder that Dinov2ForImageClassification.from_pretrained opens."""

    run_folder: Positional[Path]
    """Folder of a trained run."""
    out: Path
    """Folder to create."""
    member: int = 0
    """Which member, from 0."""

    def run(self) -> int:
        from ferjax.ensemble import prediction
        from ferjax.models import pretrained

        trained = prediction.load_run(self.run_folder)
        params = prediction.one_member(trained, self.member)
        out.print(f"wrote {pretrained.write_hugging_face(params, trained.config.model, self.out)}", highlight=False)
        return 0


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Hold a trained run against its data: predictions, dual validation, thresholds, routing, pictures.

    Leaves predictions/, evaluation.json, thresholds.json and pictures in the run folder.
    """

    run_folder: Positional[Path]
    """Folder that `ferjax train --out` wrote."""
    resamples: int | None = None
    """Bootstrap resamples; the run's evaluate.resamples unless given."""
    corruptions: tuple[str, ...] | None = None
    """Corruptions; the run's evaluate.corruptions unless given."""
    data_path: str | None = None
    """Where the FER+ data set is now, if it moved since training."""

    def run(self) -> int:
        from ferjax.analysis import report
        from ferjax.ensemble import prediction
        from ferjax.faces import dataset

        trained = prediction.load_run(self.run_folder)
        config = trained.config
        given = {"resamples": self.resamples, "corruptions": self.corruptions}
        settings = dataclasses.replace(config.evaluate, **{k: v for k, v in given.items() if v is not None})
        data = config.data if self.data_path is None else dataclasses.replace(config.data, path=self.data_path)
        trained = trained._replace(config=dataclasses.replace(config, evaluate=settings, data=data))
        predicted = prediction.predict_conditions(trained, dataset.load(data), self.run_folder / "predictions")
        tables = report.evaluate(
            {p.condition: p for p in predicted}, self.run_folder, resamples=settings.resamples, seed=settings.seed,
            false_rejection=settings.false_rejection, defer_share=settings.defer_share)
        report.show(tables, out)
        for picture in tables["pictures"]:
            out.print(f"picture: {picture}", highlight=False)
        return 0


@dataclasses.dataclass(frozen=True)
class Route:
    """Decide on pictures: one JSON line each, with action, label, whole distribution, both uncertainties, and why.

    A picture is taken as one face: gray, its central square, 48 x 48. A file that is no picture gets a line with "error";
    the others go on, and the exit status is 3.
    """

    run_folder: Positional[Path]
    """An evaluated run (it brings the thresholds)."""
    paths: Positional[tuple[Path, ...]]
    """Image files, folders of them, or .npz files with an array `images`."""
    out: Path | None = None
    """Write the lines here instead of standard output."""

    def run(self) -> int:
        from ferjax.serving.files import find, route_files
        from ferjax.serving.router import Router

        if not self.paths:
            raise ValueError("nothing to route: give image files, folders, or .npz files")
        list(find(self.paths))  # a wrong path should not wait for the model to load
        router = Router(self.run_folder)
        if self.out is None:
            routed, failed = route_files(router, self.paths, sys.stdout)
        else:
            with open(self.out, "w") as file:
                routed, failed = route_files(router, self.paths, file)
        err.print(f"{routed} routed" + (f", {failed} could not be read (see the lines with \"error\")" if failed else ""), highlight=False)
        return SOME_FAILED if failed else 0


@dataclasses.dataclass(frozen=True)
class Quickstart:
    """The whole road on drawn faces: train five tiny ViTs, evaluate them, route a handful. No downloads, no GPU.

    Takes about two minutes on two CPU cores and leaves pictures in the run folder.
    """

    out: Path = Path("runs/quickstart")
    """Folder of the run; must be new."""
    config: Annotated[Config, arg(name="")] = dataclasses.field(default_factory=Config)

    def run(self) -> int:
        import numpy as np

        from ferjax.analysis import plots
        from ferjax.faces import dataset
        from ferjax.serving.router import Router

        Train(Path("quickstart"), self.out, config=self.config).run()
        Evaluate(self.out).run()
        faces = dataset.load(self.config.data)
        handful = np.concatenate([faces["test"].images[:18], faces["not_a_face"].images[:4], faces["unknown"].images[:2]])
        decisions = Router(self.out)(handful)
        captions = [
            f"{d.action}: {d.label if d.action == 'accept' else ', '.join(c for c, p in d.probs.items() if p > 0.25) or '?'}\n"
            f"al {d.aleatoric:.2f}  ep {d.epistemic:.3f}" for d in decisions
        ]
        sheet = plots.contact_sheet(handful, captions, self.out / "routed.png", colours=[d.action for d in decisions])
        for name, code in zip(("first", "second", "third"), decisions):
            out.print(f"{name} test face: {code.why}", highlight=False)
        out.print(f"picture: {sheet}", highlight=False)
        return 0


def _commands(train_default: Config, config_file: Path | None) -> Any:
    """The tree of commands; `train` takes its defaults from the configuration file it is given."""
    default = Train(tyro.MISSING if config_file is None else config_file, tyro.MISSING, config=train_default)
    return (
        Annotated[Data, subcommand("data")]
        | Annotated[Train, subcommand("train", default=default)]
        | Annotated[
            Annotated[WeightsInfo, subcommand("info")] | Annotated[WeightsExport, subcommand("export")],
            subcommand("weights", description="Look into pretrained weights, or write a member out."),
        ]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Route, subcommand("route")]
        | Annotated[Quickstart, subcommand("quickstart")]
    )


def main(argv: list[str] | None = None) -> None:
    """Runs a command line; exits with 0, 2 for wrong input, 3 if some pictures failed, 130 when interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        default, config_file = Config(), None
        if len(argv) > 1 and argv[0] == "train" and not argv[1].startswith("-"):
            config_file = Path(argv[1])
            default = load_config(config_file)
        command: Any = tyro.cli(_commands(default, config_file), args=argv, prog="ferjax", description=_ABOUT)
        sys.exit(command.run())
    except (ValueError, FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError) as error:
        err.print(f"[bold red]error:[/] {error}", highlight=False, markup=True)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
