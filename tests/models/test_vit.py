"""The Vision Transformer against independent arithmetic, and its parts against the whole."""

import dataclasses
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ferjax.config import ModelConfig
from ferjax.models import layers, vit

CLASSES = 5
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
def built(name):
    """A variant's model, jitted, and parameters away from their simple initial values."""
    model = vit.vit(VARIANTS[name], CLASSES)
    params = jax.jit(model.init)(jax.random.key(0))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), params)
    return model._replace(apply=jax.jit(model.apply)), params


def _dense(x, p):
    return x @ np.asarray(p["kernel"], np.float64) + np.asarray(p["bias"], np.float64)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_gives_logits_and_features_in_float32(name, faces):
    model, params = built(name)
    output = model.apply(params, faces)
    chex.assert_shape(output.logits, (3, CLASSES))
    chex.assert_shape(output.features, (3, 16 if name == "cls" else 32))
    chex.assert_type([output.logits, output.features, *jax.tree.leaves(params)], jnp.float32)
    assert output.extra is None
    logits = _dense(np.asarray(output.features, np.float64), params["head"])
    np.testing.assert_allclose(output.logits, logits, atol=1e-5)


def test_extra_outputs_have_parameters_of_their_own_and_the_head_stays_as_it_was(faces):
    model = vit.vit(PLAIN, CLASSES, extra=2)
    params = jax.jit(model.init)(jax.random.key(0))
    bare = jax.jit(vit.vit(PLAIN, CLASSES).init)(jax.random.key(0))
    chex.assert_trees_all_equal({name: params[name] for name in bare}, bare)
    assert set(params) - set(bare) == {"extra"}
    output = model.apply(params, faces)
    features = np.asarray(output.features, np.float64)
    np.testing.assert_allclose(output.extra, _dense(features, params["extra"]), atol=1e-5)
    np.testing.assert_allclose(output.logits, _dense(features, params["head"]), atol=1e-5)


@pytest.mark.parametrize("name, tokens", [("plain", 17), ("registers", 21)])
def test_tokens_are_cls_registers_then_patches_in_reading_order(name, tokens, faces):
    config = VARIANTS[name]
    _, params = built(name)
    got = vit.blocks(config, 0, 0).apply(params, faces)
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
    """Attention, exact GELU or SwiGLU, LayerScale, epsilons, norms; a tanh GELU is off by 1e-4."""
    model, params = built(name)
    x = np.asarray(vit.blocks(VARIANTS[name], 0, 0).apply(params, faces), np.float64)
    for i in range(2):
        x = _block(x, params[f"block_{i}"], heads=2, gated=name == "swiglu")
    x = _norm(x, params["norm"])
    features = np.concatenate([x[:, 0], x[:, 1:].mean(1)], axis=-1)
    np.testing.assert_allclose(model.apply(params, faces).features, features, atol=2e-5)


def test_gelu_is_exact_not_tanh():
    module = layers.Mlp(PLAIN)
    x = jnp.linspace(-4, 4, 16).reshape(1, 1, 16)
    identity = {
        "up": {"kernel": jnp.eye(16, 64), "bias": jnp.zeros(64)},
        "down": {"kernel": jnp.eye(64, 16), "bias": jnp.zeros(16)},
    }
    expected = np.asarray(x) * scipy.special.ndtr(np.asarray(x, np.float64))
    np.testing.assert_allclose(module.apply({"params": identity}, x), expected, atol=1e-6)


def test_swiglu_is_as_wide_as_dinov2s():
    config = ModelConfig(image_size=14, patch_size=14, dim=1536, depth=1, heads=24, mlp="swiglu")
    shapes = jax.eval_shape(vit.vit(config, CLASSES).init, jax.random.key(0))
    assert shapes["block_0"]["mlp"]["up"]["kernel"].shape == (1536, 2 * 4096)


@pytest.mark.parametrize("name", ["plain", "registers", "swiglu"])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_trunk_and_a_top_are_the_whole(name, cut, faces):
    config = VARIANTS[name]
    model, params = built(name)
    trunk = vit.blocks(config, 0, cut)
    top = vit.vit(config, CLASSES, start=cut)
    names = [set(jax.eval_shape(part.init, jax.random.key(0))) for part in (trunk, top)]
    bottom_params, top_params = ({name: params[name] for name in of} for of in names)
    got = top.apply(top_params, trunk.apply(bottom_params, faces))
    chex.assert_trees_all_close(got, model.apply(params, faces), atol=1e-5)


@pytest.mark.parametrize(
    "blocks, shared", [(1, {"embed", "block_0"}), (0, {"embed", "block_0", "block_1"})]
)
def test_what_members_train_and_share(faces, blocks, shared):
    config = dataclasses.replace(PLAIN, trainable_blocks=blocks)
    model, params = built("plain")
    frozen, trained = vit.split(params, config)
    assert set(frozen) == shared
    assert set(trained) == set(params) - shared
    tokens = vit.trunk_model(config).apply(frozen, faces)
    np.testing.assert_allclose(
        vit.members_model(config, CLASSES).apply(trained, tokens).logits,
        model.apply(params, faces).logits,
        atol=1e-5,
    )


def test_without_a_trunk_members_train_everything():
    _, params = built("plain")
    assert vit.trunk_model(PLAIN) is None
    assert vit.split(params, PLAIN) == ({}, params)


def test_remat_changes_memory_only(faces):
    model, params = built("plain")
    again, _ = built("remat")

    def loss(apply):
        return jax.value_and_grad(lambda p: apply(p, faces).logits[:, 0].sum())(params)

    (value, gradient) = loss(model.apply)
    (value_again, gradient_again) = loss(again.apply)
    assert float(value) == pytest.approx(float(value_again), abs=1e-5)
    chex.assert_trees_all_close(gradient, gradient_again, atol=1e-5)


def test_bfloat16_is_close_to_float32_and_not_it(faces):
    model, params = built("plain")
    rough, _ = built("bfloat16")
    exact = model.apply(params, faces).logits
    got = rough.apply(params, faces).logits
    assert 0 < float(jnp.abs(exact - got).max()) < 0.1
    assert vit.blocks(VARIANTS["bfloat16"], 0, 1).apply(params, faces).dtype == jnp.bfloat16


def test_layer_scale_starts_where_it_is_told(faces):
    config = dataclasses.replace(PLAIN, layer_scale=1e-5)
    params = vit.vit(config, CLASSES).init(jax.random.key(0))
    for block in ("block_0", "block_1"):
        for name in ("scale1", "scale2"):
            np.testing.assert_array_equal(params[block][name], np.float32(1e-5))
    embedded, through = (vit.blocks(config, 0, k).apply(params, faces) for k in (0, 1))
    np.testing.assert_allclose(through, embedded, atol=1e-3)


def test_drop_path_needs_a_key_and_drops_whole_branches_of_faces(faces):
    config = dataclasses.replace(PLAIN, drop_path=0.5)
    _, params = built("plain")
    model = vit.vit(config, CLASSES)
    many = jnp.repeat(faces[:1], 64, axis=0)
    np.testing.assert_allclose(
        model.apply(params, many).logits,
        built("plain")[0].apply(params, many).logits,
        atol=1e-5,
    )
    dropped = np.asarray(model.apply(params, many, jax.random.key(0)).logits)
    # Block 0 never drops, block 1 has two branches: four networks, and no face outside them.
    assert len(np.unique(dropped.round(4), axis=0)) == 4
    np.testing.assert_array_equal(model.apply(params, many, jax.random.key(0)).logits, dropped)


@pytest.mark.parametrize("shape", [(1, 48, 48, 3), (1, 32, 32, 1), (1, 32, 16, 3)])
def test_wrong_images_are_refused(shape):
    model, params = built("plain")
    with pytest.raises(ValueError, match=r"expected images \[face, 32, 32, 3\], got"):
        model.apply(params, jnp.zeros(shape))


@pytest.mark.parametrize("start, stop", [(-1, 1), (2, 1), (0, 3)])
def test_wrong_ranges_are_refused(start, stop):
    with pytest.raises(ValueError, match="not a range of a network of depth 2"):
        vit.blocks(PLAIN, start, stop)


def test_wrong_heads_are_refused():
    with pytest.raises(ValueError, match="blocks 3..2 are not a range of a network of depth 2"):
        vit.vit(PLAIN, CLASSES, start=3)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        vit.vit(PLAIN, 1)


def test_features_on_the_way_are_those_of_the_blocks(faces):
    model, params = built("registers")
    config = VARIANTS["registers"]
    network = vit.with_intermediates(config, (1, 2), num_classes=CLASSES)
    output, features = jax.jit(network)(params, faces)
    chex.assert_trees_all_close(output, model.apply(params, faces), atol=1e-5)
    for count, got in features.items():
        tokens = vit.blocks(config, 0, count).apply(params, faces)
        expected = jnp.concatenate([tokens[:, 0], tokens[:, 5:].mean(1)], axis=-1)
        np.testing.assert_allclose(got, expected, atol=1e-5)
