"""ImageNet-C: its fifteen corruptions and four extras, with the published severities.

The constants are those of the published generator, which knows only 224×224 pictures. At 224 they
are used exactly; at other sizes lengths in pixels scale with the side, each axis with its own, so
that a smaller face is corrupted as if it had been corrupted at 224 and then shrunk. Numbers that
are not lengths (noise, contrast, quality, shares) do not scale.

Where this differs from the published generator, on purpose:

* nothing is rounded to 8 bits on the way (JPEG excepted);
* elastic_transform reads the picture once, through affine map and displacement together, instead of
  resampling twice;
* frost is drawn instead of cut out of photographs;
* motion is blurred on the same line of pixels and with the same weights as ImageMagick, without
  calling it.

The package ``imagecorruptions`` (Michaelis et al. 2019) adapted the generator to other sizes: it
leaves the affine part out of elastic_transform, whose displacement it rescales, and keeps other
lengths in pixels whatever the size.

References:
  Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261; Michaelis et al. 2019,
  https://arxiv.org/abs/1907.07484.
"""

from ferjax.corruptions.blurs import (
    defocus_blur,
    gaussian_blur,
    glass_blur,
    motion_blur,
    zoom_blur,
)
from ferjax.corruptions.digital import (
    brightness,
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
    saturate,
)
from ferjax.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from ferjax.corruptions.weather import fog, frost, snow, spatter

__all__ = ["EXTRA", "FIFTEEN"]

FIFTEEN = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "elastic_transform": elastic_transform,
    "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
}
"""The published benchmark, in its order."""

EXTRA = {
    "speckle_noise": speckle_noise,
    "gaussian_blur": gaussian_blur,
    "spatter": spatter,
    "saturate": saturate,
}
"""The four that are kept for validation."""
