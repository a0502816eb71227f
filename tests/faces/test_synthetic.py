"""Drawn faces: the same for a seed, in FER+'s form, and with votes that follow the known truth."""

import jax
import numpy as np
import pytest
import scipy.stats

from ferjax import votes
from ferjax.faces import drawing, ferplus, synthetic

FACES = 280  # as many as the shared tiny run draws, so that the compiled program is shared


@pytest.fixture(scope="module")
def made():
    return synthetic.make(FACES, seed=0)


def test_schema(made):
    assert (made.images.shape, made.images.dtype) == ((FACES, 48, 48), np.uint8)
    assert (made.votes.shape, made.votes.dtype) == ((FACES, 8), np.int64)
    assert (made.abstentions.shape, made.abstentions.dtype) == ((FACES, 2), np.int64)
    assert (made.truth.shape, made.truth.dtype) == ((FACES, 8), np.float32)
    np.testing.assert_array_equal(made.votes.sum(1) + made.abstentions.sum(1), 10)
    np.testing.assert_allclose(made.truth.sum(1), 1, atol=1e-6)


def test_a_seed_is_a_set_of_faces(made):
    for got, expected in zip(synthetic.make(FACES, seed=0), made):
        np.testing.assert_array_equal(got, expected)
    for got, other in zip(synthetic.make(FACES, seed=1), made):
        assert (got != other).any()


def test_faces_are_pictures_and_differ(made):
    pixels = made.images.reshape(FACES, -1).astype(float)
    assert (pixels.std(1) > 10).all()
    assert len(np.unique(pixels, axis=0)) == FACES


def test_votes_follow_the_truth(made):
    enough = made.votes.sum(1) >= 6
    drawn = votes.entropy(votes.distribution(made.votes))
    known = votes.entropy(made.truth)
    assert scipy.stats.spearmanr(drawn[enough], known[enough]).statistic > 0.7
    assert (made.votes[enough].argmax(1) == made.truth[enough].argmax(1)).mean() > 0.8


def test_truth_is_the_share_of_votes_that_a_blend_expects():
    """Both kinds of abstention have their own share, by kind of item."""
    weights = np.zeros((3, 8))
    weights[:, 2] = 1.0
    p_vote = synthetic.vote_distribution(synthetic.Blend(weights, np.array([0, 1, 2])))
    np.testing.assert_allclose(p_vote.sum(1), 1)
    np.testing.assert_allclose(p_vote[:, 8:], [[0.01, 0.002], [0.1, 0.85], [0.75, 0.03]])
    emotions = p_vote[:, :8] / p_vote[:, :8].sum(1, keepdims=True)
    np.testing.assert_allclose(emotions[:, 2], 0.96 + 0.04 / 8)
    np.testing.assert_allclose(emotions[:, 0], 0.04 / 8)


def test_every_class_and_every_out_of_distribution_kind_occurs(made):
    assert set(made.truth.argmax(1)) == set(range(8))
    assert ferplus.not_a_face(made.abstentions).any()
    assert ferplus.unknown_expression(made.abstentions).any()
    assert 0.85 < ferplus.targets(made.votes, made.abstentions).keep.mean() < 1


def test_expression_changes_the_picture_and_nothing_else_does():
    """One identity, eight expressions: every pair of prototypes is told apart by the pixels."""
    draw = jax.jit(
        jax.vmap(drawing.draw_one, (None, 0, None)),
        compiler_options={"xla_backend_optimization_level": 0},  # compiled for one call
    )
    one = np.asarray(draw(jax.random.key(3), drawing.PROTOTYPES, 0)).astype(int)
    apart = np.abs(one[:, None] - one[None]).max((2, 3)) > 40
    assert (apart | np.eye(8, dtype=bool)).all()
    assert (one[:, :4] == one[:1, :4]).all()  # hair and backdrop above the face
