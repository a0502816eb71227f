"""How well scores put faces in order: exact under ties, weighted, pure.

Axis legend: ``[face]`` scores and labels. Every function takes optional ``weights [face]`` (whole
or real, >= 0): weight 2 means "this face twice", weight 0 "left out". That is what makes the
bootstrap cheap: ``jax.vmap(lambda w: auroc(s, y, w))(weights)`` sorts once, because the sort does
not depend on the weights.

Undefined cases are NaN, never a silent 0 or 1; each docstring says which. A NaN among the inputs
gives NaN.
"""

import jax
import jax.numpy as jnp

from ferjax.metrics._weighted_ranks import (
    below_and_through,
    mean,
    pair,
    running_sum,
    ties,
    weights_of,
)

__all__ = [
    "aupr",
    "auroc",
    "auroc_between",
    "fpr_at_tpr",
    "kendall",
    "noise_ceiling",
    "spearman",
]


def auroc(scores: jax.Array, labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting
    one half.

    Args:
      scores: ``[face]``; higher should mean positive.
      labels: ``[face]`` bool or 0/1.
      weights: optional ``[face]``.

    Returns:
      Scalar in [0, 1]; 0.5 for a constant score; NaN if one class is absent.

    References:
      Hanley & McNeil, The meaning and use of the area under a ROC curve, 1982.

    >>> float(auroc(jnp.array([1.0, 2.0, 2.0, 3.0]), jnp.array([0, 0, 1, 1])))
    0.875
    """
    scores, labels = pair(scores, labels)
    w = weights_of(weights, scores)
    positive = labels.astype(bool)
    negatives = jnp.where(positive, 0, w)
    below, through = below_and_through(ties(scores), negatives)
    # Shares before products: counts of pairs would blur in float32.
    beaten = (below + through) / (2.0 * jnp.sum(negatives))
    result = mean(beaten, jnp.where(positive, w, 0))
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, result)


def auroc_between(
    negatives: jax.Array,
    positives: jax.Array,
    negative_weights: jax.Array | None = None,
    positive_weights: jax.Array | None = None,
) -> jax.Array:
    """:func:`auroc` of two samples that are already apart: clean against corrupted faces, say.

    Half the work of pooling them, and each side keeps its own weights: pass the same weights twice
    when both sides are the same faces, so that a bootstrap resamples faces, not pictures.

    Args:
      negatives: ``[n]`` scores that should be low.
      positives: ``[m]`` scores that should be high.
      negative_weights: optional ``[n]``.
      positive_weights: optional ``[m]``.

    Returns:
      Scalar in [0, 1]; NaN if either side is empty or has no weight.

    >>> float(auroc_between(jnp.array([1.0, 2.0]), jnp.array([2.0, 3.0])))
    0.875
    """
    negatives = jnp.asarray(negatives)
    positives = jnp.asarray(positives)
    if negatives.ndim != 1 or positives.ndim != 1:
        raise ValueError(
            f"expected scores [n] and [m], got {negatives.shape} and {positives.shape}"
        )
    w_n = weights_of(negative_weights, negatives)
    w_p = weights_of(positive_weights, positives)
    order = jnp.argsort(negatives)
    ordered = negatives[order]
    running = jnp.concatenate([jnp.zeros(1), running_sum(w_n[order])])
    below = running[jnp.searchsorted(ordered, positives, side="left")]
    through = running[jnp.searchsorted(ordered, positives, side="right")]
    beaten = (below + through) / (2.0 * running[-1])
    undefined = jnp.any(jnp.isnan(negatives)) | jnp.any(jnp.isnan(positives))
    return jnp.where(undefined, jnp.nan, mean(beaten, w_p))


def aupr(scores: jax.Array, labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the precision-recall curve as average precision, tied scores entering together.

    Returns:
      Scalar in [0, 1]; the share of positives for a constant score; NaN without positives.

    >>> round(float(aupr(jnp.array([1.0, 2.0, 3.0]), jnp.array([1, 0, 1]))), 4)
    0.8333
    """
    scores, labels = pair(scores, labels)
    w = weights_of(weights, scores)
    tied = ties(-scores)
    positive = labels.astype(bool)
    _, hits = below_and_through(tied, jnp.where(positive, w, 0))
    _, called = below_and_through(tied, w)
    precision = hits / jnp.maximum(called, 1e-30)
    return jnp.where(
        jnp.any(jnp.isnan(scores)), jnp.nan, mean(precision, jnp.where(positive, w, 0))
    )


def fpr_at_tpr(
    scores: jax.Array, labels: jax.Array, weights: jax.Array | None = None, *, tpr: float = 0.95
) -> jax.Array:
    """Share of negatives called positive at the highest threshold that still finds ``tpr`` of the
    positives.

    Returns:
      Scalar in [0, 1]; 1 for a constant score; NaN if one class is absent.

    >>> float(fpr_at_tpr(jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([0, 1, 0, 1])))
    0.5
    """
    scores, labels = pair(scores, labels)
    w = weights_of(weights, scores)
    tied = ties(-scores)
    positive = labels.astype(bool)
    positives = jnp.where(positive, w, 0)
    negatives = jnp.where(positive, 0, w)
    _, hits = below_and_through(tied, positives)
    _, false = below_and_through(tied, negatives)
    enough = hits >= tpr * jnp.sum(positives) * (1 - 1e-6)
    rate = false / jnp.sum(negatives)
    result = jnp.where(jnp.sum(positives) > 0, jnp.min(jnp.where(enough, rate, jnp.inf)), jnp.nan)
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, result)


def _centred_ranks(scores: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted mid-ranks in face order, as shares of the total weight, centred on 0."""
    below, through = below_and_through(ties(scores), weights)
    total = jnp.max(through)
    # Centred before dividing: a constant is then exactly 0, also where a compiler divides by
    # multiplying.
    return (below + through - total) / (2.0 * total)


def spearman(x: jax.Array, y: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Spearman's rank correlation with average ranks for ties.

    Args:
      x: ``[face]``.
      y: ``[face]``.
      weights: optional ``[face]``.

    Returns:
      Scalar in [-1, 1]; NaN if either side is constant or fewer than two faces have weight.

    References:
      Spearman, The Proof and Measurement of Association between Two Things, 1904.

    >>> float(spearman(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 5.0, 9.0])))
    1.0
    >>> bool(jnp.isnan(spearman(jnp.ones(3), jnp.arange(3.0))))
    True
    """
    x, y = pair(x, y)
    w = weights_of(weights, x)
    rx = _centred_ranks(x, w)
    ry = _centred_ranks(y, w)
    covariance = mean(rx * ry, w)
    var_x = mean(rx * rx, w)
    var_y = mean(ry * ry, w)
    rho = covariance / jnp.sqrt(var_x * var_y)
    rho = jnp.where((var_x > 0) & (var_y > 0), jnp.clip(rho, -1.0, 1.0), jnp.nan)
    return jnp.where(jnp.any(jnp.isnan(x)) | jnp.any(jnp.isnan(y)), jnp.nan, rho)


def kendall(x: jax.Array, y: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Kendall's rank correlation τ_b, corrected for ties on either side.

    Compares all pairs, 64 faces at a time: O(N²) work, O(N) memory. Under a vmap over weights the
    comparisons are made once and weighed by a matrix product.

    Returns:
      Scalar in [-1, 1]; NaN if either side is constant.

    References:
      Kendall, The Treatment of Ties in Ranking Problems, 1945.

    >>> round(float(kendall(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 2.0]))), 4)
    0.3333
    """
    x, y = pair(x, y)
    w = weights_of(weights, x)
    share = w / jnp.sum(w)

    def concordance(i):
        return jnp.dot(
            jnp.sign(x[i] - x) * jnp.sign(y[i] - y), share, precision=jax.lax.Precision.HIGHEST
        )

    def distinct(scores):
        below, through = below_and_through(ties(scores), w)
        return 1.0 - mean((through - below) / jnp.max(through), w)

    agreeing = jnp.sum(share * jax.lax.map(concordance, jnp.arange(x.shape[0]), batch_size=64))
    distinct_x = distinct(x)
    distinct_y = distinct(y)
    tau = agreeing / jnp.sqrt(distinct_x * distinct_y)
    tau = jnp.where((distinct_x > 1e-6) & (distinct_y > 1e-6), tau, jnp.nan)
    return jnp.where(jnp.any(jnp.isnan(x)) | jnp.any(jnp.isnan(y)), jnp.nan, tau)


def noise_ceiling(
    votes: jax.Array,
    key: jax.Array,
    weights: jax.Array | None = None,
    *,
    splits: int = 200,
    most: int | None = None,
) -> jax.Array:
    """The highest Spearman correlation with human disagreement that any predictor can be expected
    to reach.

    Splits each face's own votes into two random halves, correlates the halves' disagreements, steps
    the reliability up to the full number of votes (Spearman-Brown) and takes the square root.

    Args:
      votes: ``[face, class]`` whole emotion votes.
      key: random key of the splits.
      weights: optional ``[face]``.
      splits: how many random splits to average.
      most: the most votes a face has (static); read from ``votes`` unless given, which needs them
        outside of jit.

    Returns:
      Scalar in [0, 1]; about 0.82 for FER+; NaN if disagreement is constant, or the halves are not
      correlated.

    References:
      Spearman, Correlation Calculated from Faulty Data, 1910; Brown, 1910.
    """
    votes = jnp.asarray(votes, jnp.int32)
    most = int(votes.sum(-1).max()) if most is None else most
    slot_class = jnp.sum(jnp.arange(most)[None, :, None] >= jnp.cumsum(votes, -1)[:, None, :], -1)

    def one_split(key):
        luck = jax.random.uniform(key, slot_class.shape)
        luck = jnp.where(slot_class < votes.shape[-1], luck, jnp.inf)
        first = jnp.argsort(jnp.argsort(luck, -1), -1) < (jnp.sum(votes, -1, keepdims=True) // 2)
        chosen = jax.nn.one_hot(slot_class, votes.shape[-1], dtype=jnp.int32)
        half = jnp.sum(chosen * first[..., None], 1)
        rest = votes - half
        one, other = (1 - jnp.max(h, -1) / jnp.maximum(jnp.sum(h, -1), 1) for h in (half, rest))
        return spearman(one, other, weights)

    reliability = jnp.mean(jax.lax.map(one_split, jax.random.split(key, splits)))
    return jnp.sqrt(2 * reliability / (1 + reliability))
