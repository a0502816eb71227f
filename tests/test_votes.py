"""Vote arithmetic against scipy and plain Python, and what cannot be counts."""

import numpy as np
import pytest
import scipy.stats

from ferjax import votes


@pytest.fixture
def crowds(rng):
    """Random votes of every shape: sharp, flat, tied and single."""
    drawn = [rng.multinomial(10, rng.dirichlet(np.full(8, a)), 300) for a in (0.1, 0.3, 1.0)]
    few = rng.multinomial(4, np.full(8, 1 / 8), 200)
    special = [
        [5, 5, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 1],
        [1] * 8,
        [3, 3, 3, 0, 0, 0, 0, 1],
    ]
    return np.concatenate([*drawn, few, special])


@pytest.mark.parametrize("bad", [-1, 0.5, np.nan, np.inf, 1e19])
def test_what_cannot_be_a_count_is_refused_with_its_row(bad):
    given = np.ones((4, 10))
    given[2, 3] = bad
    with pytest.raises(ValueError, match="votes row 2: expected whole counts >= 0, got"):
        votes.check(given)
    with pytest.raises(ValueError, match="votes row 2"):
        votes.distribution(given)


@pytest.mark.parametrize(
    "given, message",
    [
        (np.ones((4, 1)), r"at least 2 classes, got \(4, 1\)"),
        (np.ones(4), r"votes must be \[item, class\] of at least 2 classes, got \(4,\)"),
        (np.ones((2, 2, 2)), r"got \(2, 2, 2\)"),
        (np.array([["5", "3"]]), "votes must be numbers, got"),
        (np.array([[5, None]]), "votes must be numbers, got object"),
    ],
)
def test_other_shapes_and_kinds_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        votes.check(given)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int32, np.float32, float])
def test_counts_of_any_kind_are_whole_numbers(kind):
    got = votes.check(np.array([[1, 0], [0, 1]], kind))
    assert got.dtype == np.int64
    assert got.tolist() == [[1, 0], [0, 1]]


def test_the_distribution_is_the_votes_over_their_sum(crowds):
    got = votes.distribution(crowds)
    expected = [[v / sum(row) for v in row] for row in crowds.tolist()]
    np.testing.assert_array_equal(got, expected)
    assert votes.distribution([[2, 1, 1]]).tolist() == [[0.5, 0.25, 0.25]]
    assert votes.distribution([[0, 0]]).tolist() == [[0.0, 0.0]]
    assert votes.distribution(np.zeros((0, 3))).shape == (0, 3)


def test_equal_multisets_of_votes_tie_to_the_last_bit(rng):
    for row in (
        [3, 3, 3, 1, 0, 0, 0, 0],
        [5, 3, 1, 1, 0, 0, 0, 0],
        [2, 2, 2, 1, 1, 1, 0, 0],
        [4, 3, 2, 0, 0, 0, 0, 0],
    ):
        shuffled = np.array([rng.permutation(row) for _ in range(40)])
        entropies = votes.entropy(votes.distribution(shuffled))
        assert len(set(entropies.tolist())) == 1
    zero = votes.entropy(votes.distribution([[0, 7] + [0] * 6]))[0]
    assert zero == 0.0
    assert not np.signbit(zero)


def test_entropy_is_scipys(crowds):
    q = votes.distribution(crowds)
    np.testing.assert_allclose(votes.entropy(q), scipy.stats.entropy(q, axis=1), atol=1e-12)


def test_hard_labels_and_disagreement():
    q = votes.distribution([[2, 4, 4, 0, 0, 0, 0, 0], [0, 0, 0, 9, 0, 0, 0, 0]])
    assert votes.hard_labels(q).tolist() == [1, 3]
    np.testing.assert_allclose(votes.disagreement(q), [0.6, 0.0])


def test_ambiguity_is_relative_to_the_split(crowds):
    q = votes.distribution(crowds)
    ambiguous, clear = votes.ambiguity(q)
    h = votes.entropy(q)
    assert h[ambiguous].min() > h[clear].max()
    assert ambiguous.mean() >= 1 / 3 - 1 / len(q)
    assert clear.mean() >= 1 / 3 - 1 / len(q)
    # No more than ties force: strictly inside the quantiles lie less than a third.
    assert (h > h[ambiguous].min()).mean() < 1 / 3
    assert (h < h[clear].max()).mean() < 1 / 3
    assert [part.shape for part in votes.ambiguity(np.zeros((0, 8)))] == [(0,), (0,)]


@pytest.mark.parametrize("classes", [2, 3, 11])
def test_any_number_of_classes_has_a_distribution(rng, classes):
    counts = rng.integers(1, 9, (20, classes))
    counts[0] = 0
    q = votes.distribution(counts)
    np.testing.assert_allclose(q[1:].sum(1), 1)
    np.testing.assert_allclose(q * counts.sum(1, keepdims=True), counts, atol=1e-12)
    np.testing.assert_array_equal(q[0], 0)
    assert q.dtype == np.float64
