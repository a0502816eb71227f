"""What is promised of accepted texts, and its certificate: a small error, a small gap, or both.

*Error*: the chance that a random person does not choose the accepted label. One rater of each text,
drawn at random, is right or wrong: an exact binomial test.

*Gap*: the squared distance of the jury's distribution p from people's q, summed over classes, in
expectation over accepted texts. Of one text neither is known, but two raters with votes v and w
(one class, or a vote split evenly over the classes a rater named) give (v − p)·(w − p), whose
expectation is |q − p|², and the mean over all pairs of a text's raters has the same. It may be
negative, and lies between −1/2 (p is even over two classes, of which each rater chose another) and
2 (p is sure of one class, both raters of another), so that (gap + 1/2) / (5/2) is a loss in [0, 1]:
a bound of its mean is one of the gap. Where several classes may apply, p is the jury's
distribution brought to sum 1, as a split vote is.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import conformal, panels
from ferjax.evaluation.judgments.rows import split_votes
from ferjax.evaluation.judgments.sides import Sides

__all__ = ["HIGHEST", "LOWEST", "Certificate", "Promise", "certify", "gaps"]

LOWEST = -0.5
"""The unbiased gap of a text is never less."""
HIGHEST = 2.0
"""Nor more."""


@dataclasses.dataclass(frozen=True)
class Promise:
    """What accepted texts are to keep, all of it at once with the confidence.

    Raises:
      ValueError: if nothing is promised, or a bound cannot be one.
    """

    max_error: float | None = None
    """ε of the error, in (0, 1)."""
    max_gap: float | None = None
    """ε of the gap, in (0, 2)."""
    confidence: float = 0.9
    """1 − δ."""

    def __post_init__(self) -> None:
        if self.max_error is None and self.max_gap is None:
            raise ValueError("a promise needs max_error or max_gap")
        for name, most in (("max_error", 1), ("confidence", 1), ("max_gap", 2)):
            value = getattr(self, name)
            if value is not None and not 0 < value < most:
                raise ValueError(f"{name} must lie between 0 and {most}, got {value:g}")

    def __str__(self) -> str:
        parts = []
        if self.max_error is not None:
            parts.append(f"an error of at most {100 * self.max_error:.0f} %")
        if self.max_gap is not None:
            parts.append(f"a gap of at most {self.max_gap:g}")
        return " and ".join(parts)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The most lenient threshold of the ambiguity at which the promise is certified.

    ``refused`` says why there is none; ``above`` is then NaN.
    """

    accept_error: float | None
    """What was promised of the error; None: nothing."""
    accept_gap: float | None
    """Likewise of the gap."""
    confidence: float
    above: float = math.nan
    accepted: float = math.nan
    """Share of the texts that it was tested on."""
    error: float = math.nan
    """Found among them."""
    gap: float = math.nan
    """Found among those of them with two ratings or more."""
    refused: str = ""


def gaps(sides: Sides, probs: np.ndarray) -> np.ndarray:
    """Unbiased gap of each text, from :data:`LOWEST` to :data:`HIGHEST`.

    Args:
      sides: people and judges.
      probs: ``[item, class]`` of the jury.

    Returns:
      float32 ``[item]``; NaN where fewer than two raters named a class.
    """
    people = sides.people
    if sides.ratings.kind == "multi":
        people = split_votes(sides.ratings.by_item[0].astype(np.float32))
        probs = probs / np.maximum(probs.sum(-1, keepdims=True), 1e-12)
    return np.asarray(_gaps(people, probs.astype(np.float32)))


@jax.jit
def _gaps(people: panels.Moments, probs: jax.Array) -> jax.Array:
    return panels.gap(people, panels.of_probs(probs))


def certify(
    ambiguity: np.ndarray,
    passes: np.ndarray,
    wrong: np.ndarray,
    gap: np.ndarray,
    promise: Promise,
) -> Certificate:
    """Finds the most lenient threshold at which the promise is kept, with its confidence.

    Every other text proposes thresholds, quantiles of its ambiguity, and where to begin: at the
    threshold that it finds best proven. The others test from there on, one threshold after the
    other until one fails (Learn Then Test). Where two things are promised, a threshold passes if
    both tests do: the p-value is the larger one.

    Args:
      ambiguity: ``[item]``, items in random order.
      passes: bool ``[item]``: not asked about.
      wrong: bool ``[item]``: a rater drawn at random did not choose the label.
      gap: ``[item]`` of :func:`gaps`.
      promise: what is to be certified.
    """
    levels = np.linspace(0, 1, 41)[1:]
    walk = np.quantile(ambiguity[0::2], levels)
    delta = 1 - promise.confidence
    inside = passes[:, None] & (ambiguity[:, None] <= walk[None])
    proposed = _p_values(inside[0::2], wrong[0::2], gap[0::2], promise)
    inside = inside[1::2]
    wrong = wrong[1::2]
    gap = gap[1::2]
    # The most lenient of equals: where all are as good as certain, and where none is.
    first = len(walk) - 1 - int(np.argmin(proposed[::-1]))
    p = _p_values(inside, wrong, gap, promise)
    proven = np.asarray(conformal.fixed_sequence(p, delta, first=first))
    base = Certificate(promise.max_error, promise.max_gap, promise.confidence)
    if not proven.any():
        accepted = int(inside[:, first].sum())
        error, found = _found(inside[:, first], wrong, gap)
        said = []
        if promise.max_error is not None:
            said.append(f"an error of {100 * error:.0f} %")
        if promise.max_gap is not None:
            said.append(
                "no gap for want of ratings" if np.isnan(found) else f"a gap of {found:.3f}"
            )
        seen = f"found {' and '.join(said)} among the {accepted} clearest"
        return dataclasses.replace(
            base,
            refused=f"{promise} among accepted texts cannot be promised with confidence "
            f"{100 * promise.confidence:.0f} % on {len(inside)} texts "
            f"({seen if accepted else 'the models disagree about all of them'}): rate more texts, "
            "or promise less",
        )
    last = int(np.flatnonzero(proven)[-1])
    error, found = _found(inside[:, last], wrong, gap)
    return dataclasses.replace(
        base,
        above=float(walk[last]),
        accepted=float(inside[:, last].mean()),
        error=error,
        gap=found,
    )


def _found(inside: np.ndarray, wrong: np.ndarray, gap: np.ndarray) -> tuple[float, float]:
    known = inside & ~np.isnan(gap)
    error = float(wrong[inside].mean()) if inside.any() else math.nan
    return error, float(gap[known].mean()) if known.any() else math.nan


def _p_values(
    inside: np.ndarray, wrong: np.ndarray, gap: np.ndarray, promise: Promise
) -> np.ndarray:
    """Of "the promise is broken" at each threshold, ``[threshold]``."""
    tests = []
    if promise.max_error is not None:
        errors = (inside & wrong[:, None]).sum(0)
        tests.append(conformal.binomial_tail(errors, inside.sum(0), promise.max_error))
    if promise.max_gap is not None:
        known = ~np.isnan(gap)
        wide = HIGHEST - LOWEST
        # Rounding may carry a gap a little over its ends.
        loss = np.clip((np.where(known, gap, 0.0) - LOWEST) / wide, 0, 1)
        test = jax.jit(conformal.betting_tail, static_argnames="delta")
        bound = (promise.max_gap - LOWEST) / wide
        where = inside.T & known[None]
        tests.append(test(loss[None], bound, where=where, delta=1 - promise.confidence))
    return np.max(np.stack([np.asarray(jnp.asarray(p)) for p in tests]), 0)
