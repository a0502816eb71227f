"""Drawn faces: the same for a seed, in FER+'s form, and with votes that follow the known truth."""

import numpy as np
import pytest
import scipy.stats

from ferjax.faces import synthetic, votes

FACES = 280  # as many as the shared tiny run draws, so that the compiled program is shared


@pytest.fixture(scope="module")
def made():
    return synthetic.make(FACES, seed=0)


def test_schema(made):
    images, vote, truth = made
    assert (images.shape, images.dtype) == ((FACES, 48, 48), np.uint8)
    assert (vote.shape, vote.dtype) == ((FACES, 10), np.int64)
    assert (truth.shape, truth.dtype) == ((FACES, 8), np.float32)
    np.testing.assert_array_equal(vote.sum(1), 10)
    np.testing.assert_allclose(truth.sum(1), 1, atol=1e-6)


def test_a_seed_is_a_set_of_faces(made):
    for got, expected in zip(synthetic.make(FACES, seed=0), made):
        np.testing.assert_array_equal(got, expected)
    for got, other in zip(synthetic.make(FACES, seed=1), made):
        assert (got != other).any()


def test_faces_are_pictures_and_differ(made):
    images = made[0].reshape(FACES, -1).astype(float)
    assert (images.std(1) > 10).all()
    assert len(np.unique(images, axis=0)) == FACES


def test_votes_follow_the_truth(made):
    _, vote, truth = made
    faces = vote[:, :8].sum(1) >= 6
    drawn = votes.entropy(votes.shares(vote))
    known = votes.entropy(truth)
    assert scipy.stats.spearmanr(drawn[faces], known[faces]).statistic > 0.7
    assert (vote[faces, :8].argmax(1) == truth[faces].argmax(1)).mean() > 0.8


def test_every_class_and_every_kind_of_stranger_occurs(made):
    _, vote, truth = made
    assert set(truth.argmax(1)) == set(range(8))
    assert votes.not_a_face(vote).any()
    assert votes.unknown_expression(vote).any()
    assert 0.85 < votes.targets(vote).keep.mean() < 1


def test_expression_changes_the_picture_and_nothing_else_does(made):
    """One identity, eight expressions: every pair of prototypes is told apart by the pixels."""
    blend = np.zeros((FACES, 10), np.float32)
    blend[:8] = synthetic._PROTOTYPES
    import jax

    one = jax.vmap(synthetic._draw_one, (None, 0, None))(jax.random.key(3), blend[:8], 0).astype(
        int
    )
    apart = np.abs(one[:, None] - one[None]).max((2, 3)) > 40
    assert (np.asarray(apart) | np.eye(8, dtype=bool)).all()
