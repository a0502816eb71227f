"""MaxLogit, GEN, KL matching, ViM, credal width, and members' labels against numpy and scipy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from ferjax import bootstrap, density, uncertainty

ITEMS = 40
CLASSES = 5
WIDTH = 7


@pytest.fixture(scope="module")
def network():
    """Features, a linear head, its logits, and log-probabilities."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(ITEMS, WIDTH)) * np.linspace(0.1, 2, WIDTH)
    kernel = rng.normal(size=(WIDTH, CLASSES))
    bias = rng.normal(size=CLASSES)
    logits = features @ kernel + bias
    return features, kernel, bias, logits, scipy.special.log_softmax(logits, -1)


def test_max_logit_and_gen_are_their_definitions(network):
    *_, logits, log_probs = network
    np.testing.assert_allclose(jax.jit(density.max_logit)(logits), -logits.max(-1), rtol=1e-6)
    p = np.exp(log_probs)
    terms = (p * (1 - p)) ** 0.1
    got = jax.jit(density.gen)(np.float32(log_probs))
    np.testing.assert_allclose(got, terms.sum(-1), rtol=1e-5)
    largest = np.take_along_axis(terms, np.argsort(-p, -1)[:, :2], -1)
    got = density.gen(np.float32(log_probs), top=2)
    np.testing.assert_allclose(got, largest.sum(-1), rtol=1e-5)
    sure = density.gen(jnp.log(jnp.eye(3)))
    assert sure.tolist() == [0, 0, 0]


def test_kl_matching_is_the_loop_over_classes(network):
    *_, log_probs = network
    p = np.exp(log_probs)
    predicted = p.argmax(-1)
    templates = [p[predicted == c].mean(0) for c in range(CLASSES) if (predicted == c).any()]
    expected = np.min([scipy.special.rel_entr(p, t[None]).sum(-1) for t in templates], axis=0)
    known = jax.jit(density.fit_kl_matching)(np.float32(log_probs))
    got = jax.jit(density.kl_matching)(known, np.float32(log_probs))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    # A class that nobody is predicted to be is no match for anything.
    some = log_probs[predicted != predicted[0]]
    known = density.fit_kl_matching(np.float32(some))
    assert np.isneginf(known[predicted[0]]).all()
    assert np.isfinite(density.kl_matching(known, np.float32(log_probs))).all()


def test_vim_is_the_released_codes(network):
    """As in the authors' benchmark.py, in numpy's float64."""
    features, kernel, bias, logits, _ = network
    dimensions = 4
    origin = -np.linalg.pinv(kernel.T) @ bias
    centred = features - origin
    values, vectors = np.linalg.eig(centred.T @ centred / len(centred))
    residual = vectors[:, np.argsort(values * -1)[dimensions:]].real
    alpha = logits.max(-1).mean() / np.linalg.norm(centred @ residual, axis=-1).mean()
    fresh = features[::-1] * 1.5
    fresh_logits = fresh @ kernel + bias
    virtual = np.linalg.norm((fresh - origin) @ residual, axis=-1) * alpha
    expected = virtual - scipy.special.logsumexp(fresh_logits, axis=-1)
    known = jax.jit(density.fit_vim, static_argnames="dimensions")(
        features, logits, kernel, bias, dimensions=dimensions
    )
    got = jax.jit(density.vim)(known, fresh, fresh_logits)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["max_logit", "gen", "kl_matching", "vim"])
def test_a_nan_is_its_own_items(network, name):
    features, kernel, bias, logits, log_probs = network
    broken = np.float32(log_probs if name in ("gen", "kl_matching") else logits)
    broken[3, 1] = np.nan
    fitted = {"kl_matching": lambda: (density.fit_kl_matching(np.float32(log_probs)),)}
    fitted["vim"] = lambda: (
        density.fit_vim(features, logits, kernel, bias, dimensions=4),
        np.float32(features),
    )
    got = getattr(density, name)(*fitted.get(name, tuple)(), broken)
    assert np.isnan(got).tolist() == [i == 3 for i in range(ITEMS)]


def test_refusals(network):
    features, kernel, bias, logits, log_probs = network
    for call in (
        lambda: density.fit_vim(features, logits, kernel.T, bias, dimensions=2),
        lambda: density.fit_vim(features, logits, kernel, bias, dimensions=WIDTH),
        lambda: density.kl_matching(log_probs[:, :2], log_probs),
        lambda: density.gen(log_probs, top=0),
        lambda: uncertainty.credal_width(np.zeros((2, 1, 13), np.float32)),
    ):
        with pytest.raises(ValueError, match="got"):
            call()


def slow_credal_width(p):
    """Of probabilities ``[member, class]``: all orders of filling, and a level by search."""
    low = p.min(0)
    high = p.max(0)
    corners = []
    for order in itertools.permutations(range(len(low))):
        q = low.copy()
        for c in order:
            q[c] += min(1 - q.sum(), high[c] - low[c])
        corners.append(scipy.stats.entropy(q))
    bottom = 0.0
    top = 1.0
    for _ in range(60):
        level = (bottom + top) / 2
        above = np.clip(level, low, high).sum() >= 1
        bottom = bottom if above else level
        top = level if above else top
    return scipy.stats.entropy(np.clip(top, low, high)) - min(corners)


def test_credal_width_is_the_slow_one(rng):
    p = rng.dirichlet(np.full(CLASSES, 0.5), (3, 30))
    expected = [slow_credal_width(p[:, i]) for i in range(30)]
    credal_width = jax.jit(uncertainty.credal_width)
    got = credal_width(np.float32(np.log(p)))
    np.testing.assert_allclose(got, expected, atol=2e-5)
    same = np.float32(np.log(p[:1].repeat(3, 0)))
    assert credal_width(same).tolist() == [0] * 30
    same[1, 4, 2] = np.nan
    assert np.isnan(credal_width(same)).tolist() == [i == 4 for i in range(30)]


def test_labels_of_members_are_counted(rng):
    log_probs = np.float32(np.log(rng.dirichlet(np.ones(CLASSES), (6, 30))))
    log_probs[:, 0] = log_probs[:1, 0]
    chosen = log_probs.argmax(-1)
    modal = scipy.stats.mode(chosen, axis=0).count / 6
    got = jax.jit(uncertainty.variation_ratio)(log_probs)
    np.testing.assert_allclose(got, 1 - modal, atol=1e-6)
    pairs = [chosen[i] != chosen[j] for i, j in itertools.combinations(range(6), 2)]
    got = jax.jit(uncertainty.label_disagreement)(log_probs)
    np.testing.assert_allclose(got, np.mean(pairs, axis=0), atol=1e-6)
    assert float(got[0]) == 0
    assert uncertainty.label_disagreement(log_probs[:1]).tolist() == [0] * 30
    log_probs[2, 7, 0] = np.nan
    for function in (uncertainty.variation_ratio, uncertainty.label_disagreement):
        assert np.isnan(function(log_probs)).tolist() == [i == 7 for i in range(30)]


def test_a_p_value_is_where_the_interval_begins(rng):
    samples = np.float32(rng.normal(0.5, 1, (999, 3)))
    p = np.asarray(jax.jit(bootstrap.p_value)(samples))
    for column, of in enumerate(p):
        for level, holds in ((1 - of * 0.9, True), (1 - of * 1.1, False)):
            low, high = bootstrap.percentile_interval(samples[:, column], level)
            assert bool(low <= 0 <= high) == holds
    assert float(bootstrap.p_value(np.full(99, 2.0))) == pytest.approx(0.02)
    assert float(bootstrap.p_value(np.zeros(99))) == 1
    assert np.isnan(bootstrap.p_value(np.full(99, np.nan)))
