"""Words of a command line in the order that tyro wants: positional arguments before options."""

import dataclasses
import difflib
import os
import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

__all__ = ["dataclasses_in", "missing_positionals", "positionals_first"]


class _Option(NamedTuple):
    """How many words an option takes: 0, 1, or many (None) as long as they look like its own."""

    words: int | None
    numbers: bool = False
    pairs: bool = False
    files: bool = False
    form: str = ""
    """What stands in the help for its words."""

    def takes(self, word: str) -> bool:
        """Whether a further word can belong to it."""
        if self.numbers:
            return re.fullmatch(r"-?[\d.]+(e-?\d+)?", word) is not None
        if self.pairs:
            return "=" in word
        return self.files or not (os.sep in word or Path(word).exists())


def positionals_first(command: type, words: Sequence[str]) -> list[str]:
    """Moves positional arguments before all options, whose order stays as it is.

    An option of many values takes the words after it as long as they can be its values: numbers,
    NAME=VALUE pairs, or names that are no file or folder here. Where positional arguments are
    missing then, they are the last of them.

    Raises:
      ValueError: on an option that the command has not; names the nearest.
    """
    options = _options(command)
    positional: list[str] = []
    rest: list[str] = []
    queue = list(words)
    spare = (0, 0)  # where the last list of several words ends, and how many it can spare
    while queue:
        word = queue.pop(0)
        if word == "--":
            positional += queue
            break
        if not _is_option(word):
            positional.append(word)
            continue
        rest.append(word)
        name, assigned, _ = word.partition("=")
        option = options.get(name.replace("_", "-"))
        if option is None:
            near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"there is no option {name}{hint}")
        if assigned:
            continue
        count = 0
        while queue and not _is_option(queue[0]):
            if count == option.words or (option.words is None and not option.takes(queue[0])):
                break
            rest.append(queue.pop(0))
            count += 1
        if count == 0 and option.pairs and queue and not _is_option(queue[0]):
            raise ValueError(f"{name} takes {option.form}, got {queue[0]!r}")
        if option.words is None and count > 1:
            spare = (len(rest), count - 1)
    # A list that swallowed the positional arguments after it gives them back.
    end, most = spare
    back = min(most, len(missing_positionals(command, positional)))
    positional += rest[end - back : end]
    del rest[end - back : end]
    return positional + rest


def _is_option(word: str) -> bool:
    return re.match(r"--?[A-Za-z]", word) is not None


def _options(cls: type, prefix: str = "") -> dict[str, _Option]:
    """The options of a command by name; those of a dataclass in a field have its name before."""
    found: dict[str, _Option] = {}
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in cls.__dataclass_fields__.values():  # type: ignore[attr-defined]
        kind, notes = _split(hints[field.name])
        if isinstance(kind, dataclasses.InitVar):  # an old name that a class still takes
            kind = kind.type
        if tyro.conf.Positional in notes or tyro.conf.Suppress in notes:
            continue
        named = [note.name for note in notes if getattr(note, "name", None) is not None]
        name = (named[0] if named else field.name).replace("_", "-")
        for part in dataclasses_in(kind):
            found |= _options(part, f"{prefix}{name}." if name else prefix)
        if kind is bool:
            found[f"--{prefix}no-{name}"] = _Option(0)
        aliases = [alias for note in notes for alias in getattr(note, "aliases", None) or ()]
        for flag in (f"--{prefix}{name}", *aliases):
            found[flag] = _option(kind, notes)
    return found


def _option(kind: Any, notes: Sequence[Any]) -> _Option:
    if kind is bool:
        return _Option(0)
    many = next((k for k in (kind, *typing.get_args(kind)) if typing.get_origin(k) is tuple), None)
    if many is None:
        return _Option(1)
    item = typing.get_args(many)[0]
    metavars = [note.metavar for note in notes if getattr(note, "metavar", None)]
    return _Option(
        None,
        numbers=item in (int, float),
        pairs=any("=" in metavar for metavar in metavars),
        files=item is Path,
        form=metavars[0] if metavars else "",
    )


def _split(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its annotations, and these."""
    if typing.get_origin(kind) is Annotated:
        inner, notes = _split(typing.get_args(kind)[0])
        return inner, (*notes, *kind.__metadata__)
    return kind, ()


def dataclasses_in(kind: Any) -> list[type]:
    """The dataclasses in a type."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return [kind]
    return [part for inner in typing.get_args(kind) for part in dataclasses_in(inner)]


def missing_positionals(command: type, words: Sequence[str]) -> list[str]:
    """What stands in the help for the required positional arguments that no word is left for."""
    required = []
    hints = typing.get_type_hints(command, include_extras=True)
    for field in dataclasses.fields(command):
        _, notes = _split(hints[field.name])
        if tyro.conf.Positional in notes and field.default is dataclasses.MISSING:
            metavars = [note.metavar for note in notes if getattr(note, "metavar", None)]
            required.append(metavars[0] if metavars else field.name.upper())
    given = 0
    while given < len(words) and not _is_option(words[given]):
        given += 1
    return required[given:]
