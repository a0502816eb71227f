"""Families of corruptions: what one of them teaches may hold for the others of its family too."""

__all__ = ["FAMILIES", "family_of"]

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
