"""Every function of the core under jit: the same as without, and traced once for any values."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import (
    bootstrap,
    conformal,
    density,
    dirichlet,
    losses,
    metrics,
    mmd,
    panels,
    posterior,
    prediction_powered,
    priors,
    recalibration,
    replacement,
    routing,
    uncertainty,
)

MODULES = (
    *(bootstrap, conformal, density, metrics, mmd, posterior, routing, uncertainty),
    *(dirichlet, losses, panels, prediction_powered, priors, recalibration, replacement),
)
ITEMS = 6
KEY = jax.random.key(0)
draw = np.random.default_rng(0)


def floats(*shape):
    return np.float32(draw.random(shape))


LOG_PROBS = jax.nn.log_softmax(4 * floats(4, ITEMS, 3))
MASKS = np.array([[True, True, False, True]])
WEIGHTS = draw.integers(0, 3, (3, ITEMS))
VOTES = draw.integers(1, 5, (ITEMS, 3))
Q = np.float32(VOTES / VOTES.sum(1, keepdims=True))
LABELS = np.array([0, 1, 0, 1, 1, 0])
X = floats(ITEMS)
Y = floats(ITEMS)
FEATURES = floats(ITEMS, 2)
UNIT = density.Gaussian(jnp.zeros(2), jnp.eye(2), jnp.zeros(()))
SHARED = density.SharedGaussians(floats(3, 2), UNIT, UNIT)
CLASSES = density.ClassGaussians(jax.tree.map(lambda leaf: leaf[None], UNIT), jnp.zeros(1))
VIM = density.Vim(jnp.zeros(2), jnp.eye(2)[:, :1], jnp.ones(()))
SPECTRUM = density.Spectrum(jnp.zeros(2), jnp.eye(2), jnp.eye(2))
POSTERIOR = posterior.DisagreementPosterior(X, Y, X, Y)
CURVE = routing.Curve(np.float32([1, 0.5, 0]), np.float32([0, 0.9, 1]))
THRESHOLDS = np.float32([0.2, 0.5, 0.8])
RULE = routing.RouterRule(np.float32(0.5), np.float32(0.7))
ALPHA = 1 + floats(ITEMS, 3)
MEAN = LOG_PROBS[0]
RATED = VOTES.sum(1)
PEOPLE = jax.tree.map(np.asarray, panels.of_counts(VOTES, RATED))
JURY = jax.tree.map(lambda of: np.stack([of, of[::-1]]), PEOPLE)
DIRICHLET_PRIOR = panels.Prior(np.float32([0.2, 0.3, 0.5]), np.float32(2))
FITTED = recalibration.Concentration(*floats(2, 7), *floats(2, 7))._replace(bias=np.float32(0))
MEMBERS_FITTED = jax.tree.map(lambda of: np.stack([of] * 4), FITTED)
FOLD = np.arange(ITEMS, dtype=np.int32) % 2
FOLDS_FITTED = jax.tree.map(lambda of: np.stack([of] * 2), MEMBERS_FITTED)
ANSWERS = np.float32(np.eye(3)[draw.integers(0, 3, (ITEMS, 4))])
APART = replacement.class_distance(ANSWERS[:, :, None], ANSWERS[:, None])


def total(w):
    return jnp.sum(w * jnp.arange(1.0, ITEMS + 1))


# Arguments of every public function; those behind the first tuple are static.
CALLS = {
    "bootstrap.difference": ((WEIGHTS,), {"first": total, "second": jnp.sum}),
    "bootstrap.estimate": ((WEIGHTS,), {"statistic": total}),
    "bootstrap.p_value": ((floats(9, 2),), {}),
    "bootstrap.percentile_interval": ((floats(9, 2),), {}),
    "bootstrap.resample_weights": ((KEY,), {"items": ITEMS, "resamples": 3}),
    "bootstrap.resampled": ((WEIGHTS,), {"statistic": total}),
    "bootstrap.summarise": ((floats(9, 2),), {}),
    "conformal.betting_tail": ((X, np.float32(0.5)), {}),
    "conformal.binomial_tail": ((LABELS, LABELS + 5, np.float32(0.3)), {}),
    "conformal.fixed_sequence": ((X, np.float32(0.5)), {}),
    "conformal.hoeffding_bentkus": ((X, LABELS + 5, np.float32(0.3)), {}),
    "conformal.holm": ((X, np.float32(0.5)), {}),
    "conformal.risk_controlling_set": ((Q, np.float32(0.5), np.float32(0.1)), {}),
    "conformal.risk_upper_bound": ((X, LABELS + 5, np.float32(0.1)), {}),
    "conformal.conformal_threshold": ((X, np.float32(0.3)), {}),
    "conformal.group_conformal_thresholds": (
        (X, LABELS),
        {"num_groups": 2, "false_rejection": 0.3},
    ),
    "conformal.learn_then_test": ((LABELS, LABELS + 50), {"max_error": 0.1, "delta": 0.1}),
    "conformal.quantile_threshold": ((X, np.float32(0.3)), {}),
    "conformal.risk_controlling_index": ((Q, np.float32(0.5)), {}),
    "dirichlet.concentration_of_entropy": ((MEAN, X), {}),
    "dirichlet.expected_disagreement": ((MEAN, X), {}),
    "dirichlet.expected_entropy": ((MEAN, X), {}),
    "dirichlet.expected_entropy_contributions": ((MEAN, X), {}),
    "dirichlet.from_alpha": ((ALPHA,), {}),
    "dirichlet.kl": ((MEAN, X, LOG_PROBS[1], Y), {}),
    "dirichlet.log_likelihood": ((VOTES, MEAN, X), {"max_votes": 12}),
    "dirichlet.mutual_information": ((MEAN, X), {}),
    "losses.huber": ((4 * X - 2,), {}),
    "losses.attention_consistency": ((floats(2, 2, 2, 3), floats(2, 2, 2, 3)), {}),
    "losses.cross_entropy": ((MEAN, Q), {}),
    "losses.evidential_risk": ((ALPHA, Q), {"risk": "log"}),
    "losses.hard_targets": ((Q,), {}),
    "losses.misleading_evidence": ((ALPHA, Q), {}),
    "losses.rank_regularisation": ((X,), {"share": 0.5, "margin": 0.1}),
    "panels.draw_worlds": ((KEY, DIRICHLET_PRIOR, VOTES, RATED), {"draws": 2}),
    "panels.expected_score": ((PEOPLE, JURY), {}),
    "panels.fit_prior": ((PEOPLE, VOTES), {"several": False}),
    "panels.floor_of": ((KEY, floats(2, ITEMS, 3), RATED), {"several": False, "max_people": 3}),
    "panels.gap": ((PEOPLE, JURY), {}),
    "panels.halves": ((KEY, floats(ITEMS, 4) > 0.3), {}),
    "panels.jury_split": ((JURY,), {}),
    "panels.leave_one_out": ((PEOPLE, FOLD), {}),
    "panels.of_answers": ((ANSWERS, floats(ITEMS, 4)), {}),
    "panels.of_counts": ((VOTES, RATED), {}),
    "panels.of_level_counts": ((VOTES, np.float32([1, 2])), {}),
    "panels.of_probs": ((Q,), {}),
    "panels.of_shares": ((Q, np.float32(RATED)), {}),
    "panels.of_values": ((floats(ITEMS, 4, 1), THRESHOLDS, THRESHOLDS), {}),
    "panels.people_equivalents": ((X, Y, WEIGHTS[0]), {}),
    "panels.pool": ((JURY,), {}),
    "panels.reliability": ((PEOPLE, WEIGHTS[0]), {}),
    "panels.skill": ((X, Y, WEIGHTS[0]), {}),
    "panels.spread": ((PEOPLE,), {}),
    "panels.stepped_up": ((X, Y), {}),
    "prediction_powered.powered_mean": ((Q, ALPHA, floats(9, 3)), {}),
    "priors.adjust": ((LOG_PROBS, DIRICHLET_PRIOR.mean, np.float32([0.5, 0.25, 0.25])), {}),
    "priors.estimate": ((MEAN, DIRICHLET_PRIOR.mean, WEIGHTS[0]), {}),
    "priors.label_shift": (
        (KEY, MEAN, LOG_PROBS[1], Q, DIRICHLET_PRIOR.mean),
        {"resamples": 2},
    ),
    "priors.mean_prior": ((Q,), {}),
    "priors.tempered": ((DIRICHLET_PRIOR.mean, np.float32(0.5)), {}),
    "recalibration.apply_folds": ((FOLDS_FITTED, LOG_PROBS, FOLD), {}),
    "recalibration.apply_members": ((MEMBERS_FITTED, LOG_PROBS), {}),
    "recalibration.cross_fit": ((VOTES, MEAN, FOLD), {"num_folds": 2}),
    "recalibration.fit_folds": ((VOTES, LOG_PROBS, FOLD), {"num_folds": 2, "max_votes": 12}),
    "recalibration.fit_members": ((VOTES, LOG_PROBS, WEIGHTS[0]), {"max_votes": 12}),
    "recalibration.minimise": ((X,), {}),
    "replacement.alternative_annotator_test": (
        (APART[None, :, 0], APART, np.tile(np.arange(4, dtype=np.int32), (ITEMS, 1))),
        {"raters": 4, "min_items": 2},
    ),
    "replacement.benjamini_yekutieli": ((X, np.float32(0.05)), {}),
    "replacement.class_distance": ((Q, ALPHA), {}),
    "replacement.set_distance": ((ANSWERS, ANSWERS[::-1]), {}),
    "replacement.squared_distance": ((Q, ALPHA), {}),
    "density.band_energies": ((SPECTRUM, floats(ITEMS, 4, 2)), {}),
    "density.class_density": ((CLASSES, FEATURES), {}),
    "density.class_mahalanobis": ((SHARED, FEATURES), {}),
    "density.conditional_rank": ((X, Y, floats(8), floats(8)), {"neighbours": 4}),
    "density.fit_class_gaussians": ((FEATURES, Q), {}),
    "density.fit_gaussian": ((FEATURES, X), {}),
    "density.fit_shared_gaussians": ((FEATURES, Q), {}),
    "density.fit_kl_matching": ((LOG_PROBS[0],), {}),
    "density.fit_tail": ((X,), {"share": 0.4}),
    "density.fit_vim": (
        (floats(ITEMS, 4), floats(ITEMS, 3), floats(4, 3), floats(3)),
        {"dimensions": 2},
    ),
    "density.gen": ((LOG_PROBS[0],), {"top": 2}),
    "density.kl_matching": ((LOG_PROBS[1, :3], LOG_PROBS[0]), {}),
    "density.max_logit": ((Q,), {}),
    "density.vim": ((VIM, FEATURES, Q), {}),
    "density.fit_spectrum": ((floats(ITEMS, 4, 2),), {"bands": 2}),
    "density.mahalanobis": ((UNIT, FEATURES), {}),
    "density.nearest_neighbour": ((FEATURES, floats(4, 2)), {"k": 2}),
    "density.relative_mahalanobis": ((SHARED, FEATURES), {}),
    "density.tail_surprise": ((density.Tail(*np.float32([0.5, 0.2, 0.1])), X), {}),
    "density.typicality": ((X, Y), {}),
    "metrics.accuracy": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {}),
    "metrics.augrc": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.aupr": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.aurc": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.auroc": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.auroc_between": ((X, Y, WEIGHTS[0], WEIGHTS[0]), {}),
    "metrics.balanced_accuracy": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {}),
    "metrics.class_recall": ((LOG_PROBS[0], np.arange(ITEMS) % 3, np.ones(ITEMS)), {}),
    "metrics.brier": ((LOG_PROBS[0], Q, WEIGHTS[0]), {}),
    "metrics.ece": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {"bins": 3, "equal_mass": True}),
    "metrics.calibration_gaps": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {"bins": 3}),
    "metrics.classwise_ece": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {"bins": 3}),
    "metrics.classwise_gaps": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {"bins": 3}),
    "metrics.l2_ece": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {"bins": 3}),
    "metrics.mce": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {"bins": 3}),
    "metrics.excess_augrc": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.coverage_at_risk": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.excess_aurc": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.fpr_at_tpr": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.ideal_aurc": ((X, WEIGHTS[0]), {}),
    "metrics.jensen_shannon": ((LOG_PROBS[0], Q, WEIGHTS[0]), {}),
    "metrics.kendall": ((X, Y, WEIGHTS[0]), {}),
    "metrics.kl": ((LOG_PROBS[0], Q, WEIGHTS[0]), {}),
    "metrics.label_brier": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {}),
    "metrics.label_nll": ((LOG_PROBS[0], LABELS, WEIGHTS[0]), {}),
    "metrics.misclassification_aupr": ((X, LABELS, WEIGHTS[0]), {"successes": True}),
    "metrics.misclassification_auroc": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.nll": ((LOG_PROBS[0], Q, WEIGHTS[0]), {}),
    "metrics.noise_ceiling": ((KEY, 9 * VOTES, WEIGHTS[0]), {"splits": 2, "max_votes": 108}),
    "metrics.reliability_bins": ((X, LABELS, WEIGHTS[0]), {"bins": 2, "equal_mass": True}),
    "metrics.risk_at_coverage": ((X, LABELS, WEIGHTS[0]), {}),
    "metrics.spearman": ((X, Y, WEIGHTS[0]), {}),
    "metrics.vote_accuracy": ((LOG_PROBS[0], Q, WEIGHTS[0]), {}),
    "mmd.two_sample_test": ((KEY, FEATURES, floats(4, 2)), {"permutations": 5}),
    "posterior.disagreement_posterior": ((KEY, VOTES), {"draws": 5, "prior": 0.5}),
    "posterior.intraclass_reliability": ((POSTERIOR,), {}),
    "routing.best_cell": ((Q, Q > 0.3), {}),
    "routing.curve_of": ((X, floats(2 * ITEMS + 1), WEIGHTS[0]), {}),
    "routing.decide": ((X, Y, RULE), {}),
    "routing.grid": ((X, Y, THRESHOLDS, THRESHOLDS), {"num_groups": 1}),
    "routing.matched": ((CURVE, THRESHOLDS), {}),
    "routing.outside_bins": ((X, Y), {}),
    "routing.pareto_front": ((Q, Q[::-1]), {}),
    "routing.retention_at": ((X, Y, np.float32(0.8)), {}),
    "routing.routing_auc": ((X, Y), {}),
    "routing.routing_curve": ((X, Y, WEIGHTS[0], WEIGHTS[0]), {}),
    "uncertainty.aleatoric_contributions": ((LOG_PROBS,), {"member_axis": 0}),
    "uncertainty.correct_small_ensemble": ((X, np.int32(4)), {}),
    "uncertainty.credal_width": ((LOG_PROBS,), {"member_axis": 0, "axis": -1}),
    "uncertainty.decompose": ((LOG_PROBS,), {"member_axis": 0, "axis": -1}),
    "uncertainty.decompose_subsets": ((LOG_PROBS, MASKS), {}),
    "uncertainty.decompose_variance": ((LOG_PROBS,), {"member_axis": 0, "axis": -1}),
    "uncertainty.entropy": ((LOG_PROBS,), {"axis": -1}),
    "uncertainty.epistemic_contributions": ((LOG_PROBS,), {"member_axis": 0}),
    "uncertainty.expected_pairwise_kl": ((LOG_PROBS,), {"member_axis": 0, "axis": -1}),
    "uncertainty.jackknife": ((LOG_PROBS,), {"axis": -1}),
    "uncertainty.jackknife_estimate": ((X, floats(4, ITEMS)), {}),
    "uncertainty.label_disagreement": ((LOG_PROBS,), {"member_axis": 0, "axis": -1}),
    "uncertainty.variation_ratio": ((LOG_PROBS,), {"member_axis": 0, "axis": -1}),
    "uncertainty.least_confidence": ((LOG_PROBS,), {"axis": -1}),
    "uncertainty.mean_log_probs": ((LOG_PROBS,), {"member_axis": 0}),
}
NOT_JITTED = {
    *("conformal.conformal_rank", "routing.preferred", "routing.read_rules"),
    *("priors.check_prior", "priors.training_prior", "recalibration.make_folds"),
    "recalibration.telling",
}
"""Plain Python: numbers and JSON in, numbers and rules out."""
FIRST = {
    "panels.floor_of": lambda f: (
        lambda key, worlds, n, **more: f(key, lambda h, p: p, worlds, n, None, **more)
    ),
    "recalibration.cross_fit": lambda f: (
        lambda *given, **more: f(recalibration.Temperature, *given, **more)
    ),
    "recalibration.minimise": lambda f: lambda x: f(lambda y: jnp.sum((y - 1) ** 2), x),
}
"""Functions of functions, made functions of arrays."""
LOOPS = {name for name in CALLS if name.startswith("recalibration.")} | {"priors.label_shift"}
"""Take long to compile; their own tests run them."""

COMPILED = (
    "bootstrap.estimate",
    "conformal.conformal_threshold",
    "density.typicality",
    "metrics.aurc",
    "metrics.spearman",
    "posterior.intraclass_reliability",
    "routing.decide",
    "routing.grid",
    "uncertainty.decompose",
)
"""Compiled with and without jit. All are the same; one or two of a module keep the test fast."""


def public_functions():
    """``module.name`` -> every public function of the core that computes on arrays."""
    found = {}
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and not isinstance(value, type):
                found[f"{module.__name__.removeprefix('ferjax.')}.{name}"] = value
    return found


FUNCTIONS = public_functions()


def bound(name):
    """A function of its arrays alone, and these."""
    arrays, static = CALLS[name]
    if name in FIRST:
        made = FIRST[name](FUNCTIONS[name])
        return lambda *given: made(*given, **static), arrays
    if "first" in static or "statistic" in static:
        functions = list(static.values())
        return lambda weights: FUNCTIONS[name](*functions, weights), arrays
    return lambda *given: FUNCTIONS[name](*given, **static), arrays


def traced_once(function, *arrays):
    """``function`` as a program that may not be traced again for other values of these shapes."""
    chex.clear_trace_counter()  # it knows functions by their source, which these lambdas share
    once = jax.jit(chex.assert_max_traces(function, n=1))
    once.trace(*arrays)
    once.trace(*jax.tree.map(lambda of: of[::-1] if np.ndim(of) else of, arrays))
    return once


def test_no_function_is_forgotten():
    assert CALLS.keys() == FUNCTIONS.keys() - NOT_JITTED


@pytest.mark.parametrize("name", CALLS)
def test_other_values_are_no_other_program_and_results_are_float32_or_whole(name):
    function, arrays = bound(name)
    leaves = jax.tree.leaves(traced_once(function, *arrays).trace(*arrays).out_info)
    assert leaves
    assert {leaf.dtype.name for leaf in leaves} <= {"float32", "int32", "bool"}


@pytest.mark.parametrize("name", COMPILED)
def test_jit_changes_nothing(name):
    function, arrays = bound(name)
    compiled = traced_once(function, *arrays)(*arrays)
    chex.assert_trees_all_close(compiled, function(*arrays), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "setting, value", [("jax_enable_x64", True), ("jax_numpy_dtype_promotion", "strict")]
)
def test_a_stricter_session_traces_the_same(name, setting, value):
    """64-bit types let in, or none promoted without a word: no function mixes types by accident."""
    function, arrays = bound(name)
    before = getattr(jax.config, setting)
    jax.config.update(setting, value)
    try:
        leaves = jax.tree.leaves(jax.eval_shape(lambda *given: function(*given), *arrays))
    finally:
        jax.config.update(setting, before)
    assert leaves
    if setting == "jax_numpy_dtype_promotion":
        assert {leaf.dtype.name for leaf in leaves} <= {"float32", "int32", "bool"}


def test_no_function_makes_a_nan_of_defined_inputs():
    """One program of all of them, under jax_debug_nans."""
    functions = [bound(name) for name in CALLS if name not in LOOPS]
    with jax.debug_nans(True):
        jax.jit(lambda given: [f(*arrays) for (f, _), arrays in zip(functions, given)])(
            [arrays for _, arrays in functions]
        )
