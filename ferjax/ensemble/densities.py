"""How familiar a picture is to a run: densities of what it looks like, and of what the network
makes of it early on.

Fitted on clean training faces alone, after training, and kept beside the members in
``densities.safetensors``. Three things are looked at: the *texture* of the picture at its stored
size (log energies of bands of patches, so that too smooth is as unfamiliar as too rough), the
tokens after a few *blocks* (early ones, before the network has learnt to ignore what changed), and,
for comparison, the *head*'s features. ``ood_density`` is the distance of texture and blocks
together.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import density
from ferjax.config import ModelConfig
from ferjax.faces.ferplus import SIDE
from ferjax.faces.images import patches, to_stored_size
from ferjax.models import vit
from ferjax.models.pretrained import load_tree, save_tree

__all__ = [
    "FILE",
    "Densities",
    "ForwardOutputs",
    "Head",
    "density_blocks",
    "finish",
    "fit",
    "fit_head",
    "load",
    "make_forward",
    "partial_scores",
    "save",
]

FILE = "densities.safetensors"
PATCH = 8
STRIDE = 4
NEIGHBOURS = 10


class ForwardOutputs(NamedTuple):
    """What one member sees of a batch: ``log_probs [face, class]``, the head's ``features [face,
    width]``, its free ``energy [face]``, and tokens after blocks of the shared ``trunk`` and of its
    ``own``: name -> ``[face, 2 dim]``."""

    log_probs: jax.Array
    features: jax.Array
    energy: jax.Array
    trunk: dict[str, jax.Array]
    own: dict[str, jax.Array]


class Densities(NamedTuple):
    """The fitted densities; leaves under ``own`` are ``[member, ...]``, all others are shared."""

    spectrum: density.Spectrum
    texture: density.Gaussian
    trunk: dict[str, density.Gaussian]
    own: dict[str, density.Gaussian]
    joint: density.Gaussian


class Head(NamedTuple):
    """Densities of the head's features, every leaf ``[member, ...]``: for comparison, not for
    deployment."""

    shared: density.SharedGaussians
    classes: density.ClassGaussians
    bank: jax.Array


def density_blocks(config: ModelConfig) -> tuple[int, ...]:
    """After how many blocks tokens are looked at: a third and two thirds of the depth."""
    return tuple(sorted({max(1, config.depth // 3), max(1, 2 * config.depth // 3)}))


def make_forward(config: ModelConfig) -> Callable[[Any, Any, jax.Array], ForwardOutputs]:
    """``(params, trunk_params, inputs) -> ForwardOutputs`` of one member, from normalised network inputs."""
    first = vit.first_trained_block(config)
    frozen = config.trainable_blocks is not None
    below = tuple(b for b in density_blocks(config) if b <= first)
    above = tuple(b for b in density_blocks(config) if b > first)
    trunk = vit.with_intermediates(config, 0, first, below)
    member = vit.with_intermediates(config, first, None, above)

    def view(params: Any, trunk_params: Any, inputs: jax.Array) -> ForwardOutputs:
        seen: dict[int, jax.Array] = {}
        if frozen:
            inputs, seen = trunk(trunk_params, inputs)
        output, own = member(params, inputs)
        logits = output.features @ params["head"]["kernel"] + params["head"]["bias"][None]
        return ForwardOutputs(
            output.log_probs,
            output.features,
            -jax.nn.logsumexp(logits, axis=-1),
            _named(seen),
            _named(own),
        )

    return view


def _named(features: Mapping[int, jax.Array]) -> dict[str, jax.Array]:
    return {f"block_{count}": value for count, value in features.items()}


def _texture(pictures: jax.Array) -> jax.Array:
    return patches(pictures, PATCH, STRIDE)


def _distances(
    gaussians: Mapping[str, density.Gaussian], features: Mapping[str, jax.Array]
) -> dict[str, jax.Array]:
    return {
        name: jnp.log(density.mahalanobis(gaussians[name], features[name]) + 1e-6)
        for name in gaussians
    }


def _summary(bands: jax.Array, distances: Mapping[str, jax.Array]) -> jax.Array:
    return jnp.concatenate(
        [bands, *(distances[name][:, None] for name in sorted(distances))], axis=-1
    )


def fit(views: ForwardOutputs, images: np.ndarray) -> Densities:
    """Fits the densities.

    Args:
      views: what the members see of these faces, stacked ``[member, face, ...]`` (``trunk``
        likewise, all members alike).
      images: the faces, uint8 ``[face, side, side]``; at least 20. Half fit the densities, the
        other half the joint one: a face that a density was fitted on lies nearer to it than any
        other.

    Raises:
      ValueError: if there are fewer than 20 faces.
    """
    if len(images) < 20:
        raise ValueError(f"densities need at least 20 clean training faces, got {len(images)}")
    return _fit(views, jnp.asarray(images, jnp.float32) / 255)


@jax.jit
def _fit(views: ForwardOutputs, pictures: jax.Array) -> Densities:
    one = slice(0, None, 2)
    other = slice(1, None, 2)
    spectrum = density.fit_spectrum(_texture(pictures[one]))
    trunk = {name: density.fit_gaussian(seen[0, one]) for name, seen in views.trunk.items()}
    own = {name: jax.vmap(density.fit_gaussian)(seen[:, one]) for name, seen in views.own.items()}
    bands = density.band_energies(spectrum, _texture(pictures[other]))
    distances = _distances(trunk, {name: seen[0, other] for name, seen in views.trunk.items()})
    if own:
        of_members = jax.vmap(_distances)(
            own, {name: seen[:, other] for name, seen in views.own.items()}
        )
        distances |= {name: jnp.mean(d, axis=0) for name, d in of_members.items()}
    return Densities(
        spectrum,
        density.fit_gaussian(bands),
        trunk,
        own,
        density.fit_gaussian(_summary(bands, distances)),
    )


@jax.jit
def fit_head(features: jax.Array, q: jax.Array) -> Head:
    """Densities of the head's features ``[member, face, width]`` of training faces with targets ``q
    [face, class]``."""
    return jax.vmap(
        lambda f: Head(
            density.fit_shared_gaussians(f, q),
            density.fit_class_gaussians(f, q),
            f[:: max(1, len(f) // 2000)],
        )
    )(features)


def partial_scores(
    view: ForwardOutputs,
    pictures: jax.Array,
    shared: Densities | None,
    own: Mapping[str, density.Gaussian],
    head: Head | None,
) -> dict[str, jax.Array]:
    """What one member can say of a batch; :func:`finish` makes scores of it.

    Args:
      view: of the batch.
      pictures: ``[face, S, S, 3]`` in [0, 1] at network size.
      shared: the fitted densities, or None (then only energy comes).
      own: this member's part of ``shared.own``.
      head: this member's head densities, or None.
    """
    parts = {"energy": view.energy}
    if shared is not None:
        bands = density.band_energies(shared.spectrum, _texture(to_stored_size(pictures, SIDE)))
        parts |= {
            "bands": bands,
            **_distances(shared.trunk, view.trunk),
            **_distances(own, view.own),
        }
    if head is not None:
        parts |= {
            "head_mahalanobis": density.class_mahalanobis(head.shared, view.features),
            "head_relative": density.relative_mahalanobis(head.shared, view.features),
            "head_density": density.class_density(head.classes, view.features),
            "head_neighbour": density.nearest_neighbour(
                head.bank, view.features, k=min(NEIGHBOURS, len(head.bank))
            ),
        }
    return parts


def finish(parts: Mapping[str, jax.Array], familiarity: Densities | None) -> dict[str, jax.Array]:
    """Scores ``[face]`` from every member's :func:`partial_scores` ``[member, face, ...]``; larger
    is less familiar."""
    mean = {name: jnp.mean(part, axis=0) for name, part in parts.items()}
    if familiarity is None:
        return mean
    bands = mean.pop("bands")
    distances = {name: part for name, part in mean.items() if name.startswith("block_")}
    return {
        "ood_density": density.mahalanobis(familiarity.joint, _summary(bands, distances)),
        "texture": density.mahalanobis(familiarity.texture, bands),
        **mean,
    }


def save(familiarity: Densities, folder: Path) -> None:
    """Writes :data:`FILE` into a run folder, in one piece."""

    def tree(part: Any) -> Any:
        fields = part._asdict() if hasattr(part, "_asdict") else part
        return (
            {name: tree(value) for name, value in fields.items()}
            if isinstance(fields, dict)
            else np.asarray(part)
        )

    save_tree(tree(familiarity), folder / FILE)


def load(folder: Path) -> Densities | None:
    """Reads a run's densities; None if none were fitted."""
    if not (folder / FILE).is_file():
        return None
    tree = load_tree(folder / FILE)

    def gaussians(name: str) -> dict[str, density.Gaussian]:
        return {block: density.Gaussian(**leaves) for block, leaves in tree.get(name, {}).items()}

    return jax.tree.map(
        jnp.asarray,
        Densities(
            density.Spectrum(**tree["spectrum"]),
            density.Gaussian(**tree["texture"]),
            gaussians("trunk"),
            gaussians("own"),
            density.Gaussian(**tree["joint"]),
        ),
    )
