"""Init, train step and validation of one ensemble member, as pure functions.

:func:`ferjax.ensemble.parallel.map_members` maps them over members. An :class:`EnsembleState` is
the same type with and without its leading member axis: inside ``vmap`` a function sees one member,
outside every leaf is ``[M, ...]``. A member's trajectory depends on its seed alone, never on how
many others there are, where it runs, or whether the run was interrupted: all its randomness is
``fold_in`` of its own key.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ferjax.ensemble import status as statuses
from ferjax.ensemble.inputs import Draw, mirror_rectangles, rectangles
from ferjax.ensemble.methods import Batch, Method, Target
from ferjax.ensemble.optimizer import Optimizer, OptimizerState, apply_updates
from ferjax.ensemble.parallel import NO_SPLIT, Split
from ferjax.models.vit import Model

__all__ = [
    "EnsembleState",
    "RunningMeans",
    "StepReport",
    "begins_interval",
    "epoch_order",
    "init",
    "train_step",
    "validate",
]

Params = Any

# What a step's key is folded with, for each thing that is random in it. Parts of a batch count on
# from theirs.
_FLIPS = 0
_PARTS = 1
_ERASED = 2**31
_VIEWS = 2**31 + 1


class RunningMeans(NamedTuple):
    """Sums of loss (nats) and accuracy over the ``steps`` that counted since the last log line."""

    steps: jax.Array
    loss: jax.Array
    accuracy: jax.Array


class EnsembleState(NamedTuple):
    """What is carried from step to step; every leaf ``[member, ...]`` once stacked.

    The running means are carried too, so that a resumed run writes the log it would have written.
    """

    params: Params
    opt_state: OptimizerState
    key: jax.Array
    step: jax.Array
    best_params: Params
    best_accuracy: jax.Array
    status: statuses.MemberStatus
    means: RunningMeans
    memory: Any = ()
    """What the member remembers of every training face, where its method does; empty else."""


class StepReport(NamedTuple):
    """What a step tells, each ``[member]`` once stacked.

    Mean loss (nats) and accuracy of its batch, and copies that outlive the state's donated buffers.
    """

    loss: jax.Array
    accuracy: jax.Array
    status: statuses.MemberStatus
    means: RunningMeans


def init(
    model: Model,
    optimizer: Optimizer,
    seed: jax.Array,
    pretrained: Params | None = None,
    memory: Any = (),
) -> EnsembleState:
    """The state of a member that has taken no step.

    Args:
      model: the network.
      optimizer: its optimiser.
      seed: the member's seed, a scalar uint32.
      pretrained: parameters that replace the random ones, by top-level name (everything but the
        head, usually).
      memory: of the training faces, ``[face, ...]``, where the method keeps one.
    """
    key = jax.random.key(seed)
    params = {**model.init(jax.random.fold_in(key, 0)), **(pretrained or {})}
    return EnsembleState(
        params=params,
        opt_state=optimizer.init(params),
        key=key,
        step=jnp.int32(0),
        best_params=params,
        best_accuracy=jnp.float32(-1.0),
        status=statuses.init_status(),
        means=RunningMeans(jnp.int32(0), jnp.float32(0), jnp.float32(0)),
        memory=memory,
    )


def epoch_order(key: jax.Array, epoch: jax.Array, *, faces: int, batch_size: int) -> jax.Array:
    """The member's batches of one epoch: a fresh permutation, derived from the key alone.

    Args:
      key: the member's.
      epoch: which one, from 0; scalar.
      faces: in the training set; static.
      batch_size: faces per step; static. What does not fill a batch waits for another epoch.

    Returns:
      Rows of the training set, ``[step, face]``.
    """
    steps = faces // batch_size
    shuffled = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, 1), epoch), faces)
    return shuffled[: steps * batch_size].reshape(steps, batch_size)


def begins_interval(step: Any, steps: int, lines: int) -> Any:
    """Whether a step is the first of an interval of the log.

    An epoch of ``steps`` has ``lines`` intervals, as even as can be.
    """
    position = step % steps
    return position * lines // steps != (position - 1) * lines // steps


def train_step(
    model: Model,
    optimizer: Optimizer,
    method: Method,
    draw: Draw,
    *,
    views: int = 1,
    accumulate: int = 1,
    lines: int = 1,
    max_bad: int = 5,
    split: Split = NO_SPLIT,
) -> Callable[[EnsembleState, jax.Array, Any, Target], tuple[EnsembleState, StepReport]]:
    """Builds the training step of one member.

    Args:
      model: the network.
      optimizer: its optimiser.
      method: whose loss is taken.
      draw: how a batch becomes network input, see :mod:`ferjax.ensemble.inputs`.
      views: pictures of each face that are stored, one after another: all faces, and all again; one
        of its face's is drawn each time.
      accumulate: parts a batch is split into; their gradients are averaged before the one update.
      lines: lines of the log in an epoch; the running means start anew with each.
      max_bad: bad steps in a row that a member may take, see :mod:`ferjax.ensemble.status`.
      split: how replicas of a member share a batch.

    Returns:
      ``step(state, order, stored, target) -> (state, report)`` with ``order [step, face]`` from
      :func:`epoch_order`, ``stored`` what batches are drawn from, and ``target`` of every training
      face.

    Raises:
      ValueError: if the method needs whole batches and they would be split.
    """
    if method.whole_batch and (accumulate > 1 or split.replicas > 1):
        raise ValueError(
            "this method holds the faces of a batch against one another: a batch can neither be "
            f"accumulated ({accumulate} parts) nor shared ({split.replicas} replicas)"
        )

    def loss_of(params: Params, batch: Batch) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        loss, seen = method.loss(model.apply, params, batch)
        right = jnp.argmax(seen.log_probs, -1) == jnp.argmax(batch.target.q, -1)
        return loss, (jnp.mean(right.astype(jnp.float32)), seen.memory)

    def step(
        state: EnsembleState, order: jax.Array, stored: Any, target: Target
    ) -> tuple[EnsembleState, StepReport]:
        rows = order[state.step % order.shape[0]]
        # Updated in parts, but read whole: the compiler would take them apart to gather them again.
        whole = split.join(state.params)
        key = jax.random.fold_in(jax.random.fold_in(state.key, 2), state.step)
        flips = jax.random.bernoulli(jax.random.fold_in(key, _FLIPS), shape=rows.shape)
        erased = None
        if method.erase:
            erased = rectangles(jax.random.fold_in(key, _ERASED), len(rows), method.erase)
        places = rows
        if views > 1:
            view = jax.random.randint(jax.random.fold_in(key, _VIEWS), rows.shape, 0, views)
            places = rows + len(target.q) * view

        def part(i: jax.Array, *drawn: Any) -> tuple[Params, jax.Array, jax.Array, Any]:
            rows, places, flips, erased = split.share(drawn)
            mirrored = None
            if method.views == 2:
                turned = None if erased is None else mirror_rectangles(erased)
                mirrored = draw(stored, places, ~flips, turned)
            batch = Batch(
                inputs=draw(stored, places, flips, erased),
                target=jax.tree.map(lambda of_all: of_all[rows], target),
                key=jax.random.fold_in(key, _PARTS + i),
                epoch=state.step // order.shape[0],
                mirrored=mirrored,
                memory=jax.tree.map(lambda of_all: of_all[rows], state.memory),
            )
            value_and_gradients = jax.value_and_grad(loss_of, has_aux=True)
            (loss, (accuracy, memory)), gradients = value_and_gradients(whole, batch)
            return gradients, loss, accuracy, memory

        if accumulate == 1:
            *mean, memory = part(jnp.int32(0), rows, places, flips, erased)
        else:
            memory = ()  # methods that have one need their batches whole
            pieces = jax.tree.map(
                lambda drawn: drawn.reshape(accumulate, -1, *drawn.shape[1:]),
                (rows, places, flips, erased),
            )

            def add(total: Any, piece: Any) -> tuple[Any, None]:
                return jax.tree.map(jnp.add, total, part(piece[0], *piece[1])[:3]), None

            zeros = jax.tree.map(jnp.zeros_like, (state.params, jnp.float32(0), jnp.float32(0)))
            total, _ = jax.lax.scan(add, zeros, (jnp.arange(accumulate), pieces))
            mean = jax.tree.map(lambda x: x / accumulate, total)
        gradients, loss, accuracy = mean
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        status, counted, (params, opt_state) = statuses.apply_or_skip(
            state.status,
            statuses.all_finite((loss, gradients)),
            max_bad,
            old=(state.params, state.opt_state),
            new=(apply_updates(state.params, updates), opt_state),
            best=state.best_params,
        )
        carried = ~begins_interval(state.step, order.shape[0], lines)
        means = RunningMeans(
            *(
                jnp.where(carried, before, 0) + jnp.where(counted, now, 0)
                for before, now in zip(state.means, (jnp.int32(1), loss, accuracy))
            )
        )

        def remember(of_all: jax.Array, now: jax.Array) -> jax.Array:
            return of_all.at[rows].set(jnp.where(counted, now, of_all[rows]))

        state = state._replace(
            params=params,
            opt_state=opt_state,
            step=state.step + 1,
            status=status,
            means=means,
            memory=jax.tree.map(remember, state.memory, memory),
        )
        return state, StepReport(loss, accuracy, status, means)

    return step


def validate(
    predict: Callable[[Params, Any], jax.Array], split: Split = NO_SPLIT
) -> Callable[[EnsembleState, Any, jax.Array], tuple[EnsembleState, jax.Array]]:
    """Builds the validation of one member, which keeps the parameters if they are the best so far.

    Args:
      predict: ``(params, batch) -> log_probs [face, class]`` for one batch of whatever the faces
        are stored as.
      split: how replicas of a member share each batch.

    Returns:
      ``validate(state, batches, labels) -> (state, log_probs)``; ``batches`` leads with a batch
      axis, ``labels [face]`` are hard labels of the split without padding, ``log_probs [face,
      class]`` likewise.
    """

    def run(
        state: EnsembleState, batches: Any, labels: jax.Array
    ) -> tuple[EnsembleState, jax.Array]:
        log_probs = jax.lax.map(
            lambda batch: split.join(predict(state.params, split.share(batch))), batches
        )
        log_probs = log_probs.reshape(-1, log_probs.shape[-1])[: labels.shape[0]]
        accuracy = jnp.mean((jnp.argmax(log_probs, -1) == labels).astype(jnp.float32))
        # A network of NaN always "answers" the first class, which may be the most frequent one.
        sound = ~jnp.any(jnp.isnan(log_probs)) & ~state.status.frozen
        better = (accuracy > state.best_accuracy) & sound
        best = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), state.params, state.best_params
        )
        state = state._replace(
            best_params=best, best_accuracy=jnp.where(better, accuracy, state.best_accuracy)
        )
        return state, log_probs

    return run
