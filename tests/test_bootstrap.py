"""Resampling as weights: counts, groups, pairs, scipy's interval, and one sort for all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ferjax import bootstrap, metrics

ITEMS = 80
RESAMPLES = 2000


resample_weights = jax.jit(bootstrap.resample_weights, static_argnums=(1, 2))


@pytest.fixture(scope="module")
def weights():
    return resample_weights(jax.random.key(0), ITEMS, RESAMPLES)


def test_every_resample_draws_as_many_items_as_there_are(weights):
    assert weights.shape == (RESAMPLES, ITEMS)
    assert int(weights.min()) == 0
    np.testing.assert_array_equal(weights.sum(1), ITEMS)
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.12)  # 5 standard errors
    assert float((weights == 0).mean()) == pytest.approx((1 - 1 / ITEMS) ** ITEMS, abs=0.01)


def test_a_key_is_a_resample(weights):
    again = resample_weights(jax.random.key(0), ITEMS, RESAMPLES)
    np.testing.assert_array_equal(again, weights)
    assert (resample_weights(jax.random.key(1), ITEMS, RESAMPLES) != weights).any()


@pytest.mark.parametrize("items, resamples", [(301, 203), (70_000, 9)])
def test_many_draws_are_made_in_blocks_and_are_those_of_jax(items, resamples):
    key = jax.random.key(3)
    assert bootstrap._has_blocks(key, items, resamples)
    assert not bootstrap._has_blocks(jax.random.key(3, impl="rbg"), items, resamples)
    drawn = np.asarray(jax.random.randint(key, (resamples, items), 0, items))
    counted = np.stack([np.bincount(row, minlength=items) for row in drawn])
    np.testing.assert_array_equal(resample_weights(key, items, resamples), counted)


def test_groups_are_drawn_together():
    groups = np.array([0, 0, 1, 2, 2, 2, 3])
    draw = jax.jit(lambda key: bootstrap.resample_weights(key, 7, 50, groups))
    drawn = np.asarray(draw(jax.random.key(0)))
    for group in range(4):
        inside = drawn[:, groups == group]
        np.testing.assert_array_equal(inside, np.repeat(inside[:, :1], inside.shape[1], axis=1))
    np.testing.assert_array_equal(drawn[:, [0, 2, 3, 6]].sum(1), 4)
    with pytest.raises(ValueError, match="groups must be"):
        bootstrap.resample_weights(jax.random.key(0), 6, 50, groups)


def test_interval_ignores_undefined_resamples(rng):
    samples = rng.normal(size=(200, 3))
    samples[::7, 1] = np.nan
    low, high = bootstrap.percentile_interval(jnp.asarray(samples, jnp.float32), level=0.9)
    np.testing.assert_allclose(low, np.nanquantile(samples, 0.05, axis=0), rtol=1e-5)
    np.testing.assert_allclose(high, np.nanquantile(samples, 0.95, axis=0), rtol=1e-5)


def test_interval_is_scipys(rng, weights):
    x = rng.normal(size=ITEMS).astype(np.float32)
    y = (x + rng.normal(size=ITEMS)).round(1).astype(np.float32)
    got = jax.jit(lambda w: bootstrap.estimate(lambda row: metrics.spearman(x, y, row), w))(weights)
    assert float(got.value) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-6)
    expected = scipy.stats.bootstrap(
        (x, y),
        lambda a, b: scipy.stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=RESAMPLES,
        rng=rng,
    ).confidence_interval
    width = expected.high - expected.low
    assert abs(float(got.low) - expected.low) < 0.1 * width
    assert abs(float(got.high) - expected.high) < 0.1 * width


def test_statistics_on_the_same_rows_are_paired(rng, weights):
    x = jnp.asarray(rng.normal(size=ITEMS), jnp.float32)
    y = x + 0.1 * jnp.asarray(rng.normal(size=ITEMS), jnp.float32)

    def mean(values, w):
        return jnp.sum(w * values) / jnp.sum(w)

    @jax.jit
    def estimates(weights):
        difference = bootstrap.estimate(lambda w: mean(x, w) - mean(y, w), weights)
        alone = bootstrap.estimate(lambda w: mean(x, w), weights)
        both = bootstrap.estimate(lambda w: jnp.stack([mean(x, w), mean(y, w)]), weights)
        return difference, alone, both

    difference, alone, both = estimates(weights)
    assert float(difference.high - difference.low) < 0.2 * float(alone.high - alone.low)
    np.testing.assert_allclose([both.low[0], both.high[0]], [alone.low, alone.high], rtol=1e-5)


def test_a_difference_is_that_of_the_pairs(rng, weights):
    x = jnp.asarray(rng.normal(size=ITEMS), jnp.float32)
    y = x + 0.1
    labels = x > 0.3
    got = jax.jit(
        lambda rows: bootstrap.difference(
            lambda w: metrics.auroc(x, labels, w), lambda w: metrics.auroc(y, labels, w), rows
        )
    )(weights[:50])
    assert tuple(map(float, got)) == (0.0, 0.0, 0.0)


def test_batches_change_nothing_and_all_items_come_first(rng, weights):
    x = jnp.asarray(rng.normal(size=ITEMS), jnp.float32)
    resampled = jax.jit(
        lambda rows, batch: bootstrap.resampled(
            lambda w: {"sum": jnp.sum(w * x)}, rows, batch=batch
        )["sum"],
        static_argnums=1,
    )
    whole = resampled(weights[:10], 11)
    parts = resampled(weights[:10], 3)
    np.testing.assert_allclose(whole, parts, rtol=1e-5)
    expected = np.asarray([np.ones(ITEMS), *weights[:10]]) @ np.asarray(x)
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-5)
    got = bootstrap.summarise(whole, level=0.5)
    assert float(got.value) == float(whole[0])
    np.testing.assert_allclose(got[1:], np.quantile(whole[1:], [0.25, 0.75]), rtol=1e-5)


def _sorted_shapes(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "sort":
            yield equation.invars[0].aval.shape
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "eqns")):
            if hasattr(inner, "eqns"):
                yield from _sorted_shapes(inner)


@pytest.mark.parametrize(
    "statistic, sorts",
    [
        (lambda x, y, w: metrics.spearman(x, y, w), 2),
        (lambda x, y, w: metrics.auroc(x, y > 0, w), 1),
        (lambda x, y, w: metrics.auroc_between(x, y, w, w), 1),
        (lambda x, y, w: metrics.aupr(x, y > 0, w), 1),
        (lambda x, y, w: metrics.fpr_at_tpr(x, y > 0, w), 1),
    ],
    ids=["spearman", "auroc", "auroc_between", "aupr", "fpr_at_tpr"],
)
def test_scores_are_sorted_once_whatever_the_number_of_resamples(statistic, sorts):
    x = jnp.zeros(ITEMS)
    w = jnp.ones((7, ITEMS), int)
    jaxpr = jax.make_jaxpr(jax.vmap(statistic, (None, None, 0)))(x, x, w)
    assert list(_sorted_shapes(jaxpr.jaxpr)) == [(ITEMS,)] * sorts
