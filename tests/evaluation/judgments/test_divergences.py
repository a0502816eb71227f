"""Plug-in divergences: items that were not judged count in none of them."""

import jax
import numpy as np

from ferjax.evaluation.judgments import divergences


def test_items_that_were_not_judged_are_nan_and_not_zero(rng):
    """Compiled, and of many items: there the maximum of NaN and 0 may be 0."""
    people = rng.dirichlet(np.ones(28), 1500).astype(np.float32)
    judge = rng.dirichlet(np.ones(28), (2, 1500)).astype(np.float32)
    judge[0, 200:] = 0
    for figure in (divergences.jensen_shannon_bits, divergences.kl_bits):
        whole = np.asarray(jax.jit(figure)(people, judge))
        assert np.isnan(whole[0, 200:]).all()
        part = np.asarray(figure(people[:200], judge[:, :200]))
        np.testing.assert_allclose(whole[:, :200], part, rtol=1e-4)
    same = np.asarray(jax.jit(divergences.jensen_shannon_bits)(people, people[None]))
    assert (same >= 0).all() and same.max() < 1e-6
