"""Checks of configuration values, and dataclasses from the nested objects of a JSON file."""

import dataclasses
import difflib
import inspect
import math
import numbers
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

__all__ = [
    "build",
    "nearest",
    "require",
    "require_known_choices",
    "require_resamples",
    "require_seed",
]

_OLD_KEYS = {"evaluate.familiar_faces": "density_faces"}
"""Keys that version 0.1.0 wrote under another name."""


def require(condition: bool, message: str) -> None:
    """Raises ValueError with a message unless a condition holds."""
    if not condition:
        raise ValueError(message)


LARGEST = 10**9
"""No whole number of a configuration is larger, seeds apart: sizes beyond are typing errors."""


def require_known_choices(part: Any, prefix: str) -> None:
    """Holds every field to its type, and every ``Literal`` one to its choices; Python does not.

    Whole numbers given as floats (``3.0``) and lists for tuples become what the field asks for.

    Raises:
      ValueError: naming the field, what was expected and what came.
    """
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        kept = _as_type(value, field.type, f"{prefix}.{field.name}")
        if kept is not value:
            object.__setattr__(part, field.name, kept)


_WORDS = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false"}


def _as_type(value: Any, kind: Any, name: str) -> Any:
    """The value as that type, or a ValueError."""
    origin = get_origin(kind)
    if origin is Literal:
        choices = get_args(kind)
        known = isinstance(value, str | int | float | bool | None) and value in choices
        require(known, f"{name} must be one of {', '.join(map(str, choices))}; got {_short(value)}")
        return value
    if origin in (Union, UnionType):
        inner = [of for of in get_args(kind) if of is not type(None)]
        return value if value is None or len(inner) > 1 else _as_type(value, inner[0], name)
    if origin is tuple:
        sequence = isinstance(value, list | tuple)
        expected = "names, a list of texts" if get_args(kind)[0] is str else "a list"
        require(sequence, f"{name} must be {expected}, got {_short(value)}")
        return tuple(_as_type(one, get_args(kind)[0], name) for one in value)
    if origin is Mapping:
        named = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
        require(named, f"{name} must be an object, got {_short(value)}")
        return {key: _as_type(of, get_args(kind)[1], f"{name}.{key}") for key, of in value.items()}
    if kind not in _WORDS:
        return value
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if kind is int and number and value == value // 1:
        whole = int(value)
        top = 2**64 if name.endswith(("seed", "seeds")) else LARGEST
        require(abs(whole) <= top, f"{name} must be at most {top}, got {_short(whole)}")
        return value if type(value) is int else whole
    if kind is float and number and math.isfinite(value):
        return value if isinstance(value, int | float) else float(value)
    of_kind = kind in (str, bool) and isinstance(value, kind)
    require(of_kind, f"{name} must be {_WORDS[kind]}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def require_seed(seed: Any, name: str) -> None:
    """Refuses what no random key can be made from.

    Raises:
      ValueError: unless it is a whole number in 0..2**32 - 1.
    """
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    require(
        whole and 0 <= seed < 2**32,
        f"{name} must be a whole number in 0..2**32-1, got {_short(seed)}",
    )


def require_resamples(resamples: int, name: str) -> None:
    """Refuses a number of bootstrap resamples that gives no interval, or takes for ever.

    Raises:
      ValueError: naming the bounds; ``name`` is what it calls the number.
    """
    require(
        2 <= resamples <= 10**6,
        f"{name} must be at least 2 and at most 1,000,000, got {resamples}",
    )


def build(cls: type, values: Any, prefix: str = "") -> Any:
    """A dataclass, and the dataclasses in its fields, from the objects of a JSON file.

    Args:
      cls: the dataclass.
      values: its fields by name; absent ones keep their defaults.
      prefix: where the object stands, e.g. ``train.``, for messages.

    Raises:
      ValueError: on anything but an object, on an unknown key, or on one key under two names.
    """
    require(
        isinstance(values, dict),
        f"{prefix.rstrip('.') or 'a configuration'} must be an object, got {_short(values)}",
    )
    fields = {field.name: field for field in dataclasses.fields(cls)}
    accepted = inspect.signature(cls).parameters  # fields, and old names a class takes itself
    built: dict[str, Any] = {}
    for key, value in values.items():
        name = _OLD_KEYS.get(f"{prefix}{key}", key)
        if name not in accepted:
            raise ValueError(f"unknown key {prefix}{key}; {nearest(key, fields, prefix)}")
        if name in built:
            raise ValueError(f"{prefix}{name} is given twice, once under its old name")
        kind = fields[name].type if name in fields else None
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            value = build(kind, value, f"{prefix}{key}.")
        built[name] = tuple(value) if isinstance(value, list) else value
    needed = (
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    missing = [name for name in needed if name not in built]
    require(not missing, f"{prefix}{', '.join(missing)} must be given")
    return cls(**built)


def nearest(key: str, known: Iterable[str], prefix: str = "") -> str:
    """The known key most like a wrong one, or all that are known, in words."""
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"known keys: {', '.join(known)}"
