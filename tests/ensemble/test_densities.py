"""Densities of a run: fitted on clean faces alone, kept beside the members."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import density
from ferjax.corruptions.suites import corrupt
from ferjax.ensemble import densities, prediction
from ferjax.ensemble.forward import Features, ForwardOutputs
from ferjax.faces import synthetic
from ferjax.faces.images import patches, to_network_size
from ferjax.models.pretrained import load_tree

FACES = 120
WIDTH = 20
SIDE = 48


@pytest.fixture(scope="module")
def faces():
    return synthetic.make(FACES, seed=3).images


@pytest.fixture(scope="module")
def features():
    """Random ones of two members that share a trunk, wide enough for half the faces to overfit."""
    rng = np.random.default_rng(0)
    head, own = (jnp.asarray(rng.normal(size=(2, FACES, WIDTH)), jnp.float32) for _ in range(2))
    shared = jnp.asarray(rng.normal(size=(1, FACES, WIDTH)), jnp.float32)
    trunk = jnp.concatenate([shared, shared])
    return Features(head, {"block_1": trunk}, {"block_2": own})


def log_distance(gaussian, features):
    return jnp.log(density.mahalanobis(gaussian, features) + 1e-6)


def scores(fitted, features, images, size):
    """What members without a network of their own make of pictures."""
    pictures = to_network_size(jnp.asarray(images), size)
    outputs = ForwardOutputs(None, {}, features)
    parts = jax.vmap(
        lambda outputs, own: densities.partial_scores(
            outputs, pictures, SIDE, fitted._replace(own={}), own, None
        )
    )(outputs, fitted.own)
    return densities.finish(parts, fitted)


def test_the_joint_density_is_fitted_on_the_faces_the_others_were_not(faces, features):
    """Fitted faces score too low: a joint density of theirs would reject too many later."""
    fitted = densities.fit(features, faces)
    even, odd = (
        jax.tree.map(lambda leaf, start=start: leaf[:, start::2], features) for start in (0, 1)
    )
    pictures = jnp.asarray(faces[1::2], jnp.float32) / 255
    bands = density.band_energies(
        fitted.spectrum, patches(pictures, densities.PATCH, densities.STRIDE)
    )
    trunk = density.fit_gaussian(even.trunk["block_1"][0])
    own = [density.fit_gaussian(even.own["block_2"][k]) for k in range(2)]
    chex.assert_trees_all_close(fitted.trunk["block_1"], trunk, atol=1e-4)
    of_trunk = log_distance(trunk, odd.trunk["block_1"][0])
    of_own = (
        log_distance(own[0], odd.own["block_2"][0]) + log_distance(own[1], odd.own["block_2"][1])
    ) / 2
    joined = jnp.concatenate([bands, of_trunk[:, None], of_own[:, None]], axis=-1)
    chex.assert_trees_all_close(fitted.joint.mean, joined.mean(0), atol=1e-3)
    of_fitted = log_distance(trunk, even.trunk["block_1"][0])
    assert float(fitted.joint.mean[-2]) > float(of_fitted.mean()) + 0.1


def test_scores_are_means_over_the_members(faces, features):
    fitted = densities.fit(features, faces)
    got = scores(fitted, features, faces, SIDE)
    assert set(got) == {"ood_density", "texture", "block_1", "block_2"}
    each = [
        log_distance(
            jax.tree.map(lambda leaf, k=k: leaf[k], fitted.own["block_2"]),
            features.own["block_2"][k],
        )
        for k in range(2)
    ]
    np.testing.assert_allclose(got["block_2"], jnp.mean(jnp.stack(each), axis=0), atol=1e-4)


def test_a_frozen_block_that_stands_out_alone_is_enough(faces, features):
    """The joint density outvotes one strange block among bands and the others; it must not win."""
    fitted = densities.fit(features, faces)
    assert set(fitted.tails) == {"joint", "block_1"}
    plain = scores(fitted, features, faces, SIDE)
    joint_tail = fitted.tails["joint"]
    alone = fitted._replace(tails={"joint": joint_tail})
    of_joint = scores(alone, features, faces, SIDE)["ood_density"]
    of_block = density.tail_surprise(fitted.tails["block_1"], plain["block_1"])
    np.testing.assert_allclose(plain["ood_density"], jnp.maximum(of_joint, of_block), atol=1e-4)
    assert 0.2 < float(jnp.mean(of_block > of_joint)) < 1.0
    # Of the faces that tails were fitted to, a tenth lie beyond the start of either.
    start = -np.log(0.1)
    for surprise in (of_joint, of_block):
        assert abs(float(jnp.mean(surprise[1::2] > start)) - 0.1) < 0.02


def test_the_order_of_the_joint_density_is_kept_where_all_blocks_are_trained(faces, features):
    bare = features._replace(trunk={})
    fitted = densities.fit(bare, faces)
    assert set(fitted.tails) == {"joint"}
    before = scores(fitted._replace(tails={}), bare, faces, SIDE)["ood_density"]
    now = scores(fitted, bare, faces, SIDE)["ood_density"]
    np.testing.assert_array_equal(jnp.argsort(now), jnp.argsort(before))


def test_texture_sees_blur_and_noise_and_not_the_enlargement(faces):
    """The enlargement leaves directions without any energy; a score must not live on those."""
    ids = jnp.arange(len(faces))
    empty = Features(jnp.zeros((1, FACES, 2)), {}, {})
    fitted = densities.fit(empty, faces[:80])
    texture = {}
    for size in (48, 56):
        pictures = to_network_size(jnp.asarray(faces), size)
        blurred = corrupt("blur", pictures, 5, ids)
        noisy = corrupt("gnoise", pictures, 3, ids)
        for name, shown in {"clean": pictures, "blur": blurred, "gnoise": noisy}.items():
            one = ForwardOutputs(None, {}, jax.tree.map(lambda leaf: leaf[0], empty))
            parts = densities.partial_scores(one, shown, SIDE, fitted, {}, None)
            parts = jax.tree.map(lambda part: part[None], parts)
            texture[name, size] = np.asarray(densities.finish(parts, fitted)["texture"])[80:]
    np.testing.assert_allclose(texture["clean", 56], texture["clean", 48], rtol=0.02)
    for size in (48, 56):
        assert np.median(texture["blur", size]) > np.quantile(texture["clean", size], 0.9)
        assert np.median(texture["gnoise", size]) > np.quantile(texture["clean", size], 0.9)


def test_densities_come_back_from_disk_as_they_were(run, tiny_faces, tmp_path):
    trained = prediction.load_run(run)
    assert trained.densities is not None
    densities.save(trained.densities, tmp_path)
    again = densities.load(tmp_path)
    chex.assert_trees_all_equal(again, trained.densities)
    (tmp_path / densities.FILE).rename(tmp_path / "familiarity.safetensors")
    chex.assert_trees_all_equal(densities.load(tmp_path), again)
    assert densities.load(tmp_path / "nowhere") is None
    assert set(load_tree(run / densities.FILE)) == {"spectrum", "texture", "own", "joint", "tails"}
    without = trained.densities._replace(tails={})  # as version 0.2.0 wrote them
    densities.save(without, tmp_path)
    chex.assert_trees_all_equal(densities.load(tmp_path), without)
    images = tiny_faces["test"].images[:4]
    ids = tiny_faces["test"].ids[:4]
    bare = prediction.predict(
        prediction.predictor(trained._replace(densities=None)), images, ids, 4
    ).scores
    assert set(bare) == {"energy"}


def test_too_few_faces_are_refused(faces):
    with pytest.raises(ValueError, match="at least 20 clean training faces, got 7"):
        densities.fit(Features(jnp.zeros((1, 7, 2)), {}, {}), faces[:7])
