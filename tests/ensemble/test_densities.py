"""Densities of a run: fitted on clean faces alone, kept beside the members, sensitive to too smooth
and too rough."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.config import ModelConfig
from ferjax.corruptions.suites import corrupt
from ferjax.ensemble import densities, prediction
from ferjax.faces import synthetic
from ferjax.faces.images import to_network_size
from ferjax.models import vit


@pytest.fixture(scope="module")
def faces():
    return synthetic.make(120, seed=3)[0]


@pytest.mark.parametrize(
    "blocks, trunk, own",
    [
        (None, set(), {"block_1", "block_2"}),
        (1, {"block_1", "block_2"}, set()),
        (2, {"block_1"}, {"block_2"}),
    ],
)
def test_a_block_is_looked_at_where_it_lives(blocks, trunk, own):
    config = ModelConfig(
        image_size=16, patch_size=8, dim=8, depth=3, heads=2, trainable_blocks=blocks
    )
    whole = vit.vit(ModelConfig(image_size=16, patch_size=8, dim=8, depth=3, heads=2)).init(
        jax.random.key(0)
    )
    frozen, trained = vit.split(whole, config)
    inputs = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    seen = densities.make_forward(config)(trained, frozen or None, inputs)
    assert (set(seen.trunk), set(seen.own)) == (trunk, own)
    tokens = vit.vit(config, 0, 1).apply(whole if blocks is None else {**frozen, **trained}, inputs)
    expected = jnp.concatenate([tokens[:, 0], tokens[:, 1:].mean(1)], -1)
    np.testing.assert_allclose({**seen.trunk, **seen.own}["block_1"], expected, atol=1e-5)
    np.testing.assert_allclose(
        seen.log_probs,
        vit.vit(ModelConfig(image_size=16, patch_size=8, dim=8, depth=3, heads=2))
        .apply(whole, inputs)
        .log_probs,
        atol=1e-5,
    )


def test_texture_sees_blur_and_noise_and_not_the_enlargement(faces):
    """The enlargement leaves directions without any energy; a score must not live on those."""
    ids = jnp.arange(len(faces))
    empty = densities.ForwardOutputs(
        *(jnp.zeros((1, 120, 2)) for _ in range(2)), jnp.zeros((1, 120)), {}, {}
    )
    known = densities.fit(empty, faces[:80])
    scores = {}
    for size in (48, 56):
        pictures = to_network_size(jnp.asarray(faces), size)
        blurred = corrupt("blur", pictures, 5, ids)
        noisy = corrupt("gnoise", pictures, 3, ids)
        for name, shown in {"clean": pictures, "blur": blurred, "gnoise": noisy}.items():
            parts = densities.partial_scores(
                jax.tree.map(lambda leaf: leaf[0], empty), shown, known, {}, None
            )
            scores[name, size] = np.asarray(
                densities.finish(jax.tree.map(lambda part: part[None], parts), known)["texture"]
            )[80:]
    np.testing.assert_allclose(scores["clean", 56], scores["clean", 48], rtol=0.02)
    for size in (48, 56):
        assert np.median(scores["blur", size]) > np.quantile(scores["clean", size], 0.9)
        assert np.median(scores["gnoise", size]) > np.quantile(scores["clean", size], 0.9)


def test_densities_come_back_from_disk_as_they_were(run, tiny_faces, tmp_path):
    trained = prediction.load_run(run)
    assert trained.familiarity is not None
    densities.save(trained.familiarity, tmp_path)
    again = densities.load(tmp_path)
    assert jax.tree.structure(again) == jax.tree.structure(trained.familiarity)
    jax.tree.map(np.testing.assert_array_equal, again, trained.familiarity)
    assert densities.load(tmp_path / "nowhere") is None
    images = tiny_faces["test"].images[:4]
    ids = tiny_faces["test"].ids[:4]
    _, bare = prediction.predict(
        prediction.predictor(trained._replace(familiarity=None)), images, ids, 4
    )
    assert set(bare) == {"energy"}


def test_too_few_faces_are_refused(faces):
    with pytest.raises(ValueError, match="at least 20 clean training faces, got 7"):
        densities.fit(
            densities.ForwardOutputs(
                *(jnp.zeros((1, 7, 2)) for _ in range(2)), jnp.zeros((1, 7)), {}, {}
            ),
            faces[:7],
        )
