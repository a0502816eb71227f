"""Why a router acted as it did, in words."""

from collections.abc import Mapping

import numpy as np
from jax.typing import ArrayLike

from ferjax.routing import RouterRule

__all__ = ["explain"]


def explain(
    action: str, probs: Mapping[str, float], scores: Mapping[str, float], rule: RouterRule
) -> str:
    """Says why an item was routed as it was.

    Args:
      action: accept, defer or reject.
      probs: class -> probability.
      scores: score -> value, with those that the rule reads; ``expected_disagreement`` is told.
      rule: the router's scores and thresholds.

    Returns:
      One sentence without a full stop, which starts with the action.

    >>> rule = RouterRule(1.0, 0.12, false_rejection=0.05)
    >>> explain("reject", {}, {"aleatoric": 0.2, "epistemic": 0.31}, rule)
    'rejected: epistemic 0.31 is above 0.12, the level 95 % of clean items stay below'
    >>> likely = {"sadness": 0.48, "neutral": 0.37}
    >>> explain("defer", likely, {"aleatoric": 1.3, "epistemic": 0.1}, rule)
    'deferred: 48 % sadness, 37 % neutral (aleatoric 1.30 is above 1.00)'
    >>> rule = RouterRule(1.0, 40.0, defer="total", reject="ood_density")
    >>> explain("accept", {"cat": 0.97, "dog": 0.03}, {"total": 0.1, "ood_density": 7.5}, rule)
    'accepted: 97 % cat (total 0.10 is within 1.00, ood density 7.50 is within 40.00)'
    >>> rule = RouterRule(1.0, float("inf"))
    >>> said = {"aleatoric": 1.3, "epistemic": 0.1, "expected_disagreement": 0.38}
    >>> explain("defer", likely, said, rule)
    'deferred: 48 % sadness, 37 % neutral, expects 4 of 10 people to disagree (aleatoric 1.30 is
    above 1.00)'
    """
    if action == "reject":
        undefined = [name for name in rule.scores if np.isnan(scores[name])]
        if undefined:
            return (
                f"rejected: {_words(undefined[0])} is not a number; what cannot be scored is not "
                "accepted"
            )
        return f"rejected: {_above(rule.reject, scores, rule.reject_above)}{_promise(rule)}"
    likely = _likely(probs) + _disagreement(scores)
    if action == "defer":
        return f"deferred: {likely} ({_above(rule.defer, scores, rule.defer_above)})"
    within = []
    for name, threshold in ((rule.defer, rule.defer_above), (rule.reject, rule.reject_above)):
        if np.isfinite(threshold):
            value, limit = _distinct(scores[name], threshold)
            within.append(f"{_words(name)} {value} is within {limit}")
    return f"accepted: {likely}" + (f" ({', '.join(within)})" if within else "")


def _words(score: str) -> str:
    return score.replace("_", " ")


def _above(name: str, scores: Mapping[str, float], threshold: ArrayLike) -> str:
    value, limit = _distinct(scores[name], threshold)
    return f"{_words(name)} {value} is above {limit}"


def _promise(rule: RouterRule) -> str:
    if not rule.false_rejection:
        return ""
    return f", the level {100 * (1 - rule.false_rejection):.3g} % of clean items stay below"


def _likely(probs: Mapping[str, float]) -> str:
    """Up to three classes of 10 % or more, and the first in any case."""
    order = sorted(probs, key=probs.__getitem__, reverse=True)
    shown = [name for name in order[:3] if probs[name] >= 0.1 or name == order[0]]
    return ", ".join(f"{100 * probs[name]:.0f} % {name}" for name in shown)


def _disagreement(scores: Mapping[str, float]) -> str:
    """How many of ten people would not choose what most do, where the ensemble knows."""
    share = scores.get("expected_disagreement", np.nan)
    return "" if np.isnan(share) else f", expects {10 * share:.0f} of 10 people to disagree"


def _distinct(value: float, threshold: ArrayLike) -> tuple[str, str]:
    """Both numbers with as few decimals, two at least, as still show which is larger and that
    neither is 0."""
    limit = float(np.asarray(threshold))
    for decimals in range(2, 8):
        pair = (f"{value:.{decimals}f}", f"{limit:.{decimals}f}")
        if float(pair[0]) != float(pair[1]) and float(pair[0]) * float(pair[1]) != 0:
            break
    return pair
