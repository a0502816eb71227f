"""A learned router: logistic regression that tells corrupted valid faces from clean ones, and is
tested on test faces.

L-UAR reads seven features of the predictions; its variant also reads every score the files carry
(densities, above all). What a router was fitted on flatters it, so :func:`leave_one_out` also tests
each corruption with a router that never saw it.

Reference: arXiv 2606.22725 (L-UAR, whose released code fits on the test faces it scores).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import metrics, uncertainty
from ferjax.predictions import Predictions

__all__ = [
    "FEATURES",
    "Logistic",
    "fit",
    "fit_logistic",
    "leave_one_out",
    "score",
    "seven_features",
]

FEATURES = (
    "total",
    "aleatoric",
    "epistemic",
    "max p̄",
    "top-1 − top-2 of p̄",
    "std_k max p_k",
    "std_k H(p_k)",
)


class Logistic(NamedTuple):
    """``weights [feature]`` and ``bias`` on features standardised by ``mean`` and ``scale``;
    ``names`` of the scores read."""

    weights: jax.Array
    bias: jax.Array
    mean: jax.Array
    scale: jax.Array
    names: tuple[str, ...] = ()


@jax.jit
def seven_features(log_probs: jax.Array) -> jax.Array:
    """The protocol's features ``[face, 7]`` of ``log_probs [member, face, class]``, in the order of
    :data:`FEATURES`."""
    parts = uncertainty.decompose(log_probs)
    top = jax.lax.top_k(jnp.exp(uncertainty.mean_log_probs(log_probs)), 2)[0]
    member_top = jnp.exp(jnp.max(log_probs, -1))
    return jnp.stack(
        [
            *parts,
            top[:, 0],
            top[:, 0] - top[:, 1],
            jnp.std(member_top, 0),
            jnp.std(uncertainty.entropy(log_probs), 0),
        ],
        -1,
    )


@jax.jit
def fit_logistic(features: jax.Array, labels: jax.Array, penalty: float = 1.0) -> Logistic:
    """Ridge-penalised logistic regression by Newton's method, classes weighted alike.

    Args:
      features: ``[face, feature]``.
      labels: ``[face]`` bool.
      penalty: on the squared weights of standardised features (not on the bias).

    Returns:
      :class:`Logistic`.
    """
    mean = jnp.mean(features, 0)
    scale = jnp.std(features, 0) + 1e-9
    x = jnp.concatenate([(features - mean[None]) / scale[None], jnp.ones((len(features), 1))], -1)
    y = labels.astype(jnp.float32)
    balance = jnp.where(labels, 0.5 / jnp.mean(y), 0.5 / jnp.mean(1 - y))
    ridge = penalty * jnp.ones(x.shape[1]).at[-1].set(1e-6)

    def step(_: int, weights: jax.Array) -> jax.Array:
        p = jax.nn.sigmoid(x @ weights)
        gradient = x.T @ (balance * (p - y)) + ridge * weights
        hessian = (
            (x * (balance * p * (1 - p))[:, None]).T @ x
            + jnp.diag(ridge)
            + 1e-3 * jnp.eye(x.shape[1])
        )
        return weights - jnp.linalg.solve(hessian, gradient)

    weights = jax.lax.fori_loop(0, 25, step, jnp.zeros(x.shape[1]))
    return Logistic(weights[:-1], weights[-1], mean, scale)


def _features(predictions: Predictions, names: Sequence[str]) -> np.ndarray:
    columns = [np.asarray(seven_features(predictions.log_probs))]
    # Distances have long tails; their logarithms are what a linear score can weigh.
    columns += [_signed_log(predictions.scores[name])[:, None] for name in names]
    return np.concatenate(columns, axis=1)


def _signed_log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def fit(valid: Predictions, corrupted: Iterable[Predictions], *, with_scores: bool) -> Logistic:
    """Fits a router on valid faces: clean against corrupted.

    Args:
      valid: clean.
      corrupted: copies of valid faces.
      with_scores: also read every score the files carry.
    """
    names = tuple(sorted(valid.scores)) if with_scores else ()
    clean = _features(valid, names)
    shifted = [_features(p, names) for p in corrupted]
    features = np.concatenate([clean, *shifted])
    router = fit_logistic(
        jnp.asarray(features, jnp.float32), jnp.arange(len(features)) >= len(clean)
    )
    return router._replace(names=names)


def score(router: Logistic, predictions: Predictions) -> jax.Array:
    """The router's log odds that a face is corrupted, ``[face]``."""
    features = jnp.asarray(_features(predictions, router.names), jnp.float32)
    return ((features - router.mean[None]) / router.scale[None]) @ router.weights + router.bias


def leave_one_out(
    valid: Predictions,
    corrupted: Iterable[Predictions],
    test: Predictions,
    copies: Sequence[Predictions],
    *,
    with_scores: bool,
) -> dict:
    """Shift AUROC on test faces, per corruption, of a router that was fitted without that
    corruption.

    Returns:
      ``fitted`` (the corruptions there were to fit on), ``weights`` of the router of all of them by
      feature, and ``auroc[corruption][severity]``.
    """
    corrupted = list(corrupted)
    fitted = sorted({str(p.corruption) for p in corrupted})
    everything = fit(valid, corrupted, with_scores=with_scores)
    table: dict = {
        "fitted": fitted,
        "auroc": {},
        "weights": dict(zip((*FEATURES, *everything.names), map(float, everything.weights))),
    }
    routers = {None: everything} | {
        name: fit(valid, [p for p in corrupted if p.corruption != name], with_scores=with_scores)
        for name in fitted
        if len(fitted) > 1
    }
    for p in copies:
        router = routers.get(p.corruption, everything)
        area = metrics.auroc_between(score(router, test), score(router, p))
        table["auroc"].setdefault(p.corruption, {})[str(p.severity)] = float(area)
    return table
