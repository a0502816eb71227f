"""The Vision Transformer piece by piece against independent arithmetic, and its slices against the
whole."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ferjax.config import ModelConfig
from ferjax.models import vit

PLAIN = ModelConfig(image_size=32, patch_size=8, dim=16, depth=2, heads=2, layer_scale=0.5)
VARIANTS = {
    "plain": PLAIN,
    "cls": dataclasses.replace(PLAIN, head="cls"),
    "registers": dataclasses.replace(PLAIN, registers=4),
    "swiglu": dataclasses.replace(PLAIN, mlp="swiglu"),
    "bfloat16": dataclasses.replace(PLAIN, dtype="bfloat16"),
    "remat": dataclasses.replace(PLAIN, remat=True),
}


@pytest.fixture(scope="module")
def faces():
    return jnp.asarray(np.random.default_rng(0).normal(size=(3, 32, 32, 3)), jnp.float32)


@cache
def born(name):
    """A variant's model, jitted, with parameters that are all away from their simple initial
    values."""
    model = vit.vit(VARIANTS[name])
    params = jax.jit(model.init)(jax.random.key(0))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), params)
    return model._replace(apply=jax.jit(model.apply)), params


def _dense(x, p):
    return x @ np.asarray(p["kernel"], np.float64) + np.asarray(p["bias"], np.float64)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_gives_log_probabilities_in_float32(name, faces):
    model, params = born(name)
    output = model.apply(params, faces)
    assert (output.log_probs.shape, output.log_probs.dtype) == ((3, 8), jnp.float32)
    np.testing.assert_allclose(jax.nn.logsumexp(output.log_probs, -1), 0, atol=1e-6)
    assert output.features.shape == (3, 16 if name == "cls" else 32)
    assert output.features.dtype == jnp.float32
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
    logits = _dense(np.asarray(output.features, np.float64), params["head"])
    np.testing.assert_allclose(output.log_probs, scipy.special.log_softmax(logits, -1), atol=1e-5)


@pytest.mark.parametrize("name, tokens", [("plain", 17), ("registers", 21)])
def test_tokens_are_cls_registers_then_patches_in_reading_order(name, tokens, faces):
    config = VARIANTS[name]
    _, params = born(name)
    got = vit.vit(config, 0, 0).apply(params, faces)
    assert got.shape == (3, tokens, 16) == (3, *vit.tokens_shape(config))
    embed = jax.tree.map(np.asarray, params["embed"])
    kernel = embed["patch"]["kernel"].reshape(8, 8, 3, 16)
    convolved = jax.lax.conv_general_dilated(
        faces, kernel, (8, 8), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    patches = np.asarray(convolved).reshape(3, 16, 16) + embed["patch"]["bias"]
    position = np.asarray(embed["position"])
    np.testing.assert_allclose(got[:, config.registers + 1 :], patches + position[:, 1:], atol=1e-4)
    np.testing.assert_allclose(
        got[:, :1], np.broadcast_to(embed["cls"] + position[:, :1], (3, 1, 16)), atol=1e-6
    )
    if config.registers:
        np.testing.assert_allclose(
            got[:, 1:5], np.broadcast_to(embed["registers"], (3, 4, 16)), atol=1e-6
        )


def _norm(x, p):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * np.asarray(p["scale"], np.float64) + np.asarray(p["bias"], np.float64)


def _block(x, p, heads, gated):
    """A pre-norm block in float64 numpy: one head, one face at a time."""
    width = x.shape[-1] // heads
    query, key, value = np.split(_dense(_norm(x, p["norm1"]), p["attention"]["qkv"]), 3, axis=-1)
    mixed = np.zeros_like(x)
    for face in range(len(x)):
        for head in range(heads):
            of = slice(head * width, (head + 1) * width)
            weights = scipy.special.softmax(
                query[face, :, of] @ key[face, :, of].T / np.sqrt(width), axis=-1
            )
            mixed[face, :, of] = weights @ value[face, :, of]
    x = x + _dense(mixed, p["attention"]["out"]) * np.asarray(p["scale1"], np.float64)
    hidden = _dense(_norm(x, p["norm2"]), p["mlp"]["up"])
    if gated:
        gate, up = np.split(hidden, 2, axis=-1)
        hidden = gate * scipy.special.expit(gate) * up
    else:
        hidden = hidden * 0.5 * (1 + scipy.special.erf(hidden / np.sqrt(2)))
    return x + _dense(hidden, p["mlp"]["down"]) * np.asarray(p["scale2"], np.float64)


@pytest.mark.parametrize("name", ["plain", "swiglu"])
def test_the_whole_network_is_plain_arithmetic(name, faces):
    """Attention, exact (erf) GELU or SwiGLU, LayerScale, epsilons and both norms: the tanh GELU
    would be off by 1e-4."""
    model, params = born(name)
    x = np.asarray(vit.vit(VARIANTS[name], 0, 0).apply(params, faces), np.float64)
    for i in range(2):
        x = _block(x, params[f"block_{i}"], heads=2, gated=name == "swiglu")
    x = _norm(x, params["norm"])
    features = np.concatenate([x[:, 0], x[:, 1:].mean(1)], axis=-1)
    np.testing.assert_allclose(model.apply(params, faces).features, features, atol=2e-5)
    np.testing.assert_allclose(vit.final_tokens(VARIANTS[name])(params, faces), x, atol=2e-5)


def test_gelu_is_exact_not_tanh():
    module = vit.Mlp(PLAIN)
    x = jnp.linspace(-4, 4, 16).reshape(1, 1, 16)
    identity = {
        "up": {"kernel": jnp.eye(16, 64), "bias": jnp.zeros(64)},
        "down": {"kernel": jnp.eye(64, 16), "bias": jnp.zeros(16)},
    }
    expected = np.asarray(x) * scipy.special.ndtr(np.asarray(x, np.float64))
    np.testing.assert_allclose(module.apply({"params": identity}, x), expected, atol=1e-6)


def test_swiglu_is_as_wide_as_dinov2s():
    config = ModelConfig(image_size=14, patch_size=14, dim=1536, depth=1, heads=24, mlp="swiglu")
    shapes = jax.eval_shape(vit.vit(config).init, jax.random.key(0))
    assert shapes["block_0"]["mlp"]["up"]["kernel"].shape == (1536, 2 * 4096)


@pytest.mark.parametrize("name", ["plain", "registers", "swiglu"])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_trunk_and_a_top_are_the_whole(name, cut, faces):
    config = VARIANTS[name]
    model, params = born(name)
    trunk = vit.vit(config, 0, cut)
    top = vit.vit(config, cut)
    names = [set(jax.eval_shape(part.init, jax.random.key(0))) for part in (trunk, top)]
    bottom_params, top_params = ({name: params[name] for name in of} for of in names)
    got = top.apply(top_params, trunk.apply(bottom_params, faces))
    for part, whole in zip(got, model.apply(params, faces)):
        np.testing.assert_allclose(part, whole, atol=1e-5)


@pytest.mark.parametrize(
    "blocks, shared", [(1, {"embed", "block_0"}), (0, {"embed", "block_0", "block_1"})]
)
def test_what_members_train_and_share(faces, blocks, shared):
    config = dataclasses.replace(PLAIN, trainable_blocks=blocks)
    model, params = born("plain")
    frozen, trained = vit.split(params, config)
    assert set(frozen) == shared
    assert set(trained) == set(params) - shared
    tokens = vit.trunk_model(config).apply(frozen, faces)
    np.testing.assert_allclose(
        vit.members_model(config).apply(trained, tokens).log_probs,
        model.apply(params, faces).log_probs,
        atol=1e-5,
    )


def test_without_a_trunk_members_train_everything():
    _, params = born("plain")
    assert vit.trunk_model(PLAIN) is None
    assert vit.split(params, PLAIN) == ({}, params)


def test_remat_changes_memory_only(faces):
    model, params = born("plain")
    again, _ = born("remat")

    def loss(apply):
        return jax.value_and_grad(lambda p: apply(p, faces).log_probs[:, 0].sum())(params)

    (value, gradient) = loss(model.apply)
    (value_again, gradient_again) = loss(again.apply)
    assert float(value) == pytest.approx(float(value_again), abs=1e-5)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(gradient_again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_bfloat16_is_close_to_float32_and_not_it(faces):
    model, params = born("plain")
    rough, _ = born("bfloat16")
    exact = model.apply(params, faces).log_probs
    got = rough.apply(params, faces).log_probs
    assert 0 < float(jnp.abs(exact - got).max()) < 0.1
    assert vit.vit(VARIANTS["bfloat16"], 0, 1).apply(params, faces).dtype == jnp.bfloat16


def test_layer_scale_starts_where_it_is_told(faces):
    config = dataclasses.replace(PLAIN, layer_scale=1e-5)
    params = vit.vit(config).init(jax.random.key(0))
    for block in ("block_0", "block_1"):
        for name in ("scale1", "scale2"):
            np.testing.assert_array_equal(params[block][name], np.float32(1e-5))
    embedded, through = (vit.vit(config, 0, k).apply(params, faces) for k in (0, 1))
    np.testing.assert_allclose(through, embedded, atol=1e-3)


def test_drop_path_needs_a_key_and_drops_whole_branches_of_faces(faces):
    config = dataclasses.replace(PLAIN, drop_path=0.5)
    _, params = born("plain")
    model = vit.vit(config)
    many = jnp.repeat(faces[:1], 64, axis=0)
    np.testing.assert_allclose(
        model.apply(params, many).log_probs,
        born("plain")[0].apply(params, many).log_probs,
        atol=1e-5,
    )
    dropped = np.asarray(model.apply(params, many, jax.random.key(0)).log_probs)
    # Block 0 never drops, block 1 has two branches: four networks, and no face outside them.
    assert len(np.unique(dropped.round(4), axis=0)) == 4
    np.testing.assert_array_equal(model.apply(params, many, jax.random.key(0)).log_probs, dropped)


@pytest.mark.parametrize("shape", [(1, 48, 48, 3), (1, 32, 32, 1), (1, 32, 16, 3)])
def test_wrong_images_are_refused(shape):
    model, params = born("plain")
    with pytest.raises(ValueError, match=r"expected images \[face, 32, 32, 3\], got"):
        model.apply(params, jnp.zeros(shape))


@pytest.mark.parametrize("start, stop", [(-1, 1), (2, 1), (0, 3)])
def test_wrong_ranges_are_refused(start, stop):
    with pytest.raises(ValueError, match="not a range of a network of depth 2"):
        vit.vit(PLAIN, start, stop)
