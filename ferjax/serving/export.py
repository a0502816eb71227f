"""Writes a run as one file: preprocessing, ensemble, decomposition and routers as StableHLO.

The file is checked against the run before it appears. Its layout, and reading it without the
training code: :mod:`ferjax.serving.archive`.
"""

import dataclasses
import datetime
import io
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from ferjax.config import Config
from ferjax.ensemble.prediction import Trained, load_run
from ferjax.events import OnEvent, silent
from ferjax.faces.image_files import from_array
from ferjax.files import read_json, write_atomically
from ferjax.routing import RouterRule
from ferjax.serving import archive, live, verification
from ferjax.serving.archive_parts import require_replaceable
from ferjax.serving.program import (
    Basis,
    Chosen,
    InferenceProgram,
    RouterOutput,
    as_rules,
    basis_of,
    require_no_prior,
)

__all__ = ["PLATFORMS", "export", "parity"]

PLATFORMS = ("cpu", "cuda")
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}


def export(
    source: str | Path | Trained,
    out: str | Path,
    *,
    thresholds: Mapping[str, Any] | None = None,
    prior: str | None = None,
    unlabelled: np.ndarray | None = None,
    platforms: tuple[str, ...] = PLATFORMS,
    small: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Writes an evaluated run as one file, after checking that the file decides as the run does.

    Args:
      source: a run folder, or an opened :class:`Trained` (then give ``thresholds``).
      out: the file; appears whole or not at all.
      thresholds: in place of those of the run: rules by name, or the contents of a thresholds.json.
      prior: the class prior that the file decides under, in place of that of the evaluation; not
        beside ``thresholds``, which bring their own. See :class:`ferjax.serving.router.Router`.
      unlabelled: pictures as the run stores them, for the prior ``estimated``.
      platforms: where it shall run: cpu, cuda, rocm, tpu.
      small: keep matrices in fewer bytes: those of members that
        :func:`ferjax.ensemble.regroup.rounded` wrote in 8 bits, without loss; others, of densities
        above all, in 16.
      on_event: told of damaged checkpoints that were passed over, and of members left out.

    Returns:
      What ``ferjax.json`` holds.

    Raises:
      FileNotFoundError: if the folder is no run, or was not evaluated.
      IsADirectoryError: if ``out`` is a folder.
      ValueError: on an unknown platform, or if the exported program and the live one differ.
    """
    unknown = set(platforms) - {"cpu", "cuda", "rocm", "tpu"}
    if unknown or not platforms:
        raise ValueError(
            "platforms must be some of cpu, cuda, rocm, tpu; got "
            f"{', '.join(sorted(unknown)) or 'none'}"
        )
    out = Path(out)
    require_replaceable(out)
    run = None if isinstance(source, Trained) else Path(source)
    if thresholds is not None:
        require_no_prior(prior)
        chosen = Chosen(as_rules(thresholds), None, basis=basis_of(thresholds, run))
        trained = source if isinstance(source, Trained) else load_run(Path(source), on_event)
    elif run is not None:
        chosen, trained = live.open_chosen(run, on_event, prior, unlabelled)
    else:
        raise ValueError("give thresholds with an opened run; a run folder brings its own")
    rules = chosen.rules
    weights, program = _lower(trained, rules, platforms, chosen.basis)
    adjustment = chosen.basis.adjustment
    about = {
        "format": archive.FORMAT,
        **trained.spec.to_json(),
        "routers": {name: rule.to_json() for name, rule in rules.items()},
        "prior": None if adjustment is None else adjustment.to_json(),
        "provenance": {**provenance(run, trained, platforms), "caution": chosen.caution},
        "weights": len(weights),
    }
    kept = [archive.in_fewer_bytes(weight) for weight in weights] if small else weights
    # The check reads back the very bytes that will be on disk.
    draft = archive.read(io.BytesIO(archive.pack(about, program, kept)), str(out))
    tolerance = TOLERANCE["bfloat16" if small else trained.config.model.dtype]
    images = _random_pictures(trained.spec.side, trained.spec.colour)
    said = jax.device_get(live.from_trained(trained, rules, chosen.basis).forward(images))
    about["parity"] = _checked(said, draft, images, rules, tolerance)
    check = verification.stored(images, said)
    write_atomically(out, archive.pack(about, program, kept, check))
    return about


def _lower(
    trained: Trained,
    rules: Mapping[str, RouterRule],
    platforms: tuple[str, ...],
    basis: Basis,
) -> tuple[list[np.ndarray], bytes]:
    """Weights, and the serialised program that takes them as its first argument."""
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *trained.spec.shape), jnp.uint8)
    thresholds = archive.thresholds_of(rules)
    forward = live.traceable(trained, basis)

    def decide(images: jax.Array, thresholds: archive.Thresholds) -> tuple:
        traced = {}
        for name, (defer_above, reject_above) in thresholds.items():
            traced[name] = dataclasses.replace(
                rules[name], defer_above=defer_above, reject_above=reject_above
            )
        return tuple(forward(images, traced))

    # Tracing finds the weights as constants; they become the first argument instead.
    closed, shape = jax.make_jaxpr(decide, return_shape=True)(images, thresholds)
    structure = jax.tree.structure(shape)

    def program(weights: list, images: jax.Array, thresholds: archive.Thresholds) -> tuple:
        flat = jaxpr_as_fun(closed.replace(consts=weights))(*jax.tree.leaves((images, thresholds)))
        return jax.tree.unflatten(structure, flat)

    weights = list(closed.consts)
    lowered = jax.export.export(jax.jit(program), platforms=platforms)(weights, images, thresholds)
    return [np.asarray(weight) for weight in weights], bytes(lowered.serialize())


def provenance(run: Path | None, trained: Trained, platforms: tuple[str, ...]) -> dict[str, Any]:
    """Where a file comes from: versions, configuration with its seeds, and figures of the ensemble.

    Args:
      run: its folder, for the evaluation's figures; None if there is none.
      trained: the run.
      platforms: of the file.

    Returns:
      JSON values.
    """
    evaluated = None if run is None else run / "evaluation.json"
    figures = {}
    if evaluated is not None and evaluated.is_file():
        values = read_json(evaluated, "evaluation")
        found = values.get("quality") if isinstance(values, dict) else None
        figures = found if isinstance(found, dict) else {}
    return {
        "run": None if run is None else run.resolve().name,
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
            name: figures[name] for name in ("items", "accuracy", "nll", "ece") if name in figures
        },
        "config": _without_folders(trained.config),
    }


def _without_folders(config: Config) -> dict[str, Any]:
    """A configuration as JSON values, of paths their last part: a file is for other machines."""
    values = json.loads(config.to_json())
    for part, name in (("data", "path"), ("data", "embeddings"), ("model", "pretrained")):
        values[part][name] = Path(values[part][name]).name
    return values


def parity(live: InferenceProgram, exported: InferenceProgram, tolerance: float) -> dict[str, Any]:
    """Compares an exported program with the live one on random pictures, smooth and noisy.

    Args:
      live: of the run.
      exported: of the file.
      tolerance: largest difference allowed of any probability or score, relative where a score is
        above 1.

    Returns:
      The number of pictures, the platform, and the largest difference and where it is.

    Raises:
      ValueError: if a difference exceeds ``tolerance``, a picture is routed otherwise without lying
        on a threshold, or a router reads a score that the ensemble does not have.
    """
    images = _random_pictures(live.side, live.colour)
    ours = jax.device_get(live.forward(images))
    return _checked(ours, exported, images, live.rules, tolerance)


def _checked(
    ours: RouterOutput,
    exported: InferenceProgram,
    images: np.ndarray,
    rules: Mapping[str, RouterRule],
    tolerance: float,
) -> dict[str, Any]:
    theirs = jax.device_get(exported.forward(images))
    try:
        return verification.compare(ours, theirs, rules, tolerance)
    except ValueError as error:
        raise ValueError(f"{error}; nothing was written") from error


def _random_pictures(side: int, colour: bool) -> np.ndarray:
    """uint8 ``[16, side, side]``, or ``[16, side, side, 3]`` in colour: light and shade in a few
    patches, and noise in every pixel."""
    rng = np.random.default_rng(0)
    channels = (3,) if colour else ()
    coarse = rng.integers(0, 256, (12, 4, 4, *channels), np.uint8)
    patches = coarse.repeat(4, axis=1).repeat(4, axis=2)
    noise = rng.integers(0, 256, (4, side, side, *channels), np.uint8)
    brought = [from_array(picture, side, colour=colour) for picture in patches]
    return np.concatenate([brought, noise])
