"""The file of ``ferjax export``: a zip archive, opened with JAX alone.

Its parts, readable without ferjax:

* ``ferjax.json``: format, class names, side of the pictures, routers, the class prior that its
  probabilities are under, provenance, and the parity check made at export;
* ``program.stablehlo``: ``jax.export`` of ``(weights, images uint8 [batch, side, side], thresholds)
  -> (action, probs, scores)``, any batch, see :class:`ferjax.serving.program.RouterOutput`;
  thresholds are ``{router: (defer above, reject above)}``, float32;
* ``weights/NNN.npy``: the program's weights, in the order of its first argument; not constants, so
  that loading is quick. Matrices on a grid of 8 bits are int8, to be multiplied with the steps in
  ``steps/NNN.npy``, one a column (:mod:`ferjax.rounding`); float16 arrays stand for float32;
* ``check/NAME.npy``: pictures, and what the run said of them at export, see
  :mod:`ferjax.serving.verification`.

``digest`` in ``ferjax.json`` is of all of them, and of the rest of ``ferjax.json``: a file of which
any part was changed is refused.

Files of format 1 (version 0.1.0) are read too; they hold the contents of a thresholds.json in place
of the routers, and two names that have changed since.
"""

import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from ferjax.faces.spec import DataSpec
from ferjax.files import read_array, require_file
from ferjax.priors import Adjustment
from ferjax.rounding import Rounded, as_rounded
from ferjax.routing import RouterRule, read_rules
from ferjax.serving.archive_parts import (
    FORMAT,
    about_of,
    digest_of,
    is_exported,
    naming_damage,
    parts_of,
    zipped,
)
from ferjax.serving.program import InferenceProgram, RouterOutput
from ferjax.serving.time_limit import OutOfTimeError, within

__all__ = [
    "FORMAT",
    "Thresholds",
    "in_fewer_bytes",
    "is_exported",
    "load",
    "pack",
    "read",
    "read_check",
    "thresholds_of",
]

_NAMES_OF_FORMAT_1 = {"density": "familiarity", "ood_density": "unfamiliarity"}
_PROGRAM = "program.stablehlo"
_WEIGHTS = "weights/"
_STEPS = "steps/"
_CHECK = "check/"

Thresholds = dict[str, tuple[np.ndarray, np.ndarray]]
"""Router -> (defer above, reject above): plain containers, because a file's program must be called
without ferjax."""


def thresholds_of(rules: Mapping[str, RouterRule]) -> Thresholds:
    """The rules' thresholds as the argument of a file's program, float32."""
    return {
        name: (
            np.asarray(rule.defer_above, np.float32),
            np.asarray(rule.reject_above, np.float32),
        )
        for name, rule in rules.items()
    }


def pack(
    about: Mapping[str, Any],
    program: bytes,
    weights: Sequence[np.ndarray | Rounded],
    check: Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """The bytes of a file.

    Args:
      about: contents of ``ferjax.json``; ``digest`` is added unless it is there.
      program: serialised StableHLO.
      weights: in the order of the program's first argument, as :func:`in_fewer_bytes` gives them
        or as they are.
      check: arrays that :mod:`ferjax.serving.verification` repeats the parity check with.

    Returns:
      A zip archive, not compressed.
    """
    parts = {_PROGRAM: bytes(program)}
    for i, weight in enumerate(weights):
        name = f"{i:03d}.npy"
        if isinstance(weight, Rounded):
            parts[_STEPS + name] = _npy(weight.steps)
            weight = weight.multiples
        parts[_WEIGHTS + name] = _npy(weight)
    for name, array in (check or {}).items():
        parts[f"{_CHECK}{name}.npy"] = _npy(array)
    return zipped(about, parts)


def in_fewer_bytes(weight: np.ndarray) -> np.ndarray | Rounded:
    """A weight as a small file keeps it: int8 and steps where that loses nothing, other matrices of
    4,096 numbers or more in float16."""
    if weight.ndim < 2 or weight.size < 4096 or weight.dtype != np.float32:
        return weight
    found = as_rounded(weight)
    if found is None and np.abs(weight).max() < np.finfo(np.float16).max:
        return weight.astype(np.float16)
    return weight if found is None else found


def _weight(parts: Mapping[str, bytes], number: int) -> np.ndarray:
    """A weight as the program takes it, however it is kept."""
    name = f"{number:03d}.npy"
    kept = read_array(parts[_WEIGHTS + name])
    if _STEPS + name in parts:
        return Rounded(kept, read_array(parts[_STEPS + name])).values()
    return kept.astype(np.float32) if kept.dtype == np.float16 else kept


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def load(path: str | Path, rules: Mapping[str, RouterRule] | None = None) -> InferenceProgram:
    """Opens a file of ``ferjax export``.

    Args:
      path: the file.
      rules: router -> rule, in place of the file's; a router must read the scores that it reads in
        the file.

    Returns:
      The program; it runs on the default device, and every call is held to a time limit.

    Raises:
      ValueError: if it is no such file, is damaged, was changed, is of a newer format, was not
        exported for this platform, or does not have one of the routers.
    """
    with open(require_file(path, "exported file"), "rb") as file:
        return read(file, str(path), rules)


def read_check(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays that were packed as ``check``; none in files of version 0.1.0.

    Raises:
      ValueError: if it is no file of ``ferjax export``, is damaged, or was changed.
    """
    with open(require_file(path, "exported file"), "rb") as file, naming_damage(str(path)):
        parts = parts_of(file)
        about_of(parts)
        return {
            name.removeprefix(_CHECK).removesuffix(".npy"): read_array(data)
            for name, data in parts.items()
            if name.startswith(_CHECK)
        }


def read(
    file: IO[bytes], name: str, rules: Mapping[str, RouterRule] | None = None
) -> InferenceProgram:
    """Reads an open file; ``name`` is what messages call it. See :func:`load`."""
    with naming_damage(name):
        parts = parts_of(file)
        about = about_of(parts)
        exported = jax.export.deserialize(bytearray(parts[_PROGRAM]))
        weights = [jnp.asarray(_weight(parts, i)) for i in range(about["weights"])]
        own = _rules(about)
        adjustment = None if about.get("prior") is None else Adjustment.from_json(about["prior"])
        _require_arguments(exported, weights, DataSpec.from_json(about).shape)
    _require_platform(exported, name)
    rules = own if rules is None else rules
    _require_routers(rules, own, name)
    renamed = _NAMES_OF_FORMAT_1 if about["format"] == 1 else {}
    thresholds = _with_names(thresholds_of({**own, **rules}), renamed)
    current = {old: new for new, old in renamed.items()}
    call = _Limited(exported, name)

    def forward(images: np.ndarray) -> RouterOutput:
        action, probs, scores = call(weights, images, thresholds)
        return RouterOutput(_with_names(action, current), probs, _with_names(scores, current))

    return InferenceProgram(
        forward,
        rules,
        tuple(about["classes"]),
        about["side"],
        {**about["provenance"], "parity": about.get("parity")},
        caution=str(about["provenance"].get("caution", "")),
        digest=about.get("digest") or digest_of(about, parts),
        colour=about["colour"],
        adjustment=adjustment,
        members=_members(about["provenance"]),
    )


def _members(provenance: Mapping[str, Any]) -> int:
    """How many networks it says it is of; 0 where it does not say."""
    said = provenance.get("members")
    return said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else 0


class _Limited:
    """The program, compiled once for every batch size; a call that does not end is refused."""

    def __init__(self, exported: jax.export.Exported, name: str):
        self._jitted = jax.jit(exported.call)
        self._name = name
        self._compiled: dict[int, tuple[Any, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, weights: list, images: np.ndarray, thresholds: Thresholds) -> tuple:
        with self._lock:
            if len(images) not in self._compiled:
                compiled = self._jitted.lower(weights, images, thresholds).compile()
                self._compiled[len(images)] = (compiled, _seconds(compiled))
        compiled, limit = self._compiled[len(images)]
        try:
            return within(
                limit, lambda: jax.block_until_ready(compiled(weights, images, thresholds))
            )
        except OutOfTimeError as error:
            raise ValueError(
                f"{self._name}: its program {error} on {len(images)} pictures, many times what it "
                "should take; not a program that `ferjax export` wrote"
            ) from error


PATIENCE = 60.0
"""Seconds that any call may take."""
SLOWEST = 2e8
"""Floating-point operations per second of the slowest machine: more work may take longer."""


def _seconds(compiled: Any) -> float:
    """How long a call may take, by its operations; a loop that never ends has few."""
    try:
        costs = compiled.cost_analysis()
        flops = float((costs[0] if isinstance(costs, list) else costs).get("flops", 0.0))
    except Exception:  # not every platform counts them
        flops = 0.0
    return PATIENCE + max(flops, 0.0) / SLOWEST


def _rules(about: Mapping[str, Any]) -> dict[str, RouterRule]:
    if about["format"] == 1:
        return read_rules(about["thresholds"])
    return read_rules({"routers": about["routers"]})


def _require_arguments(
    exported: jax.export.Exported, weights: list[jax.Array], shape: tuple[int, ...]
) -> None:
    """Refuses a program that does not take these weights and pictures of this shape."""
    taken = exported.in_avals
    for number, (aval, weight) in enumerate(zip(taken, weights)):
        if aval.shape != weight.shape or aval.dtype != weight.dtype:
            raise ValueError(
                f"weight {number} is {weight.dtype} {list(weight.shape)}, the program takes "
                f"{aval.dtype} {list(aval.shape)}"
            )
    images = taken[len(weights)]
    if images.dtype != np.uint8 or tuple(images.shape[1:]) != shape:
        raise ValueError(f"the program takes no pictures of {' x '.join(map(str, shape))}")


def _with_names(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _require_platform(exported: jax.export.Exported, name: str) -> None:
    here = jax.default_backend()
    if here == "gpu" and "rocm" not in exported.platforms:
        here = "cuda"
    if here not in exported.platforms:
        raise ValueError(
            f"{name} was exported for {', '.join(exported.platforms)} and this is {here}; "
            f"export it again with --platforms {here}"
        )


def _require_routers(
    rules: Mapping[str, RouterRule], own: Mapping[str, RouterRule], file: str
) -> None:
    read = {router: (rule.defer, rule.reject) for router, rule in own.items()}
    for router, rule in rules.items():
        if read.get(router) != (rule.defer, rule.reject):
            there = ", ".join(f"{name} ({', '.join(pair)})" for name, pair in read.items())
            raise ValueError(
                f"{file}: router {router!r} over {rule.defer} and {rule.reject} is not in this "
                f"file; it has {there}"
            )
