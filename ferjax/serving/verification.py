"""Parity of an exported program with its run: at export, and again from the file alone.

The file keeps the pictures of the check and what the run said of them, so that anybody who has the
file can repeat it: ``ferjax export --verify FILE``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ferjax.routing import RouterRule
from ferjax.serving import archive
from ferjax.serving.program import RouterOutput, require_scores

__all__ = ["compare", "stored", "verify"]


def compare(
    ours: RouterOutput,
    theirs: RouterOutput,
    rules: Mapping[str, RouterRule],
    tolerance: float,
) -> dict[str, Any]:
    """Compares what a run says of pictures with what an exported program says of them.

    Args:
      ours: of the run, in numpy arrays.
      theirs: of the exported program.
      rules: router -> rule.
      tolerance: largest difference allowed of any probability or score, relative where a score is
        above 1.

    Returns:
      The number of pictures, the platform, and the largest difference and where it is.

    Raises:
      ValueError: if a difference exceeds ``tolerance``, a picture is routed otherwise without lying
        on a threshold, or a router reads a score that the ensemble does not have.
    """
    count = len(ours.probs)
    largest = {"probs": float(np.max(np.abs(ours.probs - theirs.probs)))}
    for name, score in ours.scores.items():
        difference = np.abs(score - theirs.scores[name]) / np.maximum(1.0, np.abs(score))
        largest[name] = float(np.max(difference))
    worst = max(largest, key=lambda name: np.nan_to_num(largest[name], nan=np.inf))
    if not largest[worst] <= tolerance:
        raise ValueError(
            f"the exported program differs from the run by {largest[worst]:.3g} in {worst}, more "
            f"than {tolerance}"
        )
    for name, rule in rules.items():
        require_scores(ours, name, rule)
        near = np.zeros(count, bool)
        for read, above in ((rule.defer, rule.defer_above), (rule.reject, rule.reject_above)):
            threshold = float(np.asarray(above))
            if np.isfinite(threshold):
                allowed = tolerance * max(1.0, abs(threshold))
                near |= np.abs(np.asarray(ours.scores[read]) - threshold) <= allowed
        otherwise = (ours.action[name] != theirs.action[name]) & ~near
        if otherwise.any():
            raise ValueError(
                f"the exported program routes {otherwise.sum()} of {count} pictures "
                f"otherwise than the run under {name!r}"
            )
    return {
        "pictures": count,
        "platform": jax.default_backend(),
        "tolerance": tolerance,
        "largest_difference": largest[worst],
        "in": worst,
    }


def stored(images: np.ndarray, said: RouterOutput) -> dict[str, np.ndarray]:
    """The arrays that a file keeps of a check: pictures, and what the run said of them."""
    return {
        "images": images,
        "probs": np.asarray(said.probs),
        **{f"action/{name}": np.asarray(of) for name, of in said.action.items()},
        **{f"scores/{name}": np.asarray(of) for name, of in said.scores.items()},
    }


def verify(path: str | Path) -> dict[str, Any]:
    """Repeats the check that was made at export, from what the file keeps of it.

    Args:
      path: the file; its digest is compared too.

    Returns:
      What :func:`compare` returns, and ``digest``.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is no file of ``ferjax export``, was changed, keeps no check, or its program
        does not say what the run said.
    """
    program = archive.load(path)
    kept = archive.read_check(path)
    if "images" not in kept or "probs" not in kept:
        raise ValueError(f"{path}: keeps no pictures of a check; export the run again")

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {n.removeprefix(prefix): a for n, a in kept.items() if n.startswith(prefix)}

    ours = RouterOutput(under("action/"), kept["probs"], under("scores/"))  # type: ignore[arg-type]
    theirs = jax.device_get(program.forward(kept["images"]))
    tolerance = (program.provenance.get("parity") or {}).get("tolerance", 1e-4)
    try:
        found = compare(ours, theirs, program.rules, tolerance)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: {error}") from error
    return {**found, "digest": program.digest}
