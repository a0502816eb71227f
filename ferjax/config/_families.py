"""Families of corruptions: what one of them teaches may hold for the others of its family too."""

from collections.abc import Iterable

from ferjax.config._checks import nearest

__all__ = ["FAMILIES", "family_of", "require_corruptions"]

FAMILIES = {
    "noise": (
        *("gnoise", "shot_noise", "impulse_noise", "imagenet_c.gaussian_noise"),
        *("imagenet_c.shot_noise", "imagenet_c.impulse_noise", "imagenet_c.speckle_noise"),
    ),
    "blur": (
        *("blur", "motion_blur", "imagenet_c.defocus_blur", "imagenet_c.glass_blur"),
        *("imagenet_c.motion_blur", "imagenet_c.zoom_blur", "imagenet_c.gaussian_blur"),
    ),
    "weather": (
        *("bright", "imagenet_c.snow", "imagenet_c.frost", "imagenet_c.fog"),
        *("imagenet_c.brightness", "imagenet_c.spatter"),
    ),
    "digital": (
        *("contrast", "jpeg", "pixelate", "imagenet_c.contrast", "imagenet_c.pixelate"),
        *("imagenet_c.jpeg_compression", "imagenet_c.saturate"),
    ),
    "occlusion": ("occlude",),
    "geometry": ("elastic", "imagenet_c.elastic_transform"),
}
"""Family -> its corruptions; noise, blur, weather and digital as ImageNet-C sorts them."""


def family_of(corruption: str) -> str:
    """The family of a corruption; a name of no family is one of its own.

    >>> family_of("gnoise"), family_of("my_dirt")
    ('noise', 'my_dirt')
    """
    return next((name for name, of in FAMILIES.items() if corruption in of), corruption)


def require_corruptions(names: Iterable[str]) -> None:
    """Refuses corruptions of no family, which are none that come with ferjax.

    Raises:
      ValueError: naming the first, and the nearest that there is.

    >>> require_corruptions(["gnoise", "blurr"])
    Traceback (most recent call last):
    ValueError: unknown corruption 'blurr'; did you mean blur?
    """
    known = [name for of in FAMILIES.values() for name in of]
    for name in names:
        if name not in known:
            raise ValueError(f"unknown corruption {name!r}; {nearest(name, known)}")
