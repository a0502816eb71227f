"""Ways of attention: cuDNN's kernel is asked for where it can be had, and means the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import ModelConfig
from ferjax.models import attention, matmul

CONFIG = ModelConfig(image_size=16, patch_size=8, dim=64, heads=2, dtype="bfloat16")


@pytest.fixture
def cudnn(monkeypatch):
    """Lets JAX believe that cuDNN is installed: enough to lower for it, not to run."""
    inner = pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")
    monkeypatch.setattr(inner, "check_cudnn_version", lambda: 91000)


@pytest.mark.parametrize("tokens", [16, 257])
def test_the_kernel_is_lowered_for_stacked_members_forward_and_backward(cudnn, tokens):
    def loss(query, key, value):
        return jnp.sum(attention.fused(query, key, value).astype(jnp.float32) ** 2)

    stacked = jax.ShapeDtypeStruct((3, 4, tokens, 2, 32), jnp.bfloat16)
    gradients = jax.jit(jax.vmap(jax.grad(loss, argnums=(0, 1, 2))))
    lowered = gradients.trace(stacked, stacked, stacked).lower(lowering_platforms=("cuda",))
    text = lowered.as_text()
    assert "__cudnn$fmhaSoftmax(" in text and "__cudnn$fmhaSoftmaxBackward(" in text
    assert [leaf.shape for leaf in lowered.out_info] == [stacked.shape] * 3
    # One call for all members, over an even number of tokens.
    assert f"tensor<12x{tokens + tokens % 2}x2x32xbf16>" in text


def test_it_is_chosen_where_it_can_be_had(cudnn):
    assert attention.chosen(CONFIG, has_kernel=True).attention == "cudnn"
    assert attention.chosen(CONFIG, has_kernel=False).attention == "explicit"
    explicit = dataclasses.replace(CONFIG, attention="explicit")
    assert attention.chosen(explicit, has_kernel=True) == explicit
    single = dataclasses.replace(CONFIG, dtype="float32")
    assert attention.chosen(single, has_kernel=True).attention == "explicit"
    narrow = dataclasses.replace(CONFIG, dim=60, heads=5)  # 12 wide: no multiple of 8
    assert "12" in attention.fused_refusal(narrow)
    assert attention.chosen(narrow, has_kernel=True).attention == "explicit"


def test_asking_for_it_in_vain_is_an_error():
    asked = dataclasses.replace(CONFIG, attention="cudnn")
    with pytest.raises(ValueError, match="no CUDA cards"):
        attention.chosen(asked, has_kernel=False)


def test_without_cudnn_auto_is_explicit():
    if jax.default_backend() != "gpu":
        assert attention.chosen(CONFIG, has_kernel=True).attention == "explicit"


def test_the_explicit_form_means_the_same_within_bfloat16s_rounding():
    """Against JAX's own attention, whose definition the kernel shares."""
    qkv = jax.random.normal(jax.random.key(0), (3, 4, 17, 2, 32), jnp.bfloat16)
    theirs = jax.nn.dot_product_attention(*qkv, implementation="xla")
    query, key, value = jnp.swapaxes(qkv, 2, 3)
    weights = jax.nn.softmax(matmul.rows(query, key) / jnp.sqrt(jnp.float32(32)), axis=-1)
    ours = jnp.swapaxes(matmul.columns(weights.astype(jnp.bfloat16), value), 1, 2)
    np.testing.assert_allclose(
        np.asarray(ours, np.float32), np.asarray(theirs, np.float32), atol=2**-7
    )


def test_products_of_bfloat16_accumulate_in_float32():
    """A sum of 4,096 ones; in bfloat16 it would stay at 256."""
    ones = jnp.ones((1, 4096), jnp.bfloat16)
    assert matmul.rows(ones, ones).item() == 4096
    assert matmul.columns(ones, ones.T).item() == 4096
    assert matmul.affine(ones, ones.T, jnp.zeros(1)).item() == 4096


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs a CUDA card")
def test_the_kernel_agrees_with_explicit_products_on_the_card():
    qkv = jax.random.normal(jax.random.key(0), (3, 4, 257, 2, 64), jnp.bfloat16)
    theirs = jax.nn.dot_product_attention(*qkv, implementation="xla")
    np.testing.assert_allclose(
        np.asarray(attention.fused(*qkv), np.float32), np.asarray(theirs, np.float32), atol=2**-7
    )
