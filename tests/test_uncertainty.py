"""The decomposition as algebra: identities, bounds, invariances, and slow references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ferjax import uncertainty

MEMBERS = 4
FACES = 30
CLASSES = 8


@pytest.fixture(scope="module")
def log_probs():
    logits = 3 * np.random.default_rng(0).normal(size=(MEMBERS, FACES, CLASSES))
    return jnp.asarray(scipy.special.log_softmax(logits, -1), jnp.float32)


@pytest.fixture(scope="module")
def with_zeros():
    """Log-probabilities in which some members rule some classes out."""
    logits = np.random.default_rng(1).normal(size=(MEMBERS, FACES, CLASSES))
    logits[np.random.default_rng(2).random(logits.shape) < 0.3] = -np.inf
    logits[..., 0] = 0.0
    return jnp.asarray(scipy.special.log_softmax(logits, -1), jnp.float32)


def reference(log_probs):
    """Straight from the definitions, in float64."""
    p = np.exp(np.asarray(log_probs, np.float64))
    p /= p.sum(-1, keepdims=True)
    total = scipy.special.entr(p.mean(0)).sum(-1)
    aleatoric = scipy.special.entr(p).sum(-1).mean(0)
    return total, aleatoric, total - aleatoric


@pytest.mark.parametrize("which", ["log_probs", "with_zeros"])
def test_decompose_matches_the_definitions(which, request):
    given = request.getfixturevalue(which)
    for got, expected in zip(uncertainty.decompose(given), reference(given)):
        np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("which", ["log_probs", "with_zeros"])
def test_total_is_the_entropy_of_the_mean(which, request):
    given = request.getfixturevalue(which)
    parts = uncertainty.decompose(given)
    np.testing.assert_allclose(
        parts.total, uncertainty.entropy(uncertainty.mean_log_probs(given)), atol=2e-6
    )
    np.testing.assert_array_equal(parts.total, parts.aleatoric + parts.epistemic)


@pytest.mark.parametrize("members", [1, 2, MEMBERS])
def test_bounds(log_probs, members):
    parts = uncertainty.decompose(jax.nn.log_softmax(20 * log_probs[:members]))
    assert float(parts.epistemic.min()) >= 0
    assert float(parts.epistemic.max()) <= np.log(min(members, CLASSES)) + 1e-6
    assert float(parts.aleatoric.min()) >= 0
    assert float(parts.total.max()) <= np.log(CLASSES) + 1e-6


def test_the_upper_bound_is_reached_by_members_that_exclude_each_other():
    parts = uncertainty.decompose(jnp.log(jnp.eye(CLASSES))[:MEMBERS, None])
    np.testing.assert_allclose(parts.epistemic, np.log(MEMBERS), rtol=1e-6)
    np.testing.assert_array_equal(parts.aleatoric, 0.0)


@pytest.mark.parametrize("copies", [1, 3, 5, 7])
def test_agreement_is_exactly_zero_epistemic(with_zeros, copies):
    same = jnp.repeat(with_zeros[:1], copies, axis=0)
    for parts in (uncertainty.decompose(same), uncertainty.decompose(same.astype(jnp.bfloat16))):
        np.testing.assert_array_equal(parts.epistemic, 0.0)
        np.testing.assert_array_equal(parts.total, parts.aleatoric)
    np.testing.assert_array_equal(uncertainty.epistemic_contributions(same), 0.0)


def test_order_of_members_changes_nothing(with_zeros, rng):
    shuffled = with_zeros[rng.permutation(MEMBERS)]
    for function in (
        uncertainty.decompose,
        uncertainty.decompose_variance,
        lambda x: uncertainty.jackknife(x)[0],
    ):
        for got, expected in zip(function(shuffled), function(with_zeros)):
            np.testing.assert_allclose(got, expected, atol=3e-6)


def test_axes_by_name(log_probs):
    moved = jnp.transpose(log_probs, (2, 1, 0))  # [class, face, member]
    for function in (uncertainty.decompose, uncertainty.decompose_variance):
        for got, expected in zip(function(moved, member_axis=2, axis=0), function(log_probs)):
            np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_allclose(
        uncertainty.expected_pairwise_kl(moved, member_axis=2, axis=0),
        uncertainty.expected_pairwise_kl(log_probs),
        rtol=1e-5,
    )


def test_contributions_add_up(with_zeros):
    parts = uncertainty.decompose(with_zeros)
    np.testing.assert_allclose(
        uncertainty.epistemic_contributions(with_zeros).sum(-1), parts.epistemic, atol=1e-6
    )
    np.testing.assert_allclose(
        uncertainty.aleatoric_contributions(with_zeros).sum(-1), parts.aleatoric, atol=1e-6
    )
    assert float(uncertainty.epistemic_contributions(with_zeros).min()) > -1e-6


@pytest.mark.parametrize("part", uncertainty.Decomposition._fields)
def test_gradients_are_finite_where_probabilities_are_zero(with_zeros, part):
    gradient = jax.grad(lambda x: getattr(uncertainty.decompose(x), part).sum())(with_zeros)
    assert np.isfinite(gradient).all()
    # An impossible class contributes nothing, so it pulls nowhere.
    everywhere = np.asarray(
        jnp.all(with_zeros == -jnp.inf, axis=0, keepdims=True) & (with_zeros == -jnp.inf)
    )
    np.testing.assert_array_equal(np.asarray(gradient)[everywhere], 0.0)


def test_gradient_matches_finite_differences(log_probs):
    small = log_probs[:, :2]
    direction = jnp.asarray(np.random.default_rng(3).normal(size=small.shape), jnp.float32)

    def along(t):
        return uncertainty.decompose(jax.nn.log_softmax(small + t * direction)).epistemic.sum()

    slope = (along(1e-2) - along(-1e-2)) / 2e-2
    np.testing.assert_allclose(jax.grad(along)(0.0), slope, rtol=1e-2)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_input_is_computed_in_float32(log_probs, dtype):
    rounded = log_probs.astype(dtype)
    for got, expected in zip(
        uncertainty.decompose(rounded), uncertainty.decompose(rounded.astype(jnp.float32))
    ):
        assert got.dtype == jnp.float32
        np.testing.assert_array_equal(got, expected)


def test_pairwise_kl_is_the_double_loop(log_probs):
    p = np.exp(np.asarray(log_probs, np.float64))
    pairs = [
        scipy.special.rel_entr(p[i], p[j]).sum(-1)
        for i in range(MEMBERS)
        for j in range(MEMBERS)
        if i != j
    ]
    np.testing.assert_allclose(
        uncertainty.expected_pairwise_kl(log_probs), np.mean(pairs, axis=0), rtol=1e-4
    )


def test_pairwise_kl_of_one_member_is_zero_and_of_contradiction_infinite(log_probs):
    np.testing.assert_array_equal(uncertainty.expected_pairwise_kl(log_probs[:1]), np.zeros(FACES))
    contradicting = jnp.log(jnp.array([[[1.0, 0.0]], [[0.5, 0.5]]]))
    assert float(uncertainty.expected_pairwise_kl(contradicting)[0]) == np.inf
    excluded_by_all = jnp.log(jnp.array([[[0.75, 0.25, 0.0]], [[0.25, 0.75, 0.0]]]))
    np.testing.assert_allclose(
        uncertainty.expected_pairwise_kl(excluded_by_all), np.log(3) / 2, rtol=1e-5
    )


def test_variance_form(log_probs):
    p = np.exp(np.asarray(log_probs, np.float64))
    parts = uncertainty.decompose_variance(log_probs)
    np.testing.assert_allclose(parts.total, 1 - (p.mean(0) ** 2).sum(-1), atol=1e-6)
    np.testing.assert_allclose(parts.aleatoric, (1 - (p**2).sum(-1)).mean(0), atol=1e-6)
    np.testing.assert_allclose(parts.epistemic, p.var(0).sum(-1), atol=1e-6)


def test_jackknife_is_the_loop_over_left_out_members(log_probs):
    whole = np.array(reference(log_probs))
    left_out = np.array(
        [reference(np.delete(np.asarray(log_probs), k, axis=0)) for k in range(MEMBERS)]
    )
    estimate, error = uncertainty.jackknife(log_probs)
    np.testing.assert_allclose(
        np.array(estimate), MEMBERS * whole - (MEMBERS - 1) * left_out.mean(0), atol=2e-5
    )
    spread = ((left_out - left_out.mean(0)) ** 2).sum(0) * (MEMBERS - 1) / MEMBERS
    np.testing.assert_allclose(np.array(error), np.sqrt(spread), atol=2e-5)


def test_small_ensembles_are_biased_low_and_the_correction_removes_most_of_it(rng):
    many = jnp.asarray(
        scipy.special.log_softmax(0.5 * rng.normal(size=(200, 50, CLASSES)), -1), jnp.float32
    )
    truth = float(uncertainty.decompose(many).epistemic.mean())
    few = float(
        uncertainty.decompose(many.reshape(40, 5, 50, CLASSES), member_axis=1).epistemic.mean()
    )
    assert few < 0.85 * truth
    assert abs(float(uncertainty.correct_small_ensemble(few, members=5)) - truth) < 0.03 * truth


@pytest.mark.parametrize(
    "function",
    [
        uncertainty.decompose,
        uncertainty.decompose_variance,
        uncertainty.expected_pairwise_kl,
        uncertainty.mean_log_probs,
        uncertainty.entropy,
        uncertainty.jackknife,
    ],
)
def test_a_broken_member_makes_its_face_undefined_and_no_other(log_probs, function):
    broken = log_probs.at[1, 0].set(jnp.nan)
    member_axis_left = function is uncertainty.entropy
    for part in jax.tree.leaves(function(broken)):
        undefined = np.isnan(np.asarray(part[1] if member_axis_left else part)).reshape(FACES, -1)
        assert undefined[0].all()
        assert not undefined[1:].any()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: uncertainty.decompose(x[0, 0]),
        lambda x: uncertainty.decompose(x, member_axis=2),
        lambda x: uncertainty.decompose(jnp.ones((2, 3, 4), jnp.int32)),
        lambda x: uncertainty.jackknife(x[:2]),
        lambda x: uncertainty.correct_small_ensemble(x, members=1),
    ],
)
def test_refusals(log_probs, call):
    with pytest.raises(ValueError, match=r"got|same axis"):
        call(log_probs)


def test_sub_ensembles_are_what_their_members_decompose_to(log_probs, with_zeros):
    masks = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 0, 1], [1, 1, 1, 1]], bool)
    for given in (log_probs, with_zeros):
        got = uncertainty.decompose_subsets(given, masks)
        for row, mask in enumerate(masks):
            expected = uncertainty.decompose(given[np.flatnonzero(mask)])
            for part, whole in zip(got, expected):
                np.testing.assert_allclose(part[row], whole, atol=2e-6)
        assert (got.epistemic[0] == 0).all()
    with pytest.raises(ValueError, match=r"masks must be \[subset, member\]"):
        uncertainty.decompose_subsets(log_probs, masks[:, :3])
