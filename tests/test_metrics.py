"""Ranking and selective metrics against scipy, scikit-learn and slow loops, on tied data."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics

from ferjax import bootstrap, metrics

ITEMS = 120
POSITIVE = 48
TOLERANCE = 1e-6

RANKING = ("auroc", "aupr", "fpr_at_tpr")
SELECTIVE = ("aurc", "augrc", "excess_aurc", "excess_augrc")


def once(function, static=()):
    """A program that may be traced for one shape only: each more costs half a second to compile."""
    return jax.jit(chex.assert_max_traces(function, n=1), static_argnames=static)


def weighted(name, **options):
    """A metric of two arrays, always with weights and options, so that it is one program."""
    program = once(getattr(metrics, name))

    def call(first, second, weights=None, **changed):
        weights = np.ones(len(first)) if weights is None else weights
        arrays = (np.asarray(array, np.float32) for array in (first, second, weights))
        return program(*arrays, **options | changed)

    return call


jitted = {name: weighted(name) for name in (*RANKING, *SELECTIVE, "kendall", "spearman")}
jitted["fpr_at_tpr"] = weighted("fpr_at_tpr", tpr=0.95)
jitted["risk_at_coverage"] = weighted("risk_at_coverage", coverage=0.8)
jitted["coverage_at_risk"] = weighted("coverage_at_risk", risk=0.05)
auroc_between = once(metrics.auroc_between)
ideal_aurc = once(metrics.ideal_aurc)
resampled = {
    name: jax.jit(jax.vmap(getattr(metrics, name), (None, None, 0)))
    for name in ("auroc", "spearman", "aurc")
}


@pytest.fixture(params=[2, 4, 26, 10_000], ids=lambda levels: f"{levels}-levels")
def tied(request):
    """Scores with few distinct values, labels (as many positives each time), and a second score."""
    rng = np.random.default_rng(request.param)
    x = rng.integers(0, request.param, ITEMS) / 10
    y = np.round(x + rng.normal(0, max(x.std(), 0.1), ITEMS), 1)
    order = np.argsort((x - x.mean()) / x.std() + rng.logistic(size=ITEMS))
    labels = np.zeros(ITEMS)
    labels[order[-POSITIVE:]] = 1
    return tuple(jnp.asarray(part, jnp.float32) for part in (x, y, labels))


@pytest.fixture(scope="module")
def weights():
    """As many in all as there are items, so that repeating them keeps the shape."""
    drawn = np.random.default_rng(5).multinomial(ITEMS, np.full(ITEMS, 1 / ITEMS))
    return jnp.asarray(drawn, jnp.float32)


def repeat(weights):
    """The rows that whole weights stand for."""
    return np.repeat(np.arange(ITEMS), np.asarray(weights, int))


def close(got, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(float(got), float(expected), atol=tolerance, rtol=0)


def test_spearman_and_kendall_are_scipys(tied):
    x, y, _ = tied
    close(jitted["spearman"](x, y), scipy.stats.spearmanr(x, y).statistic)
    close(jitted["kendall"](x, y), scipy.stats.kendalltau(x, y).statistic)


def test_infinities_are_the_ends_of_an_order(tied):
    x, y, labels = (np.array(part) for part in tied)
    x[[3, 40]] = np.inf
    y[[3, 17]] = -np.inf
    as_ranks = [scipy.stats.rankdata(part) for part in (x, y)]
    close(jitted["spearman"](x, y), scipy.stats.spearmanr(*as_ranks).statistic)
    close(jitted["kendall"](x, y), scipy.stats.kendalltau(*as_ranks).statistic)
    close(jitted["auroc"](x, labels), sklearn.metrics.roc_auc_score(labels, as_ranks[0]))


def test_kendall_counts_an_item_as_often_as_it_weighs(tied, weights):
    x, y, _ = (np.asarray(part) for part in tied)
    rows = repeat(weights)
    close(jitted["kendall"](x, y, weights), scipy.stats.kendalltau(x[rows], y[rows]).statistic)


def test_ranking_metrics_are_scikit_learns(tied, weights):
    x, _, labels = tied
    for w in (None, weights):
        area = sklearn.metrics.roc_auc_score(labels, x, sample_weight=w)
        close(jitted["auroc"](x, labels, w), area)
        precision = sklearn.metrics.average_precision_score(labels, x, sample_weight=w)
        close(jitted["aupr"](x, labels, w), precision)
        false, true, _ = sklearn.metrics.roc_curve(
            labels, x, sample_weight=w, drop_intermediate=False
        )
        for tpr in (0.5, 0.95, 1.0):
            expected = false[true >= tpr * (1 - 1e-9)].min()
            close(jitted["fpr_at_tpr"](x, labels, w, tpr=tpr), expected)


def test_auroc_of_two_samples_is_auroc_of_the_pool(tied, weights):
    x, _, labels = tied
    order = jnp.argsort(labels, stable=True)
    sides = jnp.split(x[order], [ITEMS - POSITIVE])
    of_sides = jnp.split(weights[order], [ITEMS - POSITIVE])
    ones = [jnp.ones(len(side), jnp.float32) for side in sides]
    close(auroc_between(*sides, *ones), jitted["auroc"](x, labels))
    close(auroc_between(*sides, *of_sides), jitted["auroc"](x, labels, weights))


def test_auroc_is_the_share_of_pairs_in_order(tied):
    x, _, labels = (np.asarray(part) for part in tied)
    differences = x[labels == 1][:, None] - x[labels == 0][None]
    expected = ((differences > 0) + 0.5 * (differences == 0)).mean()
    close(jitted["auroc"](x, labels), expected)


def test_a_constant_score_tells_nothing():
    constant = np.full(ITEMS, 0.3, np.float32)
    rising = np.arange(ITEMS, dtype=np.float32)
    labels = np.float32(rising % 3 == 0)
    assert float(jitted["auroc"](constant, labels)) == 0.5
    sides = (constant[POSITIVE:], constant[:POSITIVE])
    assert float(auroc_between(*sides, *sides)) == 0.5
    assert float(jitted["fpr_at_tpr"](constant, labels)) == 1.0
    close(jitted["aupr"](constant, labels), 1 / 3)
    assert np.isnan(jitted["spearman"](constant, rising))
    assert np.isnan(jitted["spearman"](rising, constant))
    assert np.isnan(jitted["kendall"](constant, rising))
    assert np.isnan(jitted["kendall"](rising, constant))
    error = np.float32(rising % 4 == 0)
    close(jitted["aurc"](constant, error), 0.25)
    close(jitted["augrc"](constant, error), 0.125)


def test_absent_classes_are_undefined():
    x = np.arange(ITEMS, dtype=np.float32)
    none = np.zeros(ITEMS)
    for name in ("auroc", "fpr_at_tpr"):
        assert np.isnan(jitted[name](x, none))
        assert np.isnan(jitted[name](x, none + 1))
    assert np.isnan(jitted["aupr"](x, none))
    # A class that has no weight is absent too, and so is a sample without weight or items.
    some = np.float32(x > 5)
    assert np.isnan(jitted["auroc"](x, some, some))
    sides = (x[POSITIVE:], x[:POSITIVE])
    ones = tuple(np.ones_like(side) for side in sides)
    assert np.isnan(auroc_between(*sides, 0 * ones[0], ones[1]))
    assert np.isnan(auroc_between(*sides, ones[0], 0 * ones[1]))
    assert np.isnan(jitted["spearman"](x, x, np.float32(x == 3)))


def test_weights_are_repetition_and_zero_is_absence(tied, weights):
    x, y, labels = tied
    # The surest item of all left out, where a careless curve divides 0 by 0.
    surest = jnp.argmin(x)
    other = (surest + 1) % ITEMS
    weights = weights.at[other].add(weights[surest]).at[surest].set(0)
    assert float((weights == 0).sum()) > 10
    rows = repeat(weights)
    close(jitted["spearman"](x, y, weights), jitted["spearman"](x[rows], y[rows]))
    for name in (*RANKING, *SELECTIVE, "coverage_at_risk"):
        expected = jitted[name](x[rows], labels[rows])
        close(jitted[name](x, labels, weights), expected, 2e-6)


def test_an_item_left_out_may_have_any_loss(tied, weights):
    x, _, labels = tied
    left_out = weights == 0
    for name in (*SELECTIVE, "coverage_at_risk", "risk_at_coverage"):
        broken = jnp.where(left_out, jnp.nan, labels)
        close(jitted[name](x, broken, weights), jitted[name](x, labels, weights))


def test_scaling_weights_changes_nothing(tied, weights):
    x, y, labels = tied
    quarter = weights * 0.25
    close(jitted["spearman"](x, y, quarter), jitted["spearman"](x, y, weights))
    # The ideal of excess_aurc counts items one by one, and a quarter of an item is not one.
    for name in (*RANKING, "aurc", "augrc", "excess_augrc", "coverage_at_risk"):
        close(jitted[name](x, labels, quarter), jitted[name](x, labels, weights))


def test_a_nan_among_the_inputs_gives_nan():
    x = np.arange(ITEMS, dtype=np.float32)
    y = x % 7
    labels = np.float32(y > 3)
    broken = np.where(x == 3, np.float32(np.nan), x)
    for name in ("spearman", "kendall"):
        assert np.isnan(jitted[name](broken, y)), name
        assert np.isnan(jitted[name](y, broken)), name
    for name in RANKING + SELECTIVE:
        assert np.isnan(jitted[name](broken, labels)), name
    for name in SELECTIVE:
        assert np.isnan(jitted[name](x, np.where(x == 3, np.nan, labels))), name
    for name in ("risk_at_coverage", "coverage_at_risk"):
        assert np.isnan(jitted[name](broken, labels))
        assert np.isnan(jitted[name](x, np.where(x == 3, np.nan, labels))), name
    for negatives, positives in ((broken, x), (x, broken)):
        sides = (negatives[: ITEMS - POSITIVE], positives[:POSITIVE])
        assert np.isnan(auroc_between(*sides, *(np.ones_like(side) for side in sides)))


def test_risk_curves_are_the_slow_ones(tied):
    x, y, _ = (np.asarray(part, np.float64) for part in tied)
    loss = np.clip(y - y.min(), 0, 1)
    kept = x[None] <= x[:, None]
    risk = (kept * loss).sum(1) / kept.sum(1)
    close(jitted["aurc"](x, loss), risk.mean())
    # Generalised risk, the lost share of all items, over coverage: straight between thresholds.
    thresholds = np.unique(x)
    coverage = [0, *((x <= t).mean() for t in thresholds)]
    lost = [0, *(loss[x <= t].sum() / ITEMS for t in thresholds)]
    close(jitted["augrc"](x, loss), np.trapezoid(lost, coverage))
    for allowed in (0.2, 0.6):
        best = max([0, *(of for of, share in zip(coverage[1:], lost[1:]) if share <= allowed * of)])
        close(jitted["coverage_at_risk"](x, loss, risk=allowed), best)


@pytest.mark.parametrize("score", ["tied", "loss"])
def test_excess_is_the_mean_over_orders_of_the_tied(tied, rng, score):
    x, y, _ = (np.asarray(part, np.float64) for part in tied)
    loss = np.round(np.clip(y - y.min(), 0, 1), 1)
    x = loss if score == "loss" else x

    def one_by_one(order):
        return np.cumsum(loss[order]) / (1 + np.arange(ITEMS))

    orders = [np.lexsort((rng.random(ITEMS), x)) for _ in range(2000)]
    ideal = one_by_one(np.argsort(loss)).mean()
    means = np.array([one_by_one(order).mean() for order in orders])
    generalised = np.trapezoid([0, *(np.sort(loss).cumsum() / ITEMS)], dx=1 / ITEMS)
    excess = float(jitted["excess_aurc"](x, loss))
    slack = 5 * means.std() / np.sqrt(len(orders)) + TOLERANCE
    assert abs(excess - (means.mean() - ideal)) < slack
    close(jitted["excess_augrc"](x, loss), float(jitted["augrc"](x, loss)) - generalised)
    if score == "loss":
        close(excess, 0)
        close(jitted["excess_augrc"](x, loss), 0)


@pytest.mark.parametrize("coverage", [0.1, 0.8, 1.0])
def test_risk_at_coverage_is_the_mean_over_orders_of_the_tied(tied, coverage):
    x, _, labels = (np.asarray(part, np.float64) for part in tied)
    cut = np.sort(x)[int(coverage * ITEMS) - 1]
    below = x < cut
    at = x == cut
    share = (coverage * ITEMS - below.sum()) / at.sum()
    expected = (labels[below].sum() + share * labels[at].sum()) / (coverage * ITEMS)
    close(jitted["risk_at_coverage"](x, labels, coverage=coverage), expected)


@pytest.mark.parametrize("whole_loss", [True, False])
def test_no_ordering_beats_the_ideal_one(tied, weights, whole_loss):
    _, y, labels = (np.asarray(part) for part in tied)
    loss = labels if whole_loss else np.clip(y - y.min(), 0, 1)
    order = np.argsort(loss, kind="stable")
    ideal = (np.cumsum(np.float64(loss)[order]) / (1 + np.arange(ITEMS))).mean()
    close(ideal_aurc(loss), ideal)
    distinct = np.argsort(np.random.default_rng(0).random(ITEMS))
    area = float(jitted["aurc"](distinct, loss))
    close(jitted["excess_aurc"](distinct, loss), area - ideal)
    perfect = np.zeros(ITEMS, np.float32)
    perfect[order] = np.arange(ITEMS)
    close(jitted["excess_aurc"](perfect, loss), 0.0)
    assert float(jitted["excess_aurc"](perfect, loss, weights)) > -TOLERANCE


def test_resampled_metrics_are_the_loop_over_resamples(tied):
    x, y, labels = tied
    rows = bootstrap.resample_weights(jax.random.key(0), ITEMS, 6)
    for name, other in (("auroc", labels), ("spearman", y), ("aurc", labels)):
        one_by_one = [float(jitted[name](x, other, w.astype(jnp.float32))) for w in rows]
        together = resampled[name](x, other, rows)
        np.testing.assert_allclose(together, one_by_one, atol=TOLERANCE)


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.auroc(jnp.ones(3), jnp.ones(4)),
        lambda: metrics.spearman(jnp.ones((3, 1)), jnp.ones((3, 1))),
        lambda: metrics.auroc(jnp.ones(3), jnp.ones(3), jnp.ones(2)),
        lambda: metrics.auroc_between(jnp.ones((3, 1)), jnp.ones(3)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(ValueError, match="got"):
        call()
