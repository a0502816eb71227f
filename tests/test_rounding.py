"""Matrices in 8 bits: nearest multiples, found again from their values alone."""

import numpy as np
import pytest

from ferjax import rounding


@pytest.fixture
def matrix(rng):
    scale = 10.0 ** rng.uniform(-6, 3, size=(1, 40))
    return (rng.normal(size=(300, 40)) * scale).astype(np.float32)


def test_every_value_is_the_nearest_multiple_of_its_columns_step(matrix):
    found = rounding.round_matrix(matrix)
    assert found.multiples.dtype == np.int8 and np.abs(found.multiples).max() <= 127
    assert (np.abs(found.values() - matrix) <= 0.5001 * found.steps).all()
    # Steps are rounded up to 8 bits: by 1/128 at most.
    assert (found.steps <= np.abs(matrix).max(0) / 127 * (1 + 1 / 128)).all()


def test_what_was_rounded_is_known_again_and_nothing_else_is(matrix):
    found = rounding.round_matrix(matrix)
    again = rounding.as_rounded(found.values())
    np.testing.assert_array_equal(again.multiples, found.multiples)
    np.testing.assert_array_equal(again.steps, found.steps)
    np.testing.assert_array_equal(again.values(), found.values())
    assert rounding.as_rounded(matrix) is None
    assert rounding.as_rounded(found.values().astype(np.float16)) is None
    assert rounding.as_rounded(found.values()[:, 0]) is None
    touched = found.values()
    touched[3, 3] = np.nextafter(touched[3, 3], np.float32(np.inf))
    assert rounding.as_rounded(touched) is None
    assert rounding.as_rounded(np.full((3, 3), np.nan, np.float32)) is None


def test_members_are_rounded_apart_and_only_their_matrices(rng):
    kernels = rng.normal(size=(2, 30, 4)).astype(np.float32) * np.array([1, 100])[:, None, None]
    tree = {"up": {"kernel": kernels.astype(np.float32), "bias": rng.normal(size=(2, 4))}}
    found = rounding.round_matrices(tree)
    for member in range(2):
        alone = rounding.round_matrix(tree["up"]["kernel"][member]).values()
        np.testing.assert_array_equal(found["up"]["kernel"][member], alone)
    np.testing.assert_array_equal(found["up"]["bias"], tree["up"]["bias"])


def test_what_is_not_finite_is_refused(matrix):
    matrix[2, 3] = np.inf
    with pytest.raises(ValueError, match="not finite cannot be rounded"):
        rounding.round_matrix(matrix)


def test_a_column_of_zeros_stays_one():
    found = rounding.round_matrix(np.zeros((3, 2), np.float32))
    assert (found.values() == 0).all() and rounding.as_rounded(found.values()) is not None
