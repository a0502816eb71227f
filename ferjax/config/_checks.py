"""Checks of configuration values, and dataclasses from the nested objects of a JSON file."""

import dataclasses
import difflib
import inspect
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

__all__ = ["build", "nearest", "require", "require_known_choices"]

_OLD_KEYS = {"evaluate.familiar_faces": "density_faces"}
"""Keys that version 0.1.0 wrote under another name."""


def require(condition: bool, message: str) -> None:
    """Raises ValueError with a message unless a condition holds."""
    if not condition:
        raise ValueError(message)


def require_known_choices(part: Any, prefix: str) -> None:
    """Holds every ``Literal`` field to its choices; Python itself does not."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        choices = get_args(field.type)
        require(
            get_origin(field.type) is not Literal or value in choices,
            f"{prefix}.{field.name} must be one of {', '.join(map(str, choices))}; got {value!r}",
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
        f"{prefix.rstrip('.') or 'a configuration'} must be an object, got {values!r}",
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
    return cls(**built)


def nearest(key: str, known: Iterable[str], prefix: str = "") -> str:
    """The known key most like a wrong one, or all that are known, in words."""
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"did you mean {prefix}{near[0]}?" if near else f"known keys: {', '.join(known)}"
