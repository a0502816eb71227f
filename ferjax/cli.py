"""The ``ferjax`` command: parse, call, exit.

Everything it does can be done from Python in as many lines.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.text import Text
from tyro.conf import subcommand

from ferjax.commands.cache import use_compilation_cache
from ferjax.commands.console import err
from ferjax.commands.corruptions import Corruptions
from ferjax.commands.data import Data
from ferjax.commands.evaluate import Evaluate
from ferjax.commands.export import Export
from ferjax.commands.judge import ABOUT as ABOUT_JUDGE
from ferjax.commands.judge import JUDGE
from ferjax.commands.members import MembersAdd, MembersList, MembersMerge, MembersSelect
from ferjax.commands.quickstart import Quickstart
from ferjax.commands.route import Route
from ferjax.commands.train import Train
from ferjax.commands.watch import Watch
from ferjax.commands.weights import WeightsExport, WeightsInfo
from ferjax.config import Config, load_config

_ABOUT = """Deep ensembles that tell what people disagree about from what the model has not seen.

First time here: ferjax quickstart. Then: ferjax data, train, evaluate, route, in this order; each \
command has --help. Compiled programs are kept in the user's cache folder (FERJAX_CACHE names \
another, --no-cache keeps none).
"""


def _commands(train_default: Config, config_file: Path | None) -> Any:
    """The tree of commands; `train` takes its defaults from the configuration file it is given."""
    default = Train(
        tyro.MISSING if config_file is None else config_file, tyro.MISSING, config=train_default
    )
    return (
        Annotated[Data, subcommand("data")]
        | Annotated[Train, subcommand("train", default=default)]
        | Annotated[Watch, subcommand("watch")]
        | Annotated[
            Annotated[MembersList, subcommand("list")]
            | Annotated[MembersSelect, subcommand("select")]
            | Annotated[MembersMerge, subcommand("merge")]
            | Annotated[MembersAdd, subcommand("add")],
            subcommand(
                "members",
                description="List a run's members, write some of them as a run, merge runs, or "
                "train new members for a finished run.",
            ),
        ]
        | Annotated[
            Annotated[WeightsInfo, subcommand("info")]
            | Annotated[WeightsExport, subcommand("export")],
            subcommand(
                "weights", description="Look into pretrained weights, or write a member out."
            ),
        ]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Route, subcommand("route")]
        | Annotated[Export, subcommand("export")]
        | Annotated[Corruptions, subcommand("corruptions")]
        | Annotated[JUDGE, subcommand("judge", description=ABOUT_JUDGE)]
        | Annotated[Quickstart, subcommand("quickstart")]
    )


def _message(error: Exception) -> str:
    """An error in words; the system's own without their numbers."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def main(argv: list[str] | None = None) -> None:
    """Runs a command line and exits.

    The status is 0, 2 for wrong input, 3 if some pictures failed, 75 when preempted, 130 when
    interrupted.
    """
    argv = use_compilation_cache(sys.argv[1:] if argv is None else argv)
    if argv[:2] == ["members", "slice"]:  # its name in version 0.1.0
        argv = ["members", "select", *argv[2:]]
    try:
        default = Config()
        config_file = None
        if len(argv) > 1 and argv[0] == "train" and not argv[1].startswith("-"):
            config_file = Path(argv[1])
            default = load_config(config_file)
        command: Any = tyro.cli(
            _commands(default, config_file), args=argv, prog="ferjax", description=_ABOUT
        )
        sys.exit(command.run())
    except (
        ValueError,
        FileNotFoundError,
        FileExistsError,
        PermissionError,
        IsADirectoryError,
    ) as error:
        err.print(Text.assemble(("error:", "bold red"), f" {_message(error)}"))
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
