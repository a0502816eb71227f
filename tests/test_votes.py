"""Vote arithmetic: ties to the last bit, scipy's entropy, and counts that are none refused."""

import numpy as np
import pytest
import scipy.stats

from ferjax import votes


@pytest.fixture
def crowds(rng):
    """Random votes of ten on eight classes: sharp, flat and tied."""
    drawn = [
        rng.multinomial(10, rng.dirichlet(np.full(8, a)), 300)
        for a in (0.1, 0.3, 1.0)
        for _ in range(3)
    ]
    return np.concatenate([*drawn, [[5, 5, 0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 2, 0, 0, 0]]])


@pytest.mark.parametrize("bad", [-1, 0.5, np.nan, np.inf])
def test_what_cannot_be_a_count_is_refused_with_its_row(bad):
    given = np.ones((4, 8))
    given[2, 3] = bad
    with pytest.raises(ValueError, match="votes row 2: expected whole counts"):
        votes.check(given)
    with pytest.raises(ValueError, match=r"got \(4, 1\)"):
        votes.check(given[:, :1])
    with pytest.raises(ValueError, match=r"got \(8,\)"):
        votes.check(given[0])


@pytest.mark.parametrize("classes", [2, 3, 11])
def test_any_number_of_classes_has_a_distribution(rng, classes):
    counts = rng.integers(1, 9, (20, classes))
    counts[0] = 0
    q = votes.distribution(counts)
    np.testing.assert_allclose(q[1:].sum(1), 1)
    np.testing.assert_allclose(q * counts.sum(1, keepdims=True), counts, atol=1e-12)
    np.testing.assert_array_equal(q[0], 0)
    assert q.dtype == np.float64


def test_equal_multisets_of_votes_tie_to_the_last_bit(rng):
    for row in (
        [3, 3, 3, 1, 0, 0, 0, 0],
        [5, 3, 1, 1, 0, 0, 0, 0],
        [2, 2, 2, 1, 1, 1, 0, 0],
        [4, 3, 2, 0, 0, 0, 0, 0],
    ):
        shuffled = np.array([rng.permutation(row) for _ in range(40)])
        assert len(set(votes.entropy(votes.distribution(shuffled)).tolist())) == 1
    assert votes.entropy(votes.distribution([[0, 7, 0, 0, 0, 0, 0, 0]]))[0] == 0.0


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
    untied = votes.ambiguity(np.random.default_rng(1).dirichlet(np.ones(5), 300))
    assert [part.sum() for part in untied] == [100, 100]
    assert [part.shape for part in votes.ambiguity(np.zeros((0, 8)))] == [(0,), (0,)]
