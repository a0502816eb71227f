"""Digests: hexadecimal names of contents, so that files that belong together can say so."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["digest_arrays", "digest_json"]

_SIZE = 16


def digest_arrays(arrays: Mapping[str, Any]) -> str:
    """The digest of arrays with their names, shapes and types, whatever their order.

    >>> digest_arrays({"a": np.zeros(2)}) == digest_arrays({"a": np.zeros(3)})
    False
    """
    found = hashlib.blake2b(digest_size=_SIZE)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def digest_json(value: Any) -> str:
    """The digest of JSON values, whatever the order of their keys.

    >>> digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=_SIZE).hexdigest()
