"""Non-finite losses, per member: skip the step, restore the best parameters once, then freeze.

All of it happens inside the compiled step, per member, so that no member touches the others; the
host learns of it when it next writes a line of the log. A bad step is skipped: parameters and
optimiser stay as they were. After ``max_bad`` bad steps in a row the member goes back to its best
parameters, once; after ``max_bad`` more it is frozen: it takes no further step and ensembles leave
it out.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["MemberStatus", "all_finite", "apply_or_skip", "init_status"]

Tree = Any


class MemberStatus(NamedTuple):
    """What became of a member's steps, each ``[member]`` once stacked."""

    skipped: jax.Array
    """Steps skipped in all."""
    streak: jax.Array
    """Steps skipped in a row, until now."""
    restored: jax.Array
    """Whether it was set back to its best parameters."""
    frozen: jax.Array
    """Whether it takes no further step."""


def init_status() -> MemberStatus:
    """The status of a member that has taken no step."""
    return MemberStatus(jnp.int32(0), jnp.int32(0), jnp.asarray(False), jnp.asarray(False))


def all_finite(tree: Tree) -> jax.Array:
    """Whether no leaf holds an infinity or NaN."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _choose(first: jax.Array, one: Tree, other: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def apply_or_skip(
    status: MemberStatus,
    finite: jax.Array,
    max_bad: int,
    *,
    old: tuple[Tree, Tree],
    new: tuple[Tree, Tree],
    best: Tree,
) -> tuple[MemberStatus, jax.Array, tuple[Tree, Tree]]:
    """The parameters and optimiser state that a member carries on with after a step.

    Args:
      status: before the step.
      finite: whether this step's loss and gradients were finite.
      max_bad: bad steps in a row that a member may take, at least 1.
      old: parameters and optimiser state before the step.
      new: the same after it.
      best: its best parameters so far.

    Returns:
      The status, whether the step counted, and parameters and optimiser state.

    >>> before = init_status()._replace(streak=jnp.int32(1))
    >>> status, counted, (params, _) = apply_or_skip(
    ...     before, jnp.asarray(False), 2, old=(jnp.nan, 0.5), new=(7.0, 0.6), best=3.0
    ... )
    >>> bool(status.restored), bool(status.frozen), bool(counted), float(params)
    (True, False, False, 3.0)
    """
    counted = finite & ~status.frozen
    streak = jnp.where(counted, 0, status.streak + 1)
    broken = (streak >= max_bad) & ~status.frozen
    restore = broken & ~status.restored
    # Reset the moments with the parameters. Integer leaves are step counters and are kept.
    fresh = jax.tree.map(
        lambda leaf: (
            leaf if jnp.issubdtype(jnp.result_type(leaf), jnp.integer) else jnp.zeros_like(leaf)
        ),
        old[1],
    )
    kept = _choose(restore, (best, fresh), old)
    status = MemberStatus(
        skipped=status.skipped + (~finite & ~status.frozen),
        streak=jnp.where(restore, 0, streak),
        restored=status.restored | restore,
        frozen=status.frozen | (broken & status.restored),
    )
    return status, counted, _choose(counted, new, kept)
