"""One router: two scores, two thresholds, and the action they give each item."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

__all__ = ["ACTIONS", "MEANINGS", "RouterRule", "decide", "preferred", "read_rules"]

ACTIONS = ("accept", "defer", "reject")
"""What :func:`decide` returns indices into."""

MEANINGS = {
    "accept": "the label stands",
    "defer": "no label is likely enough, so the whole distribution is given in place of one",
    "reject": "too unlike what the model has seen for any answer",
}
"""What each action says of an item."""


Threshold = float | jax.Array | np.ndarray | np.floating
"""A threshold: a number, or an array that broadcasts against the scores."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RouterRule:
    """Reject above ``reject_above`` of one score; else defer above ``defer_above`` of another.

    A pytree: the thresholds are leaves (scalars, or arrays that broadcast against the scores), so
    that another threshold is not another program; everything else is static.

    >>> RouterRule(1.0, 0.12).to_json()["reject"]
    {'score': 'epistemic', 'above': 0.12}
    """

    defer_above: Threshold
    """Threshold of the defer score, in its units (entropies: nats)."""
    reject_above: Threshold
    """Threshold of the reject score, in its units."""
    defer: str = dataclasses.field(default="aleatoric", metadata={"static": True})
    """Name of the defer score."""
    reject: str = dataclasses.field(default="epistemic", metadata={"static": True})
    """Name of the reject score."""
    false_rejection: float | None = dataclasses.field(default=None, metadata={"static": True})
    """Promised bound on the share of clean items rejected; None: nothing is promised."""

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores this router reads, each once."""
        return tuple(dict.fromkeys((self.defer, self.reject)))

    def to_json(self) -> dict[str, Any]:
        """The rule as JSON values; a threshold that nothing exceeds (``inf``) is ``null``.

        Raises:
          ValueError: if a threshold is not one number, or is NaN or ``-inf``.
        """
        return {
            "defer": {"score": self.defer, "above": _finite_or_none(self.defer_above)},
            "reject": {"score": self.reject, "above": _finite_or_none(self.reject_above)},
            "false_rejection": self.false_rejection,
        }

    @classmethod
    def from_json(cls, value: Any) -> "RouterRule":
        """The inverse of :meth:`to_json`.

        Args:
          value: an object with ``defer`` and ``reject``, each with ``score`` and ``above``, and
            perhaps ``false_rejection``; other keys are not read.

        Returns:
          The rule, its thresholds Python floats.

        Raises:
          ValueError: if a score or a threshold is missing or is none.

        >>> rule = RouterRule(1.0, float("inf"), false_rejection=0.05)
        >>> RouterRule.from_json(rule.to_json()) == rule
        True
        """
        try:
            if not isinstance(value, Mapping):
                raise ValueError("it is no object")
            defer = value["defer"]
            reject = value["reject"]
            return cls(
                defer_above=_threshold(defer["above"]),
                reject_above=_threshold(reject["above"]),
                defer=_name(defer["score"]),
                reject=_name(reject["score"]),
                false_rejection=_promise(value.get("false_rejection")),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                "a router must have defer and reject, each with score and above (a number, or null "
                f"for no threshold), got {value!r}"
            ) from error


def _finite_or_none(threshold: Threshold) -> float | None:
    if np.ndim(threshold) or not np.asarray(threshold) > -math.inf:
        raise ValueError(f"a threshold to be saved must be one number, got {threshold}")
    value = float(np.asarray(threshold))
    return None if value == math.inf else value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


def _threshold(above: Any) -> float:
    value = math.inf if above is None else _number(above)
    if not value > -math.inf:
        raise ValueError(f"expected a threshold, got {value}")
    return value


def _name(score: Any) -> str:
    if not isinstance(score, str):
        raise ValueError(f"a score must be given by its name, got {score!r}")
    return score


def _promise(false_rejection: Any) -> float | None:
    if false_rejection is None:
        return None
    share = _number(false_rejection)
    if not 0 < share < 1:
        raise ValueError(f"false_rejection must be in (0, 1), got {share}")
    return share


_OLD_NAMES = {"familiarity": "density", "unfamiliarity": "ood_density"}
"""Names that version 0.1.0 wrote for the router on densities and for its score."""


PREFERRED = ("density", "uar")
"""Which router decides where none is named: the first of these that there is."""


def preferred(routers: Iterable[str]) -> str:
    """The router that decides where none is named.

    >>> preferred(["paper", "uar"])
    'uar'
    """
    names = list(routers)
    return next((name for name in PREFERRED if name in names), names[0])


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
    rules: dict[str, RouterRule] = {}
    for name, router in routers.items():
        try:
            rule = RouterRule.from_json(
                {**shared, **router} if isinstance(router, Mapping) else router
            )
        except ValueError as error:
            raise ValueError(f"router {name!r}: {error}") from error
        reject = _OLD_NAMES.get(rule.reject, rule.reject)
        rules[_OLD_NAMES.get(name, str(name))] = dataclasses.replace(rule, reject=reject)
    return rules


def decide(defer: ArrayLike, reject: ArrayLike, rule: RouterRule) -> jax.Array:
    """One action per item.

    Args:
      defer: ``[item...]`` defer score; the paper's router: aleatoric.
      reject: ``[item...]`` reject score; the paper's router: epistemic.
      rule: its thresholds, in the scores' units; may be traced under jit.

    Returns:
      int32 ``[item...]``, indices into :data:`ACTIONS`. A NaN score is rejected: what cannot be
      scored is not accepted. Without items it is empty.

    References:
      Uncertainty-aware routing, 2026, https://arxiv.org/abs/2606.22725.

    >>> rule = RouterRule(defer_above=0.5, reject_above=0.2)
    >>> decide(jnp.array([0.1, 0.9, 0.1]), jnp.array([0.0, 0.0, 0.5]), rule).tolist()
    [0, 1, 2]
    """
    defer = jnp.asarray(defer)
    reject = jnp.asarray(reject)
    rejected = ~(reject <= rule.reject_above) | jnp.isnan(defer)
    return jnp.where(rejected, 2, jnp.where(defer > rule.defer_above, 1, 0)).astype(jnp.int32)
