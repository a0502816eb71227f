"""One rule for every metric: shapes that do not fit are refused, what is undefined gives NaN,
integers, bools and 64-bit scores keep their meaning."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from ferjax import conformal, density, metrics, mmd, posterior, routing

ITEMS = 12
rng = np.random.default_rng(0)
SCORES = rng.permutation(ITEMS).astype(np.float32)
OTHER = rng.permutation(ITEMS).astype(np.float32)
LABELS = np.float32(np.arange(ITEMS) % 3 == 0)
CLASSES = np.arange(ITEMS) % 4
LOG_PROBS = np.float32(np.log(rng.dirichlet(np.ones(4), ITEMS)))
Q = np.float32(rng.multinomial(10, np.full(4, 0.25), ITEMS) / 10)

BINARY = ("auroc", "aupr", "fpr_at_tpr", "misclassification_auroc", "misclassification_aupr")
ORDERS = ("spearman", "kendall")
LOSSES = (
    *("aurc", "augrc", "excess_aurc", "excess_augrc", "risk_at_coverage"),
    "coverage_at_risk",
)
BY_CLASS = (
    *("accuracy", "balanced_accuracy", "ece", "mce", "l2_ece", "classwise_ece"),
    *("label_nll", "label_brier"),
)
BY_VOTES = ("vote_accuracy", "nll", "brier", "kl", "jensen_shannon")
OTHERS = {
    *("auroc_between", "class_recall", "ideal_aurc", "noise_ceiling", "reliability_bins"),
    *("calibration_gaps", "classwise_gaps"),
}
ALL = (*BINARY, *ORDERS, *LOSSES, *BY_CLASS, *BY_VOTES)


@functools.cache
def program(name):
    return jax.jit(getattr(metrics, name))


def call(name, first=None, second=None, weights=None):
    """A metric of its usual inputs, or of others in their place."""
    usual = {
        **dict.fromkeys((*BINARY, *LOSSES), (SCORES, LABELS)),
        **dict.fromkeys(ORDERS, (SCORES, OTHER)),
        **dict.fromkeys(BY_CLASS, (LOG_PROBS, np.float32(CLASSES))),
        **dict.fromkeys(BY_VOTES, (LOG_PROBS, Q)),
    }[name]
    given = (usual[0] if first is None else first, usual[1] if second is None else second)
    weights = np.ones(len(given[0]), np.float32) if weights is None else weights
    return np.asarray(program(name)(*given, weights))


def broken(array, value=np.nan):
    array = np.array(array, np.float32)
    array[3] = value
    return array


def test_every_metric_is_here():
    public = {name for name in metrics.__all__ if name.islower()}
    assert public == {*ALL, *OTHERS}


@pytest.mark.parametrize("name", ALL)
def test_undefined_in_nan_out(name):
    left_out = broken(np.ones(ITEMS), 0)
    assert np.isfinite(call(name))
    assert np.isnan(
        call(name, first=broken(SCORES if name not in (*BY_CLASS, *BY_VOTES) else LOG_PROBS))
    )
    for weights in (np.nan, -1, np.inf):
        assert np.isnan(call(name, weights=broken(np.ones(ITEMS), weights))), weights
    assert np.isnan(call(name, weights=np.zeros(ITEMS, np.float32)))
    if name in ORDERS:
        assert np.isnan(call(name, second=broken(OTHER)))
        return
    second = {**dict.fromkeys(BY_CLASS, CLASSES), **dict.fromkeys(BY_VOTES, Q)}.get(name, LABELS)
    assert np.isnan(call(name, second=broken(second)))
    assert np.isfinite(call(name, second=broken(second), weights=left_out))
    if name in BINARY:
        for label in (-1, 2, 0.5):
            assert np.isnan(call(name, second=broken(LABELS, label))), label
    if name in BY_CLASS:
        for label in (-1, 4, 0.5):
            assert np.isnan(call(name, second=broken(CLASSES, label))), label


@pytest.mark.parametrize("name", ALL)
def test_nothing_at_all_is_undefined(name):
    rows = np.zeros((0, 4), np.float32)
    none = np.zeros(0, np.float32)
    first = rows if name in (*BY_CLASS, *BY_VOTES) else none
    second = rows if name in BY_VOTES else none
    assert np.isnan(getattr(metrics, name)(first, second))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("wrong", ["column", "short", "weights"])
def test_shapes_that_do_not_fit_are_refused(name, wrong):
    second = {**dict.fromkeys(BY_CLASS, CLASSES), **dict.fromkeys(BY_VOTES, Q)}.get(name, LABELS)
    given = {"column": second[:, None], "short": second[:-1], "weights": second}[wrong]
    weights = np.ones(ITEMS + (wrong == "weights"), np.float32)
    first = LOG_PROBS if name in (*BY_CLASS, *BY_VOTES) else SCORES
    with pytest.raises(ValueError, match=r"must .*got"):
        getattr(metrics, name)(first, given, weights)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint32, np.int64, np.float16, np.float64])
@pytest.mark.parametrize("name", [*ORDERS, "auroc", "aupr", "fpr_at_tpr", "aurc", "augrc"])
def test_types_of_scores_do_not_matter(name, dtype):
    second = OTHER if name in ORDERS else LABELS
    got = getattr(metrics, name)(SCORES.astype(dtype), second.astype(dtype))
    assert float(got) == pytest.approx(float(call(name)), abs=1e-6)


def test_unsigned_scores_fall_as_they_should():
    rising = np.arange(ITEMS, dtype=np.uint8)
    assert float(metrics.kendall(rising, rising[::-1])) == pytest.approx(-1)
    assert float(metrics.spearman(rising, rising[::-1])) == pytest.approx(-1)
    labels = rising > 6
    assert float(metrics.aupr(rising, labels)) == 1
    assert float(metrics.fpr_at_tpr(np.uint32(rising) + np.uint32(2**32 - ITEMS), labels)) == 0


@pytest.mark.parametrize(
    "scores",
    [
        1 + 1e-12 * rng.permutation(ITEMS),
        2**40 + rng.permutation(ITEMS),
        np.uint64(2**63) + rng.permutation(ITEMS).astype(np.uint64),
        np.int32(2**24) + rng.permutation(ITEMS).astype(np.int32),
    ],
    ids=["float64", "int64", "uint64", "int32"],
)
def test_scores_that_float32_would_merge_keep_their_order(scores):
    wanted = scipy.stats.spearmanr(scores - scores.min(), OTHER).statistic
    assert float(metrics.spearman(scores, OTHER)) == pytest.approx(wanted, abs=1e-6)
    tau = scipy.stats.kendalltau(scores - scores.min(), OTHER).statistic
    assert float(metrics.kendall(scores, OTHER)) == pytest.approx(tau, abs=1e-6)
    area = sklearn.metrics.roc_auc_score(LABELS, scores - scores.min())
    assert float(metrics.auroc(scores, LABELS)) == pytest.approx(area, abs=1e-6)
    positive = LABELS == 1
    sides = (scores[~positive], scores[positive])
    assert float(metrics.auroc_between(*sides)) == pytest.approx(area, abs=1e-6)
    assert float(routing.routing_auc(*sides)) == pytest.approx(area, abs=1e-6)
    close = 2 * np.sort(scores)[:5] - scores.min()
    ranks = density.conditional_rank(close[2:3], np.zeros(1), close, np.zeros(5))
    assert ranks.tolist() == [0.5]
    assert np.isnan(metrics.spearman(np.append(scores[1:].astype(np.float64), np.nan), OTHER))


def test_thresholds_are_scores_whatever_their_type():
    for scores in (np.arange(1, 20), np.arange(1, 20, dtype=np.uint8), 1 + 1e-12 * np.arange(19)):
        assert float(conformal.conformal_threshold(scores, 0.05)) == scores.max()
        assert float(conformal.conformal_threshold(scores[:9], 0.05)) == np.inf
        groups = np.arange(19) % 2
        got = conformal.group_conformal_thresholds(scores, groups, 2, 0.3)
        for group in range(2):
            alone = conformal.conformal_threshold(scores[groups == group], 0.3)
            assert float(got[group]) == float(alone)
        assert float(conformal.quantile_threshold(scores, 0.5)) == np.sort(scores)[9]
    # Under jit float32 is what there is; a threshold is never below the score it stands for.
    large = jnp.arange(19, dtype=jnp.int32) + 2**24 + 1
    assert float(jax.jit(conformal.conformal_threshold)(large, 0.05)) >= 2**24 + 19


def test_thresholds_may_be_asked_for_at_a_traced_share():
    scores = rng.permutation(999).astype(np.float32)
    for function in (conformal.conformal_threshold, conformal.quantile_threshold):
        traced = jax.jit(function)
        for share in (0.05, 0.21, 0.29, 0.9995):
            assert float(traced(scores, share)) == float(function(scores, share)), share


def test_an_undefined_row_gives_no_p_value():
    x = rng.normal(size=(8, 2)).astype(np.float32)
    test = jax.jit(functools.partial(mmd.two_sample_test, permutations=19))
    assert np.isfinite(list(test(jax.random.key(0), x, x + 1))).all()
    for value in (np.nan, np.inf):
        for sides in ((broken(x, value), x), (x, broken(x, value))):
            assert np.isnan(list(test(jax.random.key(0), *sides))).all()


def test_undefined_scores_are_never_the_most_familiar():
    known = rng.normal(size=30).astype(np.float32)
    given = np.zeros(ITEMS, np.float32)
    rank = density.conditional_rank(broken(SCORES), given, known, known)
    unusual = density.typicality(broken(SCORES), known)
    surprise = density.tail_surprise(density.fit_tail(known), broken(SCORES))
    for of in (
        rank,
        unusual,
        surprise,
        density.conditional_rank(SCORES, broken(given), known, known),
    ):
        assert np.isnan(np.asarray(of)).tolist() == [i == 3 for i in range(ITEMS)]
    for of in (
        density.typicality(SCORES, broken(known)),
        density.typicality(SCORES, known[:0]),
        density.tail_surprise(density.fit_tail(broken(known)), SCORES),
        density.tail_surprise(density.fit_tail(known[:0]), SCORES),
        density.conditional_rank(SCORES, given, broken(known), known),
        density.conditional_rank(SCORES, given, known, broken(known)),
        density.conditional_rank(SCORES, given, known[:0], known[:0]),
    ):
        assert np.isnan(of).all()


def test_a_routing_curve_of_undefined_scores_is_undefined():
    for sides in ((broken(SCORES), OTHER), (SCORES, broken(OTHER)), (SCORES, OTHER[:0])):
        assert np.isnan(routing.routing_auc(*sides))
        assert np.isnan(routing.retention_at(*sides, 0.8))
    assert np.isnan(routing.routing_auc(SCORES[:0], OTHER))
    assert np.isnan(routing.retention_at(SCORES, OTHER, np.nan))


def test_an_undefined_cell_is_never_the_best():
    objective = np.float32([[1, np.nan], [3, 2]])
    everything = np.ones((2, 2), bool)
    assert [int(i) for i in routing.best_cell(objective, everything)] == [1, 0, 1]
    assert not routing.best_cell(np.full((2, 2), np.nan), everything).found
    counts = np.array([[2**24, 2**24 + 1], [5, 6]])
    assert [int(i) for i in routing.best_cell(counts, everything)] == [0, 1, 1]
    allowed = np.array([[False, True], [False, False]])
    assert [int(i) for i in routing.best_cell(np.full((2, 2), -np.inf), allowed)] == [0, 1, 1]
    gain = np.array([2**24, 2**24 + 1, 7, 3])
    cost = np.array([0.5, 0.6, np.nan, 0.1], np.float32)
    assert routing.pareto_front(gain, cost).tolist() == [True, True, False, True]


def test_a_class_without_items_is_nobodys_nearest():
    features = 5 + rng.normal(size=(9, 2))
    q = np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 1, 1]]
    origin = np.zeros((1, 2))
    with_third = density.class_mahalanobis(density.fit_shared_gaussians(features, q), origin)
    without = density.class_mahalanobis(density.fit_shared_gaussians(features, q[:, :2]), origin)
    assert float(with_third[0]) == pytest.approx(float(without[0]), rel=1e-5)


def test_counts_that_cannot_be_have_no_posterior():
    votes = np.array([[3, -1.0], [2, 2], [np.nan, 1]])
    mean = posterior.disagreement_posterior(jax.random.key(0), votes, draws=20).mean
    assert np.isnan(mean).tolist() == [True, False, True]
