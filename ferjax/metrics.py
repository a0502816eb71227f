"""How good are predictions and scores: exact under ties, weighted, pure.

Axis legend: ``[face]`` scores and labels, ``[face, class]`` log-probabilities ``log_probs`` and vote distributions ``q``.

Every function takes optional ``weights [face]`` (whole or real, >= 0): weight 2 means "this face twice", weight 0
"left out". That is what makes the bootstrap cheap: ``jax.vmap(lambda w: auroc(s, y, w))(weights)`` sorts once, because
the sort does not depend on the weights.

Undefined cases are NaN, never a silent 0 or 1; each docstring says which. A NaN among the inputs gives NaN.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = [
    "accuracy",
    "augrc",
    "aupr",
    "aurc",
    "auroc",
    "auroc_between",
    "brier",
    "ece",
    "excess_aurc",
    "fpr_at_tpr",
    "jensen_shannon",
    "kendall",
    "kl",
    "nll",
    "reliability_bins",
    "selective_risk",
    "spearman",
    "spearman_ceiling",
    "vote_accuracy",
]


class _Ties(NamedTuple):
    """A sort of scores, with the first and last position of the tie group each sorted position belongs to."""

    order: jax.Array
    first: jax.Array
    last: jax.Array


def _ties(scores: jax.Array) -> _Ties:
    order = jnp.argsort(scores)
    ordered = scores[order]
    position = jnp.arange(scores.shape[0])
    changes = ordered[1:] != ordered[:-1]
    one = jnp.ones(1, bool)
    first = jax.lax.cummax(jnp.where(jnp.concatenate([one, changes]), position, 0))
    last = jax.lax.cummin(jnp.where(jnp.concatenate([changes, one]), position, scores.shape[0]), reverse=True)
    return _Ties(order, first, last)


def _below_and_through(ties: _Ties, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Weight strictly below, and up to and including, the tie group at each sorted position."""
    running = jnp.cumsum(weights[ties.order])
    through = running[ties.last]
    below = jnp.where(ties.first > 0, running[ties.first - 1], 0)
    return below, through


def _weights(weights: jax.Array | None, like: jax.Array) -> jax.Array:
    if weights is None:
        return jnp.ones(like.shape[:1], jnp.int32)
    weights = jnp.asarray(weights)
    if weights.shape != like.shape[:1]:
        raise ValueError(f"weights must be [face] {like.shape[:1]}, got {weights.shape}")
    return weights


def _pair(scores: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"expected two arrays [face] of one length, got {scores.shape} and {labels.shape}")
    return scores, labels


def _mean(values: jax.Array, weights: jax.Array | None) -> jax.Array:
    """Weighted mean over faces; NaN when no face has weight. A face of weight 0 is left out even where it is undefined."""
    w = _weights(weights, values).astype(jnp.float32)
    return jnp.sum(jnp.where(w > 0, w * values, 0.0)) / jnp.sum(w)


def _top_class(log_probs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The most probable class, and whether there is one: argmax would take a NaN for the largest."""
    log_probs = jnp.asarray(log_probs)
    return jnp.argmax(log_probs, -1), ~jnp.any(jnp.isnan(log_probs), -1)


def auroc(scores: jax.Array, labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.

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
    scores, labels = _pair(scores, labels)
    w = _weights(weights, scores)
    ties, positive = _ties(scores), labels.astype(bool)
    negatives = jnp.where(positive, 0, w)
    below, through = _below_and_through(ties, negatives)
    # Shares before products: counts of pairs would overflow int32 and blur in float32.
    beaten = (below + through).astype(jnp.float32) / (2.0 * jnp.sum(negatives))
    result = _mean(beaten, jnp.where(positive, w, 0)[ties.order])
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, result)


def auroc_between(
    negatives: jax.Array,
    positives: jax.Array,
    negative_weights: jax.Array | None = None,
    positive_weights: jax.Array | None = None,
) -> jax.Array:
    """:func:`auroc` of two samples that are already apart: clean against corrupted faces, say.

    Half the work of pooling them, and each side keeps its own weights: pass the same weights twice when both sides are
    the same faces, so that a bootstrap resamples faces, not pictures.

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
    negatives, positives = jnp.asarray(negatives), jnp.asarray(positives)
    if negatives.ndim != 1 or positives.ndim != 1:
        raise ValueError(f"expected scores [n] and [m], got {negatives.shape} and {positives.shape}")
    w_n, w_p = _weights(negative_weights, negatives), _weights(positive_weights, positives)
    order, rank = jnp.argsort(negatives), jnp.argsort(positives)
    ordered, ranked = negatives[order], positives[rank]
    running = jnp.concatenate([jnp.zeros(1, w_n.dtype), jnp.cumsum(w_n[order])])
    below = running[jnp.searchsorted(ordered, ranked, side="left")]
    through = running[jnp.searchsorted(ordered, ranked, side="right")]
    beaten = (below + through).astype(jnp.float32) / (2.0 * running[-1])
    undefined = jnp.any(jnp.isnan(negatives)) | jnp.any(jnp.isnan(positives))
    return jnp.where(undefined, jnp.nan, _mean(beaten, w_p[rank]))


def _centred_ranks(scores: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted mid-ranks in face order, as shares of the total weight, centred on 0."""
    ties = _ties(scores)
    below, through = _below_and_through(ties, weights)
    # Centred before dividing: a constant is then exactly 0, also where a compiler divides by multiplying.
    ranks = (below + through - through[-1]).astype(jnp.float32) / (2.0 * through[-1])
    return jnp.zeros_like(ranks).at[ties.order].set(ranks, unique_indices=True)


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
    x, y = _pair(x, y)
    w = _weights(weights, x)
    rx, ry = _centred_ranks(x, w), _centred_ranks(y, w)
    covariance, var_x, var_y = _mean(rx * ry, w), _mean(rx * rx, w), _mean(ry * ry, w)
    rho = covariance / jnp.sqrt(var_x * var_y)
    rho = jnp.where((var_x > 0) & (var_y > 0), jnp.clip(rho, -1.0, 1.0), jnp.nan)
    return jnp.where(jnp.any(jnp.isnan(x)) | jnp.any(jnp.isnan(y)), jnp.nan, rho)


def accuracy(log_probs: jax.Array, labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Share of faces whose most probable class is the label; ties go to the first class.

    >>> float(accuracy(jnp.log(jnp.array([[0.9, 0.1], [0.4, 0.6]])), jnp.array([0, 0])))
    0.5
    """
    top, defined = _top_class(log_probs)
    return _mean(jnp.where(defined, (top == labels).astype(jnp.float32), jnp.nan), weights)


def vote_accuracy(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Mean share of the human votes that the predicted class holds: accuracy against people, not against one label.

    >>> float(vote_accuracy(jnp.log(jnp.array([[0.9, 0.1]])), jnp.array([[0.75, 0.25]])))
    0.75
    """
    top, defined = _top_class(log_probs)
    chosen = jnp.take_along_axis(jnp.asarray(q), top[:, None], axis=-1)[:, 0]
    return _mean(jnp.where(defined, chosen, jnp.nan), weights)


def nll(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Negative log-likelihood of the votes, ``mean -sum_c q_c log p_c``, nats per vote; 0 log 0 is 0.

    >>> round(float(nll(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]]))), 4)
    0.6931
    """
    q = jnp.asarray(q)
    # `!=` here and below, not `>`: NaN must stay NaN.
    return _mean(-jnp.sum(jnp.where(q != 0, q * jnp.asarray(log_probs, jnp.float32), 0.0), -1), weights)


def brier(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Brier score against the vote distribution, ``mean sum_c (p_c - q_c)^2``, in [0, 2].

    >>> float(brier(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[1.0, 0.0]])))
    0.5
    """
    return _mean(jnp.sum((jnp.exp(jnp.asarray(log_probs, jnp.float32)) - q) ** 2, -1), weights)


def kl(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Mean ``KL(q || p)`` of the votes from the prediction, nats.

    >>> float(kl(jnp.log(jnp.array([[0.5, 0.5]])), jnp.array([[0.5, 0.5]])))
    0.0
    """
    q = jnp.asarray(q, jnp.float32)
    log_q = jnp.log(jnp.where(q != 0, q, 1.0))
    return _mean(jnp.sum(jnp.where(q != 0, q * (log_q - jnp.asarray(log_probs, jnp.float32)), 0.0), -1), weights)


def jensen_shannon(log_probs: jax.Array, q: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Mean Jensen-Shannon divergence between prediction and votes, nats, in [0, log 2].

    >>> round(float(jensen_shannon(jnp.log(jnp.array([[1.0, 0.0]])), jnp.array([[0.0, 1.0]]))), 4)
    0.6931
    """
    q, p = jnp.asarray(q, jnp.float32), jnp.exp(jnp.asarray(log_probs, jnp.float32))
    middle = (p + q) / 2

    def divergence(a):
        some = a != 0
        return jnp.sum(jnp.where(some, a * (jnp.log(jnp.where(some, a, 1.0)) - jnp.log(jnp.where(some, middle, 1.0))), 0.0), -1)

    return _mean((divergence(p) + divergence(q)) / 2, weights)


class Bins(NamedTuple):
    """A reliability diagram, each ``[bin]``: share of faces, mean confidence, mean correctness (NaN in empty bins)."""

    share: jax.Array
    confidence: jax.Array
    correct: jax.Array


def reliability_bins(
    confidence: jax.Array, correct: jax.Array, weights: jax.Array | None = None, *, bins: int = 15, equal_mass: bool = False
) -> Bins:
    """Confidence against correctness in bins.

    Args:
      confidence: ``[face]`` in [0, 1].
      correct: ``[face]`` 0/1, or the share of votes for the predicted class.
      weights: optional ``[face]``.
      bins: number of bins (static).
      equal_mass: bins with equally many faces (cut by position in the sort) instead of equal width on [0, 1].

    Returns:
      :class:`Bins`.

    >>> reliability_bins(jnp.array([0.2, 0.9]), jnp.array([0, 1]), bins=2).share.tolist()
    [0.5, 0.5]
    """
    confidence, correct = _pair(jnp.asarray(confidence, jnp.float32), jnp.asarray(correct, jnp.float32))
    w = _weights(weights, confidence).astype(jnp.float32)
    confidence, correct = jnp.where(w > 0, confidence, 0.0), jnp.where(w > 0, correct, 0.0)
    if equal_mass:
        order = jnp.argsort(confidence)
        before = jnp.cumsum(w[order]) - w[order]
        bin_of = jnp.zeros(confidence.shape, jnp.int32).at[order].set((before * bins / jnp.sum(w)).astype(jnp.int32))
    else:
        # (low, high] as in Guo et al.: confidence 1 belongs to the last bin, 0 to the first.
        bin_of = jnp.ceil(confidence * bins).astype(jnp.int32) - 1
    member = jax.nn.one_hot(jnp.clip(bin_of, 0, bins - 1), bins, axis=0) * w[None]
    mass = jnp.sum(member, -1)
    return Bins(mass / jnp.sum(w), member @ confidence / mass, member @ correct / mass)


def ece(
    log_probs: jax.Array, labels: jax.Array, weights: jax.Array | None = None, *, bins: int = 15, equal_mass: bool = False
) -> jax.Array:
    """Expected calibration error of the top class: mean gap between confidence and accuracy over bins.

    Args:
      log_probs: ``[face, class]``.
      labels: ``[face]`` class indices.
      weights: optional ``[face]``.
      bins: number of bins (static).
      equal_mass: see :func:`reliability_bins`.

    Returns:
      Scalar in [0, 1].

    References:
      Guo et al., On Calibration of Modern Neural Networks, 2017, https://arxiv.org/abs/1706.04599.

    >>> round(float(ece(jnp.log(jnp.array([[0.8, 0.2], [0.8, 0.2]])), jnp.array([0, 1]))), 4)
    0.3
    """
    confidence = jnp.minimum(jnp.exp(jnp.max(jnp.asarray(log_probs, jnp.float32), -1)), 1.0)
    correct = jnp.argmax(log_probs, -1) == labels
    b = reliability_bins(confidence, correct, weights, bins=bins, equal_mass=equal_mass)
    return jnp.sum(jnp.where(b.share > 0, b.share * jnp.abs(b.confidence - b.correct), 0.0))


def aupr(scores: jax.Array, labels: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the precision-recall curve as average precision, tied scores entering together.

    Returns:
      Scalar in [0, 1]; the share of positives for a constant score; NaN without positives.

    >>> round(float(aupr(jnp.array([1.0, 2.0, 3.0]), jnp.array([1, 0, 1]))), 4)
    0.8333
    """
    scores, labels = _pair(scores, labels)
    w = _weights(weights, scores)
    ties, positive = _ties(-scores), labels.astype(bool)
    _, hits = _below_and_through(ties, jnp.where(positive, w, 0))
    _, called = _below_and_through(ties, w)
    precision = hits / jnp.maximum(called, 1e-30)
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, _mean(precision, jnp.where(positive, w, 0)[ties.order]))


def fpr_at_tpr(scores: jax.Array, labels: jax.Array, weights: jax.Array | None = None, *, tpr: float = 0.95) -> jax.Array:
    """Share of negatives called positive at the highest threshold that still finds ``tpr`` of the positives.

    Returns:
      Scalar in [0, 1]; 1 for a constant score; NaN if one class is absent.

    >>> float(fpr_at_tpr(jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([0, 1, 0, 1])))
    0.5
    """
    scores, labels = _pair(scores, labels)
    w = _weights(weights, scores)
    ties, positive = _ties(-scores), labels.astype(bool)
    positives, negatives = jnp.where(positive, w, 0), jnp.where(positive, 0, w)
    _, hits = _below_and_through(ties, positives)
    _, false = _below_and_through(ties, negatives)
    enough = hits >= tpr * jnp.sum(positives) * (1 - 1e-6)
    rate = false / jnp.sum(negatives)
    result = jnp.where(jnp.sum(positives) > 0, jnp.min(jnp.where(enough, rate, jnp.inf)), jnp.nan)
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, result)


def kendall(x: jax.Array, y: jax.Array) -> jax.Array:
    """Kendall's rank correlation τ_b, corrected for ties on either side.

    Compares all pairs, one row of faces at a time: O(N²) work, O(N) memory, exact in integers.

    Returns:
      Scalar in [-1, 1]; NaN if either side is constant.

    >>> round(float(kendall(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 2.0]))), 4)
    0.3333
    """
    x, y = _pair(x, y)

    def row(i):
        sx, sy = jnp.sign(x[i] - x).astype(jnp.int32), jnp.sign(y[i] - y).astype(jnp.int32)
        return jnp.stack([jnp.sum(sx * sy), jnp.sum(sx != 0), jnp.sum(sy != 0)]).astype(jnp.float32)

    concordance, distinct_x, distinct_y = jnp.mean(jax.lax.map(row, jnp.arange(x.shape[0]), batch_size=64), axis=0)
    tau = concordance / jnp.sqrt(distinct_x * distinct_y)
    return jnp.where(jnp.any(jnp.isnan(x)) | jnp.any(jnp.isnan(y)), jnp.nan, tau)


class SelectiveRisk(NamedTuple):
    """Risk against coverage, each ``[face]``, from most to least certain; tied scores share their group's end."""

    coverage: jax.Array
    risk: jax.Array


def selective_risk(uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None) -> SelectiveRisk:
    """Mean loss among the faces kept, when the most uncertain are left out; NaN where no face that counts is kept.

    Args:
      uncertainty: ``[face]``.
      loss: ``[face]`` in [0, 1], e.g. 0/1 error or one minus the share of votes for the predicted class.
      weights: optional ``[face]``.
    """
    uncertainty, loss = _pair(uncertainty, jnp.asarray(loss, jnp.float32))
    w = _weights(weights, uncertainty).astype(jnp.float32)
    ties = _ties(uncertainty)
    _, kept = _below_and_through(ties, w)
    _, lost = _below_and_through(ties, w * loss)
    risk = jnp.where(jnp.any(jnp.isnan(uncertainty)), jnp.nan, lost / kept)
    return SelectiveRisk(kept / jnp.sum(w), risk)


def aurc(uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the risk-coverage curve: mean selective risk over all coverages; lower is better.

    References:
      Geifman, Uziel & El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers, 2019,
      https://arxiv.org/abs/1805.08206.

    >>> round(float(aurc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    uncertainty, loss = _pair(uncertainty, loss)
    order = jnp.argsort(uncertainty)
    return _mean(selective_risk(uncertainty, loss, weights).risk, _weights(weights, uncertainty)[order])


def excess_aurc(uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """AURC above that of the best possible ordering (by the loss itself); 0 is perfect.

    >>> round(float(excess_aurc(jnp.array([0.2, 0.1]), jnp.array([0.0, 1.0]))), 4)
    0.5
    """
    return aurc(uncertainty, loss, weights) - _ideal_aurc(jnp.asarray(loss, jnp.float32), weights)


def _ideal_aurc(loss: jax.Array, weights: jax.Array | None) -> jax.Array:
    """AURC of the faces one by one, smallest loss first.

    A face of weight w and loss l, behind faces of weight K and loss L, enters as w faces, and
    ``sum_{j=1..w} (L + j l) / (K + j) = w l + (L - K l) (ψ(K + w + 1) - ψ(K + 1))``.
    """
    order = jnp.argsort(loss)
    w, ordered = _weights(weights, loss)[order].astype(jnp.float32), loss[order]
    kept, lost = jnp.cumsum(w), jnp.cumsum(w * ordered)
    before, lost_before = jnp.concatenate([jnp.zeros(1), kept[:-1]]), jnp.concatenate([jnp.zeros(1), lost[:-1]])
    harmonic = jax.scipy.special.digamma(kept + 1) - jax.scipy.special.digamma(before + 1)
    return jnp.sum(w * ordered + (lost_before - before * ordered) * harmonic) / jnp.sum(w)


def augrc(uncertainty: jax.Array, loss: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Area under the *generalised* risk-coverage curve: the mean of risk × coverage, a rank loss in [0, 1/2] for 0/1 loss.

    References:
      Traub et al., Overcoming Common Flaws in the Evaluation of Selective Classification Systems, 2024,
      https://arxiv.org/abs/2407.01032.

    >>> round(float(augrc(jnp.array([0.1, 0.2]), jnp.array([0.0, 1.0]))), 4)
    0.25
    """
    uncertainty, loss = _pair(uncertainty, loss)
    curve = selective_risk(uncertainty, loss, weights)
    return _mean(curve.risk * curve.coverage, _weights(weights, uncertainty)[jnp.argsort(uncertainty)])


def spearman_ceiling(votes: jax.Array, key: jax.Array, *, splits: int = 200) -> jax.Array:
    """The highest Spearman correlation with human disagreement that any predictor can be expected to reach.

    Splits each face's own votes into two random halves, correlates the halves' disagreements, steps the reliability up
    to the full number of votes (Spearman-Brown) and takes the square root.

    Args:
      votes: ``[face, class]`` whole emotion votes.
      key: random key of the splits.
      splits: how many random splits to average.

    Returns:
      Scalar in [0, 1]; about 0.82 for FER+; NaN if disagreement is constant.

    References:
      Spearman, Correlation Calculated from Faulty Data, 1910; Brown, 1910.
    """
    votes = jnp.asarray(votes, jnp.int32)
    most = 16  # slots per face; FER+ gives ten votes
    slot_class = jnp.sum(jnp.arange(most)[None, :, None] >= jnp.cumsum(votes, -1)[:, None, :], -1)

    def one_split(key):
        luck = jax.random.uniform(key, slot_class.shape)
        luck = jnp.where(slot_class < votes.shape[-1], luck, jnp.inf)
        first = jnp.argsort(jnp.argsort(luck, -1), -1) < (jnp.sum(votes, -1, keepdims=True) // 2)
        chosen = jax.nn.one_hot(slot_class, votes.shape[-1], dtype=jnp.int32)
        half = jnp.sum(chosen * first[..., None], 1)
        rest = votes - half
        disagreement = [1 - jnp.max(h, -1) / jnp.maximum(jnp.sum(h, -1), 1) for h in (half, rest)]
        return spearman(*disagreement)

    reliability = jnp.mean(jax.lax.map(one_split, jax.random.split(key, splits)))
    return jnp.sqrt(2 * reliability / (1 + reliability))
