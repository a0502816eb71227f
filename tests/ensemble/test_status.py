"""What happens to a member whose losses are not finite, step by step."""

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.ensemble import status


def after(finite, max_bad=2):
    """A parameter that grows by one with each step that counts; its best value is 100."""
    record = status.init_status()
    params = jnp.float32(0)
    moments = (jnp.int32(7), jnp.float32(0.5))
    history = []
    apply_or_skip = jax.jit(status.apply_or_skip, static_argnums=2)
    for ok in finite:
        record, counted, (params, moments) = apply_or_skip(
            record,
            jnp.asarray(ok),
            max_bad,
            old=(params, moments),
            new=(params + 1, moments),
            best=jnp.float32(100),
        )
        history.append(
            (
                float(params),
                int(record.skipped),
                bool(record.restored),
                bool(record.frozen),
                bool(counted),
            )
        )
    return history, moments


def test_a_bad_step_is_skipped_and_forgotten_after_a_good_one():
    history, moments = after([True, False, True, False, True])
    assert [h[0] for h in history] == [1, 1, 2, 2, 3]
    assert history[-1][1:] == (2, False, False, True)
    np.testing.assert_array_equal(moments, (7, 0.5))


def test_two_in_a_row_restore_once_and_two_more_freeze_for_good():
    history, moments = after([True, False, False, True, False, False, True, True])
    assert [h[0] for h in history] == [1, 1, 100, 101, 101, 101, 101, 101]
    assert [h[2:4] for h in history] == [(False, False)] * 2 + [(True, False)] * 3 + [
        (True, True)
    ] * 3
    assert [h[4] for h in history] == [True, False, False, True, False, False, False, False]
    assert history[-1][1] == 4
    np.testing.assert_array_equal(
        moments, (7, 0.0)
    )  # moments start anew, the schedule's clock goes on


def test_finite_means_every_leaf():
    assert bool(status.all_finite({"a": jnp.ones(3), "b": jnp.zeros(())}))
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert not bool(status.all_finite({"a": jnp.ones(3).at[1].set(bad), "b": jnp.zeros(())}))
