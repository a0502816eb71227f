"""Metrics against scipy, scikit-learn and slow loops, on heavily tied data; weights against
repetition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.metrics

from ferjax import bootstrap, metrics

FACES = 120
CLASSES = 5
TOLERANCE = 1e-6

jitted = {
    name: jax.jit(getattr(metrics, name))
    for name in (
        "accuracy",
        "augrc",
        "aupr",
        "aurc",
        "auroc",
        "brier",
        "excess_aurc",
        "jensen_shannon",
        "kendall",
        "kl",
        "nll",
        "spearman",
        "vote_accuracy",
    )
}
jitted["fpr_at_tpr"] = jax.jit(metrics.fpr_at_tpr, static_argnames="tpr")
jitted["ece"] = jax.jit(metrics.ece, static_argnames=("bins", "equal_mass"))


@pytest.fixture(params=[2, 4, 26, 10_000], ids=lambda levels: f"{levels}-levels")
def tied(request):
    """Scores with few distinct values, labels, and a related second score."""
    rng = np.random.default_rng(request.param)
    x = rng.integers(0, request.param, FACES) / 10
    y = np.round(x + rng.normal(0, max(x.std(), 0.1), FACES), 1)
    labels = rng.random(FACES) < scipy.special.expit((x - x.mean()) / x.std())
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), jnp.asarray(labels)


@pytest.fixture(scope="module")
def weights():
    return jnp.asarray(np.random.default_rng(5).integers(0, 4, FACES))


@pytest.fixture(scope="module")
def predicted():
    """Log-probabilities, vote shares of ten votes, and the labels they make."""
    rng = np.random.default_rng(6)
    log_probs = scipy.special.log_softmax(2 * rng.normal(size=(FACES, CLASSES)), -1)
    votes = rng.multinomial(
        10, scipy.special.softmax(log_probs + rng.normal(size=log_probs.shape), -1)
    )
    q = votes / 10
    return (
        jnp.asarray(log_probs, jnp.float32),
        jnp.asarray(q, jnp.float32),
        jnp.asarray(q.argmax(-1)),
    )


def close(got, expected):
    np.testing.assert_allclose(float(got), expected, atol=TOLERANCE, rtol=0)


def test_spearman_and_kendall_are_scipys(tied):
    x, y, _ = tied
    close(jitted["spearman"](x, y), scipy.stats.spearmanr(x, y).statistic)
    close(jitted["kendall"](x, y), scipy.stats.kendalltau(x, y).statistic)


def test_kendall_counts_a_face_as_often_as_it_weighs(tied, weights):
    x, y, _ = tied
    repeated = np.repeat(np.arange(FACES), weights)
    expected = scipy.stats.kendalltau(np.asarray(x)[repeated], np.asarray(y)[repeated]).statistic
    close(jitted["kendall"](x, y, weights), expected)


def test_ranking_metrics_are_scikit_learns(tied, weights):
    x, _, labels = tied
    for w in (None, weights):
        close(
            jitted["auroc"](x, labels, w), sklearn.metrics.roc_auc_score(labels, x, sample_weight=w)
        )
        close(
            jitted["aupr"](x, labels, w),
            sklearn.metrics.average_precision_score(labels, x, sample_weight=w),
        )
        false, true, _ = sklearn.metrics.roc_curve(
            labels, x, sample_weight=w, drop_intermediate=False
        )
        for tpr in (0.5, 0.95, 1.0):
            close(
                jitted["fpr_at_tpr"](x, labels, w, tpr=tpr), false[true >= tpr * (1 - 1e-9)].min()
            )


def test_auroc_of_two_samples_is_auroc_of_the_pool(tied, weights):
    x, _, labels = tied
    order = jnp.argsort(labels, stable=True)
    negatives = int((~labels).sum())
    low = x[order][:negatives]
    high = x[order][negatives:]
    w_low = weights[order][:negatives]
    w_high = weights[order][negatives:]
    close(metrics.auroc_between(low, high), float(jitted["auroc"](x, labels)))
    close(
        metrics.auroc_between(low, high, w_low, w_high), float(jitted["auroc"](x, labels, weights))
    )


def test_auroc_is_the_share_of_pairs_in_order(tied):
    x, _, labels = (np.asarray(part) for part in tied)
    differences = x[labels][:, None] - x[~labels][None]
    close(jitted["auroc"](x, labels), ((differences > 0) + 0.5 * (differences == 0)).mean())


def test_a_constant_score_tells_nothing():
    constant = jnp.full(FACES, 0.3)
    labels = jnp.arange(FACES) % 3 == 0
    assert float(jitted["auroc"](constant, labels)) == 0.5
    assert float(metrics.auroc_between(constant[:7], constant)) == 0.5
    assert float(jitted["fpr_at_tpr"](constant, labels)) == 1.0
    close(jitted["aupr"](constant, labels), 1 / 3)
    assert np.isnan(jitted["spearman"](constant, jnp.arange(1.0 * FACES)))
    assert np.isnan(jitted["spearman"](jnp.arange(1.0 * FACES), constant))
    assert np.isnan(jitted["kendall"](constant, jnp.arange(1.0 * FACES)))
    error = (jnp.arange(FACES) % 4 == 0) * 1.0
    close(jitted["aurc"](constant, error), 0.25)
    close(jitted["augrc"](constant, error), 0.25)


def test_absent_classes_are_undefined():
    x = jnp.arange(1.0 * FACES)
    none = jnp.zeros(FACES, bool)
    every = jnp.ones(FACES, bool)
    for name in ("auroc", "fpr_at_tpr"):
        assert np.isnan(jitted[name](x, none))
        assert np.isnan(jitted[name](x, every))
    assert np.isnan(jitted["aupr"](x, none))
    # A class that has no weight is absent too, and so is a sample without weight or faces.
    assert np.isnan(jitted["auroc"](x, x > 5, (x > 5).astype(jnp.int32)))
    assert np.isnan(metrics.auroc_between(x, x, jnp.zeros(FACES, int)))
    assert np.isnan(jitted["spearman"](x, x, (x == 3).astype(jnp.int32)))


def _score_metrics():
    return {
        name: jitted[name]
        for name in ("auroc", "aupr", "fpr_at_tpr", "aurc", "augrc", "excess_aurc")
    }


def _prediction_metrics():
    by_votes = {
        name: jitted[name] for name in ("vote_accuracy", "nll", "brier", "kl", "jensen_shannon")
    }
    return by_votes, {name: jitted[name] for name in ("accuracy", "ece")}


def test_weights_are_repetition_and_zero_is_absence(tied, weights):
    x, y, labels = tied
    assert float((weights == 0).sum()) > 10
    # The surest face of all left out: where a careless curve divides 0 by 0.
    weights = weights.at[jnp.argmin(x)].set(0)
    repeated = jnp.repeat(jnp.arange(FACES), weights)
    close(jitted["spearman"](x, y, weights), float(metrics.spearman(x[repeated], y[repeated])))
    for name, metric in _score_metrics().items():
        expected = float(getattr(metrics, name)(x[repeated], labels[repeated]))
        np.testing.assert_allclose(
            float(metric(x, labels, weights)), expected, atol=2e-6, err_msg=name
        )


def test_weights_are_repetition_for_predictions(predicted, weights):
    log_probs, q, labels = predicted
    repeated = jnp.repeat(jnp.arange(FACES), weights)
    by_votes, by_label = _prediction_metrics()
    for wanted, group in ((q, by_votes), (labels, by_label)):
        for name, metric in group.items():
            expected = float(getattr(metrics, name)(log_probs[repeated], wanted[repeated]))
            np.testing.assert_allclose(
                float(metric(log_probs, wanted, weights)), expected, atol=2e-6, err_msg=name
            )


def test_a_face_left_out_may_hold_anything(predicted):
    log_probs, q, labels = predicted
    broken = log_probs.at[0].set(jnp.nan)
    all_but_first = jnp.ones(FACES, int).at[0].set(0)
    by_votes, by_label = _prediction_metrics()
    for wanted, group in ((q, by_votes), (labels, by_label)):
        for name, metric in group.items():
            assert np.isfinite(metric(broken, wanted, all_but_first)), name


def test_scaling_weights_changes_nothing(tied, weights):
    x, y, labels = tied
    close(jitted["spearman"](x, y, weights * 0.25), float(jitted["spearman"](x, y, weights)))
    for name, metric in _score_metrics().items():
        if (
            name != "excess_aurc"
        ):  # its ideal counts faces one by one, and a quarter of a face is not one
            close(metric(x, labels, weights * 0.25), float(metric(x, labels, weights)))


def test_a_nan_among_the_inputs_gives_nan(predicted):
    log_probs, q, labels = predicted
    x = jnp.arange(1.0 * FACES)
    y = jnp.arange(1.0 * FACES) % 7
    for name in ("spearman", "kendall"):
        assert np.isnan(jitted[name](x.at[3].set(jnp.nan), y)), name
        assert np.isnan(jitted[name](x, y.at[3].set(jnp.nan))), name
    for name, metric in _score_metrics().items():
        assert np.isnan(metric(x.at[3].set(jnp.nan), y > 3)), name
    assert np.isnan(metrics.auroc_between(x.at[0].set(jnp.nan), x))
    assert np.isnan(metrics.auroc_between(x, x.at[0].set(jnp.nan)))
    by_votes, by_label = _prediction_metrics()
    for wanted, group in ((q, by_votes), (labels, by_label)):
        for name, metric in group.items():
            assert np.isnan(metric(log_probs.at[3].set(jnp.nan), wanted)), name
    for name, metric in by_votes.items():
        assert np.isnan(metric(log_probs, q.at[3].set(jnp.nan))), name


def test_predictions_against_scipy_and_scikit_learn(predicted):
    log_probs, q, labels = predicted
    p = np.exp(np.asarray(log_probs, np.float64))
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    p /= p.sum(-1, keepdims=True)
    close(
        jitted["accuracy"](log_probs, labels), sklearn.metrics.accuracy_score(labels, p.argmax(-1))
    )
    close(jitted["nll"](log_probs, one_hot), sklearn.metrics.log_loss(labels, p))
    close(
        jitted["brier"](log_probs, one_hot),
        sklearn.metrics.brier_score_loss(labels, p, scale_by_half=False),
    )
    wanted = np.asarray(q, np.float64)
    close(jitted["nll"](log_probs, q), -(wanted * np.log(p)).sum(-1).mean())
    close(jitted["kl"](log_probs, q), scipy.special.rel_entr(wanted, p).sum(-1).mean())
    close(
        jitted["jensen_shannon"](log_probs, q),
        (scipy.spatial.distance.jensenshannon(p, wanted, axis=1) ** 2).mean(),
    )
    close(jitted["vote_accuracy"](log_probs, q), wanted[np.arange(FACES), p.argmax(-1)].mean())


def test_impossible_classes_without_votes_cost_nothing():
    log_probs = jnp.log(jnp.array([[1.0, 0.0]]))
    q = jnp.array([[1.0, 0.0]])
    for metric in (metrics.nll, metrics.kl, metrics.jensen_shannon, metrics.brier):
        assert float(metric(log_probs, q)) == 0.0
    assert float(metrics.nll(log_probs, q[:, ::-1])) == np.inf


def slow_ece(log_probs, labels, bins, equal_mass):
    confidence = np.exp(log_probs.max(-1))
    right = log_probs.argmax(-1) == labels
    if equal_mass:
        groups = [[] for _ in range(bins)]
        for position, face in enumerate(np.argsort(confidence, kind="stable")):
            groups[position * bins // len(confidence)].append(face)
    else:
        groups = [
            [i for i, c in enumerate(confidence) if b / bins < c <= (b + 1) / bins]
            for b in range(bins)
        ]
    return sum(
        abs(confidence[g].mean() - right[g].mean()) * len(g) / len(confidence) for g in groups if g
    )


@pytest.mark.parametrize("equal_mass", [False, True])
@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_error_is_the_slow_one(predicted, bins, equal_mass):
    log_probs, _, labels = predicted
    expected = slow_ece(np.asarray(log_probs), np.asarray(labels), bins, equal_mass)
    close(jitted["ece"](log_probs, labels, bins=bins, equal_mass=equal_mass), expected)


def test_certainty_falls_into_the_last_bin_and_empty_bins_are_undefined():
    bins = metrics.reliability_bins(jnp.array([0.0, 1.0, 1.0]), jnp.array([0, 1, 0]), bins=4)
    np.testing.assert_allclose(bins.share, [1 / 3, 0, 0, 2 / 3], rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(bins.confidence), [False, True, True, False])
    assert float(bins.correct[-1]) == 0.5


def test_risk_curves_are_the_slow_ones(tied):
    x, y, _ = (np.asarray(part, np.float64) for part in tied)
    loss = np.clip(y - y.min(), 0, 1)
    kept = x[None] <= x[:, None]
    risk = (kept * loss).sum(1) / kept.sum(1)
    coverage = kept.mean(1)
    close(jitted["aurc"](x, loss), risk.mean())
    close(jitted["augrc"](x, loss), (risk * coverage).mean())


@pytest.mark.parametrize("coverage", [0.1, 0.8, 1.0])
def test_risk_at_coverage_is_the_mean_over_orders_of_the_tied(tied, coverage):
    x, _, labels = (np.asarray(part, np.float64) for part in tied)
    cut = np.sort(x)[int(coverage * FACES) - 1]
    below = x < cut
    at = x == cut
    share = (coverage * FACES - below.sum()) / at.sum()
    expected = (labels[below].sum() + share * labels[at].sum()) / (coverage * FACES)
    close(metrics.risk_at_coverage(x, labels, coverage=coverage), expected)


@pytest.mark.parametrize("whole_loss", [True, False])
def test_no_ordering_beats_the_ideal_one(tied, weights, whole_loss):
    x, y, labels = tied
    loss = labels * 1.0 if whole_loss else jnp.clip(y - y.min(), 0, 1)
    order = np.argsort(loss, kind="stable")
    ideal = (np.cumsum(np.asarray(loss, np.float64)[order]) / (1 + np.arange(FACES))).mean()
    close(jitted["excess_aurc"](x, loss), float(jitted["aurc"](x, loss)) - ideal)
    perfect = jnp.zeros(FACES).at[order].set(jnp.arange(1.0 * FACES))
    close(jitted["excess_aurc"](perfect, loss), 0.0)
    assert float(jitted["excess_aurc"](perfect, loss, weights)) > -TOLERANCE


def test_resampled_metrics_are_the_loop_over_resamples(tied):
    x, y, labels = tied
    rows = bootstrap.resample_weights(jax.random.key(0), FACES, 6)
    for metric, other in (
        (jitted["auroc"], labels),
        (jitted["spearman"], y),
        (jitted["aurc"], labels),
    ):
        together = jax.vmap(lambda w, metric=metric, other=other: metric(x, other, w))(rows)
        np.testing.assert_allclose(
            together, [float(metric(x, other, w)) for w in rows], atol=TOLERANCE
        )


def test_ceiling_is_what_a_second_crowd_reaches(rng):
    """With the truth known, the ceiling is the correlation of ten votes' disagreement with the
    truth's."""
    truth = rng.dirichlet(np.full(8, 0.3), 1500)
    votes = rng.multinomial(10, truth)
    disagreement = 1 - votes.max(1) / 10
    reached = scipy.stats.spearmanr(disagreement, 1 - truth.max(1)).statistic
    got = float(metrics.noise_ceiling(votes, jax.random.key(0), splits=20))
    assert abs(got - reached) < 0.05


def test_ceiling_of_unanimous_votes_is_undefined():
    assert np.isnan(metrics.noise_ceiling(10 * np.eye(8, dtype=int), jax.random.key(0), splits=2))


@pytest.mark.rehearsal
@pytest.mark.slow
def test_ceiling_of_the_published_votes(shared_data):
    from ferjax.faces import ferplus, votes

    rows = ferplus.read_votes(shared_data / "fer2013new_published.csv")
    test = rows.votes[(rows.split == "test") & votes.targets(rows.votes).keep]
    assert float(metrics.noise_ceiling(test[:, :8], jax.random.key(0), splits=20)) == pytest.approx(
        0.82, abs=0.01
    )


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
