"""What every method costs beside ``votes``, at K = 5: a training step, and a prediction.

    python -m benchmarks.methods [--quick] [--out FOLDER]

One step of five stacked members on the same batches, all methods timed in turn; and all scores of
the same faces from five members, of MC-dropout with its default number of passes. "× votes" is the
ratio of medians; "±" is half the range of a method's runs.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import results
from benchmarks.timing import interleave
from ferjax.config import Config, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import inputs, members, parallel
from ferjax.ensemble.forward import make_forward
from ferjax.ensemble.methods import METHODS, Target, Teacher, method_of
from ferjax.ensemble.optimizer import adamw
from ferjax.models import vit

CLASSES = 8
FACES = 256
SIDE = 48
MEMBERS = 5
ARMS: dict[str, dict[str, Any]] = {
    **{name: {} for name in METHODS if name != "mc-dropout"},
    "mc-dropout": {"dropout": 0.1},
    "mc-dropout, blocks": {"dropout": 0.1, "dropout_at": "blocks"},
}
"""Methods, and what their networks have; the part of a name behind a comma is a variant."""


def settings(model: ModelConfig, batch: int, arm: str) -> Config:
    """The configuration of five members of a method."""
    return Config(
        model=dataclasses.replace(model, **ARMS[arm]),
        train=TrainConfig(
            method=arm.partition(",")[0],  # type: ignore[arg-type]
            seeds=tuple(range(MEMBERS)),
            batch_size=batch,
            warmup_epochs=0,
        ),
    )


def target() -> Target:
    """Ten drawn votes a face, and what some ensemble might say of it."""
    q = jax.nn.softmax(jax.random.normal(jax.random.key(1), (FACES, CLASSES)))
    votes = jnp.round(10 * q).astype(jnp.int32)
    return Target(q, votes, jnp.ones(FACES), Teacher(q, jnp.ones(FACES)))


def stored_faces(model: ModelConfig) -> jax.Array:
    """What batches are drawn from: gray faces, or cached tokens of each and its mirror image."""
    key = jax.random.key(0)
    if model.trainable_blocks is None:
        return jax.random.randint(key, (FACES, SIDE, SIDE), 0, 256).astype(jnp.uint8)
    return jax.random.normal(key, (FACES, 2, *vit.tokens_shape(model)), model.dtype)


def step_of(config: Config) -> Callable[[], Any]:
    """A call that takes one step of all members."""
    method = method_of(config)
    model = vit.members_model(config.model, CLASSES, method.extra)
    optimizer = adamw(config.train, 10**6)
    faces = target()
    seeds = jnp.arange(MEMBERS, dtype=jnp.uint32)

    def init(seed: jax.Array) -> members.EnsembleState:
        return members.init(model, optimizer, seed, memory=method.memory(faces))

    state = jax.jit(jax.vmap(init))(seeds)
    # `best_params` begins as `params`: two arrays, so that both can be handed over.
    state = state._replace(best_params=jax.tree.map(jnp.copy, state.params))
    order = jax.random.split(jax.random.key(2), MEMBERS)
    batch = config.train.batch_size
    order = jax.vmap(lambda key: jax.random.permutation(key, FACES)[None, :batch])(order)
    stored = stored_faces(config.model)
    layout = parallel.lay_out(MEMBERS, jax.devices()[:1])
    step = members.train_step(model, optimizer, method, inputs.drawing(config.model))
    mapped = parallel.map_members(layout, step, (0, 0, None, None), carries=True)
    carried = {"state": state}

    def call() -> Any:
        carried["state"], report = mapped(carried["state"], order, stored, faces)
        return carried["state"].step, report

    return call


def prediction_of(config: Config) -> Callable[[], Any]:
    """A call that asks all members about one batch of pictures, frozen trunk and all."""
    method = method_of(config)
    params = jax.jit(jax.vmap(vit.members_model(config.model, CLASSES, method.extra).init))(
        jax.random.split(jax.random.key(0), MEMBERS)
    )
    trunk = vit.trunk_model(config.model)
    shared = None if trunk is None else jax.jit(trunk.init)(jax.random.key(1))
    forward = make_forward(config.model, CLASSES, method)
    side = config.model.image_size
    pictures = jax.random.normal(jax.random.key(2), (config.train.batch_size, side, side, 3))

    def ask(params: Any, trunk: Any, pictures: jax.Array, key: jax.Array) -> Any:
        said = forward(params, trunk, pictures, key)
        return said.log_probs, said.log_concentration, said.scores

    layout = parallel.lay_out(MEMBERS, jax.devices()[:1])
    mapped = parallel.map_members(layout, ask, (0, None, None, None))
    return lambda: mapped(params, shared, pictures, jax.random.key(3))


def run(found: results.Results) -> None:
    """Training steps of all methods, then predictions of those that are read otherwise."""
    cases = {
        "tiny ViT": (ModelConfig(), 32),
        "S/14 cached trunk, 56 px": (
            dinov2("s14", 56, trainable_blocks=4, head="cls+mean"),
            16,
        ),
    }
    if found.quick:
        cases = {"minute ViT": (ModelConfig(patch_size=16, dim=16, depth=1, heads=2), 8)}
    for name, (model, batch) in cases.items():
        for what, make in (("training step", step_of), ("prediction", prediction_of)):
            calls = {arm: make(settings(model, batch, arm)) for arm in ARMS}
            timings = interleave(calls, 2 if found.quick else 7, clock=found.clock)
            found.table(
                f"{what}, {MEMBERS} members, {name}, {batch} faces", "method", "ms", "× votes", "±"
            )
            for arm, timing in timings.items():
                found.row(
                    arm,
                    1000 * timing.median,
                    timing.median / timings["votes"].median,
                    f"{100 * timing.spread:.0f} %",
                )


if __name__ == "__main__":
    results.main(run, __doc__)
