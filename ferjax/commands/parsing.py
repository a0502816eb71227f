"""The words of a command line as a command: in any order, with help and errors in plain lines.

A command is a frozen dataclass with a method ``run() -> int``; its docstring and those of its
fields are its help. Where it has a class method ``defaults(words)``, the instance that this returns
brings the defaults.
"""

import ast
import contextlib
import dataclasses
import difflib
import inspect
import io
import os
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import tyro

from ferjax.commands.word_order import dataclasses_in, missing_positionals, positionals_first

__all__ = ["UsageError", "field_help", "parse"]

_BORDER = re.compile(r"^│ ?|\s*│$")
_RULE = re.compile(r"[╭╰]?─")


_CHOICE = re.compile(
    r"invalid choice '(?P<got>.*?)' for argument '(?P<name>.*?)'\. "
    r"Expected one of \((?P<of>.*?)\)\."
)
_VALUE = re.compile(
    r"Error parsing (--[\w.-]+): (invalid literal for int\(\) with base 10|"
    r"could not convert string to float): ('.*?')(?:\nArgument helptext:(?:\n .*)*)?"
)
_KINDS = {
    "invalid literal for int() with base 10": "a whole number",
    "could not convert string to float": "a number",
}


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
    usage = textwrap.fill(_folded(usage), width, subsequent_indent="  ", break_on_hyphens=False)
    about = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    paragraphs = [
        part if part.startswith(" ") else textwrap.fill(_folded(part), width) for part in about
    ]
    return "\n\n".join([usage, *paragraphs, options.strip()])


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
    body = _CHOICE.sub(_choice, body)
    body = _VALUE.sub(
        lambda found: f"{found[1]}: expected {_KINDS[found[2]]}, got {found[3]}", body
    )
    # tyro's name of the part of a configuration that refused; the sentence after it names the field
    return re.sub(r"^Error parsing (?!--)[\w.-]+: ", "", body)


def _choice(found: re.Match[str]) -> str:
    """A wrong choice in words: the nearest right one, and all of them, in order."""
    known = [name for name in re.findall(r"'(.*?)'", found["of"]) if name != "None"]
    near = difflib.get_close_matches(found["got"], known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{found['name']}: no {found['got']!r}; {hint}expected one of {', '.join(sorted(known))}"


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


_NOTHING: tuple[Any, ...] = (None, "", ())
"""Defaults that are no value; what a field's sentence says then is more than "(default: )"."""


def _silence_default(cls: type, name: str) -> None:
    """Keeps tyro from telling that a field's default is nothing."""
    hint = cls.__annotations__[name]
    of = hint.type if isinstance(hint, dataclasses.InitVar) else hint
    if typing.get_origin(of) is Annotated:
        return
    inner = [kind for kind in typing.get_args(of) if kind is not type(None)]
    optional = len(inner) == 1 and type(None) in typing.get_args(of)
    metavar = inner[0].__name__.upper() if optional else None
    said = Annotated[of, tyro.conf.arg(help_behavior_hint="", metavar=metavar)]  # type: ignore[valid-type]
    cls.__annotations__[name] = said if of is hint else dataclasses.InitVar(said)  # type: ignore[arg-type]


def _fold_field_help(cls: type) -> None:
    """Hands tyro every field's docstring as one line; it would keep the source's line ends."""
    texts = field_help(cls)
    for field in cls.__dataclass_fields__.values():  # type: ignore[attr-defined]
        if field.name in texts:
            field.metadata = types.MappingProxyType({"help": texts[field.name], **field.metadata})
        if field.default in _NOTHING:
            _silence_default(cls, field.name)
        for part in dataclasses_in(typing.get_type_hints(cls)[field.name]):
            _fold_field_help(part)
