"""One router: two scores, two thresholds, and the action they give each item."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

__all__ = ["ACTIONS", "RouterRule", "decide", "read_rules"]

ACTIONS = ("accept", "defer", "reject")
"""What :func:`decide` returns indices into."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RouterRule:
    """Reject above ``reject_above`` of one score; else defer above ``defer_above`` of another.

    A pytree: the thresholds are leaves (scalars, or arrays that broadcast against the scores), so
    that another threshold is not another program; everything else is static.

    >>> RouterRule(1.0, 0.12).to_json()["reject"]
    {'score': 'epistemic', 'above': 0.12}
    """

    defer_above: ArrayLike
    """Threshold of the defer score, in its units (entropies: nats)."""
    reject_above: ArrayLike
    """Threshold of the reject score, in its units."""
    defer: str = dataclasses.field(default="aleatoric", metadata={"static": True})
    """Name of the defer score."""
    reject: str = dataclasses.field(default="epistemic", metadata={"static": True})
    """Name of the reject score."""
    false_rejection: float | None = dataclasses.field(default=None, metadata={"static": True})
    """Promised bound on the share of clean items rejected; None: nothing is promised."""

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores this router reads."""
        return tuple(dict.fromkeys((self.defer, self.reject)))

    def to_json(self) -> dict[str, Any]:
        """The rule as JSON values; an infinite threshold is ``null``."""
        return {
            "defer": {"score": self.defer, "above": _finite(self.defer_above)},
            "reject": {"score": self.reject, "above": _finite(self.reject_above)},
            "false_rejection": self.false_rejection,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RouterRule":
        """The inverse of :meth:`to_json`.

        Raises:
          ValueError: if a score or a threshold is missing or is none.

        >>> rule = RouterRule(1.0, float("inf"), false_rejection=0.05)
        >>> RouterRule.from_json(rule.to_json()) == rule
        True
        """
        try:
            sides = [(value[side]["score"], value[side]["above"]) for side in ("defer", "reject")]
            promise = value.get("false_rejection")
            promise = None if promise is None else float(promise)
            (defer, defer_above), (reject, reject_above) = sides
            rule = cls(_threshold(defer_above), _threshold(reject_above), defer, reject, promise)
            if not all(isinstance(name, str) for name in rule.scores):
                raise ValueError("a score must be given by its name")
            if promise is not None and not 0 < promise < 1:
                raise ValueError(f"false_rejection must be in (0, 1), got {promise}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                "a router must have defer and reject, each with score and above (a number, or null "
                f"for no threshold), got {value!r}"
            ) from error
        return rule


def _finite(threshold: ArrayLike) -> float | None:
    value = float(threshold)
    return None if math.isinf(value) else value


def _threshold(above: Any) -> float:
    if isinstance(above, bool | str):
        raise ValueError(f"a threshold must be a number or null, got {above!r}")
    value = math.inf if above is None else float(above)
    if math.isnan(value):
        raise ValueError("a threshold is not a number")
    return value


_OLD_NAMES = {"familiarity": "density", "unfamiliarity": "ood_density"}
"""Names that version 0.1.0 wrote for the router on densities and for its score."""


def read_rules(thresholds: Any) -> dict[str, RouterRule]:
    """The routers that the contents of a thresholds.json describe.

    Args:
      thresholds: ``{"routers": {name: RouterRule.to_json()}}``. Files of version 0.1.0 are read
        too: they hold ``aleatoric`` and ``epistemic`` thresholds of the router ``uar``, and one
        ``false_rejection`` for all routers.

    Returns:
      Router name -> :class:`RouterRule`, at least one.

    Raises:
      ValueError: naming the router or the key that is missing or wrong.

    >>> read_rules({"aleatoric": 1.0, "epistemic": None})["uar"].reject_above
    inf
    """
    if not isinstance(thresholds, Mapping):
        raise ValueError(f"thresholds must be an object, got {thresholds!r}")
    routers = thresholds.get("routers")
    if routers is None:
        missing = {"aleatoric", "epistemic"} - set(thresholds)
        if missing:
            raise ValueError(f"missing routers, or {', '.join(sorted(missing))}")
        sides = {"defer": "aleatoric", "reject": "epistemic"}
        routers = {"uar": {side: {"score": s, "above": thresholds[s]} for side, s in sides.items()}}
    if not isinstance(routers, Mapping) or not routers:
        raise ValueError(f"routers must be an object with at least one router, got {routers!r}")
    shared = {"false_rejection": thresholds.get("false_rejection")}
    rules = {}
    for name, router in routers.items():
        try:
            rule = RouterRule.from_json({**shared, **router})
        except (TypeError, ValueError) as error:
            raise ValueError(f"router {name!r}: {error}") from error
        reject = _OLD_NAMES.get(rule.reject, rule.reject)
        rules[_OLD_NAMES.get(name, name)] = dataclasses.replace(rule, reject=reject)
    return rules


def decide(defer: ArrayLike, reject: ArrayLike, rule: RouterRule) -> jax.Array:
    """One action per item.

    Args:
      defer: ``[item...]`` defer score; the paper's router: aleatoric (people would disagree).
      reject: ``[item...]`` reject score; the paper's router: epistemic (outside the model's data).
      rule: its thresholds, in the scores' units.

    Returns:
      int32 ``[item...]``, indices into :data:`ACTIONS`. A NaN score is rejected: what cannot be
      scored is not accepted.

    References:
      arXiv 2606.22725 (uncertainty-aware routing).

    >>> rule = RouterRule(defer_above=0.5, reject_above=0.2)
    >>> decide(jnp.array([0.1, 0.9, 0.1]), jnp.array([0.0, 0.0, 0.5]), rule).tolist()
    [0, 1, 2]
    """
    defer = jnp.asarray(defer)
    reject = jnp.asarray(reject)
    rejected = ~(reject <= rule.reject_above) | jnp.isnan(defer)
    return jnp.where(rejected, 2, jnp.where(defer > rule.defer_above, 1, 0)).astype(jnp.int32)
