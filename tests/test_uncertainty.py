"""The decomposition as algebra: identities, bounds, invariances, and slow references."""

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

entropy = jax.jit(uncertainty.entropy)
mean_log_probs = jax.jit(uncertainty.mean_log_probs)
decompose = jax.jit(uncertainty.decompose, static_argnames=("member_axis", "axis"))
decompose_variance = jax.jit(
    uncertainty.decompose_variance, static_argnames=("member_axis", "axis")
)
expected_pairwise_kl = jax.jit(
    uncertainty.expected_pairwise_kl, static_argnames=("member_axis", "axis")
)
epistemic_contributions = jax.jit(uncertainty.epistemic_contributions)
aleatoric_contributions = jax.jit(uncertainty.aleatoric_contributions)
decompose_subsets = jax.jit(uncertainty.decompose_subsets)
jackknife = jax.jit(uncertainty.jackknife)


@pytest.fixture(scope="module")
def log_probs():
    logits = 3 * np.random.default_rng(0).normal(size=(MEMBERS, ITEMS, CLASSES))
    return jnp.asarray(scipy.special.log_softmax(logits, -1), jnp.float32)


@pytest.fixture(scope="module")
def with_zeros():
    """Log-probabilities in which some members rule some classes out."""
    logits = np.random.default_rng(1).normal(size=(MEMBERS, ITEMS, CLASSES))
    logits[np.random.default_rng(2).random(logits.shape) < 0.3] = -np.inf
    logits[..., 0] = 0.0
    return jnp.asarray(scipy.special.log_softmax(logits, -1), jnp.float32)


def reference(log_probs):
    """Straight from the definitions, in float64."""
    p = np.exp(np.asarray(log_probs, np.float64))
    p /= p.sum(-1, keepdims=True)
    total = scipy.special.entr(p.mean(0)).sum(-1)
    aleatoric = scipy.special.entr(p).sum(-1).mean(0)
    epistemic = total - aleatoric
    return uncertainty.Decomposition(total, aleatoric, epistemic, np.zeros_like(total), epistemic)


@pytest.mark.parametrize("which", ["log_probs", "with_zeros"])
def test_decompose_matches_the_definitions(which, request):
    given = request.getfixturevalue(which)
    chex.assert_trees_all_close(decompose(given), reference(given), atol=2e-6, rtol=0)


@pytest.mark.parametrize("which", ["log_probs", "with_zeros"])
def test_total_is_the_entropy_of_the_mean(which, request):
    given = request.getfixturevalue(which)
    parts = decompose(given)
    np.testing.assert_allclose(parts.total, entropy(mean_log_probs(given)), atol=2e-6)
    np.testing.assert_array_equal(parts.total, parts.aleatoric + parts.epistemic)


@pytest.mark.parametrize("members", [1, 2, MEMBERS])
def test_bounds(log_probs, members):
    # Copies, so that fewer members are the same program.
    few = log_probs[np.arange(MEMBERS) % members]
    parts = decompose(jax.nn.log_softmax(20 * few))
    assert float(parts.epistemic.min()) >= 0
    assert float(parts.epistemic.max()) <= np.log(min(members, CLASSES)) + 1e-6
    assert float(parts.aleatoric.min()) >= 0
    assert float(parts.total.max()) <= np.log(CLASSES) + 1e-6


def test_the_upper_bound_is_reached_by_members_that_exclude_each_other(log_probs):
    excluding = jnp.broadcast_to(jnp.log(jnp.eye(CLASSES))[:MEMBERS, None], log_probs.shape)
    parts = decompose(excluding)
    np.testing.assert_allclose(parts.epistemic, np.log(MEMBERS), rtol=1e-6)
    np.testing.assert_array_equal(parts.aleatoric, 0.0)


def test_many_items_of_two_axes_are_decomposed_row_by_row(rng):
    logits = rng.normal(size=(3, 11, 4_103 // 11, 8)).astype(np.float32)
    many = jax.nn.log_softmax(3 * logits)
    parts = decompose(many)
    assert parts.total.shape == many.shape[1:-1]
    by_rows = [decompose(many[:, row]) for row in range(11)]
    chex.assert_trees_all_close(
        parts, jax.tree.map(lambda *rows: jnp.stack(rows), *by_rows), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("copies", [1, 3, 5, 7])
def test_agreement_is_exactly_zero_epistemic(with_zeros, copies):
    same = jnp.repeat(with_zeros[:1], copies, axis=0)
    for given in (same, same.astype(jnp.bfloat16).astype(jnp.float32)):
        parts = decompose(given)
        np.testing.assert_array_equal(parts.epistemic, 0.0)
        np.testing.assert_array_equal(parts.total, parts.aleatoric)
    np.testing.assert_array_equal(epistemic_contributions(same), 0.0)


def test_order_of_members_changes_nothing(with_zeros, rng):
    shuffled = with_zeros[rng.permutation(MEMBERS)]
    for function in (decompose, decompose_variance, lambda x: jackknife(x).estimate):
        chex.assert_trees_all_close(function(shuffled), function(with_zeros), atol=3e-6, rtol=0)


def test_axes_by_name(log_probs):
    moved = jnp.transpose(log_probs, (2, 1, 0))  # [class, item, member]
    for function in (decompose, decompose_variance):
        got = function(moved, member_axis=2, axis=0)
        chex.assert_trees_all_close(got, function(log_probs), atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        expected_pairwise_kl(moved, member_axis=2, axis=0),
        expected_pairwise_kl(log_probs),
        rtol=1e-5,
    )


def test_contributions_of_members_on_another_axis(with_zeros):
    moved = jnp.swapaxes(with_zeros, 0, 1)  # [item, member, class]
    for of in (uncertainty.epistemic_contributions, uncertainty.aleatoric_contributions):
        got = jax.jit(of, static_argnames="member_axis")(moved, member_axis=1)
        np.testing.assert_allclose(got, jax.jit(of)(with_zeros), atol=1e-6)
    got = jax.jit(uncertainty.mean_log_probs, static_argnames="member_axis")(moved, member_axis=1)
    np.testing.assert_allclose(got, mean_log_probs(with_zeros), atol=1e-6)


def test_contributions_add_up(with_zeros):
    parts = decompose(with_zeros)
    epistemic = epistemic_contributions(with_zeros)
    np.testing.assert_allclose(epistemic.sum(-1), parts.epistemic, atol=1e-6)
    aleatoric = aleatoric_contributions(with_zeros)
    np.testing.assert_allclose(aleatoric.sum(-1), parts.aleatoric, atol=1e-6)
    assert float(epistemic.min()) > -1e-6


def test_contributions_are_the_definitions_class_by_class(with_zeros):
    p = np.exp(np.asarray(with_zeros, np.float64))
    mixture = np.broadcast_to(p.mean(0), p.shape)
    epistemic = scipy.special.rel_entr(p, mixture).mean(0)
    np.testing.assert_allclose(epistemic_contributions(with_zeros), epistemic, atol=1e-6)
    aleatoric = scipy.special.entr(p).mean(0)
    np.testing.assert_allclose(aleatoric_contributions(with_zeros), aleatoric, atol=1e-6)


@pytest.mark.parametrize("part", uncertainty.Decomposition._fields)
def test_gradients_are_finite_where_probabilities_are_zero(with_zeros, part):
    gradient = jax.jit(jax.grad(lambda x: getattr(uncertainty.decompose(x), part).sum()))
    got = np.asarray(gradient(with_zeros))
    assert np.isfinite(got).all()
    # An impossible class contributes nothing, so it pulls nowhere.
    impossible = np.isneginf(with_zeros)
    everywhere = impossible.all(axis=0, keepdims=True) & impossible
    np.testing.assert_array_equal(got[everywhere], 0.0)


@pytest.mark.parametrize("part", ["aleatoric", "epistemic"])
def test_derivatives_are_those_of_the_definition(log_probs, part):
    def defined(x):
        mean = jnp.log(jnp.mean(jnp.exp(x), axis=0))
        aleatoric = -jnp.mean(jnp.sum(jnp.exp(x) * x, axis=-1), axis=0)
        divergence = jnp.mean(jnp.sum(jnp.exp(x) * (x - mean[None]), axis=-1), axis=0)
        return jnp.sum({"aleatoric": aleatoric, "epistemic": divergence}[part])

    def ours(x):
        return jnp.sum(getattr(decompose(x), part))

    with jax.enable_x64(True):
        x = jnp.asarray(np.asarray(log_probs)[:, :1], jnp.float64)
        for derivative in (jax.grad, jax.hessian):
            expected = derivative(defined)(x)
            np.testing.assert_allclose(derivative(ours)(x), expected, rtol=1e-6, atol=1e-8)


def test_gradient_matches_finite_differences(log_probs):
    direction = jnp.asarray(np.random.default_rng(3).normal(size=log_probs.shape), jnp.float32)

    @jax.jit
    @jax.value_and_grad
    def along(t):
        moved = jax.nn.log_softmax(log_probs + t * direction)
        return uncertainty.decompose(moved).epistemic[:2].sum()

    slope = (along(1e-2)[0] - along(-1e-2)[0]) / 2e-2
    np.testing.assert_allclose(along(0.0)[1], slope, rtol=1e-2)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_input_is_computed_in_float32(log_probs, dtype):
    rounded = log_probs.astype(dtype)
    got = decompose(rounded)
    assert {part.dtype for part in got} == {jnp.dtype("float32")}
    chex.assert_trees_all_equal(got, decompose(rounded.astype(jnp.float32)))


def test_pairwise_kl_is_the_double_loop(log_probs):
    p = np.exp(np.asarray(log_probs, np.float64))
    pairs = [
        scipy.special.rel_entr(p[i], p[j]).sum(-1)
        for i in range(MEMBERS)
        for j in range(MEMBERS)
        if i != j
    ]
    np.testing.assert_allclose(expected_pairwise_kl(log_probs), np.mean(pairs, axis=0), rtol=1e-4)


def test_pairwise_kl_of_one_member_is_zero_and_of_contradiction_infinite(log_probs):
    np.testing.assert_array_equal(expected_pairwise_kl(log_probs[:1]), np.zeros(ITEMS))
    contradicting = jnp.log(jnp.array([[[1.0, 0.0, 0.0]], [[0.5, 0.5, 0.0]]]))
    assert float(expected_pairwise_kl(contradicting)[0]) == np.inf
    excluded_by_all = jnp.log(jnp.array([[[0.75, 0.25, 0.0]], [[0.25, 0.75, 0.0]]]))
    np.testing.assert_allclose(expected_pairwise_kl(excluded_by_all), np.log(3) / 2, rtol=1e-5)


def test_variance_form(log_probs):
    p = np.exp(np.asarray(log_probs, np.float64))
    parts = decompose_variance(log_probs)
    np.testing.assert_allclose(parts.total, 1 - (p.mean(0) ** 2).sum(-1), atol=1e-6)
    np.testing.assert_allclose(parts.aleatoric, (1 - (p**2).sum(-1)).mean(0), atol=1e-6)
    np.testing.assert_allclose(parts.epistemic, p.var(0).sum(-1), atol=1e-6)


def left_out_values(log_probs):
    alone = [reference(np.delete(np.asarray(log_probs), k, axis=0)) for k in range(MEMBERS)]
    return jax.tree.map(lambda *values: np.stack(values), *alone)


def test_jackknife_is_the_loop_over_left_out_members(log_probs):
    whole = np.array(reference(log_probs))
    left_out = np.array(left_out_values(log_probs)).swapaxes(0, 1)
    got = jackknife(log_probs)
    expected = MEMBERS * whole - (MEMBERS - 1) * left_out.mean(0)
    np.testing.assert_allclose(np.array(got.estimate), expected, atol=2e-5)
    spread = ((left_out - left_out.mean(0)) ** 2).sum(0) * (MEMBERS - 1) / MEMBERS
    np.testing.assert_allclose(np.array(got.standard_error), np.sqrt(spread), atol=2e-5)


def test_jackknife_of_any_statistic_is_that_of_the_decomposition(log_probs):
    got = uncertainty.jackknife_estimate(reference(log_probs), left_out_values(log_probs))
    chex.assert_trees_all_close(got, jackknife(log_probs), atol=2e-5, rtol=0)


def test_jackknife_of_a_mean_is_its_textbook_error(rng):
    x = rng.normal(size=MEMBERS)
    left_out = np.array([np.delete(x, k).mean() for k in range(MEMBERS)])
    got = uncertainty.jackknife_estimate(x.mean(), left_out)
    assert float(got.estimate) == pytest.approx(x.mean(), abs=1e-6)
    expected = x.std(ddof=1) / np.sqrt(MEMBERS)
    assert float(got.standard_error) == pytest.approx(expected, abs=1e-6)


def test_small_ensembles_are_biased_low_and_the_correction_removes_most_of_it(rng):
    logits = 0.5 * rng.normal(size=(200, 50, CLASSES))
    many = jnp.asarray(scipy.special.log_softmax(logits, -1), jnp.float32)
    truth = float(decompose(many).epistemic.mean())
    fives = many.reshape(40, 5, 50, CLASSES)
    few = float(decompose(fives, member_axis=1).epistemic.mean())
    assert few < 0.85 * truth
    assert abs(float(uncertainty.correct_small_ensemble(few, members=5)) - truth) < 0.03 * truth


def test_the_correction_may_be_asked_for_a_traced_number_of_members():
    traced = jax.jit(uncertainty.correct_small_ensemble)
    assert float(traced(0.4, 5)) == float(uncertainty.correct_small_ensemble(0.4, 5))
    assert np.isnan(traced(0.4, 1))
    assert uncertainty.correct_small_ensemble(np.int32([3, 4]), 3).tolist() == [4.5, 6]


@pytest.mark.parametrize(
    "function",
    [
        decompose,
        decompose_variance,
        expected_pairwise_kl,
        mean_log_probs,
        entropy,
        jackknife,
        epistemic_contributions,
        aleatoric_contributions,
    ],
)
def test_a_broken_member_makes_its_item_undefined_and_no_other(log_probs, function):
    broken = log_probs.at[1, 0].set(jnp.nan)
    by_class = function in (epistemic_contributions, aleatoric_contributions)
    for part in jax.tree.leaves(function(broken)):
        undefined = np.isnan(np.asarray(part[1] if function is entropy else part))
        undefined = undefined.reshape(ITEMS, -1)
        assert undefined.shape[1] == (CLASSES if by_class or function is mean_log_probs else 1)
        assert undefined[0].all()
        assert not undefined[1:].any()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: uncertainty.decompose(x[0, 0]),
        lambda x: uncertainty.decompose(x, member_axis=2),
        lambda x: uncertainty.decompose(jnp.ones((2, 3, 4), jnp.int32)),
        lambda x: uncertainty.jackknife(x[:2]),
        lambda x: uncertainty.jackknife_estimate(x[0], x[1:, :3]),
        lambda x: uncertainty.jackknife_estimate(x[0], x[:2]),
        lambda x: uncertainty.correct_small_ensemble(x, members=1),
    ],
)
def test_refusals(log_probs, call):
    with pytest.raises(ValueError, match=r"got|same axis"):
        call(log_probs)


def test_sub_ensembles_are_what_their_members_decompose_to(log_probs, with_zeros):
    masks = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 0, 1], [1, 1, 1, 1]], bool)
    for given in (log_probs, with_zeros):
        got = decompose_subsets(given, masks)
        for row, mask in enumerate(masks):
            part = jax.tree.map(lambda of, row=row: of[row], got)
            chex.assert_trees_all_close(part, reference(given[mask]), atol=2e-6, rtol=0)
        assert (got.epistemic[0] == 0).all()
    with pytest.raises(ValueError, match=r"masks must be \[subset, member\]"):
        uncertainty.decompose_subsets(log_probs, masks[:, :3])
