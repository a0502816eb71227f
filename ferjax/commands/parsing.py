"""The words of a command line as a command: in any order, with help and errors in plain lines.

A command is a frozen dataclass with a method ``run() -> int``; its docstring and those of its
fields are its help. Where it has a class method ``defaults(words)``, the instance that this returns
brings the defaults.
"""

import ast
import contextlib
import dataclasses
import inspect
import io
import os
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import tyro

from ferjax.commands.word_order import dataclasses_in, missing_positionals, positionals_first

__all__ = ["UsageError", "field_help", "parse"]

_BORDER = re.compile(r"^│ ?|\s*│$")
_RULE = re.compile(r"[╭╰]?─")


class UsageError(ValueError):
    """A command line that is none, in the words to tell it with."""


def parse(command: type, words: Sequence[str], name: str) -> Any:
    """An instance of a command from the words after its name.

    Args:
      command: its dataclass.
      words: options and positional arguments in any order.
      name: how it is called, e.g. ``ferjax train``.

    Raises:
      UsageError: if the words do not fit, naming the option.
      SystemExit: with status 0, where help was asked for and printed.
    """
    _fold_field_help(command)
    if any(word in ("-h", "--help") for word in words):
        print(_help(command, name))
        raise SystemExit(0)
    more = f"\nall options: {name} --help"
    try:
        words = positionals_first(command, words)
    except ValueError as error:
        raise UsageError(f"{error}{more}") from error
    for metavar in missing_positionals(command, words):
        raise UsageError(f"{metavar} is missing{more}")
    default = command.defaults(words) if hasattr(command, "defaults") else None
    given = {} if default is None else {"default": default}
    said = io.StringIO()
    # tyro draws as standard output can show it; of this one its boxes are known.
    plain = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        # So wide that no line of an error is wrapped.
        with (
            _columns(100_000),
            contextlib.redirect_stdout(plain),
            contextlib.redirect_stderr(said),
        ):
            return tyro.cli(command, prog=name, description="", args=words, **given)
    except SystemExit:
        raise UsageError(_unboxed(said.getvalue()) + more) from None


def _help(command: type, name: str) -> str:
    """Usage and options as tyro draws them, the command's docstring between them."""
    said = io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8")
    width = min(100, _width())
    with _columns(width), contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        tyro.cli(command, prog=name, description="", args=["--help"])
    said.seek(0)
    usage, _, options = said.read().partition("\n\n")
    about = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    paragraphs = [
        part if part.startswith(" ") else textwrap.fill(_folded(part), width) for part in about
    ]
    return "\n\n".join([usage.strip(), *paragraphs, options.strip()])


def _width() -> int:
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns)
    except (ValueError, OSError):  # no terminal
        return 80


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    """Lets tyro think that a terminal is this wide."""
    was = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if was is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = was


def _unboxed(text: str) -> str:
    """An error without the box that tyro draws around it, so that it can be copied from."""
    lines = [_BORDER.sub("", line) for line in text.splitlines()]
    kept = [line for line in lines if line.strip() and not _RULE.match(line)]
    ends = [i for i, line in enumerate(kept) if line.startswith("For full helptext")]
    body = "\n".join(kept[: ends[0]] if ends else kept)
    # tyro's name of the part of a configuration that refused; the sentence after it names the field
    return re.sub(r"^Error parsing (?!--)[\w.-]+: ", "", body)


def field_help(cls: type) -> dict[str, str]:
    """The docstrings below the fields of a dataclass, each as one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:]):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[field.target.id] = _folded(below.value.value)
    return found


def _folded(text: str) -> str:
    return " ".join(text.split())


def _fold_field_help(cls: type) -> None:
    """Hands tyro every field's docstring as one line; it would keep the source's line ends."""
    texts = field_help(cls)
    for field in dataclasses.fields(cls):
        if field.name in texts:
            field.metadata = types.MappingProxyType({"help": texts[field.name], **field.metadata})
        for part in dataclasses_in(typing.get_type_hints(cls)[field.name]):
            _fold_field_help(part)
