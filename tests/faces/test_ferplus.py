"""Label filters: the published counts, and every filter against a plain loop over the rows."""

import numpy as np
import pytest

from ferjax import votes
from ferjax.faces import ferplus, ferplus_files


@pytest.fixture
def crowds(rng):
    """Random columns of every kind: sharp, flat, tied, empty, mostly unknown, mostly no face."""
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
        [5, 4, 3, 2, 2, 2, 0, 0, 0, 0],  # more than ten: three classes hold less than 75 %
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


@pytest.mark.parametrize("label_filter", [paper, majority, probability], ids=lambda f: f.__name__)
def test_each_filter_is_the_plain_loop(crowds, label_filter):
    got = ferplus.targets(*ferplus.split_columns(crowds), label_filter.__name__)
    wanted = [label_filter(list(map(int, row))) for row in crowds]
    np.testing.assert_array_equal(got.keep, [w is not None for w in wanted])
    np.testing.assert_allclose(got.q, [w or [0] * 8 for w in wanted], atol=1e-7)
    assert 0.1 < got.keep.mean() < 0.95
    assert got.q.dtype == np.float32


def test_columns_are_classes_then_abstentions():
    published = "neutral happiness surprise sadness anger disgust fear contempt unknown NF"
    assert list(ferplus.COLUMNS) == published.split()
    counts, abstentions = ferplus.split_columns(np.arange(20).reshape(2, 10))
    assert counts[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert abstentions.tolist() == [[8, 9], [18, 19]]
    assert (ferplus.SPEC.classes, ferplus.SPEC.side) == (ferplus.CLASSES, 48)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="'best'; expected one of paper, majority, probability"):
        ferplus.targets(np.ones((1, 8)), np.ones((1, 2)), "best")
    with pytest.raises(ValueError, match=r"got shapes \(4, 7\) and \(4, 2\)"):
        ferplus.targets(np.ones((4, 7)), np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"got shapes \(4, 8\) and \(3, 2\)"):
        ferplus.targets(np.ones((4, 8)), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"got shape \(4, 9\)"):
        ferplus.split_columns(np.ones((4, 9)))
    with pytest.raises(ValueError, match="votes row 0: expected whole counts"):
        ferplus.split_columns(np.full((1, 10), -1))


def test_out_of_distribution_sets_need_five_of_ten():
    abstentions = np.array([[0, 5], [5, 0], [2, 2], [4, 4]])
    assert ferplus.not_a_face(abstentions).tolist() == [True, False, False, False]
    assert ferplus.unknown_expression(abstentions).tolist() == [False, True, False, False]


@pytest.mark.rehearsal
def test_published_counts(shared_data):
    split = ferplus_files.read_votes(shared_data / "fer2013new_published.csv").by_split()
    counts = {
        label_filter: [
            int(ferplus.targets(rows.votes, rows.abstentions, label_filter).keep.sum())
            for rows in split.values()
        ]
        for label_filter in ("paper", "majority")
    }
    assert counts == {"paper": [28_493, 3_569, 3_563], "majority": [25_060, 3_199, 3_153]}
    keep = ferplus.targets(split["test"].votes, split["test"].abstentions).keep
    q = votes.distribution(split["test"].votes)[keep]
    assert int(votes.ambiguity(q).ambiguous.sum()) == 1_244
    assert len(np.unique(votes.disagreement(q).round(9))) == pytest.approx(26, abs=2)
    unanimous = split["test"].votes[keep].max(1) == 10
    assert unanimous.mean() == pytest.approx(0.226, abs=1e-3)
    # With those whose other votes are unknown or NF.
    assert (votes.entropy(q) == 0).mean() == pytest.approx(0.282, abs=1e-3)


@pytest.mark.rehearsal
def test_published_ambiguous_faces_do_not_depend_on_the_precision_of_q(shared_data):
    rows = ferplus_files.read_votes(shared_data / "fer2013new_published.csv").by_split()["test"]
    kept = ferplus.targets(rows.votes, rows.abstentions)
    np.testing.assert_array_equal(
        votes.ambiguity(kept.q[kept.keep]).ambiguous,
        votes.ambiguity(votes.distribution(rows.votes)[kept.keep]).ambiguous,
    )
