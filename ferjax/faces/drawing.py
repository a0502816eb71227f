"""Renders faces from facial actions: brows, eyes, nose and mouth on a random head, pose and light.

One vectorised pure function of its parameters. The pictures have the size of FER+'s.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ferjax.faces.ferplus import SIDE

__all__ = ["PROTOTYPES", "draw", "draw_one"]

PROTOTYPES = np.array(
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
"""Facial actions ``[class, action]``: inner brow up, outer brow up, brows together, eyes open,
mouth corners up, mouth open, mouth wide, upper lip raised, nose wrinkled, one mouth corner
pulled."""

Uniform = Callable[[float, float], jax.Array]
"""Draws one number between two bounds, another one in each call."""


class _Place(NamedTuple):
    """Coordinates of the pixels ``[side, side]``, about -1 … 1, downwards positive."""

    x: jax.Array  # of the picture
    y: jax.Array
    u: jax.Array  # of the head
    v: jax.Array
    w: jax.Array  # of the features: they turn with the head, its outline does not
    a: jax.Array  # distance of w to the middle
    yaw: jax.Array
    sign: jax.Array  # which side hair and nose lean to, -1 … 1


class _Identity(NamedTuple):
    """Tones and proportions of one person, and the light."""

    skin: jax.Array
    hair: jax.Array
    backdrop: jax.Array
    face_w: jax.Array
    face_h: jax.Array
    eye_x: jax.Array
    eye_y: jax.Array
    brow_w: jax.Array
    mouth_y: jax.Array
    mouth_w: jax.Array
    nose_y: jax.Array
    light_x: jax.Array
    light_y: jax.Array

    @property
    def dark(self) -> jax.Array:
        return self.skin * 0.35


def _soft(distance: jax.Array) -> jax.Array:
    """Coverage of a shape from its signed distance (negative inside), blurred over a pixel."""
    return jax.nn.sigmoid(-distance * SIDE * 1.2)


def _ellipse(u, v, x, y, rx, ry):
    radius = jnp.sqrt(((u - x) / rx) ** 2 + ((v - y) / ry) ** 2 + 1e-9)
    return _soft((radius - 1.0) * jnp.minimum(rx, ry))


def _stroke(u, v, curve, left, right, thickness):
    return _soft(jnp.abs(v - curve) - thickness) * _soft(left - u) * _soft(u - right)


def _over(canvas, tone, coverage):
    return canvas + coverage * (tone - canvas)


def _sample_place(uniform: Uniform) -> _Place:
    axis = (jnp.arange(SIDE) + 0.5) / SIDE * 2 - 1
    y, x = jnp.meshgrid(axis, axis, indexing="ij")
    tilt = uniform(-0.1, 0.1)
    zoom = uniform(0.92, 1.05)
    yaw = uniform(-0.06, 0.06)
    x = x - uniform(-0.04, 0.04)
    y = y - uniform(-0.04, 0.04)
    u = (jnp.cos(tilt) * x + jnp.sin(tilt) * y) * zoom
    v = (-jnp.sin(tilt) * x + jnp.cos(tilt) * y) * zoom
    sign = uniform(-1.0, 1.0)
    return _Place(x, y, u, v, u - yaw, jnp.abs(u - yaw), yaw, sign)


def _sample_identity(uniform: Uniform) -> _Identity:
    return _Identity(
        skin=uniform(0.45, 0.85),
        hair=uniform(0.08, 0.4),
        backdrop=uniform(0.15, 0.95),
        face_w=uniform(0.6, 0.72),
        face_h=uniform(0.82, 0.95),
        eye_x=uniform(0.25, 0.31),
        eye_y=uniform(-0.2, -0.12),
        brow_w=uniform(0.025, 0.05),
        mouth_y=uniform(0.45, 0.53),
        mouth_w=uniform(0.24, 0.3),
        nose_y=uniform(0.16, 0.22),
        light_x=uniform(-0.18, 0.18),
        light_y=uniform(-0.12, 0.05),
    )


def _head(uniform: Uniform, at: _Place, person: _Identity) -> jax.Array:
    """Backdrop, hair, neck, ears, skin and fringe."""
    canvas = person.backdrop + uniform(-0.15, 0.15) * at.x + uniform(-0.1, 0.1) * at.y
    crown = _ellipse(
        at.u, at.v, 0.0, -0.25, person.face_w * 1.18, person.face_h * uniform(0.85, 1.0)
    )
    canvas = _over(canvas, person.hair, crown)
    canvas = _over(canvas, person.skin * 0.75, _ellipse(at.u, at.v, 0.0, 1.05, 0.35, 0.5))
    canvas = _over(canvas, person.skin * 0.8, _ellipse(at.a, at.v, person.face_w, 0.0, 0.08, 0.16))
    curvature = 0.18 * (at.u**2 + at.v**2)
    shade = person.skin * (1.0 + person.light_x * at.u + person.light_y * at.v - curvature)
    outline = _ellipse(at.u, at.v, 0.0, 0.05, person.face_w, person.face_h)
    canvas = _over(canvas, shade, outline)
    fringe = -0.62 + uniform(-0.1, 0.08) + 0.25 * (at.u * at.sign)
    return _over(canvas, person.hair, outline * _soft(at.v - fringe))


def _eyes(canvas: jax.Array, at: _Place, person: _Identity, opening: jax.Array) -> jax.Array:
    """The white, the iris inside it, the lid above."""
    height = 0.085 * (1.0 + 0.75 * opening)
    white = _ellipse(at.a, at.v, person.eye_x, person.eye_y, 0.13, height)
    canvas = _over(canvas, jnp.minimum(person.skin + 0.3, 1.0), white)
    iris_x = at.w - jnp.sign(at.w) * person.eye_x + at.yaw * 0.3
    canvas = _over(canvas, 0.08, white * _ellipse(iris_x, at.v, 0.0, person.eye_y, 0.06, 0.065))
    arch = jnp.sqrt(jnp.clip(1 - ((at.a - person.eye_x) / 0.13) ** 2, 0.0, 1.0))
    left = person.eye_x - 0.15
    right = person.eye_x + 0.15
    lid = _stroke(at.a, at.v, person.eye_y - height * arch, left, right, 0.018)
    return _over(canvas, person.dark, lid * 0.9)


def _brows(
    canvas: jax.Array,
    at: _Place,
    person: _Identity,
    inner: jax.Array,
    outer: jax.Array,
    together: jax.Array,
) -> jax.Array:
    """A stroke from the inner to the outer end, and a furrow between the brows."""
    start = person.eye_x - 0.15 - 0.05 * together
    along = jnp.clip((at.a - start) / 0.33, 0.0, 1.0)
    raised = 0.13 * (inner * (1 - along) + outer * along)
    brow = person.eye_y - 0.2 - raised - 0.05 * jnp.sin(jnp.pi * along)
    stroke = _stroke(at.a, at.v, brow, start, start + 0.33, person.brow_w)
    canvas = _over(canvas, person.hair * 0.8, stroke)
    height = _soft(jnp.abs(at.v - person.eye_y + 0.16) - 0.09)
    furrow = _soft(jnp.abs(at.a - 0.055) - 0.012) * height
    return _over(canvas, person.dark, 0.8 * jnp.clip(together, 0, 1) * furrow)


def _nose(
    canvas: jax.Array,
    at: _Place,
    person: _Identity,
    lift: jax.Array,
    lip: jax.Array,
    wrinkle: jax.Array,
) -> jax.Array:
    """Bridge, nostrils, wrinkles, and the folds from the nose to the mouth."""
    bridge = _soft(jnp.abs(at.w - 0.05 * at.sign) - 0.012) * _soft(jnp.abs(at.v - 0.02) - 0.14)
    canvas = _over(canvas, person.dark, 0.35 * bridge)
    nostrils = _ellipse(at.a, at.v, 0.07, person.nose_y, 0.035, 0.022)
    canvas = _over(canvas, person.dark, 0.8 * nostrils)
    ridges = 0.5 + 0.5 * jnp.cos((at.v - person.eye_y) * 60.0)
    wrinkled = ridges * _ellipse(at.w, at.v, 0.0, person.eye_y + 0.13, 0.11, 0.1)
    canvas = _over(canvas, person.dark, 0.85 * jnp.clip(wrinkle, 0, 1) * wrinkled)
    fold = 0.13 + 0.45 * jnp.clip(at.v - person.nose_y, 0, 1)
    strength = jnp.clip(0.75 * lip + 0.5 * jnp.maximum(lift, 0), 0, 1)
    height = _soft(jnp.abs(at.v - person.nose_y - 0.1) - 0.1)
    return _over(canvas, person.dark, strength * _soft(jnp.abs(at.a - fold) - 0.014) * height)


def _mouth(
    canvas: jax.Array,
    at: _Place,
    person: _Identity,
    lift: jax.Array,
    opening: jax.Array,
    width: jax.Array,
    lip: jax.Array,
    pull: jax.Array,
) -> jax.Array:
    """Dark between the lip lines; teeth below the upper one when wide open."""
    half = person.mouth_w * (1 + 0.32 * width)
    t = jnp.clip((at.w / half) ** 2, 0.0, 1.2)
    corner = lift + 1.3 * pull * jax.nn.sigmoid(12.0 * at.w * jnp.sign(at.sign))
    middle = person.mouth_y - 0.13 * corner * t + 0.06 * lift
    upper = middle - (0.07 * opening + 0.09 * lip) * (1 - t)
    lower = middle + 0.26 * opening * (1 - t)
    inside = _soft(upper - at.v) * _soft(at.v - lower) * _soft(at.a - half)
    open_enough = jax.nn.sigmoid(20 * (opening + 0.5 * lip - 0.15))
    canvas = _over(canvas, 0.1, inside * open_enough)
    canvas = _over(canvas, 0.92, inside * open_enough * _soft(at.v - upper - 0.06) * 0.8)
    for line, weight in ((upper, 0.9), (lower, 0.7)):
        canvas = _over(canvas, person.dark, weight * _stroke(at.w, at.v, line, -half, half, 0.022))
    return canvas


def _cover(uniform: Uniform, canvas: jax.Array, at: _Place) -> jax.Array:
    """A hand, a scarf or a shadow over the face."""
    height = _soft(jnp.abs(at.v - uniform(-0.1, 0.2)) - uniform(0.5, 0.75))
    cover = height * _soft(jnp.abs(at.u - uniform(-0.1, 0.1)) - 0.75)
    return _over(canvas, uniform(0.1, 0.6), cover)


def _scene(uniform: Uniform, at: _Place, person: _Identity) -> jax.Array:
    """Not a face: stripes, clouds and blobs in the same tones."""
    along = jnp.sin(uniform(2, 14) * at.x + uniform(2, 14) * at.y + uniform(0, 6))
    waves = along * jnp.cos(uniform(1, 10) * at.y - uniform(1, 10) * at.x)
    centre_x = uniform(-0.6, 0.6)
    centre_y = uniform(-0.6, 0.6)
    blob = _ellipse(at.x, at.y, centre_x, centre_y, uniform(0.15, 0.6), uniform(0.15, 0.6))
    return _over(person.backdrop + 0.25 * waves, person.hair, blob)


def draw_one(key: jax.Array, expression: ArrayLike, kind: ArrayLike) -> jax.Array:
    """Draws one face.

    Args:
      key: random key of identity, pose and light.
      expression: ``[action]`` facial actions, see :data:`PROTOTYPES`.
      kind: 0 face, 1 not a face, 2 covered face.

    Returns:
      uint8 ``[side, side]``.
    """
    # All at once, in jax.random.uniform's own arithmetic: a call for each would compile for each.
    shares = iter(jax.vmap(jax.random.uniform)(jax.random.split(key, 48)))

    def uniform(low: float, high: float) -> jax.Array:
        drawn = next(shares) * (np.float32(high) - np.float32(low)) + np.float32(low)
        return jnp.maximum(drawn, np.float32(low))

    inner, outer, together, eyes, lift, opening, width, lip, wrinkle, pull = jnp.asarray(expression)
    at = _sample_place(uniform)
    person = _sample_identity(uniform)
    face = _head(uniform, at, person)
    face = _eyes(face, at, person, eyes)
    face = _brows(face, at, person, inner, outer, together)
    face = _nose(face, at, person, lift, lip, wrinkle)
    face = _mouth(face, at, person, lift, opening, width, lip, pull)
    canvas = jnp.where(kind == 2, _cover(uniform, face, at), face)
    canvas = jnp.where(kind == 1, _scene(uniform, at, person), canvas)
    grain = 0.02 * jax.random.normal(jax.random.fold_in(key, 1), canvas.shape)
    return jnp.round(jnp.clip(canvas + grain, 0.0, 1.0) * 255).astype(jnp.uint8)


@jax.jit
def draw(key: jax.Array, expressions: ArrayLike, kind: ArrayLike) -> jax.Array:
    """Draws faces.

    Args:
      key: random key of identities, poses and light.
      expressions: ``[face, action]`` facial actions, see :data:`PROTOTYPES`.
      kind: ``[face]`` 0 face, 1 not a face, 2 covered face.

    Returns:
      uint8 ``[face, side, side]``.
    """
    faces = jnp.arange(jnp.shape(expressions)[0])
    keys = jax.vmap(lambda face: jax.random.fold_in(key, face))(faces)
    return jax.vmap(draw_one)(keys, expressions, kind)
