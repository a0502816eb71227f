"""The file of ``ferjax export``: a zip archive, opened with JAX alone.

Its parts, readable without ferjax:

* ``ferjax.json``: format, class names, side of the pictures, routers, provenance, and the parity
  check made at export;
* ``program.stablehlo``: ``jax.export`` of ``(weights, images uint8 [batch, side, side], thresholds)
  -> (action, probs, scores)``, any batch, see :class:`ferjax.serving.program.RouterOutput`;
  thresholds are ``{router: (defer above, reject above)}``, float32;
* ``weights/NNN.npy``: the program's weights, in the order of its first argument; not constants, so
  that loading is quick.

Files of format 1 (version 0.1.0) are read too; they hold the contents of a thresholds.json in place
of the routers, and two names that have changed since.
"""

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from ferjax.routing import RouterRule, read_rules
from ferjax.serving.program import InferenceProgram, RouterOutput

__all__ = ["FORMAT", "Thresholds", "load", "pack", "read", "thresholds_of"]

FORMAT = 2
_NAMES_OF_FORMAT_1 = {"density": "familiarity", "ood_density": "unfamiliarity"}
_ABOUT = "ferjax.json"
_PROGRAM = "program.stablehlo"
_WEIGHTS = "weights/"

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


def pack(about: Mapping[str, Any], program: bytes, weights: list[np.ndarray]) -> bytes:
    """The bytes of a file.

    Args:
      about: contents of ``ferjax.json``.
      program: serialised StableHLO.
      weights: in the order of the program's first argument.

    Returns:
      A zip archive, not compressed.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_ABOUT, json.dumps(about, indent=1) + "\n")
        archive.writestr(_PROGRAM, program)
        for i, array in enumerate(weights):
            with archive.open(f"{_WEIGHTS}{i:03d}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def load(path: str | Path, rules: Mapping[str, RouterRule] | None = None) -> InferenceProgram:
    """Opens a file of ``ferjax export``.

    Args:
      path: the file.
      rules: router -> rule, in place of the file's; a router must read the scores that it reads in
        the file.

    Returns:
      The program; it runs on the default device.

    Raises:
      ValueError: if it is no such file, is damaged, is of a newer format, was not exported for this
        platform, or does not have one of the routers.
    """
    with open(path, "rb") as file:
        return read(file, str(path), rules)


def read(
    file: IO[bytes], name: str, rules: Mapping[str, RouterRule] | None = None
) -> InferenceProgram:
    """Reads an open file; ``name`` is what messages call it. See :func:`load`."""
    with _naming_damage(name):
        archive = zipfile.ZipFile(file)
        about = json.loads(archive.read(_ABOUT))
        version = about["format"]
    if version not in (1, FORMAT):
        raise ValueError(
            f"{name}: exported in format {version!r}, this version of ferjax reads 1 and {FORMAT}; "
            "use a newer ferjax, or export the run again"
        )
    with _naming_damage(name):
        exported = jax.export.deserialize(bytearray(archive.read(_PROGRAM)))
        weights = [_weight(archive, i) for i in range(about["weights"])]
        own = read_rules(about["thresholds"] if version == 1 else {"routers": about["routers"]})
        classes = tuple(about["classes"])
        side = int(about["side"])
        provenance = {**about["provenance"], "parity": about.get("parity")}
    _require_platform(exported, name)
    rules = own if rules is None else rules
    _require_routers(rules, own, name)
    renamed = _NAMES_OF_FORMAT_1 if version == 1 else {}
    thresholds = _with_names(thresholds_of({**own, **rules}), renamed)
    current = {old: new for new, old in renamed.items()}
    call = jax.jit(exported.call)

    def forward(images: np.ndarray) -> RouterOutput:
        action, probs, scores = call(weights, images, thresholds)
        return RouterOutput(_with_names(action, current), probs, _with_names(scores, current))

    caution = about["provenance"].get("caution", "")
    return InferenceProgram(forward, rules, classes, side, provenance, caution)


@contextlib.contextmanager
def _naming_damage(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise ValueError(
            f"{name}: not a file that `ferjax export` wrote, or a damaged one: {error}"
        ) from error


def _weight(archive: zipfile.ZipFile, number: int) -> jax.Array:
    with archive.open(f"{_WEIGHTS}{number:03d}.npy") as member:
        return jnp.asarray(np.lib.format.read_array(member, allow_pickle=False))


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
