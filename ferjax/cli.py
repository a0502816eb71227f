"""The ``ferjax`` command: find the command, parse its words, run it, exit.

Everything a command does can be done from Python in as many lines.
"""

import contextlib
import difflib
import importlib
import os
import platform
import sys
import threading
from importlib.metadata import version
from typing import NamedTuple

from rich.text import Text

import ferjax
from ferjax.commands.cache import NO_CACHE, use_compilation_cache
from ferjax.commands.console import discard, discard_if_broken, err
from ferjax.commands.inputs import require_inputs
from ferjax.commands.parsing import parse

__all__ = ["COMMANDS", "main"]


class Command(NamedTuple):
    """A line of the help, and where the command is, as ``module:class``."""

    does: str
    at: str


COMMANDS = {
    "quickstart": Command(
        "start here: train, evaluate and route drawn faces, two minutes",
        "quickstart:Quickstart",
    ),
    "data ferplus": Command("build FER+ from its two published CSV files", "data:DataFerplus"),
    "data folder": Command("build a data set from labelled pictures", "data:DataFolder"),
    "train": Command("train an ensemble from a configuration", "train:Train"),
    "distil": Command("train one network to say what an ensemble says", "distil:Distil"),
    "watch": Command("see how a run is going, or how it ended", "watch:Watch"),
    "evaluate": Command(
        "hold a run, or anybody's scores, against people and shift", "evaluate:Evaluate"
    ),
    "route": Command("decide on pictures: accept, defer or reject", "route:Route"),
    "adapt": Command("certified thresholds for people or a camera of your own", "adapt:Adapt"),
    "export": Command("write a run as one file that routes without it", "export:Export"),
    "judge collect": Command("ask language models, every answer kept", "judge.collect:Collect"),
    "judge parse": Command("count what the answers say", "judge.parse:Parse"),
    "judge embed": Command("map texts to vectors by a sentence encoder", "judge.embed:Embed"),
    "judge predict": Command("let a run over texts judge texts", "judge.predict:Predict"),
    "judge describe": Command(
        "say what a panel, or models' answers, hold", "judge.describe:Describe"
    ),
    "judge compare": Command("hold judges against a panel of people", "judge.compare:Compare"),
    "judge calibrate": Command(
        "fit maps from judges' distributions to people's", "judge.calibrate:Calibrate"
    ),
    "judge route": Command(
        "decide on texts: accept the label, defer, or ask people", "judge.route:Route"
    ),
    "members list": Command("list the members of a run", "members:MembersList"),
    "members select": Command("write some members as a run of their own", "members:MembersSelect"),
    "members merge": Command(
        "write the members of several runs as one run", "members:MembersMerge"
    ),
    "members round": Command("round members to 8 bits, for small files", "members:MembersRound"),
    "members add": Command("train new members for a finished run", "members:MembersAdd"),
    "weights info": Command("describe pretrained weights", "weights:WeightsInfo"),
    "weights export": Command("write a member for Hugging Face", "weights:WeightsExport"),
    "corruptions": Command(
        "list the corruptions, or draw a sheet of them", "corruptions:Corruptions"
    ),
}
"""The commands in the order of the help; those of two words are shown as one line of it."""

GROUPS = {
    "data": "build a data set from published files or labelled pictures",
    "judge": "ask language models about texts, and hold them against people",
    "members": "list, select, merge or add members of runs",
    "weights": "look into pretrained weights, or write a member out",
}

NOTES = {
    "judge": """In this order, each taking what the one before wrote:

  ferjax judge collect CONFIG --base-url URL --model NAME --out RUN
  ferjax judge parse RUN                                (RUN/judgments.npz)
  ferjax judge describe RATINGS                         (what people agree on)
  ferjax judge compare RATINGS RUN/judgments.npz --out OUT
  ferjax judge calibrate RATINGS RUN/judgments.npz --out OUT
  ferjax judge route RATINGS RUN/judgments.npz --out routed.jsonl

`predict` makes a judge of a run that was trained on texts, `embed` is for such
runs and for compare --lexicon. Who has answers already begins with describe.
Texts need the columns id and text; ratings of people are, for instance,

  item,rater,label
  t1,p1,joy

`ferjax quickstart --judges` does all of it once, on texts whose truth is known.""",
    "data": """Next: ferjax train CONFIG --out RUN --data.path FOLDER, with --data.name folder
for pictures of your own.""",
}
"""What is said of a group besides its commands: their order, and what they need."""

_RENAMED = {"members slice": "members select"}
"""Commands by their names in version 0.1.0."""


def _help(group: str = "") -> str:
    """The commands, or those of a group, a line each."""
    lines = {}
    for name, command in COMMANDS.items():
        first, _, second = name.partition(" ")
        if not group:
            lines[first] = GROUPS.get(first, command.does)
        elif first == group:
            lines[second] = command.does
    width = max(map(len, lines))
    table = "\n".join(f"  {name:<{width}}  {does}" for name, does in lines.items())
    if group:
        more = f"ferjax {group} COMMAND --help says more."
        parts = [f"usage: ferjax {group} COMMAND ...", table, NOTES.get(group), more]
        return "\n\n".join(filter(None, parts))
    return f"""usage: ferjax COMMAND ...

Deep ensembles that tell what people disagree about from what the model has not
seen, and decide: accept, defer or reject.

{table}

ferjax COMMAND --help says more; ferjax --version names the versions. Compiled
programs are kept in the user's cache folder (FERJAX_CACHE names another,
{NO_CACHE} keeps none)."""


def _find(words: list[str]) -> tuple[str, list[str]]:
    """The name of the command that words begin with, and the words after it.

    Raises:
      ValueError: if they begin with none; names the nearest.
    """
    for length in (2, 1):
        name = " ".join(words[:length])
        name = _RENAMED.get(name, name)
        if name in COMMANDS and len(words) >= length:
            return name, words[length:]
    group = words[0] if words[0] in GROUPS else ""
    if group and (len(words) == 1 or words[1] in ("-h", "--help")):
        print(_help(group))
        sys.exit(0 if len(words) > 1 else 2)
    known = {name.split()[bool(group)]: None for name in COMMANDS if name.startswith(group)}
    asked = words[1] if group else words[0]
    near = difflib.get_close_matches(asked, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise ValueError(f"no command {' '.join(filter(None, (group, asked)))}; {hint}")


def _version() -> str:
    return f"ferjax {ferjax.__version__} (jax {version('jax')}, Python {platform.python_version()})"


def _message(error: BaseException) -> str:
    """An error in words; the system's own without their numbers."""
    if isinstance(error, ValueError):
        from ferjax.files import shortened  # numpy need not be waited for where nothing is wrong

        return shortened(str(error), 2000)
    if isinstance(error, MemoryError):
        return f"not enough memory{f': {error}' if str(error) else ''}"
    if isinstance(error, OSError) and error.strerror:
        what = "cannot read or write" if error.filename is None else error.filename
        return f"{what}: {error.strerror}"
    return str(error)


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether it is XLA's error for memory that a device does not have."""
    return "RESOURCE_EXHAUSTED" in str(error)


def _tell(text: Text | str) -> None:
    # Where nobody can be told, the status still says it.
    with contextlib.suppress(OSError, ValueError):
        err.print(text)


def _command(words: list[str]) -> int:
    """Runs the command that words name, and returns its status."""
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(_version())
        return 0
    name, rest = _find(words)
    module, _, class_name = COMMANDS[name].at.partition(":")
    kind = getattr(importlib.import_module(f"ferjax.commands.{module}"), class_name)
    command = parse(kind, rest, f"ferjax {name}")
    require_inputs(command)
    return command.run()


def main(argv: list[str] | None = None) -> None:
    """Runs a command line and exits.

    The status is 0, 2 for wrong input or what cannot be written, 3 if some pictures failed, 75 when
    preempted, 130 when interrupted.
    """
    words = use_compilation_cache(sys.argv[1:] if argv is None else argv)
    try:
        try:
            status = _command(words)
        finally:
            sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
        sys.exit(status)
    except BrokenPipeError:
        discard(sys.stdout)
        sys.exit(1)
    except (ValueError, OSError, MemoryError) as error:
        discard_if_broken(sys.stdout)
        _tell(Text.assemble(("error:", "bold red"), f" {_message(error)}"))
        if any(thread.name == "limited" for thread in threading.enumerate()):
            os._exit(2)  # compiled code that never ends would be waited for
        sys.exit(2)
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
        _tell(Text.assemble(("error:", "bold red"), f" not enough memory: {error}"))
        sys.exit(2)
    except KeyboardInterrupt:
        _tell("interrupted")
        sys.exit(130)
