"""A run as one file: preprocessing, ensemble, decomposition and routers as StableHLO, with
everything needed to trust it.

The file is a zip archive, readable without ferjax:

* ``ferjax.json``: thresholds, class names, face side, provenance, and the parity check made at
  export;
* ``program.stablehlo``: ``jax.export`` of ``(weights, images uint8 [batch, side, side], limits) ->
  RouterOutput``, any batch;
* ``weights/NNN.npy``: the program's weights, in the order of its first argument; not constants, so
  that loading is quick.

Opening it needs JAX alone, none of the training code.
"""

import datetime
import io
import json
import platform
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from ferjax.faces.ferplus import SIDE
from ferjax.faces.votes import CLASSES
from ferjax.files import write_atomically
from ferjax.serving import program

if TYPE_CHECKING:
    from ferjax.ensemble.prediction import Trained

__all__ = ["PLATFORMS", "export", "load"]

PLATFORMS = ("cpu", "cuda")
FORMAT = 1
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}
_ABOUT = "ferjax.json"
_PROGRAM = "program.stablehlo"
_WEIGHTS = "weights/"


def export(run: Path, out: Path, *, platforms: tuple[str, ...] = PLATFORMS) -> dict:
    """Writes an evaluated run as one file, after checking that the file decides as the run does.

    Args:
      run: folder of the run.
      out: the file; appears whole or not at all.
      platforms: where it shall run: cpu, cuda, rocm, tpu.

    Returns:
      What ``ferjax.json`` holds.

    Raises:
      FileNotFoundError: if the folder is no run, or was not evaluated.
      ValueError: on an unknown platform, or if the exported program and the live one differ.
    """
    from ferjax.ensemble.prediction import load_run

    unknown = set(platforms) - {"cpu", "cuda", "rocm", "tpu"}
    if unknown or not platforms:
        raise ValueError(
            f"platforms must be some of cpu, cuda, rocm, tpu; got {', '.join(sorted(unknown)) or 'none'}"
        )
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; give the name of a file")
    thresholds = program.load_thresholds(run)
    trained = load_run(run)
    live = program.from_trained(trained, thresholds)
    rules = program.rules_of(thresholds)
    weights, exported = _lower(trained, rules, platforms)
    about = {
        "format": FORMAT,
        "classes": CLASSES,
        "side": SIDE,
        "thresholds": thresholds,
        "provenance": provenance(run, trained, platforms),
        "weights": len(weights),
    }
    tolerance = TOLERANCE[trained.config.model.dtype]
    # The check reads back the very bytes that will be on disk.
    draft = _pack(about, exported, weights)
    about["parity"] = parity(live, _unpack(io.BytesIO(draft), str(out)), tolerance)
    write_atomically(out, _pack(about, exported, weights))
    return about


def _lower(
    trained: "Trained", rules: Mapping[str, program.Rule], platforms: tuple[str, ...]
) -> tuple[list[np.ndarray], bytes]:
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, SIDE, SIDE), jnp.uint8)
    limits = program.limits_of(rules)
    closed, shape = jax.make_jaxpr(program.traceable(trained, rules), return_shape=True)(
        images, limits
    )
    structure = jax.tree.structure(shape)

    def whole(weights: list, images: Any, limits: Any) -> Any:
        flat = jaxpr_as_fun(closed.replace(consts=weights))(*jax.tree.leaves((images, limits)))
        return tuple(jax.tree.unflatten(structure, flat))

    lowered = jax.export.export(jax.jit(whole), platforms=platforms)(
        list(closed.consts), images, limits
    )
    return [np.asarray(c) for c in closed.consts], bytes(lowered.serialize())


def _pack(about: Mapping, exported: bytes, weights: list[np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_ABOUT, json.dumps(about, indent=1) + "\n")
        archive.writestr(_PROGRAM, exported)
        for i, array in enumerate(weights):
            with archive.open(f"{_WEIGHTS}{i:03d}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def provenance(run: Path, trained: "Trained", platforms: tuple[str, ...]) -> dict:
    """Where a file comes from: versions, configuration with its seeds, and how good the ensemble
    was found to be."""
    evaluated = run / "evaluation.json"
    figures = (
        json.loads(evaluated.read_text()).get("classification", {}) if evaluated.is_file() else {}
    )
    return {
        "run": run.resolve().name,
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("ferjax", "jax", "jaxlib", "flax", "numpy")},
        },
        "platforms": list(platforms),
        "members": len(trained.config.train.seeds),
        "seeds": list(trained.config.train.seeds),
        "valid_accuracy": [round(float(a), 6) for a in trained.best_accuracy],
        "test": {
            name: figures[name] for name in ("faces", "accuracy", "nll", "ece") if name in figures
        },
        "config": json.loads(trained.config.to_json()),
    }


def parity(live: program.Program, exported: program.Program, tolerance: float) -> dict:
    """Holds an exported program to the live one on drawn faces and noise.

    Returns:
      The number of faces, the platform, and the largest difference of any probability or score
      (relative where a score is above 1).

    Raises:
      ValueError: if a difference exceeds ``tolerance``, a face is routed otherwise without lying on
        a threshold, or a router reads a score that the ensemble does not have.
    """
    from ferjax.faces import synthetic

    noise = np.random.default_rng(0).integers(0, 256, (4, live.side, live.side), np.uint8)
    faces = np.concatenate([synthetic.make(12, seed=0)[0], noise])
    ours, theirs = jax.device_get((live.judge(faces), exported.judge(faces)))
    largest = {"probs": float(np.max(np.abs(ours.probs - theirs.probs)))}
    for name, score in ours.scores.items():
        largest[name] = float(
            np.max(np.abs(score - theirs.scores[name]) / np.maximum(1.0, np.abs(score)))
        )
    worst = max(largest, key=lambda name: np.nan_to_num(largest[name], nan=np.inf))
    if not largest[worst] <= tolerance:
        raise ValueError(
            f"the exported program differs from the run by {largest[worst]:.3g} in {worst}, more than {tolerance}; "
            "nothing was written"
        )
    for name, rule in program.rules_of(live.thresholds).items():
        program.require(ours, name, rule)
        near = np.zeros(len(faces), bool)
        for score, above in ((rule.defer, rule.defer_above), (rule.reject, rule.reject_above)):
            near |= np.abs(ours.scores[score] - above) <= tolerance * max(1.0, abs(above))
        otherwise = (ours.action[name] != theirs.action[name]) & ~near
        if otherwise.any():
            raise ValueError(
                f"the exported program routes {otherwise.sum()} of {len(faces)} faces otherwise than the run "
                f"under {name!r}; nothing was written"
            )
    return {
        "faces": len(faces),
        "platform": jax.default_backend(),
        "tolerance": tolerance,
        "largest_difference": largest[worst],
        "in": worst,
    }


def load(path: Path, thresholds: Mapping | None = None) -> program.Program:
    """Opens a file of :func:`export`.

    Args:
      path: the file.
      thresholds: replace the file's; its routers must read the scores they read in the file.

    Raises:
      ValueError: if it is no such file, is damaged, is of a newer format, or was not exported for
        this platform.
    """
    with open(path, "rb") as file:
        return _unpack(file, str(path), thresholds)


def _unpack(file: Any, name: str, thresholds: Mapping | None = None) -> program.Program:
    try:
        with zipfile.ZipFile(file) as archive:
            about = json.loads(archive.read(_ABOUT))
            if about["format"] != FORMAT:
                raise ValueError(
                    f"format {about['format']}, this version of ferjax reads format {FORMAT}"
                )
            exported = jax.export.deserialize(bytearray(archive.read(_PROGRAM)))
            weights = []
            for i in range(about["weights"]):
                with archive.open(f"{_WEIGHTS}{i:03d}.npy") as member:
                    weights.append(
                        jnp.asarray(np.lib.format.read_array(member, allow_pickle=False))
                    )
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(
            f"{name}: not a file that `ferjax export` wrote, or a damaged one: {error}"
        ) from error
    here = (
        "cuda"
        if jax.default_backend() == "gpu" and "rocm" not in exported.platforms
        else jax.default_backend()
    )
    if here not in exported.platforms:
        raise ValueError(
            f"{name} was exported for {', '.join(exported.platforms)} and this is {here}; "
            f"export it again with --platforms {here}"
        )
    rules = program.rules_of(about["thresholds"])
    chosen = program.rules_of(about["thresholds"] if thresholds is None else thresholds)
    for router, rule in chosen.items():
        if router not in rules or (rule.defer, rule.reject) != (
            rules[router].defer,
            rules[router].reject,
        ):
            raise ValueError(
                f"{name}: router {router!r} over {rule.defer} and {rule.reject} is not in this file; it has "
                f"{', '.join(f'{n} ({r.defer}, {r.reject})' for n, r in rules.items())}"
            )
    limits = program.limits_of({**rules, **chosen})
    call = jax.jit(exported.call)
    return program.Program(
        lambda images: program.RouterOutput(*call(weights, images, limits)),
        dict(thresholds or about["thresholds"]),
        tuple(about["classes"]),
        about["side"],
        {**about["provenance"], "parity": about.get("parity")},
    )
