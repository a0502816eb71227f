"""Densities of a run: distributions of how clean training faces look, and of early features.

Fitted after training to clean training faces alone, and kept beside the members in
``densities.safetensors``. Three things are modelled: the *texture* of the picture at its stored
size (log energies of bands of patches, so that too smooth scores as high as too rough), the tokens
after a few *blocks* (early ones, before the network has learnt to ignore what changed), and, for
comparison, the *head*'s features. ``ood_density`` is the largest of several surprises: by texture
and blocks together, and by each *frozen* block alone. The late ones of those know what is no face,
which the others would outvote; blocks that were trained forget it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import density
from ferjax.ensemble.forward import Features, ForwardOutputs
from ferjax.faces.images import patches, to_stored_size
from ferjax.models.pretrained import load_tree, save_tree, tree_digest, tree_facts

__all__ = [
    "FILE",
    "REVISION",
    "Densities",
    "Head",
    "digest",
    "finish",
    "fit",
    "fit_head",
    "load",
    "partial_scores",
    "path_of",
    "save",
]

FILE = "densities.safetensors"
OLD_FILE = "familiarity.safetensors"
"""What version 0.1.0 called it."""
REVISION = 2
"""Of what the scores mean: predictions of another revision are made anew."""
PATCH = 8
STRIDE = 4
NEIGHBOURS = 10
_JOINT = "joint"


class Densities(NamedTuple):
    """The fitted densities; leaves under ``own`` are ``[member, ...]``, all others are shared."""

    spectrum: density.Spectrum
    texture: density.Gaussian
    trunk: dict[str, density.Gaussian]
    own: dict[str, density.Gaussian]
    joint: density.Gaussian
    tails: dict[str, density.Tail]
    """Of what ``ood_density`` is the largest surprise of: the joint density's and each frozen
    block's, log distances of clean faces. Empty as version 0.2.0 fitted them: ``ood_density`` is
    then the joint distance."""


class Head(NamedTuple):
    """Densities of the head's features, every leaf ``[member, ...]``; not kept, for comparison."""

    shared: density.SharedGaussians
    classes: density.ClassGaussians
    bank: jax.Array


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


def fit(features: Features, images: np.ndarray) -> Densities:
    """Fits the densities.

    Half of the faces fit the densities of texture and blocks; fitted faces score too low, so the
    joint density is fitted on the other half.

    Args:
      features: of these faces, stacked ``[member, face, width]``.
      images: the faces, uint8 ``[face, side, side]`` or ``[face, side, side, 3]``; at least 20.

    Raises:
      ValueError: if there are fewer than 20 faces.
    """
    if len(images) < 20:
        raise ValueError(f"densities need at least 20 clean training faces, got {len(images)}")
    pictures = jnp.asarray(images, jnp.float32) / 255
    return _fit(features, pictures if images.ndim == 3 else jnp.mean(pictures, axis=-1))


@jax.jit
def _fit(features: Features, pictures: jax.Array) -> Densities:
    one = slice(0, None, 2)
    other = slice(1, None, 2)
    spectrum = density.fit_spectrum(_texture(pictures[one]))
    trunk = {name: density.fit_gaussian(seen[0, one]) for name, seen in features.trunk.items()}
    own = {
        name: jax.vmap(density.fit_gaussian)(seen[:, one]) for name, seen in features.own.items()
    }
    bands = density.band_energies(spectrum, _texture(pictures[other]))
    distances = _distances(trunk, {name: seen[0, other] for name, seen in features.trunk.items()})
    if own:
        of_members = jax.vmap(_distances)(
            own, {name: seen[:, other] for name, seen in features.own.items()}
        )
        distances |= {name: jnp.mean(d, axis=0) for name, d in of_members.items()}
    summary = _summary(bands, distances)
    joint = density.fit_gaussian(summary)
    alone = _distances({_JOINT: joint}, {_JOINT: summary})
    alone |= {name: distances[name] for name in trunk}
    tails = {name: density.fit_tail(known) for name, known in alone.items()}
    return Densities(spectrum, density.fit_gaussian(bands), trunk, own, joint, tails)


@jax.jit
def fit_head(features: jax.Array, q: jax.Array) -> Head:
    """Fits densities of the head's features.

    Args:
      features: ``[member, face, width]`` of training faces.
      q: their targets, ``[face, class]``.
    """
    return jax.vmap(
        lambda f: Head(
            density.fit_shared_gaussians(f, q),
            density.fit_class_gaussians(f, q),
            f[:: max(1, len(f) // 2000)],
        )
    )(features)


def partial_scores(
    outputs: ForwardOutputs,
    pictures: jax.Array,
    side: int,
    shared: Densities | None,
    own: Mapping[str, density.Gaussian],
    head: Head | None,
) -> dict[str, jax.Array]:
    """One member's contribution to the scores of a batch, for :func:`finish`.

    Args:
      outputs: of the member.
      pictures: ``[face, S, S, 3]`` in [0, 1] at network size.
      side: stored side of the faces that densities were fitted to, pixels; static.
      shared: the fitted densities, or None (then only the member's own scores come).
      own: this member's part of ``shared.own``.
      head: this member's head densities, or None.
    """
    features = outputs.features
    parts = dict(outputs.scores)
    if shared is not None:
        bands = density.band_energies(shared.spectrum, _texture(to_stored_size(pictures, side)))
        parts |= {
            "bands": bands,
            **_distances(shared.trunk, features.trunk),
            **_distances(own, features.own),
        }
    if head is not None:
        neighbours = min(NEIGHBOURS, len(head.bank))
        parts |= {
            "head_mahalanobis": density.class_mahalanobis(head.shared, features.head),
            "head_relative": density.relative_mahalanobis(head.shared, features.head),
            "head_density": density.class_density(head.classes, features.head),
            "head_neighbour": density.nearest_neighbour(head.bank, features.head, k=neighbours),
        }
    return parts


def finish(parts: Mapping[str, jax.Array], densities: Densities | None) -> dict[str, jax.Array]:
    """Scores ``[face]`` from every member's :func:`partial_scores` ``[member, face, ...]``.

    Larger means more out-of-distribution.
    """
    mean = {name: jnp.mean(part, axis=0) for name, part in parts.items()}
    if densities is None:
        return mean
    bands = mean.pop("bands")
    distances = {name: part for name, part in mean.items() if name.startswith("block_")}
    return {
        "ood_density": _ood_density(densities, bands, distances),
        "texture": density.mahalanobis(densities.texture, bands),
        **mean,
    }


def _ood_density(
    densities: Densities, bands: jax.Array, distances: Mapping[str, jax.Array]
) -> jax.Array:
    summary = _summary(bands, distances)
    if not densities.tails:
        return density.mahalanobis(densities.joint, summary)
    alone = {**_distances({_JOINT: densities.joint}, {_JOINT: summary}), **distances}
    surprises = [density.tail_surprise(tail, alone[n]) for n, tail in densities.tails.items()]
    return jnp.max(jnp.stack(surprises), axis=0)


def save(densities: Densities, folder: Path, of: str = "") -> None:
    """Writes :data:`FILE` into a run folder, in one piece.

    Args:
      densities: of the run.
      folder: the run.
      of: digest of the members they were fitted with, see :mod:`ferjax.ensemble.integrity`.
    """

    def tree(part: Any) -> Any:
        fields = part._asdict() if hasattr(part, "_asdict") else part
        if not isinstance(fields, dict):
            return np.asarray(part)
        return {name: tree(value) for name, value in fields.items()}

    save_tree(tree(densities), folder / FILE, {_OF: of} if of else None)


_OF = "members"


def load(folder: Path, of: str = "") -> Densities | None:
    """Reads a run's densities; None if none were fitted, or to other members than ``of``.

    Args:
      folder: the run.
      of: digest of its members; not compared if empty, or where the file does not say.

    Raises:
      ValueError: naming the file, if it is damaged.
    """
    file = path_of(folder)
    if file is None:
        return None
    tree = load_tree(file)
    if of and tree_facts(file).get(_OF, of) != of:
        return None

    def gaussians(name: str) -> dict[str, density.Gaussian]:
        return {block: density.Gaussian(**leaves) for block, leaves in tree.get(name, {}).items()}

    try:
        found = Densities(
            density.Spectrum(**tree["spectrum"]),
            density.Gaussian(**tree["texture"]),
            gaussians("trunk"),
            gaussians("own"),
            density.Gaussian(**tree["joint"]),
            {name: density.Tail(**leaves) for name, leaves in tree.get("tails", {}).items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file}: holds no densities ({error})") from error
    return jax.tree.map(jnp.asarray, found)


def digest(folder: Path) -> str | None:
    """The digest of a run's densities, computed from their content; None if none were fitted."""
    file = path_of(folder)
    return None if file is None else tree_digest(file)


def path_of(folder: Path) -> Path | None:
    """The file of a run's densities, if there is one."""
    return next((folder / name for name in (FILE, OLD_FILE) if (folder / name).is_file()), None)
