"""Sick members: a non-finite loss or gradient costs its own member a step, and never touches the
others.

All of it happens inside the compiled step, per member; the host learns of it when it next writes a
line of the log. A bad step is skipped: parameters and optimiser stay as they were. After
``max_bad`` bad steps in a row the member goes back to its best parameters, once; after ``max_bad``
more it is frozen: it takes no further step and ensembles leave it out.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["MemberStatus", "all_finite", "apply_or_skip", "init_status"]

Tree = Any


class MemberStatus(NamedTuple):
    """A member's record, each ``[member]`` once stacked: steps skipped in all and in a row, and
    what was done about it."""

    skipped: jax.Array
    streak: jax.Array
    restored: jax.Array
    frozen: jax.Array


def init_status() -> MemberStatus:
    """The record of a member that has taken no step."""
    return MemberStatus(jnp.int32(0), jnp.int32(0), jnp.asarray(False), jnp.asarray(False))


def all_finite(tree: Tree) -> jax.Array:
    """Whether no leaf holds an infinity or NaN."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _choose(first: jax.Array, one: Tree, other: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def apply_or_skip(
    health: MemberStatus,
    finite: jax.Array,
    max_bad: int,
    *,
    old: tuple[Tree, Tree],
    new: tuple[Tree, Tree],
    best: Tree,
) -> tuple[MemberStatus, jax.Array, tuple[Tree, Tree]]:
    """What a member carries on with after a step.

    Args:
      health: its record so far.
      finite: whether this step's loss and gradients were finite.
      max_bad: bad steps in a row that a member may take, at least 1.
      old: parameters and optimiser state before the step.
      new: the same after it.
      best: its last good parameters.

    Returns:
      The record, whether the step counted, and parameters and optimiser state.

    >>> sick = init_status()._replace(streak=jnp.int32(1))
    >>> health, counted, (params, _) = apply_or_skip(sick, jnp.asarray(False), 2, old=(jnp.nan, 0.5), new=(7.0, 0.6), best=3.0)
    >>> bool(health.restored), bool(health.frozen), bool(counted), float(params)
    (True, False, False, 3.0)
    """
    counted = finite & ~health.frozen
    streak = jnp.where(counted, 0, health.streak + 1)
    broken = (streak >= max_bad) & ~health.frozen
    restore = broken & ~health.restored
    # Moments of a sick member are as suspect as its parameters and start at zero; whole numbers are
    # the schedule's clock.
    fresh = jax.tree.map(
        lambda leaf: (
            leaf if jnp.issubdtype(jnp.result_type(leaf), jnp.integer) else jnp.zeros_like(leaf)
        ),
        old[1],
    )
    kept = _choose(restore, (best, fresh), old)
    health = MemberStatus(
        skipped=health.skipped + (~finite & ~health.frozen),
        streak=jnp.where(restore, 0, streak),
        restored=health.restored | restore,
        frozen=health.frozen | (broken & health.restored),
    )
    return health, counted, _choose(counted, new, kept)
