"""The optimiser read off what it does to given gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import TrainConfig
from ferjax.ensemble import optimizer


def test_the_schedule_warms_up_and_ends_at_zero():
    """Read off what a constant gradient moves: AdamW then moves by the learning rate."""
    config = TrainConfig(epochs=4, learning_rate=0.1, warmup_epochs=1, weight_decay=0.0)
    adamw = optimizer.adamw(config, 5)
    params = {"head": jnp.zeros(1)}
    state = adamw.init(params)
    moves = []
    update = jax.jit(adamw.update)
    for _ in range(21):
        move, state = update({"head": jnp.ones(1)}, state, params)
        moves.append(-float(move["head"][0]))
    np.testing.assert_allclose(moves[:6], [0, 0.02, 0.04, 0.06, 0.08, 0.1], atol=1e-5)
    np.testing.assert_allclose(
        moves[5:], 0.05 * (1 + np.cos(np.pi * np.arange(16) / 15)), atol=1e-5
    )


def test_weights_decay_by_the_learning_rate_where_no_gradient_moves_them():
    """Decoupled: the learning rate times the decay times the weight, whatever the moments are."""
    config = TrainConfig(learning_rate=0.1, warmup_epochs=0, weight_decay=0.3)
    adamw = optimizer.adamw(config, 5)
    params = {"head": jnp.array([2.0, -1.0])}
    move, _ = adamw.update({"head": jnp.zeros(2)}, adamw.init(params), params)
    np.testing.assert_allclose(move["head"], [-0.06, 0.03], rtol=1e-5)


def test_layer_decay_slows_lower_layers():
    params = {name: jnp.zeros(1) for name in ("embed", "block_0", "block_1", "norm", "head")}
    adamw = optimizer.adamw(
        TrainConfig(learning_rate=0.1, warmup_epochs=0, layer_decay=0.5), 5, depth=2
    )
    move, _ = adamw.update(jax.tree.map(jnp.ones_like, params), adamw.init(params), params)
    relative = {name: float(m[0] / move["head"][0]) for name, m in move.items()}
    assert relative == pytest.approx(
        {"embed": 0.125, "block_0": 0.25, "block_1": 0.5, "norm": 1, "head": 1}
    )


@pytest.mark.parametrize("warmup, taken", [(0, 0), (0.5, 0.5), (1, 0.5), (3, 0.5)])
def test_a_warm_up_that_does_not_fit_is_shortened(warmup, taken):
    """To half of the training, so that the peak is reached and left again."""
    config = TrainConfig(epochs=1, warmup_epochs=warmup)
    assert config.warmup_epochs == warmup and config.warmup == taken
