"""A member's life as pure functions: be born, take a step, be validated, predict. Written for one;
mapped at the edge.

An :class:`EnsembleState` is the same type with and without its leading member axis: inside ``vmap``
a function sees one member, outside every leaf is ``[M, ...]``. A member's trajectory depends on its
seed alone, never on how many others there are, where it runs, or whether the run was interrupted:
all its randomness is ``fold_in`` of its own key.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ferjax.config import TrainConfig
from ferjax.ensemble import status as statuses
from ferjax.ensemble.parallel import ALONE, Split
from ferjax.faces.images import mirror, normalise, to_network_size
from ferjax.models.vit import Model, Output

__all__ = [
    "EnsembleState",
    "Feed",
    "RunningMeans",
    "StepReport",
    "begins_interval",
    "epoch_order",
    "init",
    "optimizer",
    "pixel_feed",
    "token_feed",
    "train_step",
    "validate",
]

Params = Any


class RunningMeans(NamedTuple):
    """Sums over the steps that counted since the last line of the log: their number, loss (nats)
    and accuracy."""

    steps: jax.Array
    loss: jax.Array
    accuracy: jax.Array


class EnsembleState(NamedTuple):
    """What is carried from step to step; every leaf ``[member, ...]`` once stacked.

    The means is carried too, so that a resumed run goes on writing the log it would have written.
    """

    params: Params
    opt_state: optax.OptState
    key: jax.Array
    step: jax.Array
    best_params: Params
    best_accuracy: jax.Array
    health: statuses.MemberStatus
    means: RunningMeans


class StepReport(NamedTuple):
    """What a step tells, each ``[member]`` once stacked: mean loss (nats) and accuracy of its
    batch, and copies that outlive the state's donated buffers."""

    loss: jax.Array
    accuracy: jax.Array
    health: statuses.MemberStatus
    means: RunningMeans


class Feed(NamedTuple):
    """How a batch becomes network input: ``draw(data, rows, flips)`` of device-resident
    ``data``."""

    draw: Callable[[Any, jax.Array, jax.Array], jax.Array]


def pixel_feed(image_size: int) -> Feed:
    """Draws stored faces, mirrors those that ``flips``, and prepares them for the network."""

    def draw(images: jax.Array, rows: jax.Array, flips: jax.Array) -> jax.Array:
        return normalise(to_network_size(mirror(images[rows], flips), image_size))

    return Feed(draw)


def token_feed() -> Feed:
    """Draws the frozen trunk's cached tokens ``[face, 2, token, dim]``: as stored, or of the
    mirrored face."""

    def draw(tokens: jax.Array, rows: jax.Array, flips: jax.Array) -> jax.Array:
        return tokens[rows, flips.astype(jnp.int32)]

    return Feed(draw)


def _layer(name: str, depth: int) -> int:
    """How far below the head a top-level part of the network lies: head and final norm 0, embedding
    depth + 1."""
    if name.startswith("block_"):
        return depth - int(name.removeprefix("block_"))
    return depth + 1 if name == "embed" else 0


def optimizer(
    config: TrainConfig, steps_per_epoch: int, depth: int = 0
) -> optax.GradientTransformation:
    """AdamW with optional linear warm-up and a cosine to 0 over the whole run, and layer-wise
    learning-rate decay.

    Args:
      config: learning rate, warm-up, weight decay, layer decay.
      steps_per_epoch: steps in an epoch.
      depth: blocks of the whole network (for the layer decay).

    References:
      Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019,
      https://arxiv.org/abs/1711.05101; Clark et al., ELECTRA, 2020,
      https://arxiv.org/abs/2003.10555 (layer-wise decay).
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup,
        decay_steps=config.epochs * steps_per_epoch,
    )
    adamw = optax.adamw(schedule, weight_decay=config.weight_decay)
    if config.layer_decay == 1.0:
        return adamw

    def slow_down(updates: Params, params: Params | None) -> Params:
        del params
        rates = {name: config.layer_decay ** _layer(name, depth) for name in updates}
        return {name: optax.tree.scale(rates[name], part) for name, part in updates.items()}

    return optax.chain(adamw, optax.stateless(slow_down))


def init(
    model: Model,
    optimizer: optax.GradientTransformation,
    seed: jax.Array,
    pretrained: Params | None = None,
) -> EnsembleState:
    """A init_status member.

    Args:
      model: the network.
      optimizer: its optimiser.
      seed: the member's seed, a scalar uint32.
      pretrained: parameters that replace the random ones, by top-level name (everything but the
        head, usually).
    """
    key = jax.random.key(seed)
    params = {**model.init(jax.random.fold_in(key, 0)), **(pretrained or {})}
    means = RunningMeans(jnp.int32(0), jnp.float32(0), jnp.float32(0))
    return EnsembleState(
        params,
        optimizer.init(params),
        key,
        jnp.int32(0),
        params,
        jnp.float32(-1.0),
        statuses.init_status(),
        means,
    )


def epoch_order(key: jax.Array, epoch: jax.Array, *, faces: int, batch_size: int) -> jax.Array:
    """The member's batches of one epoch, ``[step, face]`` rows of the training set; what does not
    fill a batch waits.

    A fresh permutation per (member, epoch), derived from the key alone, so that a resumed epoch
    repeats it.
    """
    steps = faces // batch_size
    shuffled = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, 1), epoch), faces)
    return shuffled[: steps * batch_size].reshape(steps, batch_size)


def begins_interval(step: Any, steps: int, lines: int) -> Any:
    """Whether a step is the first of an interval of the log, where an epoch of ``steps`` has
    ``lines`` as even as can be."""
    position = step % steps
    return position * lines // steps != (position - 1) * lines // steps


def train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    feed: Feed,
    *,
    accumulate: int = 1,
    lines: int = 1,
    max_bad: int = 5,
    split: Split = ALONE,
) -> Callable[[EnsembleState, jax.Array, Any, jax.Array], tuple[EnsembleState, StepReport]]:
    """Builds the training step of one member.

    Args:
      model: the network.
      optimizer: its optimiser.
      feed: where batches come from.
      accumulate: parts a batch is split into; their gradients are averaged before the one update.
      lines: lines of the log in an epoch; the means starts anew with each.
      max_bad: bad steps in a row that a member may take, see :mod:`ferjax.ensemble.status`.
      split: how replicas of a member share a batch. Rows and flips are drawn whole and then shared,
        so that they do not depend on it.

    Returns:
      ``step(state, order, data, targets) -> (state, report)`` with ``order [step, face]`` from
      :func:`epoch_order`, ``data`` what the feed draws from, and ``targets [face, class]``; the
      loss is ``-sum_c q_c log p_c``.
    """

    def loss_of(
        params: Params, inputs: jax.Array, q: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        log_probs = model.apply(params, inputs, key).log_probs
        right = jnp.argmax(log_probs, -1) == jnp.argmax(q, -1)
        return -jnp.mean(jnp.sum(q * log_probs, axis=-1)), jnp.mean(right.astype(jnp.float32))

    def step(
        state: EnsembleState, order: jax.Array, data: Any, targets: jax.Array
    ) -> tuple[EnsembleState, StepReport]:
        rows = order[state.step % order.shape[0]]
        key = jax.random.fold_in(jax.random.fold_in(state.key, 2), state.step)
        flips = jax.random.bernoulli(jax.random.fold_in(key, 0), shape=rows.shape)

        def part(
            i: jax.Array, rows: jax.Array, flips: jax.Array
        ) -> tuple[Params, jax.Array, jax.Array]:
            rows, flips = split.share((rows, flips))
            inputs = feed.draw(data, rows, flips)
            (loss, right), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                state.params, inputs, targets[rows], jax.random.fold_in(key, 1 + i)
            )
            return gradients, loss, right

        if accumulate == 1:
            mean = part(jnp.int32(0), rows, flips)
        else:
            pieces = (
                jnp.arange(accumulate),
                rows.reshape(accumulate, -1),
                flips.reshape(accumulate, -1),
            )

            def add(total: Any, piece: Any) -> tuple[Any, None]:
                return jax.tree.map(jnp.add, total, part(*piece)), None

            zeros = jax.tree.map(jnp.zeros_like, (state.params, jnp.float32(0), jnp.float32(0)))
            total, _ = jax.lax.scan(add, zeros, pieces)
            mean = jax.tree.map(lambda x: x / accumulate, total)
        gradients, loss, right = split.mean(mean)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        health, counted, (params, opt_state) = statuses.apply_or_skip(
            state.health,
            statuses.all_finite((loss, gradients)),
            max_bad,
            old=(state.params, state.opt_state),
            new=(optax.apply_updates(state.params, updates), opt_state),
            best=state.best_params,
        )
        carried = ~begins_interval(state.step, order.shape[0], lines)
        means = RunningMeans(
            *(
                jnp.where(carried, before, 0) + jnp.where(counted, now, 0)
                for before, now in zip(state.means, (jnp.int32(1), loss, right))
            )
        )
        state = state._replace(
            params=params, opt_state=opt_state, step=state.step + 1, health=health, means=means
        )
        return state, StepReport(loss, right, health, means)

    return step


def validate(
    predict: Callable[[Params, Any], Output], split: Split = ALONE
) -> Callable[[EnsembleState, Any, jax.Array], tuple[EnsembleState, jax.Array]]:
    """Builds the validation of one member: predict the whole split, keep the parameters if they are
    the best so far.

    Args:
      predict: ``(params, batch) -> Output`` for one batch of whatever the faces are stored as.
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
            lambda batch: split.join(predict(state.params, split.share(batch)).log_probs), batches
        )
        log_probs = log_probs.reshape(-1, log_probs.shape[-1])[: labels.shape[0]]
        accuracy = jnp.mean((jnp.argmax(log_probs, -1) == labels).astype(jnp.float32))
        # Predictions of NaN would "answer" the first class, and might win with it.
        better = (
            (accuracy > state.best_accuracy) & ~jnp.any(jnp.isnan(log_probs)) & ~state.health.frozen
        )
        best = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), state.params, state.best_params
        )
        state = state._replace(
            best_params=best, best_accuracy=jnp.where(better, accuracy, state.best_accuracy)
        )
        return state, log_probs

    return run
