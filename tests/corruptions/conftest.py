"""One compiled program per corruption, shared by the modules of this folder."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.corruptions import corrupt, resizing

# Compiled for these tests alone, and run a few times each: XLA's optimisations cost more than they
# save.
UNOPTIMISED = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Programs:
    """Applies corruptions to pictures ``[3, 224, 224, 3]``; counts how often each was traced."""

    def __init__(self):
        self.traces = collections.Counter()
        self._compiled = {}

    def __call__(self, name, images, severity, ids=(5, 6, 7), seed=0):
        assert images.shape == (3, 224, 224, 3), "another shape would be compiled anew"
        if name not in self._compiled:

            def program(images, severity, ids, seed):
                self.traces[name] += 1
                return corrupt(name, images, severity, ids, seed=seed)

            self._compiled[name] = jax.jit(program, compiler_options=UNOPTIMISED)
        images = jnp.asarray(images, jnp.float32)
        return np.asarray(self._compiled[name](images, severity, jnp.array(ids), seed))


@pytest.fixture(scope="session")
def apply():
    """(name, images, severity, ids, seed) -> corrupted images; see :class:`Programs`."""
    return Programs()


@pytest.fixture(scope="session")
def quick_jit():
    """``jax.jit`` for a program that runs a few times only."""

    def jit(function, **options):
        return jax.jit(function, compiler_options=UNOPTIMISED, **options)

    return jit


@pytest.fixture(scope="session")
def picture():
    """Makes smooth blobs with a little grain: ``[count, height, width, channels]``."""

    def make(height=224, width=224, channels=3, count=1):
        rng = np.random.default_rng(0)
        coarse = rng.random((count, 6, 7, channels)).astype(np.float32)
        rows = resizing.linear_matrix(jnp.linspace(0, 5, height), 6)
        columns = resizing.linear_matrix(jnp.linspace(0, 6, width), 7)
        smooth = np.einsum("ih,nhwc,jw->nijc", rows, coarse, columns)
        grainy = 0.1 + 0.8 * smooth + rng.normal(0, 0.01, smooth.shape)
        return np.clip(grainy, 0, 1).astype(np.float32)

    return make
