"""Stacked states to disk and back, whatever they hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.ensemble.checkpoint import Checkpoints


def test_round_trip_with_typed_keys_and_the_newest_kept(tmp_path):
    def state(step):
        return {"params": {"w": jnp.arange(6.0).reshape(3, 2) * step}, "key": jax.vmap(jax.random.key)(jnp.arange(3)),
                "step": jnp.full(3, step, jnp.int32)}

    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (10, 20, 30):
        checkpoints.save(step, state(step))
    checkpoints.close()

    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() == 30
    like = jax.eval_shape(lambda: state(0))
    for got, step in ((checkpoints.restore(like), 30), (checkpoints.restore(like, 20), 20)):
        np.testing.assert_array_equal(got["params"]["w"], state(step)["params"]["w"])
        np.testing.assert_array_equal(got["step"], step)
        np.testing.assert_array_equal(jax.random.bits(got["key"][1]), jax.random.bits(jax.random.key(1)))
    with pytest.raises(FileNotFoundError):
        checkpoints.restore(like, 10)
    checkpoints.close()


def test_no_checkpoint_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() is None
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        checkpoints.restore({"w": jnp.zeros(3)})
    checkpoints.close()
