"""The hall's pure functions as whole programs, for calls from plain Python.

Un-jitted, every operation of theirs compiles for itself, hundreds of them in one report; here each
function compiles once per shape.
"""

import jax

from ferjax import conformal, posterior, routing, uncertainty

__all__ = [
    "best_cell",
    "conformal_threshold",
    "decide",
    "disagreement_posterior",
    "group_conformal_thresholds",
    "learn_then_test",
    "mean_log_probs",
    "pareto_front",
    "quantile_threshold",
    "reliability",
    "routing_auc",
    "routing_curve",
]

mean_log_probs = jax.jit(uncertainty.mean_log_probs)
decide = jax.jit(routing.decide)
routing_curve = jax.jit(routing.routing_curve)
routing_auc = jax.jit(routing.routing_auc)
best_cell = jax.jit(routing.best_cell)
pareto_front = jax.jit(routing.pareto_front)
learn_then_test = jax.jit(
    conformal.learn_then_test, static_argnames=("max_error", "delta", "first")
)
conformal_threshold = jax.jit(conformal.conformal_threshold, static_argnums=1)
group_conformal_thresholds = jax.jit(conformal.group_conformal_thresholds, static_argnums=(2, 3))
quantile_threshold = jax.jit(conformal.quantile_threshold, static_argnums=1)
disagreement_posterior = jax.jit(
    posterior.disagreement_posterior, static_argnames=("prior", "draws", "level")
)
reliability = jax.jit(posterior.reliability)
