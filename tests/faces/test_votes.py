"""Votes to targets: the published counts, and every policy against one row at a time in plain
Python."""

import numpy as np
import pytest

from ferjax.faces import ferplus, votes


@pytest.fixture
def crowds(rng):
    """Random votes of every shape: sharp, flat, tied, empty, mostly unknown, mostly no face."""
    drawn = [
        rng.multinomial(10, rng.dirichlet(np.full(10, a)), 300)
        for a in (0.1, 0.3, 1.0)
        for _ in range(3)
    ]
    few = rng.multinomial(4, np.full(10, 0.1), 200)
    special = [
        [0] * 10,
        [5, 5] + [0] * 8,
        [4, 0, 0, 0, 0, 0, 0, 0, 4, 2],
        [0] * 8 + [5, 5],
        [2] * 5 + [0] * 5,
        [3, 3, 3, 0, 0, 0, 0, 0, 0, 1],
        [4, 0, 0, 0, 0, 0, 0, 0, 1, 5],
        [1] * 10,
        [5, 0, 0, 0, 0, 0, 0, 0, 5, 0],
        [5, 0, 0, 0, 0, 0, 0, 0, 2, 3],
    ]
    return np.concatenate([*drawn, few, special])


def paper(row):
    emotions = row[:8]
    if row[8] + row[9] >= 5 or sum(emotions) == 0:
        return None
    return [v / sum(emotions) for v in emotions]


def majority(row):
    row = [v if v > 1 else 0 for v in row]
    best = max(row)
    if best <= 0.5 * sum(row) or row.index(best) >= 8:
        return None
    return [float(c == row.index(best)) for c in range(8)]


def probability(row):
    """The loop of the FER+ repository's training code, row by row."""
    row = [v if v > 1 else 0 for v in row]
    mass = sum(row)
    taken = [0] * 10
    count = 0
    in_sum = 0
    valid = True
    while in_sum < 0.75 * mass and count < 3 and valid:
        best = max(row)
        for c in range(10):
            if row[c] == best:
                taken[c] = best
                row[c] = 0
                in_sum += best
                count += 1
                if c >= 8:
                    valid = False
                    if sum(taken) > best:
                        taken[c] = 0
                        count -= 1
                    break
    if sum(taken) <= 0.5 * mass or count > 3 or taken.index(max(taken)) >= 8:
        return None
    return [v / sum(taken[:8]) for v in taken[:8]]


@pytest.mark.parametrize("policy", [paper, majority, probability], ids=lambda f: f.__name__)
def test_each_policy_is_the_plain_loop(crowds, policy):
    got = votes.targets(crowds, policy.__name__)
    wanted = [policy(list(map(int, row))) for row in crowds]
    np.testing.assert_array_equal(got.keep, [w is not None for w in wanted])
    np.testing.assert_allclose(got.q, [w or [0] * 8 for w in wanted], atol=1e-7)
    assert 0.1 < got.keep.mean() < 0.95
    assert got.q.dtype == np.float32


def test_unknown_policy_is_refused():
    with pytest.raises(
        ValueError, match="unknown policy 'best'; expected one of paper, majority, probability"
    ):
        votes.targets(np.ones((1, 10)), "best")


@pytest.mark.parametrize("bad", [-1, 0.5, np.nan, np.inf])
def test_what_cannot_be_a_count_is_refused_with_its_row(bad):
    given = np.ones((4, 10))
    given[2, 3] = bad
    with pytest.raises(ValueError, match="votes row 2: expected whole counts"):
        votes.check(given)
    with pytest.raises(ValueError, match=r"got shape \(4, 3\)"):
        votes.check(given[:, :3])
    with pytest.raises(ValueError, match=r"got shape \(4, 9\)"):
        votes.targets(np.ones((4, 9)))


def test_other_classes_have_shares_too():
    assert votes.shares(np.array([[2, 1, 1, 5, 0]])).tolist() == [[0.5, 0.25, 0.25]]


def test_equal_multisets_of_votes_tie_to_the_last_bit(rng):
    for row in (
        [3, 3, 3, 1, 0, 0, 0, 0],
        [5, 3, 1, 1, 0, 0, 0, 0],
        [2, 2, 2, 1, 1, 1, 0, 0],
        [4, 3, 2, 0, 0, 0, 0, 0],
    ):
        shuffled = np.array([rng.permutation(row) for _ in range(40)])
        entropies = votes.entropy(votes.shares(np.pad(shuffled, ((0, 0), (0, 2)))))
        assert len(set(entropies.tolist())) == 1
    assert votes.entropy(votes.shares(np.array([[0, 7] + [0] * 8])))[0] == 0.0


def test_entropy_is_scipys(crowds):
    q = votes.shares(crowds[crowds[:, :8].sum(1) > 0])
    from scipy.stats import entropy

    np.testing.assert_allclose(votes.entropy(q), entropy(q, axis=1), atol=1e-12)


def test_hard_labels_and_disagreement():
    q = votes.shares(np.array([[2, 4, 4, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 9, 0, 0, 0, 0, 1, 0]]))
    assert votes.hard_labels(q).tolist() == [1, 3]
    np.testing.assert_allclose(votes.disagreement(q), [0.6, 0.0])


def test_ambiguity_is_relative_to_the_split(crowds):
    q = votes.targets(crowds).q[votes.targets(crowds).keep]
    ambiguous, clear = votes.ambiguity(q)
    h = votes.entropy(q)
    assert h[ambiguous].min() > h[clear].max()
    assert ambiguous.mean() >= 1 / 3 - 1 / len(q)
    assert clear.mean() >= 1 / 3 - 1 / len(q)
    assert [part.shape for part in votes.ambiguity(np.zeros((0, 8)))] == [(0,), (0,)]


def test_natural_strangers():
    given = np.array(
        [
            [5, 0, 0, 0, 0, 0, 0, 0, 0, 5],
            [5, 0, 0, 0, 0, 0, 0, 0, 5, 0],
            [6, 0, 0, 0, 0, 0, 0, 0, 2, 2],
        ]
    )
    assert votes.not_a_face(given).tolist() == [True, False, False]
    assert votes.unknown_expression(given).tolist() == [False, True, False]


@pytest.mark.rehearsal
def test_published_counts(shared_data):
    rows = ferplus.read_votes(shared_data / "fer2013new_published.csv")
    split = {name: rows.votes[rows.split == name] for name in ("train", "valid", "test")}
    counts = {
        policy: [int(votes.targets(v, policy).keep.sum()) for v in split.values()]
        for policy in ("paper", "majority")
    }
    assert counts == {"paper": [28_493, 3_569, 3_563], "majority": [25_060, 3_199, 3_153]}
    kept = votes.targets(split["test"])
    q = votes.shares(split["test"])[kept.keep]
    assert int(votes.ambiguity(q)[0].sum()) == 1_244
    assert len(np.unique(votes.disagreement(q).round(9))) == pytest.approx(26, abs=2)
    unanimous = split["test"][kept.keep].max(1) == 10
    assert unanimous.mean() == pytest.approx(0.226, abs=1e-3)
    assert (votes.entropy(q) == 0).mean() == pytest.approx(
        0.282, abs=1e-3
    )  # with those whose other votes are unknown or NF


@pytest.mark.rehearsal
def test_published_ambiguous_faces_do_not_depend_on_the_precision_of_shares(shared_data):
    rows = ferplus.read_votes(shared_data / "fer2013new_published.csv")
    kept = votes.targets(rows.votes[rows.split == "test"])
    np.testing.assert_array_equal(
        votes.ambiguity(kept.q[kept.keep])[0],
        votes.ambiguity(votes.shares(rows.votes[rows.split == "test"])[kept.keep])[0],
    )
