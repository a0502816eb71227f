"""The class prior of unlabelled items, estimated beside labelled ones, or refused."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax import priors, recalibration, uncertainty
from ferjax.predictions import Predictions
from ferjax.priors import Adjustment
from ferjax.votes import hard_labels

__all__ = ["LEAST_ITEMS", "MOST_ITEMS", "estimated", "vote_shares"]

REFUSED_BELOW = 0.05
"""p-value of the label-shift test from which on an estimate is believed."""
SHOWN_BELOW = 0.001
"""p-value of the likelihood ratio from which on the prior is taken for the training prior: where no
shift can be shown, an estimate would only add its own error. A shift that matters is shown beyond
any doubt; the ratio is too large now and then where calibration is not perfect."""
PRIOR_SHARE = 0.05
"""What the training prior counts for, as a share of the items: a class that the ensemble cannot
tell from others would otherwise get any share that noise suggests."""
LEAST_ITEMS = 50
"""Unlabelled items that an estimate needs."""
MOST_ITEMS = 2000
"""Items of either side that an estimate and its test look at."""


def vote_shares(p: Predictions) -> np.ndarray | None:
    """What people said, ``[item, class]``: shares that sum to 1, or 0 where nobody was asked."""
    votes = p.vote_shares if p.votes is None else p.votes
    if votes is None:
        return None
    return votes / np.maximum(votes.sum(1, keepdims=True), 1e-9)


def _labels(shares: np.ndarray) -> np.ndarray:
    """The label that most people gave, as ``[item, class]``; 0 where nobody was asked."""
    given = np.arange(shares.shape[1]) == hard_labels(shares)[:, None]
    return (given & (shares > 0)).astype(np.float32)


@jax.jit
def _calibrated(q: ArrayLike, valid: ArrayLike, others: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Pooled valid items and others under a temperature and a bias fitted on valid."""
    pooled = uncertainty.mean_log_probs(valid)
    scale = recalibration.Temperature.fit(q, pooled)
    bias = recalibration.Bias.fit(q, scale.apply(pooled))

    def apply(log_probs: jax.Array) -> jax.Array:
        return bias.apply(scale.apply(log_probs))

    return apply(pooled), apply(uncertainty.mean_log_probs(others))


_label_shift = jax.jit(priors.label_shift, static_argnames="strength")


@jax.jit
def _no_shift(
    log_probs: jax.Array, prior: jax.Array, found: jax.Array, valid_items: jax.Array
) -> jax.Array:
    """p-value of "these items have the prior of the valid ones", by their likelihood ratio.

    The valid items' own prior is as uncertain as they are few, which widens the ratio.
    """
    items = log_probs.shape[0]
    gain = jnp.sum(jax.nn.logsumexp(log_probs + jnp.log(found / prior)[None], axis=-1))
    statistic = 2 * jnp.maximum(gain, 0) / (1 + items / valid_items)
    return jax.scipy.stats.chi2.sf(statistic, log_probs.shape[1] - 1)


def estimated(
    unlabelled: np.ndarray, valid: Predictions, training: Sequence[float], *, seed: int = 0
) -> Adjustment:
    """The prior of unlabelled items, refused where they differ from valid in more than that, and
    that of training where no difference can be shown.

    The class of an item is the label that most people gave it: a population has more or fewer faces
    of a class. (A single vote is no class in this sense: which faces get some votes for it changes
    with the population too.) Both sides are first calibrated to labels by a temperature and a bias
    fitted on valid, without which the estimate is as biased as the ensemble; what the shares of
    labels change by is what is changed of the training prior.

    Args:
      unlabelled: ``[member, item, class]`` log-probabilities under the training prior.
      valid: clean valid items with votes.
      training: ``[class]`` the training prior.
      seed: of the label-shift test.

    Raises:
      ValueError: if there are too few items, or the label-shift test fails.

    References:
      Alexandari, Kundaje & Shrikumar, 2020, https://arxiv.org/abs/1901.06852.
    """
    items = unlabelled.shape[1]
    if items < LEAST_ITEMS:
        raise ValueError(f"an estimated prior needs at least {LEAST_ITEMS} items, got {items}")
    said = vote_shares(valid)
    assert said is not None
    rows = _spread(len(said))
    labels = _labels(said[rows])
    own, others = _calibrated(
        labels,
        np.asarray(valid.log_probs[:, rows], np.float32),
        np.asarray(unlabelled[:, _spread(items)], np.float32),
    )
    # Calibrated on valid, predictions are under valid's own prior; a class that nobody chose there
    # keeps its share of the training prior.
    floor = 1e-4 * np.asarray(training)
    prior = priors.check_prior(np.asarray(priors.mean_prior(labels)) + floor, len(training))
    strength = PRIOR_SHARE * others.shape[0]
    found = _label_shift(jax.random.key(seed), others, own, labels, prior, strength=strength)
    p_value = float(found.p_value)
    if not p_value > REFUSED_BELOW:
        raise ValueError(
            f"no prior can be estimated from these {items:,} items: they differ from the valid "
            f"items in more than how frequent the classes are (label-shift test, p = "
            f"{p_value:.3f}); give --prior FILE with shares that you know, or keep the training "
            "prior"
        )
    if float(_no_shift(others, prior, found.prior, np.float32(len(labels)))) > SHOWN_BELOW:
        return Adjustment.of("estimated", training, training)._replace(p_value=p_value)
    new = np.asarray(training) * np.asarray(found.prior) / np.asarray(prior)
    return Adjustment.of("estimated", training, new)._replace(p_value=p_value)


def _spread(items: int) -> np.ndarray:
    """At most :data:`MOST_ITEMS` rows, evenly from first to last."""
    return np.unique(np.linspace(0, items - 1, min(items, MOST_ITEMS)).astype(int))
