"""Products of attention against plain ones, gradients and compiled form included."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ferjax.models import matmul

SHAPES = {"rows": ((2, 3, 5, 4), (2, 3, 6, 4)), "columns": ((2, 3, 5, 4), (2, 3, 4, 6))}
PLAIN = {"rows": lambda a, b: a @ b.swapaxes(-1, -2), "columns": lambda a, b: a @ b}


def factors(name, dtype="float32"):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in SHAPES[name]]


@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_are_those_of_the_plain_product(name):
    product = getattr(matmul, name)
    plain = PLAIN[name]
    args = factors(name)
    np.testing.assert_allclose(product(*args), plain(*args), atol=1e-5)
    check_grads(product, args, order=2, modes=["rev"], atol=2e-2, rtol=2e-2)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 5, 6)), jnp.float32)
    both = [
        jax.grad(lambda a, b, f=f: jnp.sum(weights * f(a, b)), (0, 1))(*args)
        for f in (product, plain)
    ]
    jax.tree.map(lambda own, expected: np.testing.assert_allclose(own, expected, atol=1e-5), *both)


def test_half_precision_keeps_scores_and_gives_gradients_in_the_factors_own():
    a, b = factors("rows", "bfloat16")
    assert matmul.rows(a, b).dtype == jnp.float32
    assert [g.dtype for g in jax.grad(lambda a, b: matmul.rows(a, b).sum(), (0, 1))(a, b)] == [
        jnp.bfloat16
    ] * 2
    a, b = factors("columns", "bfloat16")
    assert matmul.columns(a, b).dtype == jnp.bfloat16
    assert [g.dtype for g in jax.grad(lambda a, b: matmul.columns(a, b).sum(), (0, 1))(a, b)] == [
        jnp.bfloat16
    ] * 2


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the layout is for CPUs")
@pytest.mark.parametrize("name", SHAPES)
def test_on_a_cpu_no_product_of_a_mapped_gradient_takes_a_transposed_first_factor(name):
    product = getattr(matmul, name)
    args = [jnp.stack([x] * 3) for x in factors(name)]
    gradient = jax.jit(jax.vmap(jax.grad(lambda a, b: jnp.sum(jnp.sin(product(a, b))), (0, 1))))
    text = gradient.lower(*args).compile().as_text()
    dots = re.findall(r"f32\[[^ ]* dot\(.*lhs_contracting_dims=\{(\d+)\}", text)
    assert len(dots) == 3 and set(dots) == {"4"}, dots


def layer(dtype):
    """A dense layer's arguments, of the size of two faces with five tokens."""
    rng = np.random.default_rng(0)
    x, kernel, bias = (rng.normal(size=shape) for shape in ((2, 5, 4), (4, 3), (3,)))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, "float32"), jnp.asarray(bias, "float32")


def test_a_dense_layer_is_one_product_of_two_matrices():
    x, kernel, bias = layer("float32")
    text = str(jax.make_jaxpr(matmul.affine)(x, kernel, bias))
    assert "f32[10,3] = dot_general" in text
    np.testing.assert_allclose(
        matmul.affine(x, kernel, bias), x @ kernel + bias[None, None], atol=1e-6
    )


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_gradients_of_a_dense_layer_are_those_of_its_formula(dtype, close):
    args = layer(dtype)

    def loss(affine, x, kernel, bias):
        return jnp.sum(jnp.sin(affine(x, kernel, bias).astype(jnp.float32)))

    own = jax.grad(lambda *args: loss(matmul.affine, *args), (0, 1, 2))(*args)
    exact = [arg.astype(jnp.float32) for arg in args]
    plain = jax.grad(lambda *args: loss(lambda x, k, b: x @ k + b[None, None], *args), (0, 1, 2))(
        *exact
    )
    assert [g.dtype for g in own] == [args[0].dtype, jnp.float32, jnp.float32]
    for found, expected in zip(own, plain, strict=True):
        np.testing.assert_allclose(found.astype(jnp.float32), expected, atol=close)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the layout is for CPUs")
def test_on_a_cpu_half_precision_transposes_before_a_product():
    x, kernel, bias = (jnp.stack([arg] * 3) for arg in layer("bfloat16"))
    gradient = jax.vmap(jax.grad(lambda *args: jnp.sum(jnp.sin(matmul.affine(*args))), (0, 1)))
    text = jax.jit(gradient).lower(x, kernel, bias).as_text()
    assert text.count("LayoutConstraint") == 2
