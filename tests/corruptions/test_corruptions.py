"""Corruptions: what each promises for any picture, and the published ones against an independent
implementation."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.corruptions import blurs, digital, filters, jpeg, noise, resizing, suites, weather
from ferjax.corruptions.suites import (
    BASE,
    CORRUPTIONS,
    IMAGENET_C,
    IMAGENET_C_EXTRA,
    PAPER,
    corrupt,
)

# Published severities that are not ordered by how far the picture moves: snow and frost change in
# kind, saturate fades first and gaudies later, elastic_transform tilts first and crumples later,
# glass_blur's second mixes only once, and how much fog there is depends on the cloud drawn.
UNORDERED = {
    "imagenet_c.snow",
    "imagenet_c.frost",
    "imagenet_c.saturate",
    "imagenet_c.elastic_transform",
    "imagenet_c.glass_blur",
    "imagenet_c.spatter",
    "imagenet_c.fog",
}
GRAY_KEEPS = {"imagenet_c.saturate"}


def picture(height: int, width: int, channels: int = 3, count: int = 1) -> jax.Array:
    """Smooth blobs with a little grain, unequal in every channel: ``[count, height, width,
    channels]``."""
    rng = np.random.default_rng(0)
    coarse = rng.random((count, 6, 7, channels)).astype(np.float32)
    rows, columns = (
        np.asarray(resizing.linear_matrix(jnp.linspace(0, n - 1, side), n))
        for side, n in ((height, 6), (width, 7))
    )
    smooth = np.einsum("ih,nhwc,jw->nijc", rows, coarse, columns)
    return jnp.asarray(
        np.clip(0.1 + 0.8 * smooth + rng.normal(0, 0.01, smooth.shape), 0, 1).astype(np.float32)
    )


compiled = jax.jit(corrupt, static_argnames=("name", "severity"))


@pytest.fixture(scope="module", params=sorted(CORRUPTIONS))
def corruption(request):
    """One corruption, compiled once: its name, calls per severity on colour faces, and how often it
    was traced."""
    name = request.param
    traces = []

    @jax.jit
    def apply(images, severity, ids):
        traces.append(name)
        return corrupt(name, images, severity, ids)

    images = picture(24, 31, count=3)
    ids = jnp.array([5, 6, 7])
    return name, images, ids, {s: np.asarray(apply(images, s, ids)) for s in range(1, 6)}, traces


def test_suites():
    assert BASE == ("gnoise", "blur", "occlude", "bright", "pixelate")
    assert PAPER[:5] == BASE
    assert (len(PAPER), len(IMAGENET_C), len(IMAGENET_C_EXTRA)) == (11, 15, 4)
    assert {*PAPER, *IMAGENET_C, *IMAGENET_C_EXTRA} == set(CORRUPTIONS)
    assert not any("/" in name for name in CORRUPTIONS), "names become file names"


def test_keeps_shape_and_range_and_is_traced_once(corruption):
    _, images, _, by_severity, traces = corruption
    assert len(traces) == 1
    for corrupted in by_severity.values():
        assert corrupted.shape == images.shape
        assert corrupted.dtype == np.float32
        assert np.isfinite(corrupted).all()
        assert corrupted.min() >= -1e-6
        assert corrupted.max() <= 1 + 1e-6


def test_effect_grows_with_severity(corruption):
    name, images, _, by_severity, _ = corruption
    change = [np.abs(corrupted - images).mean() for corrupted in by_severity.values()]
    assert change[-1] > 1e-3
    if name not in UNORDERED:
        assert all(np.diff(change) > -1e-3), change
        assert change[-1] > change[0]


def test_one_face_alone_equals_it_in_any_batch_and_at_a_static_severity(corruption):
    name, images, ids, by_severity, _ = corruption
    alone = compiled(name, images[2:], 4, ids[2:])
    np.testing.assert_allclose(alone[0], by_severity[4][2], atol=2e-5)


def test_gray_and_odd_sizes(corruption):
    name = corruption[0]
    gray = picture(19, 26, channels=1)
    corrupted = np.asarray(compiled(name, gray, 5, jnp.array([0])))
    assert corrupted.shape == gray.shape
    assert np.isfinite(corrupted).all()
    assert (name in GRAY_KEEPS) == np.array_equal(corrupted, gray)


@pytest.mark.parametrize("name", ["gnoise", "elastic", "imagenet_c.fog"])
def test_randomness_is_keyed_by_seed_and_face(name):
    images = jnp.repeat(picture(24, 24), 2, axis=0)
    first, other_face = compiled(name, images, 3, jnp.array([0, 1]), seed=0)
    other_seed = compiled(name, images, 3, jnp.array([0, 1]), seed=1)[0]
    assert jnp.abs(first - other_face).max() > 0.01
    assert jnp.abs(first - other_seed).max() > 0.01


@pytest.mark.parametrize(
    ("name", "severity", "shape", "said"),
    [
        ("haze", 1, (1, 8, 8, 3), "unknown corruption 'haze'"),
        ("blur", 0, (1, 8, 8, 3), "severity must be 1..5, got 0"),
        ("blur", 6, (1, 8, 8, 3), "severity must be 1..5, got 6"),
        ("blur", 1, (2, 8, 8, 3), "expected images"),
        ("blur", 1, (8, 8, 3), "expected images"),
    ],
)
def test_refusals(name, severity, shape, said):
    with pytest.raises(ValueError, match=said):
        corrupt(name, jnp.zeros(shape), severity, jnp.array([0]))


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_shot_noise_is_poisson(severity):
    stats = pytest.importorskip("scipy.stats")
    photons = (60, 25, 12, 5, 3)[severity - 1]
    light = 0.4
    values = (
        np.asarray(
            jax.jit(noise.shot_noise)(jax.random.key(0), jnp.full((100, 100, 1), light), severity)
        )
        * photons
    )
    counts = np.bincount(np.round(values).astype(int).ravel(), minlength=photons + 1)
    expected = stats.poisson.pmf(np.arange(photons + 1), photons * light)
    expected[-1] = 1 - expected[:-1].sum()  # brighter than white is white
    np.testing.assert_allclose(counts / values.size, expected, atol=0.02)
    np.testing.assert_allclose(values, np.round(values), atol=1e-4)


def test_elastic_is_not_nearly_the_identity():
    """Ramps read displaced tell by how much: about 1.0 and 2.4 pixels at 224."""
    ramp = jnp.broadcast_to(jnp.arange(224.0)[None, None, :, None] / 224, (1, 224, 224, 1))
    for severity, expected in ((1, 1.02), (5, 2.44)):
        moved = (compiled("elastic", ramp, severity, jnp.array([0])) - ramp)[
            0, 20:-20, 20:-20
        ] * 224
        assert float(jnp.sqrt((moved**2).mean())) == pytest.approx(expected, rel=0.1)


def test_paper_motion_blur_is_a_box_of_the_given_length():
    spot = jnp.zeros((1, 5, 224, 1)).at[0, 2, 100, 0].set(1.0)
    for severity, length in enumerate((3, 5, 9, 13, 17), start=1):
        streak = np.asarray(compiled("motion_blur", spot, severity, jnp.array([0])))[0, 2, :, 0]
        np.testing.assert_allclose(
            streak[100 - length // 2 : 101 + length // 2], 1 / length, atol=1e-6
        )
        assert streak.sum() == pytest.approx(1, abs=1e-5)


def test_glass_pass_equals_the_pixel_by_pixel_loop():
    height = width = 224
    key = jax.random.key(3)
    reach = 4
    source = np.asarray(blurs.glass_sources(key, height, width, jnp.float32(reach))).reshape(
        height, width
    )
    steps = [
        np.floor(2 * reach * np.asarray(jax.random.uniform(k, (height * width,)))).astype(int)
        - reach
        for k in jax.random.split(key)
    ]
    down, right = (step.reshape(height, width) for step in steps)
    shown = np.arange(height * width).reshape(height, width)
    for h in range(height - reach, reach, -1):
        for w in range(width - reach, reach, -1):
            shown[h, w] = shown[h + down[h, w], w + right[h, w]]
    np.testing.assert_array_equal(source, shown)


def test_elastic_transform_tilts_as_opencv_does(monkeypatch):
    """Without the bend it is one affine map, given by where three corners go."""
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(digital, "smooth_noise", lambda noise, *_: jnp.zeros_like(noise))
    key = jax.random.key(2)
    side = 224
    severity = 1
    image = np.array(picture(side, side)[0])
    ours = np.asarray(jax.jit(digital.elastic_transform)(key, jnp.asarray(image), severity))
    moved = 24.4 * np.asarray(
        jax.random.uniform(jax.random.split(key)[0], (3, 2), minval=-1.0, maxval=1.0)
    )
    corners = np.array([[186, 186], [186, 38], [38, 38]], np.float32)
    matrix = cv2.getAffineTransform(corners, (corners + moved).astype(np.float32))
    theirs = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    assert np.mean(np.abs(ours - theirs) < 2 / 255) > 0.98


def test_plasma_spans_zero_to_one_and_fades_with_decay():
    rough, smooth = (
        jax.jit(weather.plasma, static_argnums=1)(jax.random.key(0), 60, decay)
        for decay in (1.4, 2.0)
    )
    assert rough.shape == (64, 64)
    for cloud in (rough, smooth):
        assert (float(cloud.min()), float(cloud.max())) == (0.0, 1.0)
    assert jnp.abs(jnp.diff(rough)).mean() > 1.3 * jnp.abs(jnp.diff(smooth)).mean()


@pytest.mark.parametrize("side", [48, 224])
def test_smooth_noise_has_one_spread_at_any_size(side):
    noise = jax.random.normal(jax.random.key(0), (side, side))
    smooth = filters.smooth_noise(noise, jnp.float32(4.0), 4.0, (4.0, 0.5), "edge")
    assert float(smooth.std()) == pytest.approx(1 / (2 * np.sqrt(np.pi) * 4), rel=0.15)


def test_scaled_kernels_keep_light_and_are_exact_at_224():
    np.testing.assert_array_equal(resizing.scaled_kernel_matrix(21, 1.0), np.eye(21))
    for scale in (48 / 224, 0.5, 1.7):
        np.testing.assert_allclose(resizing.scaled_kernel_matrix(21, scale).sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [7, 18, 50, 80])
def test_jpeg_equals_the_library_that_writes_files(quality, channels):
    """A file's coefficients may fall on the other side of a rounding in a few blocks."""
    image_module = pytest.importorskip("PIL.Image")
    pixels = np.round(np.asarray(picture(37, 50, channels)[0]) * 255).astype(np.uint8)
    file = io.BytesIO()
    image_module.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality)
    theirs = np.asarray(image_module.open(file)).reshape(pixels.shape).astype(int)
    ours = np.round(
        np.asarray(jax.jit(jpeg.roundtrip)(jnp.asarray(pixels / 255, jnp.float32), quality)) * 255
    )
    assert np.mean(np.abs(ours - theirs) <= 2) > 0.93
    assert np.abs(ours - theirs).mean() < 1


class TestAgainstImagecorruptions:
    """The package that adapted the published generator; its output is truncated to 8 bits."""

    EXACT = (
        "defocus_blur",
        "zoom_blur",
        "brightness",
        "contrast",
        "pixelate",
        "jpeg_compression",
        "gaussian_blur",
        "saturate",
    )

    traced = staticmethod(jax.jit(corrupt, static_argnames="name"))

    @pytest.fixture(scope="class")
    def reference(self):
        return pytest.importorskip("imagecorruptions")

    @pytest.fixture(scope="class")
    def pixels(self):
        return np.round(np.asarray(picture(224, 224)[0]) * 255).astype(np.uint8)

    @staticmethod
    def ours(name, pixels, severity):
        image = jnp.asarray(pixels / 255, jnp.float32)[None]
        return (
            np.asarray(
                TestAgainstImagecorruptions.traced(
                    f"imagenet_c.{name}", image, severity, jnp.array([0])
                )[0]
            )
            * 255
        )

    @pytest.mark.parametrize("severity", [1, 3, 5])
    @pytest.mark.parametrize("name", EXACT)
    def test_same_pixels_where_nothing_is_random(self, reference, pixels, name, severity):
        theirs = reference.corrupt(pixels, severity, name).astype(float)
        assert np.mean(np.abs(self.ours(name, pixels, severity) - theirs) <= 2) > 0.95

    @pytest.mark.parametrize(
        "name",
        ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "snow"],
    )
    def test_same_mean_and_spread_where_it_is(self, reference, pixels, name):
        ours = self.ours(name, pixels, 3)
        theirs = reference.corrupt(pixels, 3, name).astype(float)
        assert ours.mean() == pytest.approx(theirs.mean(), rel=0.05)
        assert ours.std() == pytest.approx(theirs.std(), rel=0.1)

    def test_same_line_of_motion(self, reference, pixels):
        blurred = jax.jit(lambda image, angle: filters.line_blur(image, angle, 15, 8, 20))
        for angle in (-40.0, 0.0, 25.0):
            theirs = reference.corruptions._motion_blur(pixels.astype(np.float32), 15, 8, angle)
            ours = blurred(jnp.asarray(pixels, jnp.float32), jnp.deg2rad(angle))
            assert np.mean(np.abs(np.asarray(ours) - theirs) <= 2) > 0.99


def test_corruptions_export_what_they_name():
    assert all(hasattr(suites, name) for name in suites.__all__)
