"""The compiled functions of a training run: one member's, mapped over all of them by a layout."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferjax.config import Config
from ferjax.ensemble import inputs, members, optimizer, parallel
from ferjax.ensemble.methods import Target, method_of
from ferjax.models import attention, networks

__all__ = ["Programs", "compile_programs", "lines_per_epoch", "stacked_state"]


class Programs(NamedTuple):
    """Functions of the stacked state ``[M, ...]`` in the layout's form, and what that state is.

    ``init(seeds, start, target) -> state``; ``order(key, epoch) -> rows [member, step, face]``;
    ``step(state, order, stored, target) -> (state, report)`` and ``validate(state, batches, labels)
    -> (state, log_probs)``, both of which consume the state they are given.
    """

    init: Callable[..., members.EnsembleState]
    order: Callable[..., jax.Array]
    step: Callable[..., tuple[members.EnsembleState, members.StepReport]]
    validate: Callable[..., tuple[members.EnsembleState, jax.Array]]
    like: members.EnsembleState
    shardings: Any
    """Where the leaves of the state lie, for :func:`ferjax.ensemble.parallel.scatter`."""


def _seldom_read(path: Any) -> bool:
    """Whether a leaf of the state need not be whole on every replica of its member.

    The optimiser's state is read once a step, each part by who updates it; the best parameters when
    the members are validated.
    """
    return path[0].name in ("opt_state", "best_params")


def lines_per_epoch(log_every: int, steps: int) -> int:
    """Lines of the log in an epoch of so many steps, one about every ``log_every``."""
    return min(steps, max(1, round(steps / log_every)))


def _member_init(config: Config, num_classes: int, steps: int) -> Callable:
    method = method_of(config)
    model = networks.members_model(config.model, num_classes, method.extra)
    optimise = optimizer.adamw(config.train, steps, config.model.depth)

    def init(seed: jax.Array, start: Any, target: Target) -> members.EnsembleState:
        return members.init(model, optimise, seed, start, method.memory(target))

    return init


def stacked_state(
    config: Config, num_classes: int, start: Any = None, faces: int = 0
) -> members.EnsembleState:
    """Shapes and types of a run's state, every leaf ``[M, ...]``.

    Args:
      config: the run.
      num_classes: classes of the votes.
      start: parameters that every member starts from, by top-level name; None for random ones.
      faces: in the training set; where it is not known, what members remember of them has the
        right type alone.
    """
    seeds = jax.ShapeDtypeStruct((len(config.train.seeds),), jnp.uint32)
    init = jax.vmap(_member_init(config, num_classes, 1), (0, None, None))

    def of_some_faces(seeds: jax.Array, start: Any) -> members.EnsembleState:
        shape = (faces, num_classes)
        return init(seeds, start, Target(jnp.zeros(shape), jnp.zeros(shape, jnp.int32)))

    return jax.eval_shape(of_some_faces, seeds, start)


def compile_programs(
    config: Config, num_classes: int, layout: parallel.Layout, faces: int, start: Any = None
) -> Programs:
    """Builds a run's programs; nothing is traced before the first call.

    Args:
      config: the run.
      num_classes: classes of the votes.
      layout: where the members live.
      faces: in the training set.
      start: parameters that every member starts from, by top-level name; None for random ones.
    """
    c = config.train
    steps = faces // c.batch_size
    method = method_of(config)
    architecture = attention.chosen(config.model, has_kernel=layout.has_attention_kernel)
    model = networks.members_model(architecture, num_classes, method.extra)
    prepare = inputs.prepared(config.model)

    def predict(params: Any, batch: jax.Array) -> jax.Array:
        return method.read(model.apply(params, prepare(batch))).log_probs

    def order(key: jax.Array, epoch: jax.Array) -> jax.Array:
        return members.epoch_order(key, epoch, faces=faces, batch_size=c.batch_size)

    step = members.train_step(
        model,
        optimizer.adamw(c, steps, config.model.depth),
        method,
        inputs.drawing(config.model),
        views=c.views,
        accumulate=c.accumulate,
        lines=lines_per_epoch(c.log_every, steps),
        max_bad=c.max_bad_steps,
        split=layout.split,
    )
    validate = members.validate(predict, layout.split)
    init = _member_init(config, num_classes, steps)
    like = stacked_state(config, num_classes, start, faces)
    lie = parallel.spread(layout, like, _seldom_read)

    def stepping(function: Callable, in_axes: tuple[int | None, ...]) -> Callable:
        return parallel.map_members(layout, function, in_axes, carries=True, shardings=lie)

    return Programs(
        init=parallel.map_members(layout, init, (0, None, None), shardings=lie),
        order=parallel.map_members(layout, order, (0, None)),
        step=stepping(step, (0, 0, None, None)),
        validate=stepping(validate, (0, None, None)),
        like=like,
        shardings=lie,
    )
