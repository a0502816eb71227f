"""Drawn faces whose true vote distribution is known: the embedded default, and a test bench for
uncertainty.

A face is a *blend* of eight expression prototypes, drawn from brows, eyes, nose and mouth on a
random identity, pose and light. The blend is the truth: p(y | face) follows from it, ten votes are
drawn from that, so a face halfway between sadness and neutral really is ambiguous, and aleatoric
uncertainty can be held against H(p(y | face)) itself. Some items are not faces, some are covered so
that nobody can tell.

The renderer is one vectorised pure function of its parameters.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ferjax.faces.votes import CLASSES

__all__ = ["SIDE", "Blend", "draw", "make", "sample_blends", "vote_distribution"]

SIDE = 48

# Columns: inner brow up, outer brow up, brows together, eyes open, mouth corners up, mouth open,
# mouth wide, upper lip raised, nose wrinkled, one mouth corner pulled.
_PROTOTYPES = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],  # neutral
        [0.0, 0.2, 0.0, -0.4, 1.0, 0.35, 0.6, 0.1, 0.0, 0.0],  # happiness
        [0.9, 0.9, 0.0, 0.9, 0.0, 1.0, -0.5, 0.0, 0.0, 0.0],  # surprise
        [0.8, -0.6, 0.2, -0.4, -0.9, 0.0, -0.2, 0.0, 0.0, 0.0],  # sadness
        [-0.9, 0.4, 1.0, 0.2, -0.3, 0.0, 0.1, 0.0, 0.2, 0.0],  # anger
        [-0.5, -0.2, 0.3, -0.6, -0.5, 0.15, 0.0, 1.0, 1.0, 0.0],  # disgust
        [0.9, 0.1, 0.7, 0.8, -0.4, 0.5, 0.6, 0.0, 0.0, 0.0],  # fear
        [0.0, 0.2, 0.0, -0.2, 0.1, 0.0, 0.1, 0.0, 0.0, 1.0],  # contempt
    ],
    np.float32,
)
_PRIOR = np.array([0.27, 0.2, 0.13, 0.13, 0.1, 0.06, 0.06, 0.05])
_SLIP = 0.04  # share of votes that land anywhere, however clear the face
_NOT_A_FACE = 0.03
_COVERED = 0.02


class Blend(NamedTuple):
    """What is drawn. ``weights [face, 8]`` blends the expressions; ``kind [face]`` 0 face, 1 not a
    face, 2 covered."""

    weights: np.ndarray
    kind: np.ndarray


def sample_blends(rng: np.random.Generator, faces: int) -> Blend:
    """Half nearly pure expressions, half true blends of two, a few of three."""
    order = np.array(
        [rng.choice(8, size=3, replace=False, p=_PRIOR) for _ in range(faces)]
    ).reshape(faces, 3)
    style = rng.random(faces)
    main = np.where(style < 0.5, rng.uniform(0.92, 1.0, faces), rng.uniform(0.42, 0.7, faces))
    third = np.where(style > 0.9, rng.uniform(0.1, 0.25, faces), 0.0)
    weights = np.zeros((faces, 8))
    for column, share in enumerate((main, 1 - main - third, third)):
        weights[np.arange(faces), order[:, column]] += share
    kind = rng.choice(3, size=faces, p=[1 - _NOT_A_FACE - _COVERED, _NOT_A_FACE, _COVERED])
    return Blend(weights, kind)


def vote_distribution(blend: Blend) -> np.ndarray:
    """The true p(vote | item) over the ten FER+ columns, ``[face, 10]``; the first eight,
    renormalised, are p(y | face)."""
    emotions = (1 - _SLIP) * blend.weights + _SLIP / len(CLASSES)
    outside = np.array([[0.01, 0.002], [0.1, 0.85], [0.75, 0.03]])[blend.kind]
    return np.concatenate([emotions * (1 - outside.sum(1, keepdims=True)), outside], axis=1)


def _soft(distance: jax.Array) -> jax.Array:
    """Coverage of a shape from its signed distance (negative inside), antialiased over about a
    pixel."""
    return jax.nn.sigmoid(-distance * SIDE * 1.2)


def _ellipse(u, v, x, y, rx, ry):
    return _soft(
        (jnp.sqrt(((u - x) / rx) ** 2 + ((v - y) / ry) ** 2 + 1e-9) - 1.0) * jnp.minimum(rx, ry)
    )


def _stroke(u, v, curve, left, right, thickness):
    return _soft(jnp.abs(v - curve) - thickness) * _soft(left - u) * _soft(u - right)


def _over(canvas, tone, coverage):
    return canvas + coverage * (tone - canvas)


def _draw_one(key: jax.Array, expression: jax.Array, kind: jax.Array) -> jax.Array:
    keys = iter(jax.random.split(key, 48))

    def luck(low, high):
        return jax.random.uniform(next(keys), minval=low, maxval=high)

    inner, outer, together, eyes, lift, opening, width, lip, wrinkle, pull = expression

    # Pose: image coordinates -> face coordinates, both in about [-1, 1], v downwards.
    axis = (jnp.arange(SIDE) + 0.5) / SIDE * 2 - 1
    y, x = jnp.meshgrid(axis, axis, indexing="ij")
    tilt = luck(-0.1, 0.1)
    zoom = luck(0.92, 1.05)
    yaw = luck(-0.06, 0.06)
    x = x - luck(-0.04, 0.04)
    y = y - luck(-0.04, 0.04)
    u = (jnp.cos(tilt) * x + jnp.sin(tilt) * y) * zoom
    v = (-jnp.sin(tilt) * x + jnp.cos(tilt) * y) * zoom
    side = luck(-1.0, 1.0)
    w = u - yaw  # features turn with the head, the outline does not
    a = jnp.abs(w)

    # Identity and light.
    skin = luck(0.45, 0.85)
    hair = luck(0.08, 0.4)
    backdrop = luck(0.15, 0.95)
    face_w = luck(0.6, 0.72)
    face_h = luck(0.82, 0.95)
    eye_x = luck(0.25, 0.31)
    eye_y = luck(-0.2, -0.12)
    brow_w = luck(0.025, 0.05)
    mouth_y = luck(0.45, 0.53)
    mouth_w = luck(0.24, 0.3)
    nose_y = luck(0.16, 0.22)
    light_x = luck(-0.18, 0.18)
    light_y = luck(-0.12, 0.05)
    dark = skin * 0.35

    canvas = backdrop + luck(-0.15, 0.15) * x + luck(-0.1, 0.1) * y
    canvas = _over(
        canvas, hair, _ellipse(u, v, 0.0, -0.25, face_w * 1.18, face_h * luck(0.85, 1.0))
    )
    canvas = _over(canvas, skin * 0.75, _ellipse(u, v, 0.0, 1.05, 0.35, 0.5))
    canvas = _over(canvas, skin * 0.8, _ellipse(a, v, face_w, 0.0, 0.08, 0.16))
    shade = skin * (1.0 + light_x * u + light_y * v - 0.18 * (u**2 + v**2))
    canvas = _over(canvas, shade, _ellipse(u, v, 0.0, 0.05, face_w, face_h))
    fringe = -0.62 + luck(-0.1, 0.08) + 0.25 * (u * side)
    canvas = _over(canvas, hair, _ellipse(u, v, 0.0, 0.05, face_w, face_h) * _soft(v - fringe))

    # Eyes: the white, the iris inside it, the lid above.
    eye_h = 0.085 * (1.0 + 0.75 * eyes)
    white = _ellipse(a, v, eye_x, eye_y, 0.13, eye_h)
    canvas = _over(canvas, jnp.minimum(skin + 0.3, 1.0), white)
    canvas = _over(
        canvas,
        0.08,
        white * _ellipse(w - jnp.sign(w) * eye_x + yaw * 0.3, v, 0.0, eye_y, 0.06, 0.065),
    )
    lid = eye_y - eye_h * jnp.sqrt(jnp.clip(1 - ((a - eye_x) / 0.13) ** 2, 0.0, 1.0))
    canvas = _over(canvas, dark, _stroke(a, v, lid, eye_x - 0.15, eye_x + 0.15, 0.018) * 0.9)

    # Brows: a stroke from inner to outer end.
    start = eye_x - 0.15 - 0.05 * together
    along = jnp.clip((a - start) / 0.33, 0.0, 1.0)
    brow = (
        eye_y - 0.2 - 0.13 * (inner * (1 - along) + outer * along) - 0.05 * jnp.sin(jnp.pi * along)
    )
    canvas = _over(canvas, hair * 0.8, _stroke(a, v, brow, start, start + 0.33, brow_w))
    furrow = _soft(jnp.abs(a - 0.055) - 0.012) * _soft(jnp.abs(v - eye_y + 0.16) - 0.09)
    canvas = _over(canvas, dark, 0.8 * jnp.clip(together, 0, 1) * furrow)

    # Nose, its wrinkles, and the folds from nose to mouth.
    canvas = _over(
        canvas,
        dark,
        0.35 * _soft(jnp.abs(w - 0.05 * side) - 0.012) * _soft(jnp.abs(v - 0.02) - 0.14),
    )
    canvas = _over(canvas, dark, 0.8 * _ellipse(a, v, 0.07, nose_y, 0.035, 0.022))
    ridges = 0.5 + 0.5 * jnp.cos((v - eye_y) * 60.0)
    canvas = _over(
        canvas,
        dark,
        0.85 * jnp.clip(wrinkle, 0, 1) * ridges * _ellipse(w, v, 0.0, eye_y + 0.13, 0.11, 0.1),
    )
    fold = 0.13 + 0.45 * jnp.clip(v - nose_y, 0, 1)
    fold_strength = jnp.clip(0.75 * lip + 0.5 * jnp.maximum(lift, 0), 0, 1)
    canvas = _over(
        canvas,
        dark,
        fold_strength * _soft(jnp.abs(a - fold) - 0.014) * _soft(jnp.abs(v - nose_y - 0.1) - 0.1),
    )

    # Mouth: dark between the lip lines, teeth below the upper one when wide open.
    half = mouth_w * (1 + 0.32 * width)
    t = jnp.clip((w / half) ** 2, 0.0, 1.2)
    corner = lift + 1.3 * pull * jax.nn.sigmoid(12.0 * w * jnp.sign(side))
    middle = mouth_y - 0.13 * corner * t + 0.06 * lift
    upper = middle - (0.07 * opening + 0.09 * lip) * (1 - t)
    lower = middle + 0.26 * opening * (1 - t)
    inside = _soft(upper - v) * _soft(v - lower) * _soft(a - half)
    open_enough = jax.nn.sigmoid(20 * (opening + 0.5 * lip - 0.15))
    canvas = _over(canvas, 0.1, inside * open_enough)
    canvas = _over(canvas, 0.92, inside * open_enough * _soft(v - upper - 0.06) * 0.8)
    for line, weight in ((upper, 0.9), (lower, 0.7)):
        canvas = _over(canvas, dark, weight * _stroke(w, v, line, -half, half, 0.022))

    # Covered faces: a hand, a scarf, a shadow; nobody can tell.
    cover = _soft(jnp.abs(v - luck(-0.1, 0.2)) - luck(0.5, 0.75)) * _soft(
        jnp.abs(u - luck(-0.1, 0.1)) - 0.75
    )
    canvas = jnp.where(kind == 2, _over(canvas, luck(0.1, 0.6), cover), canvas)

    # Not a face: stripes, clouds and blobs in the same tones.
    waves = jnp.sin(luck(2, 14) * x + luck(2, 14) * y + luck(0, 6)) * jnp.cos(
        luck(1, 10) * y - luck(1, 10) * x
    )
    blob = _ellipse(x, y, luck(-0.6, 0.6), luck(-0.6, 0.6), luck(0.15, 0.6), luck(0.15, 0.6))
    scene = _over(backdrop + 0.25 * waves, hair, blob)
    canvas = jnp.where(kind == 1, scene, canvas)

    grain = 0.02 * jax.random.normal(jax.random.fold_in(key, 1), canvas.shape)
    return jnp.round(jnp.clip(canvas + grain, 0.0, 1.0) * 255).astype(jnp.uint8)


@jax.jit
def draw(key: jax.Array, expressions: jax.Array, kind: jax.Array) -> jax.Array:
    """Draws faces.

    Args:
      key: random key of identities, poses and light.
      expressions: ``[face, 10]`` facial actions (see the prototypes above).
      kind: ``[face]`` 0 face, 1 not a face, 2 covered face.

    Returns:
      uint8 ``[face, 48, 48]``.
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(expressions.shape[0]))
    return jax.vmap(_draw_one)(keys, expressions, kind)


def make(faces: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws faces and lets ten people vote on each.

    Args:
      faces: how many.
      seed: same seed, same faces and votes.

    Returns:
      ``images`` uint8 ``[face, 48, 48]``, ``votes`` int64 ``[face, 10]``, ``truth`` float32
      ``[face, 8]``, the true p(y | face).
    """
    rng = np.random.default_rng(seed)
    blend = sample_blends(rng, faces)
    truth = vote_distribution(blend)
    votes = rng.multinomial(10, truth)
    expressions = 1.2 * blend.weights @ _PROTOTYPES + rng.normal(
        0, 0.04, (faces, _PROTOTYPES.shape[1])
    )
    images = np.asarray(draw(jax.random.key(seed), expressions.astype(np.float32), blend.kind))
    emotions = truth[:, :8]
    return images, votes, (emotions / emotions.sum(1, keepdims=True)).astype(np.float32)
