"""Decomposition of members that know a concentration: parts, limits, and sub-ensembles."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ferjax import uncertainty

MEMBERS = 4
ITEMS = 30
CLASSES = 8

decompose = jax.jit(uncertainty.decompose, static_argnames=("member_axis", "axis"))
decompose_subsets = jax.jit(uncertainty.decompose_subsets)
jackknife = jax.jit(uncertainty.jackknife)
aleatoric_contributions = jax.jit(uncertainty.aleatoric_contributions)


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    log_probs = scipy.special.log_softmax(3 * rng.normal(size=(MEMBERS, ITEMS, CLASSES)), -1)
    return log_probs.astype(np.float32), rng.normal(size=(MEMBERS, ITEMS)).astype(np.float32)


def reference(log_probs, log_concentration):
    """From the definitions, with scipy's digamma in float64."""
    p = np.exp(np.float64(log_probs))
    s = np.exp(np.float64(log_concentration))
    psi = scipy.special.digamma
    entropy = scipy.special.entr(p).sum(-1)
    expected = psi(s + 1) - (p * psi(p * s[..., None] + 1)).sum(-1)
    total = scipy.special.entr(p.mean(0)).sum(-1)
    within = (entropy - expected).mean(0)
    between = total - entropy.mean(0)
    return uncertainty.Decomposition(total, expected.mean(0), within + between, within, between)


def test_parts_are_those_of_the_definition_and_add_up(given):
    parts = decompose(*given)
    chex.assert_trees_all_close(parts, reference(*given), atol=3e-6, rtol=1e-5)
    np.testing.assert_array_equal(parts.epistemic, parts.within + parts.between)
    np.testing.assert_array_equal(parts.total, parts.aleatoric + parts.epistemic)
    assert min(float(part.min()) for part in parts) >= 0
    # The total is the mixture's entropy, whatever the concentrations.
    np.testing.assert_allclose(parts.total, decompose(given[0]).total, atol=3e-6)


@pytest.mark.parametrize("log_s", [np.log(1e8), 80.0, np.inf])
def test_a_large_concentration_is_none(given, log_s):
    log_probs, _ = given
    plain = decompose(log_probs)
    found = decompose(log_probs, np.full((MEMBERS, ITEMS), log_s, np.float32))
    chex.assert_trees_all_close(found, plain, atol=1e-6, rtol=1e-6)
    np.testing.assert_array_equal(plain.within, 0)
    np.testing.assert_array_equal(plain.between, plain.epistemic)


def test_a_small_concentration_makes_everything_epistemic(given):
    log_probs, _ = given
    found = decompose(log_probs, np.full((MEMBERS, ITEMS), -30, np.float32))
    np.testing.assert_allclose(found.aleatoric, 0, atol=1e-6)
    np.testing.assert_allclose(found.epistemic, decompose(log_probs).total, rtol=1e-5)


def test_one_member_has_an_epistemic_uncertainty_of_its_own(given):
    log_probs, log_s = given
    alone = decompose(log_probs[:1], log_s[:1])
    np.testing.assert_array_equal(alone.between, 0)
    assert float(alone.within.min()) > 0


def test_axes_by_number(given):
    """``[item, class, member]`` and ``[class, item, member]``, with concentrations ``[item,
    member]``."""
    log_probs, log_s = given
    expected = decompose(log_probs, log_s)
    for order, axes in (((1, 2, 0), (2, 1)), ((2, 1, 0), (-1, 0)), ((1, 0, 2), (1, -1))):
        moved = np.transpose(log_probs, order)
        without_class = [axis for axis in order if axis != 2]
        concentrations = np.transpose(log_s, without_class)
        found = decompose(moved, concentrations, member_axis=axes[0], axis=axes[1])
        chex.assert_trees_all_close(found, expected, atol=1e-6)


def test_sub_ensembles_are_ensembles(given):
    log_probs, log_s = given
    masks = np.array([[1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1]], bool)
    found = decompose_subsets(log_probs, masks, log_s)
    for row, mask in enumerate(masks):
        chex.assert_trees_all_close(
            jax.tree.map(lambda part, row=row: part[row], found),
            uncertainty.decompose(log_probs[mask], log_s[mask]),
            atol=3e-6,
        )


def test_contributions_sum_to_their_parts(given):
    log_probs, log_s = given
    epistemic = uncertainty.epistemic_contributions(log_probs, log_s).sum(-1)
    np.testing.assert_allclose(epistemic, decompose(log_probs, log_s).epistemic, rtol=1e-5)
    by_class = aleatoric_contributions(log_probs, log_s)
    np.testing.assert_allclose(by_class.sum(-1), decompose(log_probs, log_s).aleatoric, rtol=1e-5)


def test_the_jackknife_leaves_concentrations_out_with_their_members(given):
    log_probs, log_s = given
    left_out = [
        uncertainty.decompose(np.delete(log_probs, k, 0), np.delete(log_s, k, 0)).aleatoric
        for k in range(MEMBERS)
    ]
    error = np.sqrt((MEMBERS - 1) * np.var(left_out, axis=0))
    np.testing.assert_allclose(
        jackknife(log_probs, log_s).standard_error.aleatoric, error, rtol=1e-3, atol=1e-6
    )


def test_gradients_are_finite_where_a_member_is_certain():
    log_probs = jnp.log(jnp.array([[[1.0, 0.0, 0.0]], [[0.5, 0.5, 0.0]]]))
    for log_s in (-50.0, 0.0, 50.0):
        gradients = jax.grad(lambda *of: decompose(*of).epistemic.sum(), (0, 1))(
            log_probs, jnp.full((2, 1), log_s)
        )
        chex.assert_tree_all_finite(gradients)


def test_concentrations_of_another_shape_are_refused(given):
    log_probs, log_s = given
    with pytest.raises(ValueError, match=r"log_concentration must be .* got \(4, 29\)"):
        uncertainty.decompose(log_probs, log_s[:, 1:])
