"""The noise ceiling against a crowd whose truth is known, and the published votes."""

import csv
import functools

import jax
import numpy as np
import pytest
import scipy.stats

from ferjax import metrics

noise_ceiling = jax.jit(metrics.noise_ceiling, static_argnames=("splits", "max_votes"))


def ceiling(votes):
    return float(noise_ceiling(jax.random.key(0), votes, splits=20, max_votes=10))


def test_ceiling_is_what_a_second_crowd_reaches(rng):
    """With the truth known, the ceiling is ten votes' disagreement correlated with the truth's."""
    truth = rng.dirichlet(np.full(8, 0.3), 1500)
    votes = rng.multinomial(10, truth)
    disagreement = 1 - votes.max(1) / 10
    reached = scipy.stats.spearmanr(disagreement, 1 - truth.max(1)).statistic
    assert abs(ceiling(votes) - reached) < 0.05


def test_ceiling_is_that_of_split_halves_in_plain_numpy(rng):
    votes = rng.multinomial(10, rng.dirichlet(np.full(8, 0.3), 1500))

    def disagreement(counts):
        return 1 - counts.max(1) / counts.sum(1)

    correlations = []
    for _ in range(20):
        half = np.stack([rng.multivariate_hypergeometric(row, 5) for row in votes])
        split = scipy.stats.spearmanr(disagreement(half), disagreement(votes - half))
        correlations.append(split.statistic)
    reliability = np.mean(correlations)
    expected = np.sqrt(2 * reliability / (1 + reliability))
    assert ceiling(votes) == pytest.approx(expected, abs=0.01)


def test_four_votes_are_split_into_two_and_two(rng):
    """Three and one would leave a half that never disagrees, and no ceiling."""
    votes = rng.multinomial(4, rng.dirichlet(np.full(8, 0.3), 1500))
    assert np.isfinite(ceiling(votes))


def test_ceiling_of_unanimous_votes_is_undefined():
    assert np.isnan(ceiling(10 * np.eye(8, dtype=int)[np.arange(1500) % 8]))


def test_ceiling_reads_the_most_votes_where_it_is_not_told(rng):
    votes = rng.multinomial(10, np.full(3, 1 / 3), 4) // 2
    votes[2] = [9, 0, 0]

    def program(**options):
        ceiling_of = functools.partial(metrics.noise_ceiling, votes=votes, splits=3, **options)
        return str(jax.make_jaxpr(ceiling_of)(jax.random.key(0)))

    assert program() == program(max_votes=9) != program(max_votes=10)


@pytest.mark.rehearsal
@pytest.mark.slow
def test_ceiling_of_the_published_votes(shared_data):
    with open(shared_data / "fer2013new_published.csv", newline="") as file:
        rows = [row for row in csv.reader(file) if row[0] == "PrivateTest"]
    votes = np.array([row[-10:] for row in rows], int)
    kept = votes[(votes[:, 8:].sum(1) < 5) & (votes[:, :8].sum(1) > 0)]
    assert len(kept) == 3563
    got = noise_ceiling(jax.random.key(0), kept[:, :8], splits=20, max_votes=10)
    assert float(got) == pytest.approx(0.82, abs=0.01)
